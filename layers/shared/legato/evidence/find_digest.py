"""Which digest names a document: the proof that it stood in the archive, and has not changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.archive.layout import digest_key
from legato.archive.library import whole
from legato.errors import Conflict
from legato.evidence.digest import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from legato.archive.library import Library, Stored
    from legato.model import Json

HOURS = 72
"""So many digests from the hour of its announcement on may name a document; more are not read."""
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Digest:
    """The documents that a digest names, by key, and the public key of its signature.

    Of each there are `key`, `version_id` and `sha256`.
    """

    objects: dict[str, Json]
    public_key: Json


class Digests:
    """The digests of an archive, each of which is read once, however many documents are asked for.

    They are taken at their word: `legato verify` says whether they are true.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._days: dict[str, list[Stored]] = {}
        self._named: dict[str, frozenset[str]] = {}

    def find_digest_of(self, key: str, sealed_at: datetime) -> str | None:
        """Return the key of the digest that names the document under `key`, or None.

        `sealed_at` is when the document says it was made, in UTC. It is announced to the chain
        right after that, and named by the digest of that hour if it was written by the end of it.
        Raises Conflict for a digest that is none, Failed, Retry.
        """
        for digest in self._from(sealed_at):
            if key in self._names(digest):
                return digest.key
        return None

    def _from(self, sealed_at: datetime) -> Iterator[Stored]:
        """Yield the digests from an hour on, the oldest first."""
        first, last = digest_key(sealed_at), digest_key(sealed_at + HOURS * HOUR)
        day = sealed_at
        while (folder := _folder(day)) <= _folder(sealed_at + HOURS * HOUR):
            if folder not in self._days:
                found = self._library.listed(folder)
                self._days[folder] = [one for one in found if one.key.endswith(".json")]
            yield from (one for one in self._days[folder] if first <= one.key <= last)
            day += DAY

    def _names(self, digest: Stored) -> frozenset[str]:
        if digest.key not in self._named:
            self._named[digest.key] = frozenset(read_digest(digest, self._library).objects)
        return self._named[digest.key]


def read_digest(digest: Stored, library: Library) -> Digest:
    """Read a digest. Raises Conflict if it is none, Failed, Retry."""
    body = whole(library, digest.key, version_id=digest.version_id)
    try:
        content = json.loads(body)
        objects = {each["key"]: _described(each) for each in content["objects"]}
        return Digest(objects, _described(content["signed_with"]["public_key"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Conflict(
            f"{digest.key} does not hold what was written: `legato verify` says more"
        ) from error


def _described(given: Json) -> Json:
    return {name: given[name] for name in ("key", "version_id", "sha256")}


def _folder(day: datetime) -> str:
    """Return the folder of a day's digests, with its trailing slash."""
    return digest_key(day).rpartition("/")[0] + "/"
