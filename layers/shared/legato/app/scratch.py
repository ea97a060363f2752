"""Notes that nobody else reads."""

from __future__ import annotations

from legato.model import Note


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
