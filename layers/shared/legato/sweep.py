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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from legato import gaps, unarchived
from legato.errors import Barred, Failed, LegatoError, Retry, Stale, Unavailable, Wait
from legato.model import MOST_NAMED, Job, Json, Note, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from legato.gaps import Beyond
    from legato.model import CallId, Unreadable
    from legato.ports import Clock, Jobs, Notes

log = logging.getLogger(__name__)

WRITE_TRIES = 5
PAGE_RESERVE = timedelta(seconds=30)
"""No page is asked for when less than this is left of the reader's time."""
CALL_RESERVE = timedelta(seconds=5)
STRAY = "the provider lists a recording without saying which call it belongs to"
LONGEST_LEASE = timedelta(minutes=20)
"""No invocation lives longer than 15 minutes: what a lease has beyond is a clock that is wrong."""
AHEAD = timedelta(minutes=5)
"""The clocks of two readers may differ by so much; what overlaps makes up for it."""
CHECKPOINT_EVERY = timedelta(hours=1)
CHECKPOINTS = 6
FEW_REFUSED = 5
"""If more calls of a page cannot be written, it is the ledger, and none of these calls."""
REFUSED_SWEEPS = 3
TRIES = 2
"""A page that fails as often in a row, from sweep to sweep, is stepped over: once may pass."""
DIED = "the worker that reads it dies"
LONGEST_SHOWN = 100_000
"""Characters of a record in a dead letter. A message of SQS has 256 KiB."""


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
    A `fault` ends the run once the page is taken in: it is no use to ask for the next one now. Of
    a page that was not `answered` by the provider nothing was learned.
    """

    changes: tuple[Change, ...]
    cursor: Json
    more: bool
    read_to: datetime | None = None
    strays: tuple[Json, ...] = ()
    fault: LegatoError | None = None
    answered: bool = True


class Found(Protocol):
    """Whose records are taken in, and what they say.

    `name` is the provider, `watch` the name under which calls are listed until they are archived
    (legato.unarchived). What is found is in no hurry if `behind`.
    """

    name: str
    watch: str
    behind: bool

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        """Return the ids of the recordings that records name."""
        ...

    def unreadable(self, records: Iterable[Json]) -> Sequence[Unreadable]:
        """Return the recordings that records name in words that nobody understands."""
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


class Follower(Tail, Protocol):
    """A tail that can go on behind what cannot be read, and read that in another way."""

    def beyond(self, cursor: Json) -> Beyond | None:
        """Return how to step over the page at this cursor; None while that is not possible."""
        ...

    def stretch(self, begin: datetime, end: datetime, *, key: str) -> Tail:
        """Return who reads what this tail would find from `begin` to `end`, under this key."""
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
    beyond: Callable[[Json], Beyond | None] = lambda _: None,
) -> SweepReport:
    """Read the tail to its end, or until shortly before `until`, when this reader is ended.

    A page that cannot be read is stepped over when it has failed often enough, as `beyond` says.

    It is left alone for `rest` after it was read, since each read costs the provider's budget; with
    `unfinished_only` it is read only if the last run ended early. Jobs appear after `settle`
    seconds. Whatever ends a run early, the next one goes on where it stopped; only unforeseen
    errors are raised. What a clock wrote that was ahead of ours is not believed.
    """
    report, key = SweepReport(), tail_key(tail.key)
    now = clock.now()
    note = _believed(notes.read(key), now)
    held, read_to = _time(note, "lease_until"), _time(note, "read_to")
    if read_to is not None and timedelta() <= now - read_to < rest:
        return SweepReport(age=_age(note, now), rests=rest - (now - read_to))
    if unfinished_only and not note.content.get("unfinished"):
        return SweepReport(age=_age(note, now), done=True)
    try:
        if held is not None and now < held <= now + LONGEST_LEASE:
            raise Stale("another reader holds the tail")
        began_at = _time(note, "began_at") or now
        died = {} if held is None else _tried(note, now, DIED)
        note = _changed(note, notes, lease_until=until, began_at=began_at, unfinished=True, **died)
    except Stale:
        return SweepReport(busy=True, age=_age(note, now))
    report.began = True
    try:
        note = _read(note, tail, jobs, notes, clock, until, settle, report, beyond)
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


def as_listed(job: Job, note: Note) -> Job:
    """Return the job as seen when its call's records, of which this is the note, were last listed.

    An old message may ask for recordings that began after it: no time of theirs is in its future.
    """
    seen = note.content.get("seen")
    return replace(job, seen_at=max(job.seen_at, parse_time(seen))) if seen else job


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


def _tried(note: Note, now: datetime, reason: str) -> dict[str, object]:
    """Return what a tail's note holds when the page at its cursor has failed once more."""
    return {
        "tries": note.content.get("tries", 0) + 1,
        "tried_at": now,
        "tried_since": note.content.get("tried_since") or now,
        "failing": reason,
        "failing_since": note.content.get("failing_since") or now,
    }


def _stepped(
    note: Note, tail: Tail, notes: Notes, clock: Clock, beyond: Callable[[Json], Beyond | None]
) -> Note:
    """Step over the page at the cursor if it has failed too often, and write down the gap.

    While nothing at all can be read, all that is stepped over is one gap.
    """
    content, now = note.content, clock.now()
    if content.get("tries", 0) < TRIES:
        return note
    over = beyond(content.get("cursor", {}))
    if over is None:
        return note
    gap = content.get("gap_key")
    if gap is None or not gaps.extend(gap, over, now=now, notes=notes):
        reason, since = content["failing"], parse_time(content["tried_since"])
        gap = gaps.step_over(tail.key, over, since=since, now=now, reason=reason, notes=notes)
        extra = {"tail": tail.key, "gap": gap, "reason": reason}
        log.error("a page cannot be read and is stepped over", extra=extra)
    anew = {"cursor": over.cursor, "tries": None, "tried_since": None}
    return _changed(note, notes, gap_key=gap, **anew)


def _read(
    note: Note,
    tail: Tail,
    jobs: Jobs,
    notes: Notes,
    clock: Clock,
    until: datetime,
    settle: int,
    report: SweepReport,
    beyond: Callable[[Json], Beyond | None],
) -> Note:
    """Read page after page; return the tail's note as it was last written."""
    more = True
    while more:
        note = _stepped(note, tail, notes, clock, beyond)
        _in_time(clock, until - PAGE_RESERVE)
        asked = note.content.get("cursor", {})
        try:
            page = tail.page(asked, turn=note.content.get("turn", False))
        except (Wait, Stale, Unavailable):
            raise
        except LegatoError as error:
            note = _changed(note, notes, **_tried(note, clock.now(), str(error)))
            stepped = _stepped(note, tail, notes, clock, beyond)
            if stepped is note or "gap_key" in note.content:
                raise  # behind the last gap nothing could be read either
            note = stepped
            continue
        for record in page.strays:
            _shown_once(record, STRAY, tail, jobs, notes, clock)
        refused: dict[str, tuple[Change, Retry]] = {}
        for change in page.changes:
            _in_time(clock, until - CALL_RESERVE)
            report.calls += 1
            report.records += len(change.records)
            try:
                report.jobs += take(change, tail, jobs, notes, clock, settle)
            except _Refused as error:
                refused[str(change.id)] = (change, error)
                if len(refused) > FEW_REFUSED:
                    raise
            except Failed as error:
                _left_out(change, str(error), tail, jobs, notes, clock)
        if refused or "refused" in note.content:
            note = _refusals(refused, note, tail, jobs, notes, clock)
        now = clock.now()
        moved: dict[str, object] = {"cursor": page.cursor, "turn": None, "at": now}
        moved["checkpoints"] = _checkpoints(note, now)
        if page.fault is not None and page.cursor == asked:
            moved |= _tried(note, now, str(page.fault))
        else:
            moved |= {"tries": None, "tried_since": None}
        if page.answered and page.fault is None:
            moved |= {"worked_at": now, "gap_key": None}
        if page.read_to is not None:
            moved["read_to"] = page.read_to
        if not page.more:
            moved["unfinished"] = None
        note = _changed(note, notes, **moved)
        if page.fault is not None:
            raise page.fault
        more = page.more
    return note


def _believed(note: Note, now: datetime) -> Note:
    """Return the tail's note without what a clock wrote that was ahead of ours.

    The tail has passed over a time then of which the provider could say nothing yet. So it goes
    back to where it was when the clock was not ahead; without any such place, to its beginning.
    """
    written_at = _time(note, "at")
    if written_at is None or written_at <= now + AHEAD:
        return note
    known = note.content.get("checkpoints", [])
    points = [point for point in known if parse_time(point["at"]) <= now + AHEAD]
    last = points[-1] if points else {}
    log.error("a clock was ahead", extra={"tail": note.key, "at": note.content["at"]})
    names = ("lease_until", "turn", "gap")
    kept = {name: note.content[name] for name in names if name in note.content}
    began_at = min(_time(note, "began_at") or now, now)
    content = {
        **kept,
        **last,
        "checkpoints": points[:-1],
        "began_at": format_time(began_at),
        "unfinished": True,
    }
    return replace(note, content=content)


def _checkpoints(note: Note, now: datetime) -> list[Json]:
    """Return the places that the tail had, one an hour, with the one that it is about to leave."""
    points: list[Json] = note.content.get("checkpoints", [])
    left_at = _time(note, "at")
    if left_at is None:
        return points
    if points and parse_time(points[-1]["at"]) + CHECKPOINT_EVERY > now:
        return points
    names = ("at", "cursor", "read_to")
    place = {name: note.content[name] for name in names if name in note.content}
    return [*points, place][-CHECKPOINTS:]


def _left_out(
    change: Change, reason: str, tail: Found, jobs: Jobs, notes: Notes, clock: Clock
) -> None:
    """Show a call to somebody whose records cannot be written down. Raises Retry."""
    call: Json = {
        **change.id._asdict(),
        "records": len(change.records),
        "recordings": sorted(tail.recordings(change.records.values()))[:MOST_NAMED],
    }
    reason = f"the records of {change.id} cannot be written down: {reason}"
    _shown_once(call, reason, tail, jobs, notes, clock)


def _shown_once(
    record: Json, reason: str, tail: Found, jobs: Jobs, notes: Notes, clock: Clock
) -> None:
    """Show a record to somebody that nobody can archive, once however often it is listed."""
    if notes.read(_stray_key(record, tail.name)).version:
        return
    body = json.dumps(record, sort_keys=True)
    if len(body) > LONGEST_SHOWN:
        body = json.dumps({"characters": len(body), "beginning": body[: LONGEST_SHOWN // 2]})
    jobs.bury(body, reason=reason)
    log.error(reason, extra={"record": record.get("id"), "call": record.get("call")})
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


def _refusals(
    refused: Mapping[str, tuple[Change, Retry]],
    note: Note,
    tail: Tail,
    jobs: Jobs,
    notes: Notes,
    clock: Clock,
) -> Note:
    """Give up the calls whose own notes are refused for some sweeps; raise for the others.

    They are counted in the tail's note, so the ledger itself can be written.
    """
    before = note.content.get("refused", {})
    counts = {call: before.get(call, 0) + 1 for call in refused}
    hopeless = {call for call, count in counts.items() if count >= REFUSED_SWEEPS}
    for call in sorted(hopeless):
        change, error = refused[call]
        _left_out(change, str(error), tail, jobs, notes, clock)
    left = {call: count for call, count in counts.items() if call not in hopeless}
    note = _changed(note, notes, refused=(counts if left else None))
    for call in left:
        raise refused[call][1]
    return note


class _Refused(Retry):
    """The note of one call cannot be read or written."""


def take(change: Change, tail: Found, jobs: Jobs, notes: Notes, clock: Clock, settle: int) -> bool:
    """Merge what changed into the call's note; say whether a job was sent for it.

    Raises Retry, and Failed if its records are more than a note holds.
    """
    sent = False
    for _ in range(WRITE_TRIES):
        now = clock.now()
        with _own_refusal():
            note = notes.read(records_key(change.id))
        known = note.content.get("records", {})
        records = known | dict(change.records)
        if records == known:
            return sent
        before, found = tail.recordings(known.values()), tail.recordings(records.values())
        odd_before, odd = _unreadable(tail, known), _unreadable(tail, records)
        if not known and not found and not odd:
            return sent  # never recorded: it is not worth a write
        new = found - before
        if not sent and (new or odd - odd_before):
            # A recording that nobody understands gets a job too, so that somebody is told.
            hints: Json = {}
            if len(new) > MOST_NAMED:
                hints["many"] = True  # a job names no more
            elif new:
                hints = {"recordingIds": sorted(new), "listed": sorted(new)}
            if tail.behind:
                hints["behind"] = True
            job = Job(**change.id._asdict(), seen_at=now, hints=hints)
            jobs.send(job, delay=settle)
            sent = True
        content = note.content | {"records": records, "seen": format_time(now)}
        note = replace(note, content=content)
        if new or odd != odd_before:
            since = min(change.began_at or now, now)
            unclear = {unarchived.UNCLEAR} if odd else set()
            note = unarchived.found(note, new | unclear, watch=tail.watch, since=since)
        try:
            with _own_refusal():
                notes.write(note)
        except Stale:
            continue
        return sent
    raise _Refused(f"the records of {change.id} are written faster than they are read")


@contextmanager
def _own_refusal() -> Iterator[None]:
    try:
        yield
    except Retry as error:
        raise _Refused(str(error)) from error


def _unreadable(tail: Found, records: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(one.id for one in tail.unreadable(records.values()))


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
    return max(now - known_at, timedelta())
