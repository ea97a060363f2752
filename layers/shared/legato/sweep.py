"""Sweep a provider: what is new goes into the ledger, a call that gained a leg into the queue.

This is how calls are found. A webhook only makes it faster: with every notification lost the same
calls are archived, a little later. One reader at a time follows the provider's list of changes from
where the last one stopped. The job is sent before its call's records are written, and the cursor
moves after both: a reader that dies in between leaves a job too many, never one too few.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from legato import unarchived
from legato.errors import Barred, LegatoError, Retry, Stale, Wait
from legato.model import Job, Json, Note, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from legato.model import CallId
    from legato.ports import Clock, Jobs, Notes

log = logging.getLogger(__name__)

WRITE_TRIES = 5
PAGE_RESERVE = timedelta(seconds=30)
"""No page is asked for when less than this is left of the reader's time."""
CALL_RESERVE = timedelta(seconds=5)
STRAY = "the provider lists a recording without saying which call it belongs to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The records of one call that are new or were rewritten, by their ids.

    `began_at` is when the oldest of its recordings began, as far as they say.
    """

    id: CallId
    records: Mapping[str, Json]
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What changed since a cursor, and the cursor to go on from.

    `read_to` is the moment up to which nothing is left to read; None if there is `more`. `strays`
    are records with a recording that say of no call that they are its: nobody can archive them.
    """

    changes: tuple[Change, ...]
    cursor: Json
    more: bool
    read_to: datetime | None = None
    strays: tuple[Json, ...] = ()


class Found(Protocol):
    """Whose records are taken in, and what they say.

    `name` is the provider, `watch` the name under which calls are listed until they are archived
    (legato.unarchived). What is found is in no hurry if `behind`.
    """

    name: str
    watch: str
    behind: bool

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        """Return the ids of the recordings that records name. Raises Retry if they are unclear."""
        ...


class Tail(Found, Protocol):
    """A provider's list of changes, read from its end.

    `key` tells its lists apart. One that is `late` reads on purpose what another one has read.
    """

    key: str
    late: bool

    def page(self, cursor: Json, *, turn: bool = False) -> Page:
        """Return what changed since the cursor; an empty one is the very first.

        `turn` is for who was promised one. Raises Wait, Barred or Retry as Provider.resolve does.
        """
        ...


@dataclass(slots=True, kw_only=True)
class SweepReport:
    """What a sweep did. `age` is how old the newest knowledge is afterwards.

    `began`: it was read. `busy`: another reader is at work. `rests`: how long the tail is left
    alone, because it was read a moment ago. `done`: nothing is left to read. `stopped`: what ended
    the run before its end.
    """

    records: int = 0
    calls: int = 0
    jobs: int = 0
    age: timedelta = field(default_factory=timedelta)
    began: bool = False
    busy: bool = False
    rests: timedelta = field(default_factory=timedelta)
    done: bool = False
    stopped: LegatoError | None = None


def sweep(
    *,
    tail: Tail,
    jobs: Jobs,
    notes: Notes,
    clock: Clock,
    until: datetime,
    settle: int,
    rest: timedelta = timedelta(),
    unfinished_only: bool = False,
) -> SweepReport:
    """Read the tail to its end, or until shortly before `until`, when this reader is ended.

    It is left alone for `rest` after it was read, since each read costs the provider's budget; with
    `unfinished_only` it is read only if the last run ended early. Jobs appear after `settle`
    seconds. Whatever ends a run early, the next one goes on where it stopped; only unforeseen
    errors are raised.
    """
    report, key = SweepReport(), tail_key(tail.key)
    note, now = notes.read(key), clock.now()
    held, read_to = _time(note, "lease_until"), _time(note, "read_to")
    if read_to is not None and now - read_to < rest:
        return SweepReport(age=_age(note, now), rests=rest - (now - read_to))
    if unfinished_only and not note.content.get("unfinished"):
        return SweepReport(age=_age(note, now), done=True)
    try:
        if held is not None and now < held:
            raise Stale("another reader holds the tail")
        began_at = _time(note, "began_at") or now
        note = _changed(note, notes, lease_until=until, began_at=began_at, unfinished=True)
    except Stale:
        return SweepReport(busy=True, age=_age(note, now))
    report.began = True
    try:
        note = _read(note, tail, jobs, notes, clock, until, settle, report)
        report.done = True
    except LegatoError as error:
        report.stopped = error
        with suppress(LegatoError):
            note = notes.read(key)
    turn = isinstance(report.stopped, Wait) and report.stopped.turn
    with suppress(LegatoError):
        if _time(note, "lease_until") == _rounded(until):
            told = _failing(report.stopped, note, clock.now())
            note = _changed(note, notes, lease_until=None, turn=turn or None, **told)
    report.age = _age(note, clock.now())
    log.info(
        "swept",
        extra={
            "tail": tail.key,
            "records": report.records,
            "calls": report.calls,
            "jobs": report.jobs,
            "age_seconds": report.age.total_seconds(),
            "stopped": report.stopped and str(report.stopped),
        },
    )
    return report


def tail_key(tail: str) -> str:
    """Return the key of the note with the cursor of a tail."""
    return f"tail#{tail}"


def records_key(call: CallId) -> str:
    """Return the key of the note with the records of a call."""
    return f"records#{call}"


def strays_list(provider: str) -> str:
    """Return the name under which the records of a provider are listed that nobody can archive."""
    return f"stray#{provider}"


def _failing(stopped: LegatoError | None, note: Note, now: datetime) -> dict[str, object]:
    """Return since when a tail cannot be read, and why. Who only waits is not failing."""
    if stopped is None:
        return {"failing": None, "failing_since": None}
    if isinstance(stopped, Wait) and not isinstance(stopped, Barred):
        return {}
    return {"failing": str(stopped), "failing_since": note.content.get("failing_since") or now}


def _read(
    note: Note,
    tail: Tail,
    jobs: Jobs,
    notes: Notes,
    clock: Clock,
    until: datetime,
    settle: int,
    report: SweepReport,
) -> Note:
    """Read page after page; return the tail's note as it was last written."""
    more = True
    while more:
        _in_time(clock, until - PAGE_RESERVE)
        page = tail.page(note.content.get("cursor", {}), turn=note.content.get("turn", False))
        for record in page.strays:
            _buried(record, tail, jobs, notes, clock)
        for change in page.changes:
            _in_time(clock, until - CALL_RESERVE)
            report.jobs += take(change, tail, jobs, notes, clock, settle)
            report.calls += 1
            report.records += len(change.records)
        moved: dict[str, object] = {"cursor": page.cursor, "turn": None}
        if page.read_to is not None:
            moved["read_to"] = page.read_to
        if not page.more:
            moved["unfinished"] = None
        note = _changed(note, notes, **moved)
        more = page.more
    return note


def _buried(record: Json, tail: Tail, jobs: Jobs, notes: Notes, clock: Clock) -> None:
    """Show a record to somebody that nobody can archive, once however often it is listed."""
    if not notes.read(_stray_key(record, tail.name)).version:
        jobs.bury(json.dumps(record, sort_keys=True), reason=STRAY)
        log.error(STRAY, extra={"record": record.get("id")})
        note_stray(record, tail.name, notes, clock)


def note_stray(record: Json, provider: str, notes: Notes, clock: Clock) -> None:
    """List a record that nobody can archive, unless it is. Raises Retry."""
    note, seen = notes.read(_stray_key(record, provider)), format_time(clock.now())
    if note.version:
        return
    content = {"record": record.get("id"), "seen": seen}
    with suppress(Stale):
        notes.write(replace(note, content=content, listed=(strays_list(provider), seen)))


def _stray_key(record: Json, provider: str) -> str:
    body = json.dumps(record, sort_keys=True)
    return f"stray#{provider}#{hashlib.sha256(body.encode()).hexdigest()}"


def take(change: Change, tail: Found, jobs: Jobs, notes: Notes, clock: Clock, settle: int) -> bool:
    """Merge what changed into the call's note; say whether a job was sent for it.

    Raises Retry.
    """
    sent = False
    for _ in range(WRITE_TRIES):
        now = clock.now()
        note = notes.read(records_key(change.id))
        known = note.content.get("records", {})
        records = known | dict(change.records)
        if records == known:
            return sent
        before = _recordings(tail, known) or frozenset()
        found = _recordings(tail, records)
        if not known and found is not None and not found:
            return sent  # never recorded: it is not worth a write
        new = None if found is None else found - before
        if not sent and (new is None or new):
            # Records that nobody understands get a job too: it fails, and somebody is told.
            hints: Json = {}
            if new is not None:
                hints = {"recordingIds": sorted(new), "listed": sorted(new)}
            if tail.behind:
                hints["behind"] = True
            job = Job(**change.id._asdict(), seen_at=now, hints=hints)
            jobs.send(job, delay=settle)
            sent = True
        content = note.content | {"records": records, "seen": format_time(now)}
        note = replace(note, content=content)
        if new is None or new:
            since = change.began_at or now
            note = unarchived.found(note, new, watch=tail.watch, since=since)
        try:
            notes.write(note)
        except Stale:
            continue
        return sent
    raise Retry(f"the records of {change.id} are written faster than they are read")


def _recordings(tail: Found, records: Mapping[str, Json]) -> frozenset[str] | None:
    try:
        return tail.recordings(records.values())
    except Retry:
        return None


def _in_time(clock: Clock, end: datetime) -> None:
    if clock.now() >= end:
        raise Wait("this reader has no time left", seconds=1)


def _changed(note: Note, notes: Notes, **changes: object) -> Note:
    """Write the note with these fields; None removes one. Raises Stale if the lease was lost."""
    plain = {
        name: format_time(value) if isinstance(value, datetime) else value
        for name, value in changes.items()
    }
    content = {k: v for k, v in {**note.content, **plain}.items() if v is not None}
    return notes.write(replace(note, content=content))


def _time(note: Note, name: str) -> datetime | None:
    text = note.content.get(name)
    return None if text is None else parse_time(text)


def _rounded(moment: datetime) -> datetime:
    return parse_time(format_time(moment))


def _age(note: Note, now: datetime) -> timedelta:
    known_at = _time(note, "read_to") or _time(note, "began_at") or now
    return now - known_at
