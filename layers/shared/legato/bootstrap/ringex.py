"""Put RingEX together: the call log behind the gate, the tail, the keeper's subscription."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.aws.secret import FRESH_SECONDS, INBOUND_TOKENS, Secret
from legato.bootstrap.shared import Part, Tools, gate_limits, tools
from legato.clock import SystemClock
from legato.config import sweeper_settings
from legato.discovery.subscription import Keeping, KeepPolicy
from legato.discovery.sweep import sweep
from legato.discovery.sweep_all import Round
from legato.errors import Failed
from legato.ledger.listings import backfill_key
from legato.ledger.rate_limit import Limit
from legato.operations.backfill import Allowance, Backfill, check_days
from legato.providers.credentials import read_credentials
from legato.providers.ringex.account import RingexAccount
from legato.providers.ringex.api import RingexApi
from legato.providers.ringex.provider import Ringex, RingexSource
from legato.providers.ringex.recorded import RingexRecorded
from legato.providers.ringex.retention import RingexRetention, known_retention
from legato.providers.ringex.subscriptions import Handshakes, RingexSubscriptions, first_user
from legato.providers.ringex.tail import RingexTail
from legato.providers.ringex.tailed import TailedRingex
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from legato.config import (
        KeeperSettings,
        ProcessorSettings,
        RemoverSettings,
        RingexSettings,
        SweeperSettings,
    )
    from legato.model import Json
    from legato.ports import Jobs, Provider

PROCESSORS_SWEEP = timedelta(seconds=60)
"""How long a processor reads the tail before it sees to its calls."""
SAMPLE_PAGES = 3
SLICE = timedelta(minutes=5)
"""A page of a backfill has a thousand calls, and somebody's machine may be far from AWS."""
_PLATFORM = "://platform."


def sweeping(settings: SweeperSettings) -> Round:
    """Return what the sweeper needs; without a tail where calls are found in another way."""
    made = tools(credentials=settings.credentials, table=settings.table)
    api = _api(settings, made)
    tail = _tail(settings, api, RingexAccount(api, made.ledger), made)
    return Round(
        provider=Ringex.name,
        tails=lambda _: [tail] if settings.ringex_discovery == "sync" else [],
        jobs=_jobs(settings),
        notes=made.ledger,
        clock=made.clock,
        settle_seconds=settings.settle_seconds,
        rest=timedelta(seconds=settings.ringex_tail_seconds),
        retention=RingexRetention(api, made.ledger, made.clock),
    )


def archiving(settings: ProcessorSettings) -> Part:
    """Return what the processor needs."""
    made, jobs = tools(credentials=settings.credentials, table=settings.table), _jobs(settings)
    api = _api(settings, made)
    account = RingexAccount(api, made.ledger)
    return Part(
        provider=_provider(settings, jobs, api, account, made),
        identified=account.identified,
        jobs=jobs,
        ledger=made.ledger,
        policy=Policy(
            settle=settings.settle_seconds,
            ladder=settings.ladder_seconds,
            named_ladder=settings.named_ladder_seconds,
            ongoing=settings.ongoing_seconds,
            max_call=settings.max_call_hours * 3600,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.max_leg_bytes,
            storage_class=settings.ringex_storage_class,
            delete_at_source=Ringex.name in settings.delete_at_source,
        ),
        max_seconds=int(settings.max_audio_hours * 3600),
    )


def removing(settings: RemoverSettings, made: Tools) -> RingexSource:
    """Return where recordings are removed."""
    return RingexSource(_api(settings, made))


def recorded(
    settings: RingexSettings, made: Tools, *, begin: datetime, end: datetime
) -> list[RingexRecorded]:
    """Return who says what was recorded in this time."""
    api, kept = _api(settings, made), known_retention(made.ledger)
    account = RingexAccount(api, made.ledger)
    return [RingexRecorded(api, account, begin=begin, end=end, kept=kept)]


def backfiller(
    configured: Mapping[str, str],
    *,
    begin: datetime,
    end: datetime | None = None,
    sources: Sequence[str] = (),
) -> Backfill:
    """Return what a backfill of RingEX needs, by what the stack is configured to do.

    Without `end` it goes up to the present. Raises Failed if the stack does not follow RingEX,
    Refused for days to come, and Retry.
    """
    del sources  # there is one call log for the company
    settings, now = sweeper_settings(configured), SystemClock().now()
    check_days(begin, end, now=now)
    if settings.ringex_discovery == "recipe":
        raise Failed(
            "the stack does not follow RingEX's call log (RingexDiscovery is `recipe`): `legato "
            "reconcile --provider ringex` puts what is missing of the past into its queue"
        )
    made = tools(credentials=settings.credentials, table=settings.table)
    secret = made.credentials.part("ringex")
    if not any(secret.values()):
        raise Failed("the stack does not use RingEX: its secret has no part `ringex`")
    users = len(read_credentials(secret, Ringex.name))
    heavy = [
        Limit(limit.calls * users, limit.seconds)
        for limit in gate_limits(settings.ringex_limits)["Heavy"]
    ]
    api = _api(settings, made)
    stretch = RingexRecorded(
        api,
        RingexAccount(api, made.ledger),
        begin=begin,
        end=min(end or now, now),
        kept=known_retention(made.ledger),
        key=backfill_key(begin, end),
        overlap=timedelta(hours=settings.max_call_hours),
        behind=True,
    )
    return Backfill(
        provider=Ringex.name,
        stretches=[stretch],
        limit=end,
        jobs=_jobs(settings),
        notes=made.ledger,
        clock=made.clock,
        sleep=time.sleep,
        settle_seconds=settings.settle_seconds,
        listing=Allowance(group="Heavy", limits=heavy),
        fetching=Allowance(group="Heavy", limits=heavy),
        sample_pages=SAMPLE_PAGES,
        kept_days={stretch.source: stretch.kept / timedelta(days=1)},
        bytes_a_second=4000,
        sound="MP3 at 32 kbit/s",
        slice=SLICE,
    )


def keeping(settings: KeeperSettings) -> Keeping:
    """Return what the keeper needs."""
    made = tools(credentials=settings.credentials, table=settings.table)
    return Keeping(
        subscriptions=RingexSubscriptions(_api(settings, made, users=first_user)),
        tokens=Secret(client("secretsmanager"), arn=settings.inbound_tokens, name=INBOUND_TOKENS),
        warmth=Handshakes(),
        notes=made.ledger,
        clock=made.clock,
        policy=KeepPolicy(
            address=settings.ringex_webhook_url,
            seconds=settings.ringex_subscription_seconds,
            token_age=timedelta(days=settings.keeper_token_days),
            settles=timedelta(seconds=2 * FRESH_SECONDS),
        ),
    )


def media_host(platform: str) -> str:
    """Return the address of the host that hands out recordings, by that of the API.

    https://developers.ringcentral.com/guide/basics/media. What is not called `platform`, as the
    simulator, serves both.
    """
    return platform.replace(_PLATFORM, "://media.", 1)


def _api(
    settings: RingexSettings,
    made: Tools,
    *,
    users: Callable[[Json], Json] = lambda ringex: ringex,
) -> RingexApi:
    """Return RingCentral behind the gate that all functions share; `users` picks some of them."""
    return RingexApi(
        platform=settings.ringex_url,
        media=media_host(settings.ringex_url),
        credentials=lambda: users(made.credentials.part("ringex", fresh=True)),
        limits=gate_limits(settings.ringex_limits),
        notes=made.ledger,
        clock=made.clock,
    )


def _jobs(settings: SweeperSettings | ProcessorSettings) -> SqsJobs:
    return SqsJobs(
        client("sqs"), queue=settings.ringex_queue, dead_letters=settings.ringex_dead_letters
    )


def _tail(
    settings: SweeperSettings | ProcessorSettings,
    api: RingexApi,
    account: RingexAccount,
    made: Tools,
) -> RingexTail:
    return RingexTail(
        api,
        account,
        made.clock,
        first=timedelta(hours=settings.ringex_sweep_hours),
        overlap=timedelta(hours=settings.max_call_hours),
    )


def _provider(
    settings: ProcessorSettings, jobs: Jobs, api: RingexApi, account: RingexAccount, made: Tools
) -> Provider:
    """Return RingCentral, whose calls are found by the tail or by the recipe of its call log."""
    clock = made.clock
    recipe = Ringex(api, made.ledger, max_call_hours=settings.max_call_hours)
    if settings.ringex_discovery == "recipe":
        return recipe
    tail = _tail(settings, api, account, made)
    return TailedRingex(
        recipe,
        made.ledger,
        clock,
        sweep=lambda: sweep(
            tail=tail,
            jobs=jobs,
            notes=made.ledger,
            clock=clock,
            until=clock.now() + PROCESSORS_SWEEP,
            settle=settings.settle_seconds,
            rest=timedelta(seconds=settings.ringex_tail_seconds),
        ),
        patience=timedelta(seconds=max(settings.settle_seconds, settings.ringex_log_lag_seconds)),
        max_call=timedelta(hours=settings.max_call_hours),
    )
