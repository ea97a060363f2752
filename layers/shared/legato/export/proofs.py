"""The digests that prove what is exported, with all that belongs to them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.covering import Digests
from legato.errors import Conflict, Retry
from legato.layout import stamp_key
from legato.library import whole
from legato.verify.call import folder_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from legato.library import Library, Stored
    from legato.model import Json


@dataclass(frozen=True, slots=True)
class _Digest:
    """What is needed of a digest: the documents that are exported, and the key that signed it."""

    objects: dict[str, Json]
    public_key: Json


class Proofs:
    """The digests of an archive, each of which is read once. They are taken at their word here."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._digests = Digests(library)
        self._days: dict[str, dict[str, Stored]] = {}
        self._read: dict[str, _Digest] = {}

    def digest_of(self, key: str, at: datetime) -> str | None:
        """Return the key of the signed digest that names a document, or None.

        Raises Conflict for a digest that is none, Retry.
        """
        with _digests():
            digest = self._digests.covering(key, at)
        # The digest of this moment is not signed yet.
        return digest if digest and f"{digest}.sig" in self._day(digest) else None

    def described(self, digest: str, folders: set[str], known: set[str]) -> dict[str, Json]:
        """Return what a digest says of the documents that are `known`, by key.

        Raises Retry if it names one in the folders that nobody knows: it was written meanwhile.
        """
        if digest not in self._read:
            with _digests():
                content = self._content(digest)
                objects = {each["key"]: each for each in content["objects"]}
            for key in objects:
                if key not in known and folder_of(key) in folders:
                    raise Retry(f"{key} was written meanwhile: run the same command again")
            wanted = {key: each for key, each in objects.items() if key in known}
            self._read[digest] = _Digest(wanted, content["signed_with"]["public_key"])
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
        with _digests():
            named = [self._public_key(digest) for digest in digests]
            return {each["key"]: each for each in named}

    def _public_key(self, digest: str) -> Json:
        if digest in self._read:
            return self._read[digest].public_key
        public_key: Json = self._content(digest)["signed_with"]["public_key"]
        return public_key

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

    def _content(self, digest: str) -> Json:
        stored = self._day(digest)[digest]
        content: Json = json.loads(whole(self._library, digest, version_id=stored.version_id))
        return content


@contextmanager
def _digests() -> Iterator[None]:
    """Turn what comes of a digest that is not what was written into an error that says so."""
    try:
        yield
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Conflict("a digest does not hold what was written: `legato verify`") from error
