"""Gaps: what a tail stepped over because its provider does not let it be read.

A page that cannot be read must not keep what stands behind it from being found. So the tail goes on
behind it, and a note under its name holds from where to where something may be missing, until that
is read. One gap is one note, which is also that of its reader's cursor (legato.discovery.sweep).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import Json, Note, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from legato.ports import Beyond, Lists, Notes

NARROWEST = timedelta(seconds=2)
"""A gap is not split any further."""
SEAM = timedelta(seconds=1)
"""Whether a window's bounds belong to it is not documented, so the halves of a gap overlap."""
EVER = "9999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What a tail has not read, from `begin` to `end`, since the moment when it first failed there.

    `made_at` is when it got these bounds. It is read once more at `again_at`, if that is after it
    was `read_at`. `reason` is why it could not be read, as a part of a longer one or, if it was
    `tried_at` some time, by itself. `held_until` is until when a reader may be at work on it, which
    may be promised a `turn`.
    """

    key: str
    begin: datetime
    end: datetime
    since: datetime
    made_at: datetime
    again_at: datetime
    read_at: datetime | None
    reason: str
    tried_at: datetime | None
    held_until: datetime | None
    turn: bool

    @property
    def splits(self) -> bool:
        return self.end - self.begin > NARROWEST

    @property
    def lacks(self) -> bool:
        """Whether something of it may be missing."""
        return self.read_at is None or self.tried_at is not None


def step_over(
    tail: str, beyond: Beyond, *, since: datetime, now: datetime, reason: str, notes: Notes
) -> str:
    """Write down a gap of a tail, and return its key. Raises Retry."""
    key = _key(tail, beyond.begin)
    gap = {
        "to": format_time(beyond.end),
        "since": format_time(since),
        "made_at": format_time(now),
        "again_at": format_time(now + beyond.again_after),
    }
    tried = {} if beyond.elsewhere else {"tries": 1, "tried_at": format_time(now)}
    _put(key, tail, beyond.begin, {"gap": gap, "failing": reason, **tried}, notes)
    return key


def extend(key: str, beyond: Beyond, *, now: datetime, notes: Notes) -> bool:
    """Let a gap end where another one would, if nothing has come of it yet. Raises Retry."""
    note = notes.read(key)
    gap = note.content.get("gap", {})
    if note.listed is None or "read_at" in gap or gap.get("split") or "cursor" in note.content:
        return False
    longer = {"to": format_time(beyond.end), "again_at": format_time(now + beyond.again_after)}

    def becomes(note: Note) -> Note:
        return replace(note, content=note.content | {"gap": note.content["gap"] | longer})

    change(key, becomes, notes)
    return True


def split(tail: str, gap: Gap, *, now: datetime, notes: Notes) -> None:
    """Make two gaps of one. The later half is written first: nothing is in neither."""
    middle = gap.begin + timedelta(seconds=-(-(gap.end - gap.begin).total_seconds() // 2))
    halves = ((middle - SEAM, gap.end), (gap.begin, middle))
    for begin, end in halves:
        content = {
            "to": format_time(end),
            "since": format_time(gap.since),
            "made_at": format_time(now),
            "again_at": format_time(gap.again_at),
            "split": True,
        }
        _put(_key(tail, begin), tail, begin, {"gap": content, "failing": gap.reason}, notes)


def was_read(gap: Gap, *, now: datetime, notes: Notes) -> None:
    """Take a gap off the list, or let it be read once more later on. Raises Retry.

    One that was extended while it was read is left as it is.
    """

    def becomes(note: Note) -> Note:
        if note.content["gap"]["to"] != format_time(gap.end):
            return note
        if now >= gap.again_at:
            return replace(note, listed=None)
        return replace(note, content={"gap": note.content["gap"] | {"read_at": format_time(now)}})

    change(gap.key, becomes, notes)


def gaps_of(tail: str, notes: Lists) -> Iterator[Gap]:
    """Yield what a tail has not read, the oldest first. Raises Retry."""
    for note in notes.listed(_list(tail), until=EVER):
        if note.listed is None:
            continue  # the list is a moment old
        content, gap = note.content, note.content["gap"]
        # Nobody has taken back a lease that is over: its worker has died.
        tried_at = _time(content, "tried_at") if "tries" in content else None
        yield Gap(
            key=note.key,
            begin=parse_time(note.listed[1]),
            end=parse_time(gap["to"]),
            since=parse_time(gap["since"]),
            made_at=parse_time(gap["made_at"]),
            again_at=parse_time(gap["again_at"]),
            read_at=_time(gap, "read_at"),
            reason=content.get("failing", ""),
            tried_at=_time(content, "lease_until") or tried_at,
            held_until=_time(content, "lease_until"),
            turn="turn" in content,
        )


def _put(key: str, tail: str, begin: datetime, content: Json, notes: Notes) -> None:
    listed = (_list(tail), format_time(begin))
    change(key, lambda note: replace(note, content=content, listed=listed), notes)


def _key(tail: str, begin: datetime) -> str:
    return f"tail#{tail}#gap-{format_time(begin)}"


def _list(tail: str) -> str:
    return f"gap#{tail}"


def _time(content: Json, name: str) -> datetime | None:
    return parse_time(content[name]) if name in content else None
