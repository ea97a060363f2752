"""Ledger and archive know each other, so that a ledger that was lost or set back is noticed.

Nothing is sealed with a ledger that knows less than the bucket. Both hold the ledger's id and a
count that goes up while calls are archived: a note in the ledger, and one small object a step in
the bucket. What the bucket has counted and the ledger has not was forgotten by the ledger.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato.archive.layout import CALLS, birth_key, mark_key, mark_prefix
from legato.errors import Stale, Wait
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json, Note, StoredObject
    from legato.ports import Clock, Notes

NOTE = "birthmark"
LOST = "the ledger has lost what the archive knows; run `legato ledger rebuild`"
LOST_SECONDS = 300
TRIES = 5


class MarkedKeys(Protocol):
    """The archive's keys, in their order."""

    def first(self, prefix: str, *, after: str = "") -> str | None:
        """Return the first key below the prefix, or the first one after another. Raises Retry."""
        ...


class Marked(MarkedKeys, Protocol):
    """The archive, as far as it is marked."""

    def put_bytes(self, key: str, body: bytes, *, media_type: str) -> StoredObject:
        """Store a small object, once."""
        ...


class Birthmark:
    """Compares ledger and archive, and lets both count on, once in `every`.

    `archive` must not lock what it writes: the marks are no evidence, and expire.
    """

    def __init__(
        self,
        archive: Marked,
        notes: Notes,
        clock: Clock,
        *,
        every: timedelta = timedelta(minutes=1),
    ) -> None:
        self._archive = archive
        self._notes = notes
        self._clock = clock
        self._every = every
        self._checked_at: datetime | None = None

    def check(self) -> None:
        """Raise Wait if the ledger is not the one that this archive was written with, Retry."""
        now = self._clock.now()
        if self._checked_at is not None and now - self._checked_at < self._every:
            return
        note = self._notes.read(NOTE)
        if not note.content:
            if self._archive.first(CALLS) is not None:
                raise Wait(LOST, seconds=LOST_SECONDS)
            note = mark_anew(self._archive, self._notes, self._clock)
        for _ in range(TRIES):
            if is_behind(self._archive, note.content):
                seen, note = note, self._notes.read(NOTE)
                if note == seen:
                    raise Wait(LOST, seconds=LOST_SECONDS)
                continue  # others count on while we look
            with suppress(Stale):
                self._count_on(note)
            self._checked_at = now
            return
        raise Wait("the ledger's mark is written faster than it is read", seconds=1)

    def _count_on(self, note: Note) -> None:
        """Count on if it is time. The ledger says so first: who dies in between has said enough."""
        content = note.content
        if "next" not in content:
            if self._clock.now() - parse_time(content["at"]) < self._every:
                return
            content = content | {"next": content["mark"] + 1}
            note = self._notes.write(replace(note, content=content))
        _put(self._archive, mark_key(content["id"], content["next"]))
        counted = {
            "id": content["id"],
            "mark": content["next"],
            "at": format_time(self._clock.now()),
        }
        self._notes.write(replace(note, content=counted))


def is_behind(archive: MarkedKeys, content: Json) -> bool:
    """Say whether the archive has counted further than a ledger with this mark, or knows it not."""
    name: str = content["id"]
    count: int = content["next"] if "next" in content else content["mark"]
    if archive.first(birth_key(name)) is None:
        return True
    return archive.first(mark_prefix(name), after=mark_key(name, count)) is not None


def is_lost(archive: MarkedKeys, notes: Notes) -> bool:
    """Say whether the ledger has to be rebuilt. Raises Retry."""
    content = notes.read(NOTE).content
    if not content:
        return archive.first(CALLS) is not None
    # A worker may be counting on: only who is behind twice is.
    return is_behind(archive, content) and is_behind(archive, notes.read(NOTE).content)


def mark_anew(archive: Marked, notes: Notes, clock: Clock) -> Note:
    """Give the ledger a new id, which the archive knows from now on; return its note.

    The archive first: a worker that dies in between leaves a mark that nobody looks for.
    """
    name = uuid.uuid4().hex
    _put(archive, birth_key(name))
    content = {"id": name, "mark": 0, "at": format_time(clock.now())}
    note = notes.read(NOTE)
    try:
        return notes.write(replace(note, content=content))
    except Stale:
        return notes.read(NOTE)


def _put(archive: Marked, key: str) -> None:
    archive.put_bytes(key, b"{}\n", media_type="application/json")
