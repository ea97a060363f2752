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
from legato.settings import (
    keeper_settings,
    processor_settings,
    sweeper_settings,
    webhook_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.keep import Keeping
    from legato.model import Json
    from legato.ports import Clock, Jobs, Notes, Provider
    from legato.providers.ringex.api import RingexApi
    from legato.providers.ringex.tail import RingexTail
    from legato.receive import Hook
    from legato.settings import ProcessorSettings, RingexSettings, SweeperSettings
    from legato.sweep import Tail
    from legato.workshop import Workshop

PROCESSORS_SWEEP = timedelta(seconds=60)
"""How long a processor reads the tail before it sees to its calls."""


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
    from legato.gate import Limit
    from legato.providers.ringex.api import RingexApi

    return RingexApi(
        platform=settings.ringex_url,
        media=settings.ringex_media_url,
        credentials=lambda: users(secret.value(fresh=True).get("ringex", {})),
        limits={group: Limit(calls, 60) for group, calls in settings.ringex_limits.items()},
        notes=notes,
        clock=clock,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What the sweeper works with. `tail` is None where calls are not found by sweeping."""

    tail: Tail | None
    jobs: Jobs
    notes: Notes
    clock: Clock
    settle_seconds: int
    rest: timedelta


def sweeper(environment: Mapping[str, str] = os.environ) -> Round:
    """Return what SweeperFunction needs for RingEX."""
    from legato.aws.ledger import DynamoLedger

    settings = sweeper_settings(environment)
    clock = SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    api = _ringex_api(settings, secret, ledger, clock)
    return Round(
        tail=_ringex_tail(settings, api, clock) if settings.ringex_discovery == "sync" else None,
        jobs=SqsJobs(
            client("sqs"), queue=settings.ringex_queue, dead_letters=settings.ringex_dead_letters
        ),
        notes=ledger,
        clock=clock,
        settle_seconds=settings.settle_seconds,
        rest=timedelta(seconds=settings.ringex_tail_seconds),
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


def workshop(environment: Mapping[str, str] = os.environ) -> Workshop:
    """Return what ProcessorFunction needs for RingEX."""
    from legato.audio.ffmpeg import find_tools
    from legato.audio.stitch import FfmpegStitcher
    from legato.aws.bucket import S3Archive
    from legato.aws.ledger import DynamoLedger
    from legato.policy import Policy
    from legato.workshop import Workshop

    settings = processor_settings(environment)
    clock = SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    ledger = DynamoLedger(client("dynamodb"), table=settings.table)
    api = _ringex_api(settings, secret, ledger, clock)
    jobs = SqsJobs(
        client("sqs"), queue=settings.ringex_queue, dead_letters=settings.ringex_dead_letters
    )
    return Workshop(
        provider=_ringex(settings, api, jobs, ledger, clock),
        jobs=jobs,
        ledger=ledger,
        notes=ledger,
        archive=S3Archive(client("s3", read_timeout=60), bucket=settings.bucket),
        stitcher=FfmpegStitcher(
            find_tools(Path(folder) for folder in os.get_exec_path(environment)),
            max_seconds=int(settings.max_audio_hours * 3600),
        ),
        clock=clock,
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
        scratch=Path(tempfile.gettempdir()),
    )
