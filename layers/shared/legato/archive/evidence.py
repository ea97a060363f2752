"""Where evidence is verified: a bucket, or a folder that was exported from one."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from legato.disk import sha256_of
from legato.errors import Failed, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of an object as it is listed; `gone` is a delete marker.

    A file of a folder is the only version of itself. It has no id, and no time that could be
    trusted.
    """

    key: str
    id: str = ""
    size: int = 0
    modified_at: datetime | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLock:
    """How long nobody can remove a version of an object. COMPLIANCE is stronger than GOVERNANCE."""

    mode: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What keeps a version of an object from being removed."""

    lock: VersionLock | None
    held: bool


class Evidence(Protocol):
    """A copy of the archive that can be read."""

    @property
    def versioned(self) -> bool:
        """Whether an object is what its version id says."""
        ...

    @property
    def locked(self) -> bool:
        """Whether each object of the evidence has to have a lock."""
        ...

    def listed(self, prefix: str) -> Iterator[Version]:
        """Yield all versions below a prefix that ends in `/`.

        What has a folder or a key in common comes together, of a key the newest version first.
        Raises Retry.
        """
        ...

    def read(self, version: Version) -> bytes:
        """Return the bytes of a small object. Raises Retry, Failed."""
        ...

    def sha256(self, version: Version) -> str | None:
        """Return the hash of all its bytes, in hex; None if it is cold. Raises Retry, Failed."""
        ...

    def guard(self, version: Version) -> Guard:
        """Say what guards it. Raises Retry."""
        ...

    def held(self, version: Version) -> bool:
        """Say whether it is under legal hold. Raises Retry, also where nobody may see it."""
        ...


class Folder:
    """The objects of an archive as files, under the same keys. It needs no network."""

    versioned = False
    locked = False

    def __init__(self, path: Path) -> None:
        """Raise Refused if it is no archive."""
        if not any((path / name).is_dir() for name in ("calls", "digests")):
            raise Refused(
                f"{path} is not an archive: give the folder that holds calls/ and digests/"
            )
        self._path = path

    def listed(self, prefix: str) -> Iterator[Version]:
        """Yield all files below a prefix, folder by folder."""
        folder = self._path / prefix
        if not folder.is_dir():
            return
        with _plain(folder):
            found = sorted(folder.iterdir())
        for path in found:
            key = f"{prefix}{path.name}"
            if path.is_dir(follow_symlinks=False):
                yield from self.listed(f"{key}/")
            elif path.is_file():
                yield Version(key=key, size=path.stat().st_size)

    def read(self, version: Version) -> bytes:
        """Return the bytes of a file. Raises Failed."""
        path = self._path / version.key
        with _plain(path):
            return path.read_bytes()

    def sha256(self, version: Version) -> str | None:
        """Return the hash of a file. Raises Failed."""
        path = self._path / version.key
        with _plain(path):
            return sha256_of(path)

    def guard(self, version: Version) -> Guard:  # noqa: ARG002 - it is the same for all
        """Say that a file is not guarded at all."""
        return Guard(lock=None, held=False)

    def held(self, version: Version) -> bool:  # noqa: ARG002 - it is the same for all
        """Say that a file is under no hold."""
        return False


@contextmanager
def _plain(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from error
