"""Put the real adapters together, once a process. Whoever needs only a webhook loads no more."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.aws.secret import Secret
from legato.clock import SystemClock
from legato.policy import Policy
from legato.settings import (
    keeper_settings,
    processor_settings,
    sweeper_settings,
    webhook_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.aws.ledger import DynamoLedger
    from legato.gate import Limit
    from legato.keep import Keeping
    from legato.model import Json
    from legato.ports import Clock, Jobs, Notes, Provider
    from legato.providers.ringcx.api import RingcxApi
    from legato.providers.ringcx.tail import RingcxTail
    from legato.providers.ringex.api import RingexApi
    from legato.providers.ringex.tail import RingexTail
    from legato.receive import Hook
    from legato.rounds import Round
    from legato.settings import (
        Limits,
        ProcessorSettings,
        RingcxSettings,
        RingexSettings,
        SweeperSettings,
    )
    from legato.workshop import Workshop

PROCESSORS_SWEEP = timedelta(seconds=60)
"""How long a processor reads the tail before it sees to its calls."""

RINGEX_RETENTION_DAYS = 90
"""https://developers.ringcentral.com/guide/voice/call-log/archival"""

RINGCX_OVERLAP_MINUTES = 10
RINGCX_JOB_SECONDS = 5
"""A job appears when the records of its dialog stand in the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What the webhook works with: the hook and the queue of each provider, by route."""

    hooks: Mapping[str, tuple[Hook, Jobs]]
    clock: Clock
    settle_seconds: int


def reception(environment: Mapping[str, str] = os.environ) -> Reception:
    """Return what WebhookFunction needs."""
    from legato.providers.ringex.hook import RingexHook
    from legato.receive import CURRENT_TOKEN, PREVIOUS_TOKEN

    settings = webhook_settings(environment)
    secret = Secret(client("secretsmanager", read_timeout=2), arn=settings.secret)

    def tokens(*, fresh: bool) -> list[str]:
        value = secret.value(fresh=fresh)
        return [str(value.get(name) or "") for name in (CURRENT_TOKEN, PREVIOUS_TOKEN)]

    ringex = SqsJobs(client("sqs", read_timeout=2), queue=settings.ringex_queue)
    return Reception(
        hooks={"POST /webhook/ringcentral": (RingexHook(tokens), ringex)},
        clock=SystemClock(),
        settle_seconds=settings.settle_seconds,
    )


def _ringex_api(
    settings: RingexSettings,
    secret: Secret,
    notes: Notes,
    clock: Clock,
    *,
    users: Callable[[Json], Json] = lambda ringex: ringex,
) -> RingexApi:
    """Return RingCentral behind the gate that all functions share; `users` picks some of them."""
    from legato.providers.ringex.api import RingexApi

    return RingexApi(
        platform=settings.ringex_url,
        media=settings.ringex_media_url,
        credentials=lambda: users(secret.value(fresh=True).get("ringex", {})),
        limits=_limits(settings.ringex_limits),
        notes=notes,
        clock=clock,
    )


def _limits(settings: Limits) -> dict[str, tuple[Limit, ...]]:
    from legato.gate import Limit

    return {group: tuple(Limit(*limit) for limit in limits) for group, limits in settings.items()}


def sweeper(provider: str, environment: Mapping[str, str] = os.environ) -> Round:
    """Return what SweeperFunction needs for a provider. Raises Refused for one that is unknown."""
    from legato.errors import Refused

    rounds = {"ringex": _ringex_round, "ringcx": _ringcx_round}
    if provider not in rounds:
        raise Refused(f"the sweeper knows {' and '.join(rounds)}, not {provider!r}")
    return rounds[provider](environment)


def _ringex_round(environment: Mapping[str, str]) -> Round:
    from legato.aws.ledger import DynamoLedger
    from legato.rounds import Round

    settings = sweeper_settings(environment)
    clock = SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    api = _ringex_api(settings, secret, ledger, clock)
    tail = _ringex_tail(settings, api, clock)
    return Round(
        tails=[tail] if settings.ringex_discovery == "sync" else [],
        jobs=SqsJobs(
            client("sqs"), queue=settings.ringex_queue, dead_letters=settings.ringex_dead_letters
        ),
        notes=ledger,
        clock=clock,
        settle_seconds=settings.settle_seconds,
        rest=timedelta(seconds=settings.ringex_tail_seconds),
        retention=lambda: {tail.watch: RINGEX_RETENTION_DAYS},
    )


def _ringcx_round(environment: Mapping[str, str]) -> Round:
    from legato.aws.ledger import DynamoLedger
    from legato.providers.ringcx.retention import RingcxRetention
    from legato.rounds import Round

    settings = sweeper_settings(environment)
    ringcx, clock = settings.ringcx, SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    api = _ringcx_api(ringcx, secret, ledger, clock)
    return Round(
        tails=ringcx_tails(settings, api, clock),
        jobs=SqsJobs(client("sqs"), queue=ringcx.queue, dead_letters=ringcx.dead_letters),
        notes=ledger,
        clock=clock,
        settle_seconds=RINGCX_JOB_SECONDS,
        rest=timedelta(),
        retention=RingcxRetention(
            api,
            ledger,
            clock,
            sub_accounts=ringcx.sub_accounts,
            otherwise=ringcx.retention_days,
        ),
    )


def ringcx_tails(settings: SweeperSettings, api: RingcxApi, clock: Clock) -> list[RingcxTail]:
    """Return the tails of all sub-accounts: what is new first, then the second looks."""
    from legato.providers.ringcx.tail import LONGEST, RingcxTail

    now, names = clock.now(), settings.ringcx.sub_accounts
    overlap = timedelta(minutes=RINGCX_OVERLAP_MINUTES)
    tails = [
        RingcxTail(
            api,
            clock,
            sub_account=name,
            key="",
            first=now - timedelta(hours=settings.ringcx_sweep_hours),
            lag=timedelta(minutes=settings.ringcx.settle_minutes),
            overlap=overlap,
        )
        for name in names
    ]
    for hours in settings.ringcx_look_again_hours:
        lag = timedelta(hours=hours)
        tails += [
            RingcxTail(
                api,
                clock,
                sub_account=name,
                key=f"#again-{hours:g}h",
                first=now - lag,
                lag=lag,
                overlap=overlap,
                least=LONGEST - overlap,
            )
            for name in names
        ]
    return tails


def _ringcx_api(settings: RingcxSettings, secret: Secret, notes: Notes, clock: Clock) -> RingcxApi:
    """Return RingCX behind the gate that all functions share."""
    from legato.providers.ringcx.api import RingcxApi

    return RingcxApi(
        platform=settings.platform,
        url=settings.url,
        prefix=settings.prefix,
        account=settings.account,
        time_zone=settings.time_zone,
        credentials=lambda: secret.value(fresh=True).get("ringcx", {}),
        limits=_limits(settings.limits),
        notes=notes,
        clock=clock,
    )


def _ringex_tail(
    settings: SweeperSettings | ProcessorSettings, api: RingexApi, clock: Clock
) -> RingexTail:
    from legato.providers.ringex.tail import RingexTail

    return RingexTail(
        api,
        clock,
        first=timedelta(hours=settings.ringex_sweep_hours),
        overlap=timedelta(hours=settings.max_call_hours),
    )


def _ringex(
    settings: ProcessorSettings, api: RingexApi, jobs: Jobs, notes: Notes, clock: Clock
) -> Provider:
    """Return RingCentral, whose calls are found by the tail or by the recipe of its call log."""
    from legato.providers.ringex.provider import Ringex
    from legato.providers.ringex.tailed import TailedRingex
    from legato.sweep import sweep

    recipe = Ringex(api, max_call_hours=settings.max_call_hours)
    if settings.ringex_discovery == "recipe":
        return recipe
    tail = _ringex_tail(settings, api, clock)
    return TailedRingex(
        recipe,
        notes,
        clock,
        sweep=lambda: sweep(
            tail=tail,
            jobs=jobs,
            notes=notes,
            clock=clock,
            until=clock.now() + PROCESSORS_SWEEP,
            settle=settings.settle_seconds,
            rest=timedelta(seconds=settings.ringex_tail_seconds),
        ),
        patience=timedelta(seconds=max(settings.settle_seconds, settings.ringex_log_lag_seconds)),
        max_call=timedelta(hours=settings.max_call_hours),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodge:
    """What KeeperFunction works with. `answer` tells CloudFormation that it is done."""

    keeping: Keeping
    answer: Callable[..., None]


def keeper(environment: Mapping[str, str] = os.environ) -> Lodge:
    """Return what KeeperFunction needs for RingEX."""
    from legato.aws.custom import succeed
    from legato.aws.ledger import DynamoLedger
    from legato.aws.secret import FRESH_SECONDS
    from legato.keep import Keeping, KeepPolicy
    from legato.providers.ringex.subscriptions import Handshakes, RingexSubscriptions, first_user

    settings = keeper_settings(environment)
    clock = SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    api = _ringex_api(settings, secret, ledger, clock, users=first_user)
    return Lodge(
        keeping=Keeping(
            subscriptions=RingexSubscriptions(api),
            secret=secret,
            warmth=Handshakes(),
            notes=ledger,
            clock=clock,
            policy=KeepPolicy(
                address=settings.ringex_webhook_url,
                seconds=settings.ringex_subscription_seconds,
                token_age=timedelta(days=settings.keeper_token_days),
                settles=timedelta(seconds=2 * FRESH_SECONDS),
            ),
        ),
        answer=succeed,
    )


def workshop(queue: str, environment: Mapping[str, str] = os.environ) -> Workshop:
    """Return what ProcessorFunction needs for the jobs of a queue, which is given by its ARN.

    Raises Refused for a queue that is no provider's.
    """
    from legato.errors import Refused

    settings = processor_settings(environment)
    shops = {settings.ringex_queue: _ringex_shop, settings.ringcx.queue: _ringcx_shop}
    for url, shop in shops.items():
        if url.rpartition("/")[2] == queue.rpartition(":")[2]:
            return shop(settings, environment)
    raise Refused(f"{queue} is not the queue of a provider")


def _ringex_shop(settings: ProcessorSettings, environment: Mapping[str, str]) -> Workshop:
    from legato.aws.ledger import DynamoLedger

    clock = SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    api = _ringex_api(settings, secret, ledger, clock)
    jobs = SqsJobs(
        client("sqs"), queue=settings.ringex_queue, dead_letters=settings.ringex_dead_letters
    )
    return _shop(
        settings,
        environment,
        provider=_ringex(settings, api, jobs, ledger, clock),
        jobs=jobs,
        ledger=ledger,
        policy=Policy(
            settle=settings.settle_seconds,
            ladder=settings.ladder_seconds,
            named_ladder=settings.named_ladder_seconds,
            ongoing=settings.ongoing_seconds,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.max_leg_bytes,
            storage_class=settings.ringex_storage_class,
        ),
    )


def _ringcx_shop(settings: ProcessorSettings, environment: Mapping[str, str]) -> Workshop:
    from legato.aws.ledger import DynamoLedger
    from legato.providers.ringcx.provider import Ringcx

    ringcx, clock = settings.ringcx, SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    ladder = settings.ringcx_ladder_seconds
    return _shop(
        settings,
        environment,
        provider=Ringcx(
            _ringcx_api(ringcx, secret, ledger, clock),
            ledger,
            clock,
            settle=timedelta(minutes=ringcx.settle_minutes),
            retention=timedelta(days=ringcx.retention_days),
        ),
        jobs=SqsJobs(client("sqs"), queue=ringcx.queue, dead_letters=ringcx.dead_letters),
        ledger=ledger,
        policy=Policy(
            settle=0,  # the sweep has waited already
            ladder=ladder[:2],
            named_ladder=ladder,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.ringcx_max_segment_bytes,
            storage_class=settings.ringcx_storage_class,
            apart=True,
            at_once=settings.ringcx_at_once,
        ),
    )


def _shop(
    settings: ProcessorSettings,
    environment: Mapping[str, str],
    *,
    provider: Provider,
    jobs: Jobs,
    ledger: DynamoLedger,
    policy: Policy,
) -> Workshop:
    from legato.audio.ffmpeg import find_tools
    from legato.audio.stitch import FfmpegStitcher
    from legato.aws.bucket import S3Archive
    from legato.workshop import Workshop

    return Workshop(
        provider=provider,
        jobs=jobs,
        ledger=ledger,
        notes=ledger,
        archive=S3Archive(client("s3", read_timeout=60), bucket=settings.bucket),
        stitcher=FfmpegStitcher(
            find_tools(Path(folder) for folder in os.get_exec_path(environment)),
            max_seconds=int(settings.max_audio_hours * 3600),
        ),
        clock=SystemClock(),
        policy=policy,
        scratch=Path(tempfile.gettempdir()),
    )
