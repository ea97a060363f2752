"""What the ledger says of a call that is being restored: a note, in one of two lists.

It names each object that was asked for. One that can be read has `done_at`, and `until` when.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.archive.library import COLD
from legato.ledger.notes import change
from legato.model import CallId, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from legato.archive.library import State, Tier
    from legato.model import Json, Note
    from legato.ports import Clock, Lists, Notes


LIST = "restores"
"""The calls of which something is under way."""
THERE = "restored"
"""The calls of which all can be read that was asked for."""
UNASKED = timedelta(hours=1)
"""What stands in a note for so long, and is not on its way, was never asked for."""
_EVER = "9999"


def key_of(call: CallId) -> str:
    """Return the key of a call's note."""
    return f"restore#{call}"


def call_of(note: Note) -> CallId:
    """Return the call that a note is of."""
    return CallId.parse(note.key.removeprefix("restore#"))


def listed(name: str, notes: Lists) -> Iterator[Note]:
    """Yield the notes in a list, the oldest first. Raises Retry."""
    return notes.listed(name, until=_EVER)


def written(note: Note, objects: Json) -> Note:
    """Return a note with these objects, in the list where they belong."""
    if not objects:
        return replace(note, content={"objects": {}}, listed=None)
    coming = any("done_at" not in each for each in objects.values())
    content = note.content | {"objects": objects}
    place = (LIST if coming else THERE, content["requested_at"])
    return replace(note, content=content, listed=place)


def ordered(note: Note, pieces: Iterable[Piece], order: Json) -> Note:
    """Return the note of a call with what is about to be asked for, and what is there of it."""
    objects = dict(note.content.get("objects", {}))
    for piece in pieces:
        if piece.lies_cold or (piece.state.storage_class in COLD and piece.key not in objects):
            entry = {"version_id": piece.version_id, "bytes": piece.size}
            objects[piece.key] = entry | copy_of(piece.state, order["requested_at"])
    return written(replace(note, content={**order, "objects": objects}), objects)


def settled(
    note: Note, unasked: Collection[str], copies: Mapping[str, Json], tier: Tier | None
) -> Note:
    """Return a note without what nobody was asked for, and with copies that stay longer now.

    `tier` is what is under way really has, None if that is what was noted.
    """
    objects = {
        key: {**each, **copies.get(key, {})}
        for key, each in note.content.get("objects", {}).items()
        if key not in unasked
    }
    content = note.content | ({"tier": tier} if tier else {})
    return written(replace(note, content=content), objects)


def copy_of(state: State, at: str) -> Json:
    """Return what a note says of an object's copy, which was there `at` a time at the latest."""
    if state.restored_until is None:
        return {}
    return {"done_at": at, "until": format_time(state.restored_until)}


def correct(key: str, states: Mapping[str, State | None], notes: Notes, clock: Clock) -> Note:
    """Write into a note what S3 says of these objects; None is one that is gone."""

    def corrected(note: Note) -> Note:
        known = note.content.get("objects", {})
        now = clock.now()
        objects = {
            name: _as_seen(each, states[name], note, now) if name in states else each
            for name, each in known.items()
        }
        left = {name: each for name, each in objects.items() if each is not None}
        return note if not note.version else written(note, left)

    return change(key, corrected, notes)


def _as_seen(known: Json, state: State | None, note: Note, now: datetime) -> Json | None:
    """Return what a note is to say of an object that is in this state; None for nothing."""
    if state is None:
        return None
    if state.restored_until is not None:
        return {"done_at": format_time(now), **known, "until": format_time(state.restored_until)}
    bare = {name: value for name, value in known.items() if name not in ("done_at", "until")}
    if state.restoring:
        return bare
    # Its copy is gone; or somebody is about to ask for it, or died before that.
    asked_at = parse_time(note.content["requested_at"])
    asked_just_now = "done_at" not in known and asked_at + UNASKED > now
    return bare if asked_just_now else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One object to be played of a call, and how it is stored now. `size` is in bytes."""

    key: str
    version_id: str
    size: int
    state: State

    @property
    def lies_cold(self) -> bool:
        """Whether nobody can read it and nothing is under way."""
        return not (self.state.readable or self.state.restoring)
