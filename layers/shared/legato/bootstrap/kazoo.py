"""Put Kazoo together: its API behind the gate, the tails of its accounts, their push URLs."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.inbox import S3Inbox, announced
from legato.aws.queue import SqsJobs
from legato.aws.secret import INBOUND_TOKENS, Secret
from legato.bootstrap.shared import Part, Tools, gate_limits, stitcher, tools
from legato.clock import SystemClock
from legato.config import sweeper_settings
from legato.discovery.accounts import Accounts
from legato.discovery.push_addresses import Pushing
from legato.discovery.sweep_all import Round
from legato.errors import Failed, Refused
from legato.ingest.ports import one_job
from legato.ingest.streaming import length_of
from legato.ledger.accounts import ours
from legato.ledger.listings import backfill_key
from legato.operations.backfill import Allowance, Backfill, check_days
from legato.providers.kazoo.api import KazooApi
from legato.providers.kazoo.inbox import CALL, Inbox, job_of
from legato.providers.kazoo.provider import Kazoo, KazooSource
from legato.providers.kazoo.recorded import KazooRecorded
from legato.providers.kazoo.tail import KazooTail
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.config import (
        KazooSettings,
        Limits,
        ProcessorSettings,
        RemoverSettings,
        SweeperSettings,
    )
    from legato.model import Job
    from legato.ports import Clock

AT_ONCE = 8
"""So many accounts are swept at the same time: each has limits of its own."""
BELOW = "/*"
SAMPLE_PAGES = 10
JOB_SECONDS = 5
"""A job appears when the records of its call stand in the ledger."""


def sweeping(settings: SweeperSettings) -> Round:
    """Return what the sweeper needs; without tails if Kazoo is not used."""
    kazoo, made = settings.kazoo, tools(credentials=settings.credentials, table=settings.table)
    api = _api(kazoo, made)
    accounts, days = _accounts(kazoo, api, made), settings.kazoo_retention_days
    return Round(
        provider=Kazoo.name,
        tails=lambda ask: tails(settings, api, made.clock, accounts.followed(ask=ask)),
        jobs=_jobs(kazoo),
        notes=made.ledger,
        clock=made.clock,
        settle_seconds=JOB_SECONDS,
        rest=timedelta(),
        retention=lambda watches: dict.fromkeys(watches, days),
        at_once=AT_ONCE,
    )


def followed(settings: KazooSettings, made: Tools) -> tuple[str, ...]:
    """Return the sources that are followed, as the last sweep has seen them. Raises Retry."""
    return _accounts(settings, _api(settings, made), made).followed()


def tails_of(settings: SweeperSettings, made: Tools, sources: Sequence[str]) -> list[KazooTail]:
    """Return the tails of these sources, by name."""
    return tails(settings, _api(settings.kazoo, made), made.clock, sources)


def tails(
    settings: SweeperSettings, api: KazooApi, clock: Clock, sources: Sequence[str]
) -> list[KazooTail]:
    """Return the tails of these sources, each an account or `account/user`."""
    return [
        KazooTail(
            api,
            clock,
            account=account,
            user=user or None,
            filters=settings.kazoo.filters,
            first=clock.now() - timedelta(hours=settings.kazoo_sweep_hours),
        )
        for account, _, user in (source.partition("/") for source in sources)
    ]


def archiving(settings: ProcessorSettings) -> Part:
    """Return what the processor needs."""
    kazoo, made = settings.kazoo, tools(credentials=settings.credentials, table=settings.table)
    ladder, jobs, api = settings.kazoo_ladder_seconds, _jobs(kazoo), _api(kazoo, made)
    max_seconds = int(settings.max_audio_hours * 3600)
    known = _accounts(kazoo, api, made)

    def accounts() -> tuple[str, ...]:
        return accounts_of(known.followed())

    inbox = Inbox(
        S3Inbox(client("s3", read_timeout=60), bucket=settings.kazoo_inbox),
        api,
        jobs,
        made.ledger,
        made.ledger,
        made.clock,
        accounts=accounts,
        length=lambda pieces: length_of(pieces, stitcher(max_seconds)),
        max_bytes=settings.max_leg_bytes,
    )
    return Part(
        provider=Kazoo(
            api,
            made.ledger,
            made.clock,
            quiet=timedelta(seconds=kazoo.quiet_seconds),
            inbox=inbox,
        ),
        jobs=jobs,
        ledger=made.ledger,
        policy=Policy(
            settle=0,  # resolving waits for the quiet time
            ladder=ladder[:2],
            named_ladder=ladder,
            lengths_stated=True,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.max_leg_bytes,
            storage_class=settings.kazoo_storage_class,
            delete_at_source=Kazoo.name in settings.delete_at_source,
        ),
        max_seconds=max_seconds,
        read=partial(jobs_of, inbox=settings.kazoo_inbox),
        identified=ours(accounts, made.ledger, unplaced=CALL),
    )


def removing(settings: RemoverSettings, made: Tools) -> KazooSource | None:
    """Return where recordings are removed, or None if Kazoo is not used."""
    url = settings.kazoo_url
    return KazooSource(_api_at(url, settings.kazoo_limits, made)) if url else None


def recorded(
    settings: KazooSettings,
    made: Tools,
    *,
    begin: datetime,
    end: datetime,
    kept: timedelta,
    key: str = "#recorded",
    sources: Sequence[str] = (),
) -> list[KazooRecorded]:
    """Return who says what was recorded in this time, one for each source, or for each of these."""
    api = _api(settings, made)
    return [
        KazooRecorded(
            api,
            made.clock,
            account=account,
            user=user or None,
            filters=settings.filters,
            begin=begin,
            end=end,
            kept=kept,
            key=key,
        )
        for account, _, user in (
            source.partition("/") for source in sources or followed(settings, made)
        )
    ]


def backfiller(
    configured: Mapping[str, str],
    *,
    begin: datetime,
    end: datetime | None = None,
    sources: Sequence[str] = (),
) -> Backfill:
    """Return what a backfill of Kazoo needs, by what the stack is configured to do.

    Without `sources` it is all that the stack has, without `end` up to the present. Raises Failed
    if the stack does not use Kazoo, Refused for what it cannot read, and Retry.
    """
    settings = sweeper_settings(configured)
    kazoo = settings.kazoo
    _used(kazoo)
    now = SystemClock().now()
    check_days(begin, end, now=now)
    made = tools(credentials=settings.credentials, table=settings.table)
    known = followed(kazoo, made)
    if unknown := sorted(set(sources) - set(known)):
        has = ", ".join(known)
        raise Refused(f"the stack has no account {', '.join(unknown)}; it has {has}")
    made.credentials.value()  # who may not read it should know at once
    days = settings.kazoo_retention_days
    stretches = recorded(
        kazoo,
        made,
        sources=tuple(dict.fromkeys(sources)),
        begin=begin,
        end=min(end or now, now),
        kept=timedelta(days=days),
        key=backfill_key(begin, end),
    )
    requests = Allowance(group="Requests", limits=gate_limits(kazoo.limits)["Requests"])
    return Backfill(
        provider=Kazoo.name,
        stretches=stretches,
        limit=end,
        jobs=_jobs(kazoo),
        notes=made.ledger,
        clock=made.clock,
        sleep=time.sleep,
        settle_seconds=JOB_SECONDS,
        listing=requests,
        fetching=requests,
        sample_pages=SAMPLE_PAGES,
        kept_days={one.source: days for one in stretches},
        bytes_a_second=4000,
        sound="MP3 at 32 kbit/s",
    )


def pushing(configured: Mapping[str, str], *, tokens: str, address: str) -> Pushing:
    """Return what push URLs below this address are made of, by what the stack is configured to do.

    `tokens` is the ARN of the secret of the inbound tokens. Raises Failed if the stack does not use
    Kazoo, Retry if that secret cannot be read.
    """
    settings = sweeper_settings(configured)
    _used(settings.kazoo)
    secret = Secret(client("secretsmanager"), arn=tokens, name=INBOUND_TOKENS)
    secret.value()  # who may not read it should know at once
    made = tools(credentials=settings.credentials, table=settings.table)
    accounts = accounts_of(followed(settings.kazoo, made))
    return Pushing(tokens=secret, address=address, accounts=accounts)


def jobs_of(body: str, *, inbox: str = "") -> list[Job]:
    """Return the jobs of a message, be it a job or what S3 says of the `inbox`, the bucket.

    Without its name any bucket's will do. Raises Refused.
    """
    arrivals = announced(body, bucket=inbox)
    if arrivals is None:
        return one_job(body)
    return [job for arrival in arrivals if (job := job_of(arrival)) is not None]


def _used(settings: KazooSettings) -> None:
    """Raise Failed if the stack does not use Kazoo."""
    missing = {"KazooUrl": settings.url, "KazooAccountIds": settings.sources}
    if lacks := [name for name, value in missing.items() if not value]:
        raise Failed(f"the stack does not use Kazoo: deploy it with {' and '.join(lacks)}")


def accounts_of(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the accounts of sources, each once."""
    return tuple(dict.fromkeys(source.partition("/")[0] for source in sources))


def _accounts(settings: KazooSettings, api: KazooApi, made: Tools) -> Accounts:
    """Return which accounts are followed: those that are named, and all below `account/*`."""
    named = settings.sources if settings.url else ()
    return Accounts(
        provider=Kazoo.name,
        named=[source.removesuffix(BELOW) for source in named],
        roots=[source.removesuffix(BELOW) for source in named if source.endswith(BELOW)],
        listed=api.descendants,
        notes=made.ledger,
        clock=made.clock,
    )


def _api(settings: KazooSettings, made: Tools) -> KazooApi:
    """Return Kazoo behind the gate that all functions share."""
    return _api_at(settings.url, settings.limits, made)


def _api_at(url: str, limits: Limits, made: Tools) -> KazooApi:
    return KazooApi(
        url=url,
        credentials=lambda: made.credentials.part("kazoo", fresh=True),
        limits=gate_limits(limits),
        notes=made.ledger,
        clock=made.clock,
    )


def _jobs(settings: KazooSettings) -> SqsJobs:
    return SqsJobs(client("sqs"), queue=settings.queue, dead_letters=settings.dead_letters)
