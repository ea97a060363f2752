"""Change a note that others may be changing too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.errors import Retry, Stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.model import Note
    from legato.ports import Notes

TRIES = 10


def change(key: str, becomes: Callable[[Note], Note], notes: Notes) -> Note:
    """Write what becomes of a note, if anything does, and return it. Raises Retry.

    `becomes` is called again on what another worker has written meanwhile.
    """
    for _ in range(TRIES):
        note = notes.read(key)
        changed = becomes(note)
        if changed == note:
            return note
        try:
            return notes.write(changed)
        except Stale:
            continue
    raise Retry(f"{key} is written faster than it is read")
