"""Put Kazoo together: its API behind the gate, the tails of its accounts, their webhooks."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.bootstrap.shared import Part, Tools, gate_limits, tools
from legato.errors import Failed
from legato.hooks import Hooking
from legato.policy import Policy
from legato.providers.kazoo.api import KazooApi
from legato.providers.kazoo.hook import TOKEN_FIELD
from legato.providers.kazoo.provider import Kazoo
from legato.providers.kazoo.tail import KazooTail
from legato.rounds import Round
from legato.settings import sweeper_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.settings import KazooSettings, ProcessorSettings, SweeperSettings

JOB_SECONDS = 5
"""A job appears when the records of its call stand in the ledger."""


def sweeping(settings: SweeperSettings) -> Round:
    """Return what the sweeper needs; without tails if Kazoo is not used."""
    kazoo, made = settings.kazoo, tools(secret=settings.secret, table=settings.table)
    api = _api(kazoo, made)
    sources = [source.partition("/") for source in kazoo.sources] if kazoo.url else []
    tails = [
        KazooTail(
            api,
            made.clock,
            account=account,
            user=user or None,
            filters=kazoo.filters,
            first=made.clock.now() - timedelta(hours=settings.kazoo_sweep_hours),
        )
        for account, _, user in sources
    ]
    return Round(
        tails=tails,
        jobs=_jobs(kazoo),
        notes=made.ledger,
        clock=made.clock,
        settle_seconds=JOB_SECONDS,
        rest=timedelta(),
        retention=lambda: {tail.watch: settings.kazoo_retention_days for tail in tails},
    )


def archiving(settings: ProcessorSettings) -> Part:
    """Return what the processor needs."""
    kazoo, made = settings.kazoo, tools(secret=settings.secret, table=settings.table)
    ladder, jobs = settings.kazoo_ladder_seconds, _jobs(kazoo)
    return Part(
        provider=Kazoo(
            _api(kazoo, made),
            jobs,
            made.ledger,
            made.clock,
            quiet=timedelta(seconds=kazoo.quiet_seconds),
            accounts=_followed_whole(kazoo),
        ),
        jobs=jobs,
        ledger=made.ledger,
        policy=Policy(
            settle=0,  # resolving waits for the quiet time
            ladder=ladder[:2],
            named_ladder=ladder,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.max_leg_bytes,
            storage_class=settings.kazoo_storage_class,
        ),
        max_seconds=int(settings.max_audio_hours * 3600),
    )


def hooking(environment: Mapping[str, str], *, address: str) -> Hooking:
    """Return what webhooks to this address need, with the environment of SweeperFunction.

    Raises Failed if the stack does not use Kazoo, Retry if the secret cannot be read.
    """
    settings = sweeper_settings(environment)
    kazoo = settings.kazoo
    missing = {"KazooUrl": kazoo.url, "KazooAccountIds": kazoo.sources}
    if lacks := [name for name, value in missing.items() if not value]:
        raise Failed(f"the stack does not use Kazoo: deploy it with {' and '.join(lacks)}")
    made = tools(secret=settings.secret, table=settings.table)
    made.secret.value()  # who may not read it should know at once
    named = dict.fromkeys(source.partition("/")[0] for source in kazoo.sources)
    whole = _followed_whole(kazoo)
    return Hooking(
        webhooks=_api(kazoo, made),
        secret=made.secret,
        sleep=time.sleep,
        address=address,
        kazoo=kazoo.url,
        token_field=TOKEN_FIELD,
        accounts=tuple(one for one in named if one in whole),
        narrowed=tuple(one for one in named if one not in whole),
    )


def _followed_whole(settings: KazooSettings) -> frozenset[str]:
    """Return the accounts of which every recording is kept, and not one user's or filtered ones."""
    whole = (source for source in settings.sources if "/" not in source)
    return frozenset() if settings.filters else frozenset(whole)


def _api(settings: KazooSettings, made: Tools) -> KazooApi:
    """Return Kazoo behind the gate that all functions share."""
    return KazooApi(
        url=settings.url,
        credentials=lambda: made.secret.value(fresh=True).get("kazoo", {}),
        limits=gate_limits(settings.limits),
        notes=made.ledger,
        clock=made.clock,
    )


def _jobs(settings: KazooSettings) -> SqsJobs:
    return SqsJobs(client("sqs"), queue=settings.queue, dead_letters=settings.dead_letters)
