"""The list of archived calls whose recordings may be removed at their provider."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import CallId, CallState, Json, Note, format_time

if TYPE_CHECKING:
    from legato.ports import Clock, Notes

_PREFIX = "removal#"


def archived(state: CallState, notes: Notes, clock: Clock) -> None:
    """List a call, unless all of its legs are settled. Raises Retry."""

    def listed(note: Note) -> Note:
        content = {
            "legs": sorted({*note.content.get("legs", ()), *state.legs}),
            "settled": note.content.get("settled", []),
        }
        order = note.listed[1] if note.listed is not None else format_time(clock.now())
        return with_list(note, content, (removals_list(state.provider), order))

    change(removal_key(state.id), listed, notes)


def is_removed(call: CallId, recording: str, notes: Notes) -> bool:
    """Say whether a recording was removed at its provider by us. Raises Retry."""
    return notes.read(removed_key(call, recording)).version > 0


def with_list(note: Note, content: Json, listed: tuple[str, str] | None) -> Note:
    """Return the note with this content; it is listed as long as a leg is not settled."""
    left = set(content["legs"]) - set(content["settled"])
    return replace(note, content=content, listed=listed if left else None)


def removal_key(call: CallId) -> str:
    return f"{_PREFIX}{call}"


def removals_list(provider: str) -> str:
    return f"{_PREFIX}{provider}"


def remover_key(provider: str) -> str:
    """Return the key of the note with what a provider's remover remembers."""
    return f"remover#{provider}"


def removed_key(call: CallId, recording: str) -> str:
    return f"removed#{call._replace(call=recording)}"
