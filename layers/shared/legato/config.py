"""What a stack is configured to do: typed, checked, and complete in its complaint.

A deployment writes one document (`ConfigParameter` of template.yaml), by the names of its
parameters and of `legato.tuning`. WebhookFunction and PushFunction, which answer within
milliseconds, are told the little that they need in their environment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from legato.archive.object_lock import Retention
from legato.tuning import TUNING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.archive.object_lock import Mode

type Limits = dict[str, tuple[tuple[int, float], ...]]
"""The limits of each group, as calls and seconds."""

DISCOVERIES = ("sync", "recipe")
DELETIONS: dict[str, tuple[str, ...]] = {
    "false": (),
    "true": ("ringex", "kazoo"),  # RingCX offers none
    "ringex": ("ringex",),
    "kazoo": ("kazoo",),
}
"""Which providers delete what is archived, by what an operator says."""
MODES: dict[str, Mode | None] = {
    "NONE": None,
    "GOVERNANCE": "GOVERNANCE",
    "COMPLIANCE": "COMPLIANCE",
}
"""How evidence is locked, by what an operator says."""
REASONS = ("required", "optional")
"""Whether a look at a call needs a reason."""
MINUTE = 60


class BadSettings(Exception):
    """The configuration is not what template.yaml writes. Names everything that is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What WebhookFunction is told."""

    inbound_tokens: str
    ringex_queue: str
    settle_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSettings:
    """What PushFunction is told. The inbox is a bucket."""

    inbound_tokens: str
    inbox: str


class RingexSettings(Protocol):
    """What every function that talks to RingCentral is told."""

    @property
    def ringex_url(self) -> str: ...
    @property
    def ringex_limits(self) -> Limits: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RingcxSettings:
    """What every function that talks to RingCX is told.

    An empty `account` is asked of RingCentral; without `sub_accounts` RingCX is not used. Its
    tokens come by way of RingCentral's platform.
    """

    platform: str
    url: str
    prefix: str
    account: str
    sub_accounts: tuple[str, ...]
    time_zone: str
    limits: Limits
    queue: str
    dead_letters: str
    settle_minutes: float
    overlap_minutes: float
    retention_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KazooSettings:
    """What every function that talks to Kazoo is told. Without a `url` Kazoo is not used.

    A source is an account, or a user as `account/user`; `filters` are Kazoo's own.
    """

    url: str
    sources: tuple[str, ...]
    filters: dict[str, str]
    limits: Limits
    queue: str
    dead_letters: str
    quiet_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SweeperSettings:
    """What SweeperFunction is told."""

    credentials: str
    table: str
    ringex_queue: str
    ringex_dead_letters: str
    ringex_url: str
    ringex_limits: Limits
    ringex_discovery: str
    ringex_sweep_hours: float
    ringex_tail_seconds: float
    ringcx: RingcxSettings
    ringcx_sweep_hours: float
    ringcx_look_again_hours: tuple[float, ...]
    kazoo: KazooSettings
    kazoo_sweep_hours: float
    kazoo_retention_days: int
    settle_seconds: int
    max_call_hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorSettings:
    """What ProcessorFunction is told. Times in seconds unless the name says otherwise."""

    credentials: str
    bucket: str
    table: str
    ringex_queue: str
    ringex_dead_letters: str
    ringex_url: str
    ringex_storage_class: str
    ringex_limits: Limits
    ringex_discovery: str
    ringex_sweep_hours: float
    ringex_tail_seconds: float
    ringex_log_lag_seconds: int
    ringcx: RingcxSettings
    ringcx_storage_class: str
    ringcx_ladder_seconds: tuple[int, ...]
    ringcx_at_once: int
    ringcx_max_segment_bytes: int
    kazoo: KazooSettings
    kazoo_storage_class: str
    kazoo_inbox: str
    kazoo_ladder_seconds: tuple[int, ...]
    settle_seconds: int
    max_call_hours: float
    ladder_seconds: tuple[int, ...]
    named_ladder_seconds: tuple[int, ...]
    ongoing_seconds: int
    max_attempts: int
    retry_seconds: int
    max_leg_bytes: int
    max_audio_hours: float
    delete_at_source: tuple[str, ...]
    retention: Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoverSettings:
    """What RemoverFunction is told. `delete_at_source` are providers."""

    credentials: str
    bucket: str
    table: str
    delete_at_source: tuple[str, ...]
    ringex_url: str
    ringex_limits: Limits
    kazoo_url: str
    kazoo_limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditorSettings:
    """What AuditorFunction is told: all that the sweeper is, since it asks the same providers.

    `days` are reconciled each day. Without a `timestamp_authority` nobody is asked for the time.
    """

    stack: str
    bucket: str
    signing_key: str
    timestamp_authority: str
    days: int
    sweeper: SweeperSettings
    retention: Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderSettings:
    """What HolderFunction is told."""

    bucket: str
    table: str
    retention: Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """What AccessFunction is told. `reason_required`: nobody looks at a call without saying why."""

    bucket: str
    table: str
    reason_required: bool
    retention: Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorerSettings:
    """What RestorerFunction is told. Without a `topic` nobody is told by mail."""

    table: str
    topic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperSettings:
    """What KeeperFunction is told."""

    credentials: str
    inbound_tokens: str
    table: str
    ringex_url: str
    ringex_limits: Limits
    ringex_webhook_url: str
    ringex_subscription_seconds: int
    keeper_token_days: int


def configuration(document: str) -> dict[str, str]:
    """Read the document of a stack, with the tuning's values where it says nothing else.

    Raises BadSettings.
    """
    try:
        said = json.loads(document)
        tuned = said.pop("Tuning")
        unknown = sorted(tuned.keys() - TUNING.keys())
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise BadSettings(
            f"the configuration, or Tuning in it, is no JSON object ({error})"
        ) from error
    if unknown:
        raise BadSettings(f"Tuning has unknown names: {', '.join(unknown)}")
    return {name: str(value) for name, value in (TUNING | tuned | said).items()}


def webhook_settings(environment: Mapping[str, str]) -> WebhookSettings:
    """Read what the webhook needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = WebhookSettings(
        inbound_tokens=reader.text("LEGATO_INBOUND_TOKENS"),
        ringex_queue=reader.text("LEGATO_RINGEX_QUEUE"),
        settle_seconds=reader.whole("LEGATO_SETTLE_SECONDS"),
    )
    reader.complain()
    return settings


def push_settings(environment: Mapping[str, str]) -> PushSettings:
    """Read what a push needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = PushSettings(
        inbound_tokens=reader.text("LEGATO_INBOUND_TOKENS"),
        inbox=reader.text("LEGATO_INBOX"),
    )
    reader.complain()
    return settings


def sweeper_settings(configured: Mapping[str, str]) -> SweeperSettings:
    """Read what the sweeper needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = _sweeper(reader)
    reader.complain()
    return settings


def processor_settings(configured: Mapping[str, str]) -> ProcessorSettings:
    """Read what the processor needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = ProcessorSettings(
        credentials=reader.text("Credentials"),
        bucket=reader.text("Bucket"),
        table=reader.text("Table"),
        ringex_queue=reader.text("RingexQueue"),
        ringex_dead_letters=reader.text("RingexDeadLetters"),
        ringex_url=reader.web("RingexUrl"),
        ringex_storage_class=reader.text("RingexStorageClass"),
        ringex_limits=reader.limits("RingexLimits"),
        ringex_discovery=reader.one_of("RingexDiscovery", DISCOVERIES),
        ringex_sweep_hours=reader.number("RingexSweepHours"),
        ringex_tail_seconds=reader.number("RingexTailSeconds"),
        ringex_log_lag_seconds=reader.whole("RingexLogLagSeconds"),
        ringcx=_ringcx(reader),
        ringcx_storage_class=reader.text("RingcxStorageClass"),
        ringcx_ladder_seconds=reader.whole_list("RingcxLadderSeconds"),
        ringcx_at_once=reader.whole("RingcxSegmentsAtOnce"),
        ringcx_max_segment_bytes=reader.whole("RingcxMaxSegmentBytes"),
        kazoo=_kazoo(reader),
        kazoo_storage_class=reader.text("KazooStorageClass"),
        kazoo_inbox=reader.optional("Inbox"),
        kazoo_ladder_seconds=reader.whole_list("KazooLadderSeconds"),
        settle_seconds=reader.whole("SettleSeconds"),
        max_call_hours=reader.number("MaxCallHours"),
        ladder_seconds=reader.whole_list("RingexLadderSeconds"),
        named_ladder_seconds=reader.whole_list("RingexNamedLadderSeconds"),
        ongoing_seconds=reader.whole("OngoingSeconds"),
        max_attempts=reader.whole("MaxAttempts"),
        retry_seconds=reader.whole("RetrySeconds"),
        max_leg_bytes=reader.whole("MaxLegBytes"),
        max_audio_hours=reader.number("MaxAudioHours"),
        delete_at_source=reader.deletions("DeleteAtSource"),
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def holder_settings(configured: Mapping[str, str]) -> HolderSettings:
    """Read what the holder needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = HolderSettings(
        bucket=reader.text("Bucket"),
        table=reader.text("Table"),
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def access_settings(configured: Mapping[str, str]) -> AccessSettings:
    """Read what the access log needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = AccessSettings(
        bucket=reader.text("Bucket"),
        table=reader.text("Table"),
        reason_required=reader.one_of("AccessReason", REASONS) == "required",
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def restorer_settings(configured: Mapping[str, str]) -> RestorerSettings:
    """Read what the restorer needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = RestorerSettings(
        table=reader.text("Table"),
        topic=reader.optional("RestoreTopic"),
    )
    reader.complain()
    return settings


def remover_settings(configured: Mapping[str, str]) -> RemoverSettings:
    """Read what the remover needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = RemoverSettings(
        credentials=reader.text("Credentials"),
        bucket=reader.text("Bucket"),
        table=reader.text("Table"),
        delete_at_source=reader.deletions("DeleteAtSource"),
        ringex_url=reader.web("RingexUrl"),
        ringex_limits=reader.limits("RingexLimits"),
        kazoo_url=reader.optional_web("KazooUrl"),
        kazoo_limits=reader.limits("KazooLimits"),
    )
    reader.complain()
    return settings


def auditor_settings(configured: Mapping[str, str]) -> AuditorSettings:
    """Read what the auditor needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = AuditorSettings(
        stack=reader.text("Stack"),
        bucket=reader.text("Bucket"),
        signing_key=reader.text("SigningKey"),
        timestamp_authority=reader.optional_web("TimestampAuthorityUrl"),
        days=reader.whole("ReconcileDays"),
        sweeper=_sweeper(reader),
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def keeper_settings(configured: Mapping[str, str]) -> KeeperSettings:
    """Read what the keeper needs. Raises BadSettings."""
    reader = _Reader(configured)
    settings = KeeperSettings(
        credentials=reader.text("Credentials"),
        inbound_tokens=reader.text("InboundTokens"),
        table=reader.text("Table"),
        ringex_url=reader.web("RingexUrl"),
        ringex_limits=reader.limits("RingexLimits"),
        ringex_webhook_url=reader.web("RingexWebhookUrl"),
        ringex_subscription_seconds=reader.whole("RingexSubscriptionSeconds"),
        keeper_token_days=reader.whole("KeeperTokenDays"),
    )
    reader.complain()
    return settings


def _sweeper(reader: _Reader) -> SweeperSettings:
    return SweeperSettings(
        credentials=reader.text("Credentials"),
        table=reader.text("Table"),
        ringex_queue=reader.text("RingexQueue"),
        ringex_dead_letters=reader.text("RingexDeadLetters"),
        ringex_url=reader.web("RingexUrl"),
        ringex_limits=reader.limits("RingexLimits"),
        ringex_discovery=reader.one_of("RingexDiscovery", DISCOVERIES),
        ringex_sweep_hours=reader.number("RingexSweepHours"),
        ringex_tail_seconds=reader.number("RingexTailSeconds"),
        ringcx=_ringcx(reader),
        ringcx_sweep_hours=reader.number("RingcxSweepHours"),
        ringcx_look_again_hours=reader.numbers("RingcxLookAgainHours"),
        kazoo=_kazoo(reader),
        kazoo_sweep_hours=reader.number("KazooSweepHours"),
        kazoo_retention_days=reader.whole("KazooRetentionDays"),
        settle_seconds=reader.whole("SettleSeconds"),
        max_call_hours=reader.number("MaxCallHours"),
    )


def _ringcx(reader: _Reader) -> RingcxSettings:
    return RingcxSettings(
        platform=reader.web("RingexUrl"),
        url=reader.web("RingcxUrl"),
        prefix=reader.text("RingcxPrefix"),
        account=reader.optional("RingcxAccountId"),
        sub_accounts=_names(reader.optional("RingcxSubAccountIds")),
        time_zone=reader.text("RingcxTimeZone"),
        limits=reader.limits("RingcxLimits"),
        queue=reader.text("RingcxQueue"),
        dead_letters=reader.text("RingcxDeadLetters"),
        settle_minutes=reader.number("RingcxSettleMinutes"),
        overlap_minutes=reader.number("RingcxOverlapMinutes"),
        retention_days=reader.whole("RingcxRetentionDays"),
    )


def _kazoo(reader: _Reader) -> KazooSettings:
    filters = (item.partition("=") for item in _names(reader.optional("KazooFilters")))
    return KazooSettings(
        url=reader.optional_web("KazooUrl"),
        sources=_names(reader.optional("KazooAccountIds")),
        filters={name: value for name, _, value in filters},
        limits=reader.limits("KazooLimits"),
        queue=reader.text("KazooQueue"),
        dead_letters=reader.text("KazooDeadLetters"),
        quiet_seconds=reader.whole("KazooQuietSeconds"),
    )


def retention_of(parameters: Mapping[str, str]) -> Retention:
    """Read from the stack's parameters how what is archived is locked."""
    return Retention(
        mode=MODES[parameters["RetentionMode"]],
        years={
            "ringex": int(parameters["RingexLockYears"]),
            "ringcx": int(parameters["RingcxLockYears"]),
            "kazoo": int(parameters["KazooLockYears"]),
        },
    )


def _retention(reader: _Reader) -> Retention:
    return Retention(
        mode=MODES[reader.one_of("RetentionMode", tuple(MODES)) or "NONE"],
        years={
            "ringex": reader.whole("RingexLockYears"),
            "ringcx": reader.whole("RingcxLockYears"),
            "kazoo": reader.whole("KazooLockYears"),
        },
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _limits(text: str) -> Limits:
    pairs = (item.split("=") for item in text.split(","))
    return {group.strip(): tuple(map(_limit, limits.split("+"))) for group, limits in pairs}


def _limit(text: str) -> tuple[int, float]:
    calls, _, seconds = text.partition("/")
    return int(calls), float(seconds or MINUTE)


class _Reader:
    """Reads names one by one and remembers every complaint, so that one error says all."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._complaints: list[str] = []

    def text(self, name: str) -> str:
        return self._read(name, str, "text", "")

    def whole(self, name: str) -> int:
        return self._read(name, int, "a whole number", 0)

    def number(self, name: str) -> float:
        return self._read(name, float, "a number", 0.0)

    def whole_list(self, name: str) -> tuple[int, ...]:
        return self._read(name, _whole_list, "whole numbers between commas", ())

    def numbers(self, name: str) -> tuple[float, ...]:
        kind = "numbers between commas"
        return self._read(name, lambda text: tuple(map(float, text.split(","))), kind, ())

    def limits(self, name: str) -> Limits:
        return self._read(name, _limits, "like Heavy=10,Auth=5 or Metadata=3/60+9/900", {})

    def optional(self, name: str) -> str:
        return self._values.get(name, "")

    def web(self, name: str) -> str:
        """Read a web address. A user and a password in it are refused, and not repeated."""
        value = self.text(name)
        if value and not _is_web_address(value):
            self._complaints.append(
                f"{name} is no web address, as https://host:port/path without a user"
            )
        return value

    def optional_web(self, name: str) -> str:
        return self.web(name) if self.optional(name) else ""

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        return self._read(name, lambda text: known[known.index(text)], " or ".join(known), "")

    def deletions(self, name: str) -> tuple[str, ...]:
        return DELETIONS[self.one_of(name, tuple(DELETIONS)) or "false"]

    def complain(self) -> None:
        if self._complaints:
            raise BadSettings("; ".join(self._complaints))

    def _read[T](self, name: str, parse: Callable[[str], T], kind: str, otherwise: T) -> T:
        value = self._values.get(name, "")
        if not value:
            self._complaints.append(f"{name} is not set")
            return otherwise
        try:
            return parse(value)
        except ValueError:
            self._complaints.append(f"{name} is not {kind}: {value!r}")
            return otherwise


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        leads = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:
        return False
    return bool(leads) and "@" not in parts.netloc and text.isprintable() and " " not in text


def _whole_list(text: str) -> tuple[int, ...]:
    return tuple(int(item) for item in text.split(","))
