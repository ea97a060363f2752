"""What the providers' lists say of calls: each call's records, and how far each list was read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.errors import Retry, Stale
from legato.ledger import unarchived
from legato.model import MOST_NAMED, CallId, Job, Json, Note, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from legato.ports import Change, Clock, Jobs, Notes, RecordReader

WRITE_TRIES = 5
AHEAD = timedelta(minutes=5)
"""The clocks of two readers may differ by so much; what overlaps makes up for it."""


def tail_key(tail: str) -> str:
    """Return the key of the note with the cursor of a tail."""
    return f"tail#{tail}"


def records_key(call: CallId) -> str:
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


class CallRefused(Retry):
    """The note of one call cannot be read or written."""


def take(
    change: Change, tail: RecordReader, jobs: Jobs, notes: Notes, clock: Clock, settle: int
) -> bool:
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
    raise CallRefused(f"the records of {change.id} are written faster than they are read")


@contextmanager
def _own_refusal() -> Iterator[None]:
    try:
        yield
    except Retry as error:
        raise CallRefused(str(error)) from error


def _unreadable(tail: RecordReader, records: Mapping[str, Json]) -> frozenset[str]:
    return frozenset(one.id for one in tail.unreadable(records.values()))


def backfill_key(begin: datetime, limit: datetime | None) -> str:
    """Return what tells the cursor of a backfill of these days from all others of its source."""
    return f"#backfill-{format_time(begin)}-{format_time(limit) if limit else ''}"
