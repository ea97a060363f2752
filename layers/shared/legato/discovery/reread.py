"""Ask again for what a tail stepped over, in halves, until only what cannot be read is left.

Halves are made only of what is bad by itself: as long as nothing of the list can be read, it is
all of it, and what was stepped over stays one gap, which is asked for every hour in the end.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from legato.errors import Stale, Wait
from legato.ledger.gaps import gaps_of, split, was_read
from legato.ledger.listings import tail_key
from legato.ledger.notes import change
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.ledger.gaps import Gap
    from legato.ports import Clock, Follower, Lists, Notes, SweepReport

SOONEST, LATEST = timedelta(seconds=10), timedelta(hours=1)
"""A gap is asked for again when it has been bad for twice as long, within these bounds."""
MOST = 100
"""A list with more of them is not worth to be asked for in smaller parts."""
MANY = 1000


def read_again(
    tail: Follower, *, swept: Callable[..., SweepReport], notes: Lists, clock: Clock
) -> tuple[list[SweepReport], bool]:
    """Read a tail's gaps as far as they can be read now. `swept` sweeps a `tail`.

    Returns what each try did, and whether any gap is left. Whatever ends a run, the next one goes
    on. Raises Retry.
    """
    reports: list[SweepReport] = []
    asked: set[tuple[str, datetime]] = set()
    while True:
        known = list(islice(gaps_of(tail.key, notes), MANY))
        found = [gap for gap in known if gap.held_until is None or gap.held_until <= clock.now()]
        if bad := _splittable(found, _worked_at(tail, notes)):
            split(tail.key, bad, now=clock.now(), notes=notes)
            continue
        due = [gap for gap in found if (gap.key, gap.end) not in asked and _is_due(gap, clock)]
        if not due:
            if not any(gap.lacks for gap in known):
                _let_look_back(tail, notes)
            return reports, bool(known)
        # The longest of those that nobody has tried stands for the most calls.
        gap = max(due, key=lambda gap: (gap.turn, gap.tried_at is None, gap.end - gap.begin))
        asked.add((gap.key, gap.end))
        report = swept(tail=tail.stretch(gap.begin, gap.end, key=gap.key.partition("#")[2]))
        reports.append(report)
        if report.done:
            was_read(gap, now=clock.now(), notes=notes)
            _note_worked(tail.key, notes, clock.now())
        elif isinstance(report.stopped, Wait):
            return reports, True


def _splittable(found: Sequence[Gap], worked_at: datetime | None) -> Gap | None:
    """Return a gap that is bad by itself: something of the list could be read since it is one."""
    bad = [gap for gap in found if gap.tried_at is not None]
    if worked_at is None or sum(gap.lacks for gap in found) > MOST:
        return None
    return next((gap for gap in bad if gap.splits and worked_at >= gap.made_at), None)


def _is_due(gap: Gap, clock: Clock) -> bool:
    if gap.tried_at is not None:
        return clock.now() >= gap.tried_at + min(max(gap.tried_at - gap.since, SOONEST), LATEST)
    return gap.read_at is None or clock.now() >= gap.again_at


def _worked_at(tail: Follower, notes: Notes) -> datetime | None:
    """Return when anything of the tail's list was last read: by it, in a gap, by a sooner tail."""
    keys = {tail_key(tail.key), _key(tail.key), tail_key(tail.watch)}
    noted = (notes.read(key).content.get("worked_at") for key in keys)
    return max(map(parse_time, filter(None, noted)), default=None)


def _let_look_back(tail: Follower, notes: Notes) -> None:
    """Let the tail's windows overlap again as they use to: nothing bad is in their way any more."""
    note = notes.read(tail_key(tail.key))
    cursor = note.content.get("cursor", {})
    if "floor" in cursor and "lease_until" not in note.content:
        cursor = {name: value for name, value in cursor.items() if name != "floor"}
        with suppress(Stale):  # another reader has it now, and the next round does so
            notes.write(replace(note, content=note.content | {"cursor": cursor}))


def _note_worked(tail: str, notes: Notes, now: datetime) -> None:
    content = {"worked_at": format_time(now)}
    change(_key(tail), lambda note: replace(note, content=content), notes)


def _key(tail: str) -> str:
    return f"gaps#{tail}"
