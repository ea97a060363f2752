"""What the digests name, until it is looked at. On the disk, so that memory does not grow."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.model import Json

COLUMNS = ("key", "version_id", "bytes", "sha256")


class Named:
    """Documents by key: manifests, and records of holds and accesses.

    The file is temporary and has no name.
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE named (key TEXT PRIMARY KEY, version_id TEXT, bytes INT, sha256 TEXT)"
            " WITHOUT ROWID"
        )

    def add(self, described: Json) -> bool:
        """Add a document; return whether nothing else was said of it before."""
        row = tuple(described[name] for name in COLUMNS)
        known = self._rows.execute("SELECT * FROM named WHERE key = ?", row[:1]).fetchone()
        if known is None:
            self._rows.execute("INSERT INTO named VALUES (?, ?, ?, ?)", row)
        return known in (None, row)

    def count(self) -> int:
        """Return how many there are."""
        [(count,)] = self._rows.execute("SELECT count(*) FROM named")
        return int(count)

    def take(self, folder: str) -> dict[str, Json]:
        """Take out all that lie in a folder, which ends in `/`."""
        after = folder[:-1] + chr(ord("/") + 1)
        rows = self._rows.execute(
            "DELETE FROM named WHERE key > ? AND key < ? RETURNING *", (folder, after)
        )
        return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in rows}

    def rest(self) -> Iterator[str]:
        """Yield the keys of all that nobody took."""
        yield from (key for (key,) in self._rows.execute("SELECT key FROM named ORDER BY key"))

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()
