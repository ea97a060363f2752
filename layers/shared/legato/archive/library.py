"""What a person reads of the archive, with an identity of their own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from legato.errors import Failed
from legato.model import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime


COLD = ("GLACIER", "DEEP_ARCHIVE")

type Tier = Literal["Expedited", "Standard", "Bulk"]
TIERS: tuple[Tier, ...] = ("Expedited", "Standard", "Bulk")
"""The fastest one first."""


class Cold(Failed):
    """An object lies in cold storage, and has to be restored before it can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A version of an object, as a listing has it."""

    key: str
    version_id: str
    size: int
    storage_class: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How an object is stored now.

    `restoring` while it is on its way out of cold storage; `restored_until` says how long the copy
    stays that was made. `lock` is COMPLIANCE or GOVERNANCE, until `locked_until`.
    """

    size: int
    storage_class: str
    restoring: bool = False
    restored_until: datetime | None = None
    lock: str | None = None
    locked_until: datetime | None = None
    held: bool = False

    @property
    def readable(self) -> bool:
        """Whether it can be read now."""
        return self.storage_class not in COLD or self.restored_until is not None


class Library(Protocol):
    """The archive's bucket, for reading. Everything is read by its version."""

    def listed(self, prefix: str) -> Iterator[Stored]:
        """Yield the newest version of each object below the prefix, by key. Raises Retry."""
        ...

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield each folder right below this one, as a prefix of its own, by name. Raises Retry."""
        ...

    def first(self, prefix: str, *, after: str = "") -> str | None:
        """Return the first key below the prefix, or the first one after another. Raises Retry."""
        ...

    def state(self, key: str, *, version_id: str) -> State:
        """Say how an object is stored. Raises Failed if it is gone, Retry."""
        ...

    def read(
        self, key: str, *, version_id: str, start: int = 0
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open an object for reading in pieces, from the byte `start` on.

        Raises Cold, Failed if it is gone, Retry when it breaks off.
        """
        ...

    def restore(self, key: str, *, version_id: str, days: int, tier: Tier) -> bool:
        """Ask for a copy of a cold object that stays for so many days.

        Returns whether that was news: False if it is on its way already. Where a copy is there, it
        stays `days` from now. Raises Failed if S3 refuses the tier, Retry.
        """
        ...

    def link(self, key: str, *, version_id: str, seconds: int, name: str) -> str:
        """Return an address that opens one object, for whoever has it, for so long.

        `name` is what a browser is to call the file.
        """
        ...


def document(library: Library, stored: Stored) -> tuple[StoredObject, bytes]:
    """Return a small object as it is described elsewhere, and its bytes. Raises as Library.read."""
    body = whole(library, stored.key, version_id=stored.version_id)
    sha256 = hashlib.sha256(body).hexdigest()
    described = StoredObject(
        key=stored.key, version_id=stored.version_id, size=stored.size, sha256=sha256
    )
    return described, body


def whole(library: Library, key: str, *, version_id: str) -> bytes:
    """Return the bytes of a small object. Raises as Library.read."""
    with library.read(key, version_id=version_id) as pieces:
        return b"".join(pieces)
