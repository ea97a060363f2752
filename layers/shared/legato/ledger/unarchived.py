"""What was found and is not archived yet, the oldest first.

The provider deletes its recordings one day. A call is listed from the moment that a sweep finds it
until its recordings are in the archive, so that somebody is told while there is time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import CallId, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime, timedelta

    from legato.model import Note
    from legato.ports import Clock, Lists, Notes

UNCLEAR = "?"
"""Stands for the recordings that nobody understands."""


def found(note: Note, recordings: Collection[str], *, watch: str, since: datetime) -> Note:
    """Return a call's note listed under `watch`, for recordings of which the oldest began `since`.

    UNCLEAR among them stands for those that nobody understands, until they are clear. `found_at` is
    when the first of them was seen.
    """
    names = set(note.content.get("unarchived", ())) - {UNCLEAR} | set(recordings)
    order = format_time(since)
    found_at = note.content.get("seen")
    if note.listed is not None:
        order = min(order, note.listed[1])
        found_at = note.content.get("found_at")
    content = note.content | {"unarchived": sorted(names), "found_at": found_at}
    return replace(note, content=content, listed=(_name(watch), order) if names else None)


def archived(key: str, recordings: Collection[str] | None, notes: Notes) -> None:
    """Take a call off the list if these are all of its recordings, or if there are none (None).

    `key` names the call's note. Raises Retry.
    """

    def settled(note: Note) -> Note:
        if note.listed is None:
            return note
        waiting = set(note.content["unarchived"])
        left = set() if recordings is None else waiting - set(recordings)
        content = note.content | {"unarchived": sorted(left)}
        return replace(note, content=content, listed=note.listed if left else None)

    change(key, settled, notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Oldest:
    """The oldest call that is not archived. `age` is the time since its recording began."""

    call: CallId
    age: timedelta


def oldest(watch: str, notes: Notes, clock: Clock) -> Oldest | None:
    """Return the oldest call listed under `watch`, or None if all are archived. Raises Retry."""
    note = notes.first(_name(watch))
    if note is None or note.listed is None:
        return None
    began_at = parse_time(note.listed[1])
    return Oldest(call=CallId.parse(note.key.rpartition("#")[2]), age=clock.now() - began_at)


def listed_under(watch: str, notes: Lists) -> Iterator[Note]:
    """Yield the notes of calls listed under `watch`, the oldest first. Raises Retry."""
    return notes.listed(_name(watch), until="9999")


def _name(watch: str) -> str:
    return f"unarchived#{watch}"
