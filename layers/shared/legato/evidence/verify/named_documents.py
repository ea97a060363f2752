"""What the digests name, until it is looked at. On the disk, so that memory does not grow."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.model import Json

COLUMNS = ("key", "version_id", "bytes", "sha256", "modified_at", "begin", "end")
_SAME = 4
"""Columns that say which bytes are meant."""


class Named:
    """What digests name, by key. And the folders of calls.

    The file is temporary and has no name.
    """

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute(
            "CREATE TABLE named (key TEXT PRIMARY KEY, version_id TEXT, bytes INT, sha256 TEXT,"
            " modified_at TEXT, begin TEXT, end TEXT) WITHOUT ROWID"
        )
        self._rows.execute("CREATE TABLE calls (call TEXT PRIMARY KEY, folder TEXT) WITHOUT ROWID")
        self._rows.execute("CREATE TABLE held (call TEXT PRIMARY KEY, held TEXT) WITHOUT ROWID")

    def add(self, described: Json, digest: Json) -> bool:
        """Add a document; return whether nothing else was said of it before.

        `digest` names it, or says that it is `lost`: then there is no `modified_at`.
        """
        said = {"modified_at": None, "begin": digest["from"], "end": digest["to"]} | described
        row = tuple(said[name] for name in COLUMNS)
        known = self._rows.execute("SELECT * FROM named WHERE key = ?", row[:1]).fetchone()
        if known is None:
            self._rows.execute("INSERT INTO named VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return known is None or known[:_SAME] == row[:_SAME]

    def folder_of(self, call: str, folder: str) -> str:
        """Return the first folder that was named for a call."""
        self._rows.execute("INSERT OR IGNORE INTO calls VALUES (?, ?)", (call, folder))
        found = self._rows.execute("SELECT folder FROM calls WHERE call = ?", (call,))
        return str(found.fetchone()[0])

    def hold(self, call: str, held: Json) -> None:
        """Add what the records of a call's holds come to."""
        self._rows.execute("INSERT OR REPLACE INTO held VALUES (?, ?)", (call, json.dumps(held)))

    def held(self, call: str) -> Json | None:
        """Return what the records of a call's holds come to; None if there is none."""
        found = self._rows.execute("SELECT held FROM held WHERE call = ?", (call,)).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def count(self) -> int:
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
