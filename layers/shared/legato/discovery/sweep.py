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
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.errors import Barred, Failed, LegatoError, Retry, Stale, Unavailable, Wait
from legato.ledger import gaps
from legato.ledger.listings import AHEAD, CallRefused, strays_list, tail_key, take
from legato.model import MOST_NAMED, Json, Note, format_time, parse_time
from legato.ports import SweepReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.ports import Beyond, Change, Clock, Jobs, Notes, RecordReader, Tail

log = logging.getLogger(__name__)

PAGE_RESERVE = timedelta(seconds=30)
"""No page is asked for when less than this is left of the reader's time."""
CALL_RESERVE = timedelta(seconds=5)
STRAY = "the provider lists a recording without saying which call it belongs to"
LONGEST_LEASE = timedelta(minutes=20)
"""No invocation lives longer than 15 minutes: what a lease has beyond is a clock that is wrong."""
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
            except CallRefused as error:
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
    change: Change, reason: str, tail: RecordReader, jobs: Jobs, notes: Notes, clock: Clock
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
    record: Json, reason: str, tail: RecordReader, jobs: Jobs, notes: Notes, clock: Clock
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
