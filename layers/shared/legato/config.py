"""The only reader of the environment: typed, checked, and complete in its complaint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from legato.archive.object_lock import Retention

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
    """The function's environment is not what template.yaml sets. Names everything that is wrong."""


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


def sweeper_settings(environment: Mapping[str, str]) -> SweeperSettings:
    """Read what the sweeper needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = _sweeper(reader)
    reader.complain()
    return settings


def processor_settings(environment: Mapping[str, str]) -> ProcessorSettings:
    """Read what the processor needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = ProcessorSettings(
        credentials=reader.text("LEGATO_CREDENTIALS"),
        bucket=reader.text("LEGATO_BUCKET"),
        table=reader.text("LEGATO_TABLE"),
        ringex_queue=reader.text("LEGATO_RINGEX_QUEUE"),
        ringex_dead_letters=reader.text("LEGATO_RINGEX_DEAD_LETTERS"),
        ringex_url=reader.web("LEGATO_RINGEX_URL"),
        ringex_storage_class=reader.text("LEGATO_RINGEX_STORAGE_CLASS"),
        ringex_limits=reader.limits("LEGATO_RINGEX_LIMITS"),
        ringex_discovery=reader.one_of("LEGATO_RINGEX_DISCOVERY", DISCOVERIES),
        ringex_sweep_hours=reader.number("LEGATO_RINGEX_SWEEP_HOURS"),
        ringex_tail_seconds=reader.number("LEGATO_RINGEX_TAIL_SECONDS"),
        ringex_log_lag_seconds=reader.whole("LEGATO_RINGEX_LOG_LAG_SECONDS"),
        ringcx=_ringcx(reader),
        ringcx_storage_class=reader.text("LEGATO_RINGCX_STORAGE_CLASS"),
        ringcx_ladder_seconds=reader.whole_list("LEGATO_RINGCX_LADDER_SECONDS"),
        ringcx_at_once=reader.whole("LEGATO_RINGCX_AT_ONCE"),
        ringcx_max_segment_bytes=reader.whole("LEGATO_RINGCX_MAX_SEGMENT_BYTES"),
        kazoo=_kazoo(reader),
        kazoo_storage_class=reader.text("LEGATO_KAZOO_STORAGE_CLASS"),
        kazoo_inbox=reader.optional("LEGATO_INBOX"),
        kazoo_ladder_seconds=reader.whole_list("LEGATO_KAZOO_LADDER_SECONDS"),
        settle_seconds=reader.whole("LEGATO_SETTLE_SECONDS"),
        max_call_hours=reader.number("LEGATO_MAX_CALL_HOURS"),
        ladder_seconds=reader.whole_list("LEGATO_LADDER_SECONDS"),
        named_ladder_seconds=reader.whole_list("LEGATO_NAMED_LADDER_SECONDS"),
        ongoing_seconds=reader.whole("LEGATO_ONGOING_SECONDS"),
        max_attempts=reader.whole("LEGATO_MAX_ATTEMPTS"),
        retry_seconds=reader.whole("LEGATO_RETRY_SECONDS"),
        max_leg_bytes=reader.whole("LEGATO_MAX_LEG_BYTES"),
        max_audio_hours=reader.number("LEGATO_MAX_AUDIO_HOURS"),
        delete_at_source=reader.deletions("LEGATO_DELETE_AT_SOURCE"),
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def holder_settings(environment: Mapping[str, str]) -> HolderSettings:
    """Read what the holder needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = HolderSettings(
        bucket=reader.text("LEGATO_BUCKET"),
        table=reader.text("LEGATO_TABLE"),
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def access_settings(environment: Mapping[str, str]) -> AccessSettings:
    """Read what the access log needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = AccessSettings(
        bucket=reader.text("LEGATO_BUCKET"),
        table=reader.text("LEGATO_TABLE"),
        reason_required=reader.one_of("LEGATO_ACCESS_REASON", REASONS) == "required",
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def restorer_settings(environment: Mapping[str, str]) -> RestorerSettings:
    """Read what the restorer needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = RestorerSettings(
        table=reader.text("LEGATO_TABLE"),
        topic=reader.optional("LEGATO_RESTORE_TOPIC"),
    )
    reader.complain()
    return settings


def remover_settings(environment: Mapping[str, str]) -> RemoverSettings:
    """Read what the remover needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = RemoverSettings(
        credentials=reader.text("LEGATO_CREDENTIALS"),
        bucket=reader.text("LEGATO_BUCKET"),
        table=reader.text("LEGATO_TABLE"),
        delete_at_source=reader.deletions("LEGATO_DELETE_AT_SOURCE"),
        ringex_url=reader.web("LEGATO_RINGEX_URL"),
        ringex_limits=reader.limits("LEGATO_RINGEX_LIMITS"),
        kazoo_url=reader.optional_web("LEGATO_KAZOO_URL"),
        kazoo_limits=reader.limits("LEGATO_KAZOO_LIMITS"),
    )
    reader.complain()
    return settings


def auditor_settings(environment: Mapping[str, str]) -> AuditorSettings:
    """Read what the auditor needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = AuditorSettings(
        stack=reader.text("LEGATO_STACK"),
        bucket=reader.text("LEGATO_BUCKET"),
        signing_key=reader.text("LEGATO_SIGNING_KEY"),
        timestamp_authority=reader.optional_web("LEGATO_TIMESTAMP_AUTHORITY"),
        days=reader.whole("LEGATO_RECONCILE_DAYS"),
        sweeper=_sweeper(reader),
        retention=_retention(reader),
    )
    reader.complain()
    return settings


def keeper_settings(environment: Mapping[str, str]) -> KeeperSettings:
    """Read what the keeper needs. Raises BadSettings."""
    reader = _Reader(environment)
    settings = KeeperSettings(
        credentials=reader.text("LEGATO_CREDENTIALS"),
        inbound_tokens=reader.text("LEGATO_INBOUND_TOKENS"),
        table=reader.text("LEGATO_TABLE"),
        ringex_url=reader.web("LEGATO_RINGEX_URL"),
        ringex_limits=reader.limits("LEGATO_RINGEX_LIMITS"),
        ringex_webhook_url=reader.web("LEGATO_RINGEX_WEBHOOK_URL"),
        ringex_subscription_seconds=reader.whole("LEGATO_RINGEX_SUBSCRIPTION_SECONDS"),
        keeper_token_days=reader.whole("LEGATO_KEEPER_TOKEN_DAYS"),
    )
    reader.complain()
    return settings


def _sweeper(reader: _Reader) -> SweeperSettings:
    return SweeperSettings(
        credentials=reader.text("LEGATO_CREDENTIALS"),
        table=reader.text("LEGATO_TABLE"),
        ringex_queue=reader.text("LEGATO_RINGEX_QUEUE"),
        ringex_dead_letters=reader.text("LEGATO_RINGEX_DEAD_LETTERS"),
        ringex_url=reader.web("LEGATO_RINGEX_URL"),
        ringex_limits=reader.limits("LEGATO_RINGEX_LIMITS"),
        ringex_discovery=reader.one_of("LEGATO_RINGEX_DISCOVERY", DISCOVERIES),
        ringex_sweep_hours=reader.number("LEGATO_RINGEX_SWEEP_HOURS"),
        ringex_tail_seconds=reader.number("LEGATO_RINGEX_TAIL_SECONDS"),
        ringcx=_ringcx(reader),
        ringcx_sweep_hours=reader.number("LEGATO_RINGCX_SWEEP_HOURS"),
        ringcx_look_again_hours=reader.numbers("LEGATO_RINGCX_LOOK_AGAIN_HOURS"),
        kazoo=_kazoo(reader),
        kazoo_sweep_hours=reader.number("LEGATO_KAZOO_SWEEP_HOURS"),
        kazoo_retention_days=reader.whole("LEGATO_KAZOO_RETENTION_DAYS"),
        settle_seconds=reader.whole("LEGATO_SETTLE_SECONDS"),
        max_call_hours=reader.number("LEGATO_MAX_CALL_HOURS"),
    )


def _ringcx(reader: _Reader) -> RingcxSettings:
    return RingcxSettings(
        platform=reader.web("LEGATO_RINGEX_URL"),
        url=reader.web("LEGATO_RINGCX_URL"),
        prefix=reader.text("LEGATO_RINGCX_PREFIX"),
        account=reader.optional("LEGATO_RINGCX_ACCOUNT"),
        sub_accounts=_names(reader.optional("LEGATO_RINGCX_SUB_ACCOUNTS")),
        time_zone=reader.text("LEGATO_RINGCX_TIME_ZONE"),
        limits=reader.limits("LEGATO_RINGCX_LIMITS"),
        queue=reader.text("LEGATO_RINGCX_QUEUE"),
        dead_letters=reader.text("LEGATO_RINGCX_DEAD_LETTERS"),
        settle_minutes=reader.number("LEGATO_SETTLE_MINUTES"),
        overlap_minutes=reader.number("LEGATO_RINGCX_OVERLAP_MINUTES"),
        retention_days=reader.whole("LEGATO_RINGCX_RETENTION_DAYS"),
    )


def _kazoo(reader: _Reader) -> KazooSettings:
    filters = (item.partition("=") for item in _names(reader.optional("LEGATO_KAZOO_FILTERS")))
    return KazooSettings(
        url=reader.optional_web("LEGATO_KAZOO_URL"),
        sources=_names(reader.optional("LEGATO_KAZOO_ACCOUNTS")),
        filters={name: value for name, _, value in filters},
        limits=reader.limits("LEGATO_KAZOO_LIMITS"),
        queue=reader.text("LEGATO_KAZOO_QUEUE"),
        dead_letters=reader.text("LEGATO_KAZOO_DEAD_LETTERS"),
        quiet_seconds=reader.whole("LEGATO_KAZOO_QUIET_SECONDS"),
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
        mode=MODES[reader.one_of("LEGATO_RETENTION_MODE", tuple(MODES)) or "NONE"],
        years={
            "ringex": reader.whole("LEGATO_RINGEX_LOCK_YEARS"),
            "ringcx": reader.whole("LEGATO_RINGCX_LOCK_YEARS"),
            "kazoo": reader.whole("LEGATO_KAZOO_LOCK_YEARS"),
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

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
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
        return self._environment.get(name, "")

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
        value = self._environment.get(name, "")
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
