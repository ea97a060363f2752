"""The digests that prove what is exported, with all that belongs to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.archive.layout import folder_of, stamp_key
from legato.errors import Retry
from legato.evidence.find_digest import Digests, read_digest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from legato.archive.library import Library, Stored
    from legato.evidence.find_digest import Digest
    from legato.model import Json


class Proofs:
    """The digests of an archive, each of which is read once. They are taken at their word here."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._digests = Digests(library)
        self._days: dict[str, dict[str, Stored]] = {}
        self._read: dict[str, Digest] = {}

    def digest_of(self, key: str, at: datetime) -> str | None:
        """Return the key of the signed digest that names a document, or None.

        Raises Conflict for a digest that is none, Retry.
        """
        digest = self._digests.find_digest_of(key, at)
        # The digest of this moment is not signed yet.
        return digest if digest and f"{digest}.sig" in self._day(digest) else None

    def described(self, digest: str, folders: set[str], known: set[str]) -> dict[str, Json]:
        """Return what a digest says of the documents that are `known`, by key.

        Raises as digest_of, and Retry if it names one in the folders that nobody knows: it was
        written meanwhile.
        """
        if digest not in self._read:
            found = self._digest(digest)
            for key in found.objects:
                if key not in known and folder_of(key) in folders:
                    raise Retry(f"{key} was written meanwhile: run the same command again")
            wanted = {key: each for key, each in found.objects.items() if key in known}
            self._read[digest] = replace(found, objects=wanted)
        return self._read[digest].objects

    def files(self, digests: Iterable[str]) -> dict[str, Stored]:
        """Return all that lies in the archive for these digests, by key.

        Their signatures, and those that come after them up to the next time stamp: it stands for
        all before it. The public keys are not among them. Raises Retry.
        """
        found: dict[str, Stored] = {}
        for digest in digests:
            for each in self._up_to_stamp(digest):
                day = self._day(each)
                found |= {
                    key: day[key] for key in (each, f"{each}.sig", stamp_key(each)) if key in day
                }
        return found

    def public_keys(self, digests: Iterable[str]) -> dict[str, Json]:
        """Return the public keys that these digests name, by key. Raises as digest_of."""
        named = [(self._read.get(each) or self._digest(each)).public_key for each in digests]
        return {each["key"]: each for each in named}

    def _up_to_stamp(self, digest: str) -> list[str]:
        day = self._day(digest)
        later = sorted(key for key in day if key.endswith(".json") and key >= digest)
        stamped = next((at for at, key in enumerate(later) if stamp_key(key) in day), 0)
        return later[: stamped + 1]

    def _day(self, digest: str) -> dict[str, Stored]:
        folder = digest.rpartition("/")[0] + "/"
        if folder not in self._days:
            self._days[folder] = {each.key: each for each in self._library.listed(folder)}
        return self._days[folder]

    def _digest(self, digest: str) -> Digest:
        return read_digest(self._day(digest)[digest], self._library)
