"""Put together what looks after the archive as a whole: reconciliation, and what failed."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato.aws.bucket import S3Archive
from legato.aws.catalogue import DynamoCatalogue
from legato.aws.clients import client
from legato.aws.dead_letters import SqsDeadLetters
from legato.aws.depth import SqsDepth
from legato.aws.ledger import DynamoLedger
from legato.aws.queue import SqsJobs
from legato.aws.safeguards import StackSafeguards
from legato.aws.signer import KmsSigner
from legato.bootstrap import kazoo, ringcx, ringex
from legato.bootstrap.shared import Tools, tools
from legato.clock import SystemClock
from legato.config import RingexSettings
from legato.errors import Failed
from legato.evidence.digest import Chaining
from legato.evidence.safeguards import Comparing
from legato.evidence.timestamp import Witnessing
from legato.ingest.ports import one_job
from legato.model import PROVIDERS, Note
from legato.operations.failures import Failures, FailureSource
from legato.operations.past import Reconciling
from legato.operations.reconcile import last_days
from legato.operations.report.reconciliation import DAILY
from legato.providers.timestamps import TimestampAuthority

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from legato.archive.object_lock import Lock
    from legato.config import AuditorSettings, KazooSettings, RingcxSettings
    from legato.ports import Notes, Recorded

DAYS = 3
JOB_SECONDS = 5
"""A job appears when the records of its call stand in the ledger."""


class AuditSettings(RingexSettings, Protocol):
    """What a function that asks every provider is told; SweeperFunction is one."""

    @property
    def credentials(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def ringex_queue(self) -> str: ...
    @property
    def ringex_dead_letters(self) -> str: ...
    @property
    def ringcx(self) -> RingcxSettings: ...
    @property
    def kazoo(self) -> KazooSettings: ...
    @property
    def kazoo_retention_days(self) -> int: ...


class Scratch:
    """Notes that live as long as the process."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}

    def read(self, key: str) -> Note:
        return self._notes.get(key, Note(key=key))

    def write(self, note: Note) -> Note:
        self._notes[note.key] = note
        return note

    def first(self, name: str) -> Note | None:
        del name  # nothing here is listed
        return None


def chaining(settings: AuditorSettings) -> Chaining:
    """Return what the digests need."""
    made = tools(credentials=settings.sweeper.credentials, table=settings.sweeper.table)
    return Chaining(
        archive=S3Archive(
            client("s3", read_timeout=60),
            bucket=settings.bucket,
            lock=settings.retention.longest,
            clock=made.clock,
        ),
        notes=made.ledger,
        signer=KmsSigner(client("kms"), key_id=settings.signing_key),
        clock=made.clock,
    )


def comparing(settings: AuditorSettings) -> Comparing:
    """Return what the archive's safeguards are compared with."""
    ledger = DynamoLedger(client("dynamodb"), table=settings.sweeper.table)
    stack = StackSafeguards(
        stack=settings.stack,
        cloudformation=client("cloudformation"),
        s3=client("s3"),
        kms=client("kms"),
    )
    return Comparing(stack=stack, notes=ledger, clock=SystemClock())


def witnessing(settings: AuditorSettings) -> Witnessing | None:
    """Return what a time stamp is got with, or None if nobody is to be asked for one."""
    if not settings.timestamp_authority:
        return None
    made = chaining(settings)
    return Witnessing(
        authority=TimestampAuthority(settings.timestamp_authority),
        archive=made.archive,
        notes=made.notes,
        clock=made.clock,
    )


def reconciling(
    settings: AuditSettings, *, bucket: str, lock: Lock | None, days: int = DAYS
) -> Reconciling:
    """Return what the daily reconciliation needs: of so many days, up to yesterday.

    Made anew at each event, since the days go by. It may be called every few minutes: each goes
    on where the last one ended, until there is a report of these days.
    """
    made = tools(credentials=settings.credentials, table=settings.table)
    begin, end = last_days(made.clock.now(), days)
    return _reconciling(
        settings,
        made,
        bucket=bucket,
        lock=lock,
        name=DAILY,
        begin=begin,
        end=end,
        memory=made.ledger,
    )


def reconciling_by_hand(
    settings: AuditSettings,
    *,
    bucket: str,
    lock: Lock | None,
    begin: datetime,
    end: datetime,
    providers: Collection[str] = (),
    report_only: bool = False,
) -> Reconciling:
    """Return what a person's reconciliation needs; without `providers` it is all that are used.

    Raises Failed if one of them is not used, Retry if the secret cannot be read.
    """
    made = tools(credentials=settings.credentials, table=settings.table)
    return _reconciling(
        settings,
        made,
        bucket=bucket,
        lock=lock,
        name="by-hand",
        begin=begin,
        end=min(end, made.clock.now()),
        memory=Scratch(),
        providers=providers,
        report_only=report_only,
        by_hand=True,
    )


def failures(settings: AuditSettings, *, providers: Collection[str] = ()) -> Failures:
    """Return what the commands need that look after failed calls; else of all providers."""
    made, sqs = tools(credentials=settings.credentials, table=settings.table), client("sqs")
    readers = {"kazoo": kazoo.jobs_of}
    sources = [
        FailureSource(
            provider=name,
            letters=SqsDeadLetters(sqs, queue=queue, dead_letters=dead_letters),
            jobs_of=readers.get(name, one_job),
        )
        for name, (queue, dead_letters) in _queues(settings).items()
        if name in (providers or PROVIDERS)
    ]
    return Failures(sources=sources, ledger=made.ledger, notes=made.ledger, clock=made.clock)


def _reconciling(
    settings: AuditSettings,
    made: Tools,
    *,
    bucket: str,
    lock: Lock | None,
    name: str,
    begin: datetime,
    end: datetime,
    memory: Notes,
    providers: Collection[str] = (),
    report_only: bool = False,
    by_hand: bool = False,
) -> Reconciling:
    sqs = client("sqs")
    queues = _queues(settings).items()
    asked = queues if by_hand else ()  # a day is soon enough for what nobody waits for
    return Reconciling(
        name=name,
        begin=begin,
        end=end,
        recorded=_recorded(settings, made, begin, end, providers),
        jobs={name: SqsJobs(sqs, queue=url, dead_letters=dead) for name, (url, dead) in queues},
        ledger=made.ledger,
        notes=made.ledger,
        memory=memory,
        archive=S3Archive(
            client("s3", read_timeout=60), bucket=bucket, lock=lock, clock=made.clock
        ),
        clock=made.clock,
        sleep=time.sleep,
        settle_seconds=JOB_SECONDS,
        backlogs={name: SqsDepth(sqs, queue=url) for name, (url, _) in asked},
        catalogue=DynamoCatalogue(client("dynamodb"), table=settings.table),
        report_only=report_only,
    )


def _recorded(
    settings: AuditSettings,
    made: Tools,
    begin: datetime,
    end: datetime,
    providers: Collection[str],
) -> list[Recorded]:
    """Return who is asked. RingEX is used if the secret has anything for it."""
    kept = timedelta(days=settings.kazoo_retention_days)
    ringex_used = any(made.credentials.part("ringex").values()) or "ringex" in providers
    asked: dict[str, list[Recorded]] = {
        "ringex": [*ringex.recorded(settings, made, begin=begin, end=end)] if ringex_used else [],
        "ringcx": [*ringcx.recorded(settings.ringcx, made, begin=begin, end=end)],
        "kazoo": [*kazoo.recorded(settings.kazoo, made, begin=begin, end=end, kept=kept)],
    }
    lacking = [name for name in PROVIDERS if name in providers and not asked[name]]
    if lacking or not any(asked.values()):
        named = ", ".join(lacking) or "any provider"
        how = "its parameters and the secret's parts say which ones it uses"
        raise Failed(f"the stack does not use {named}: {how}")
    return [one for name in (providers or PROVIDERS) for one in asked[name]]


def _queues(settings: AuditSettings) -> dict[str, tuple[str, str]]:
    """Return the addresses of each provider's jobs queue and dead-letter queue."""
    return {
        "ringex": (settings.ringex_queue, settings.ringex_dead_letters),
        "ringcx": (settings.ringcx.queue, settings.ringcx.dead_letters),
        "kazoo": (settings.kazoo.queue, settings.kazoo.dead_letters),
    }
