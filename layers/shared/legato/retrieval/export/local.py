"""What was fetched into a package, to be read again as from the archive."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from legato.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE_BYTES = 1 << 20


class Files:
    """The reading half of a Library: files under the archive's keys, the only version of each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def read(self, key: str, *, version_id: str, start: int = 0) -> Iterator[Iterator[bytes]]:  # noqa: ARG002 - a file has none
        """Open a file for reading in pieces. Raises Failed."""
        try:
            with (self._folder / key).open("rb") as file:
                file.seek(start)
                yield iter(lambda: file.read(PIECE_BYTES), b"")
        except OSError as error:
            raise Failed(f"{key} cannot be read: {error.strerror}") from error
