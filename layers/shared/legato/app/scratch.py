"""Notes that nobody else reads."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from legato.aws.refusals import refusal
from legato.errors import LegatoError
from legato.model import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.ports import Notes


class ScratchNotes:
    """Notes that live as long as the process."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}

    def read(self, key: str) -> Note:
        return self._notes.get(key, Note(key=key))

    def write(self, note: Note) -> Note:
        self._notes[note.key] = note
        return note

    def first(self, name: str) -> Note | None:
        del name  # nothing here is listed
        return None


@contextmanager
def refusals_named() -> Iterator[None]:
    """Name the action where AWS refuses one. Raises NotPermitted then, else what was raised."""
    try:
        yield
    except LegatoError as error:
        raise refusal(error) or error from error.__cause__


class SharedGate:
    """The notes of a stack's rate limits, and all others of this process alone.

    Who tries a credential out logs in anew, and sets nothing aside for the functions; but the
    provider counts its requests with theirs.
    """

    def __init__(self, ledger: Notes) -> None:
        self._ledger = ledger
        self._own = ScratchNotes()

    def read(self, key: str) -> Note:
        with refusals_named():
            return self._of(key).read(key)

    def write(self, note: Note) -> Note:
        with refusals_named():
            return self._of(note.key).write(note)

    def first(self, name: str) -> Note | None:
        return self._own.first(name)

    def _of(self, key: str) -> Notes:
        return self._ledger if key.startswith("gate#") else self._own
