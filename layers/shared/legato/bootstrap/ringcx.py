"""Put RingCX together: its API behind the gate, the tails of its sub-accounts, the backfill."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.bootstrap.shared import Part, Tools, gate_limits, tools
from legato.clock import SystemClock
from legato.config import sweeper_settings
from legato.discovery.accounts import Accounts
from legato.discovery.sweep_all import Round
from legato.errors import Failed, Refused
from legato.ledger.accounts import ours
from legato.operations.backfill import Allowance, Backfill, check_days
from legato.providers.ringcx.api import RingcxApi
from legato.providers.ringcx.provider import Ringcx
from legato.providers.ringcx.recorded import RingcxRecorded
from legato.providers.ringcx.retention import RingcxRetention, known_days
from legato.providers.ringcx.stretch import RingcxStretch
from legato.providers.ringcx.tail import LONGEST, RingcxTail
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.config import ProcessorSettings, RingcxSettings, SweeperSettings
    from legato.ports import Clock

ALL = "*"
AT_ONCE = 8
"""So many sub-accounts are swept at the same time: each has limits of its own."""
OVERLAP = timedelta(minutes=10)
LEAST_BYTES_A_SECOND = 1000
"""No codec of telephony takes less."""
JOB_SECONDS = 5
"""A job appears when the records of its dialog stand in the ledger."""


def sweeping(settings: SweeperSettings) -> Round:
    """Return what the sweeper needs; without tails if RingCX is not used."""
    ringcx, made = settings.ringcx, tools(credentials=settings.credentials, table=settings.table)
    api = _api(ringcx, made)
    accounts = _accounts(ringcx, api, made)
    return Round(
        provider=Ringcx.name,
        tails=lambda ask: tails(settings, api, made.clock, accounts.followed(ask=ask)),
        jobs=_jobs(ringcx),
        notes=made.ledger,
        clock=made.clock,
        settle_seconds=JOB_SECONDS,
        rest=timedelta(),
        retention=RingcxRetention(
            api,
            made.ledger,
            made.clock,
            sub_accounts=accounts.followed,
            otherwise=ringcx.retention_days,
        ),
        at_once=AT_ONCE,
    )


def archiving(settings: ProcessorSettings) -> Part:
    """Return what the processor needs."""
    ringcx, made = settings.ringcx, tools(credentials=settings.credentials, table=settings.table)
    ladder, api = settings.ringcx_ladder_seconds, _api(ringcx, made)
    return Part(
        provider=Ringcx(
            api,
            made.ledger,
            made.clock,
            settle=timedelta(minutes=ringcx.settle_minutes),
            otherwise=ringcx.retention_days,
        ),
        identified=ours(_accounts(ringcx, api, made).followed, made.ledger),
        jobs=_jobs(ringcx),
        ledger=made.ledger,
        policy=Policy(
            settle=0,  # the sweep has waited already
            ladder=ladder[:2],
            named_ladder=ladder,
            lengths_stated=True,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.ringcx_max_segment_bytes,
            storage_class=settings.ringcx_storage_class,
            apart=True,
            at_once=settings.ringcx_at_once,
        ),
        # Bytes are the limit: there is no scratch disk that a long segment could fill.
        max_seconds=settings.ringcx_max_segment_bytes // LEAST_BYTES_A_SECOND,
    )


def followed(settings: RingcxSettings, made: Tools) -> tuple[str, ...]:
    """Return the sub-accounts that are followed, as the last sweep has seen them. Raises Retry."""
    return _accounts(settings, _api(settings, made), made).followed()


def tails_of(settings: SweeperSettings, made: Tools, names: Sequence[str]) -> list[RingcxTail]:
    """Return the tails of these sub-accounts, by name."""
    return tails(settings, _api(settings.ringcx, made), made.clock, names)


def tails(
    settings: SweeperSettings, api: RingcxApi, clock: Clock, names: Sequence[str]
) -> list[RingcxTail]:
    """Return the tails of these sub-accounts: what is new first, then the second looks."""
    now = clock.now()
    found = [
        RingcxTail(
            api,
            clock,
            sub_account=name,
            key="",
            first=now - timedelta(hours=settings.ringcx_sweep_hours),
            lag=timedelta(minutes=settings.ringcx.settle_minutes),
            overlap=timedelta(minutes=settings.ringcx.overlap_minutes),
        )
        for name in names
    ]
    for hours in settings.ringcx_look_again_hours:
        lag = timedelta(hours=hours)
        found += [
            RingcxTail(
                api,
                clock,
                sub_account=name,
                key=f"#again-{hours:g}h",
                first=now - lag,
                lag=lag,
                overlap=OVERLAP,
                least=LONGEST - OVERLAP,
                late=True,
            )
            for name in names
        ]
    return found


def recorded(
    settings: RingcxSettings, made: Tools, *, begin: datetime, end: datetime
) -> list[RingcxRecorded]:
    """Return who says what was recorded in this time, one for each sub-account."""
    api, days = _api(settings, made), known_days(made.ledger)
    return [
        RingcxRecorded(
            api,
            made.clock,
            sub_account=name,
            begin=begin,
            end=end,
            lag=timedelta(minutes=settings.settle_minutes),
            overlap=OVERLAP,
            kept=timedelta(days=days.get(name) or settings.retention_days),
        )
        for name in followed(settings, made)
    ]


def backfiller(
    configured: Mapping[str, str],
    *,
    begin: datetime,
    end: datetime | None = None,
    sources: Sequence[str] = (),
) -> Backfill:
    """Return what a backfill of RingCX needs, by what the stack is configured to do.

    Without `sources` it is all sub-accounts that the stack has, without `end` up to the present.
    Raises Failed if the stack does not use RingCX, Refused for what it cannot read, and Retry.
    """
    settings = sweeper_settings(configured)
    ringcx, clock = settings.ringcx, SystemClock()
    if not ringcx.sub_accounts:
        raise Failed("the stack does not use RingCX: deploy it with RingcxSubAccountIds")
    check_days(begin, end, now=clock.now())
    lag = timedelta(minutes=ringcx.settle_minutes)
    if begin + timedelta(seconds=1) > clock.now() - lag:
        minutes = f"{ringcx.settle_minutes:g}"
        raise Refused(f"nothing is ready yet: segments are left alone for {minutes} min")
    made = tools(credentials=settings.credentials, table=settings.table)
    api, known = _api(ringcx, made), followed(ringcx, made)
    if unknown := sorted(set(sources) - set(known)):
        has = ", ".join(known)
        raise Refused(f"the stack has no sub-account {', '.join(unknown)}; it has {has}")
    made.credentials.value()  # who may not read it should know at once
    names = tuple(dict.fromkeys(sources)) or known
    stretches = [
        RingcxStretch(
            api,
            clock,
            sub_account=name,
            begin=begin,
            limit=end,
            lag=lag,
            overlap=OVERLAP,
        )
        for name in names
    ]
    days = known_days(made.ledger)
    limits = gate_limits(ringcx.limits)
    return Backfill(
        provider="ringcx",
        stretches=stretches,
        limit=end,
        jobs=_jobs(ringcx),
        notes=made.ledger,
        clock=clock,
        sleep=time.sleep,
        settle_seconds=JOB_SECONDS,
        listing=Allowance(group="Metadata", limits=limits["Metadata"]),
        fetching=Allowance(group="Recordings", limits=limits["Recordings"]),
        sample_pages=0,  # three hours say nothing of the others, and cost a minute and a half
        kept_days={name: days.get(name) or ringcx.retention_days for name in names},
        bytes_a_second=2 * 2 * 8000,
        sound="two channels of PCM16 at 8 kHz",
    )


def _accounts(settings: RingcxSettings, api: RingcxApi, made: Tools) -> Accounts:
    """Return which sub-accounts are followed: those that are named, or all that RingCX lists."""

    def listed(_: str) -> list[str]:
        return [str(one.get("accountId", "")) for one in api.accounts()]

    return Accounts(
        provider=Ringcx.name,
        named=[name for name in settings.sub_accounts if name != ALL],
        roots=[name for name in settings.sub_accounts if name == ALL],
        listed=listed,
        notes=made.ledger,
        clock=made.clock,
    )


def _api(settings: RingcxSettings, made: Tools) -> RingcxApi:
    """Return RingCX behind the gate that all functions share."""
    return RingcxApi(
        platform=settings.platform,
        url=settings.url,
        prefix=settings.prefix,
        account=settings.account,
        time_zone=settings.time_zone,
        credentials=lambda: made.credentials.part("ringcx", fresh=True),
        limits=gate_limits(settings.limits),
        notes=made.ledger,
        clock=made.clock,
    )


def _jobs(settings: RingcxSettings) -> SqsJobs:
    return SqsJobs(client("sqs"), queue=settings.queue, dead_letters=settings.dead_letters)
