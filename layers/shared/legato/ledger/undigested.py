"""The list of evidence that no digest names yet.

A document is announced before it is written. So whatever dies in between, no digest forgets one: at
worst something is announced that was never written.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from legato.errors import Stale
from legato.ledger.notes import change
from legato.model import StoredObject, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from legato.model import Note
    from legato.ports import Clock, Lists, Notes

UNDIGESTED = "undigested"


@dataclass(frozen=True, slots=True)
class Announced:
    """A document that no digest names yet. `stored` is None as long as nobody said what it is.

    `version` is that of the note that announces it.
    """

    key: str
    at: datetime
    stored: StoredObject | None
    version: int


def announce(key: str, notes: Notes, clock: Clock) -> None:
    """List a document that is about to be written, once more if it never was. Raises Retry."""

    def listed(note: Note) -> Note:
        if note.listed is not None and note.content:
            return note
        return replace(note, listed=(UNDIGESTED, format_time(clock.now())))

    change(_key(key), listed, notes)


def written(stored: StoredObject, notes: Notes) -> None:
    """Note what was written, so that nobody has to ask the store. Raises Retry."""
    change(_key(stored.key), lambda note: replace(note, content=asdict(stored)), notes)


def digested(key: str, notes: Notes) -> None:
    """Take a document off the list: a digest names it. Raises Retry."""
    change(_key(key), lambda note: replace(note, listed=None), notes)


def never_written(announced: Announced, notes: Notes) -> None:
    """Take a document off the list that nobody writes, unless somebody is at it. Raises Retry."""
    note = notes.read(_key(announced.key))
    if note.version == announced.version:
        with suppress(Stale):
            notes.write(replace(note, listed=None))


def listed(notes: Lists, *, until: datetime) -> Iterator[Announced]:
    """Yield what was announced up to a moment and is not chained, in this order. Raises Retry."""
    for note in notes.listed(UNDIGESTED, until=format_time(until)):
        if note.listed is not None:
            stored = StoredObject(**note.content) if note.content else None
            key, at = note.key.removeprefix(_key("")), parse_time(note.listed[1])
            yield Announced(key, at, stored, note.version)


def _key(key: str) -> str:
    return f"undigested#{key}"
