"""Bring objects of the archive to the local disk: every byte verified, whole or not at all.

Bytes go into `NAME.part` beside the file that they are to become, and get its name only when they
are those that were sealed. What broke off goes on from there when the same is asked for again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from legato.disk import beside, disk, free, keep_names, opened, refuse_link, sha256_of
from legato.errors import Conflict, Failed, Refused, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from hashlib import _Hash
    from pathlib import Path

    from legato.archive.library import Library
    from legato.model import Json
    from legato.ports import Stitcher

TRIES = 5
"""So often a connection may break without one more byte."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProgress:
    """How far a file is, in bytes; one that is joined counts the bytes of its legs."""

    name: str
    done: int
    total: int


def _tell_nobody(_progress: FileProgress) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloading:
    """What is fetched with.

    `stitcher` makes one when legs have to be joined, and raises Failed if it cannot. `room` says
    how many bytes a folder still takes. `wait` is for seconds.
    """

    library: Library
    stitcher: Callable[[], Stitcher]
    overwrite: bool = False
    tell: Callable[[FileProgress], None] = _tell_nobody
    room: Callable[[Path], int] = free
    wait: Callable[[float], None] = time.sleep


def fetch(described: Json, target: Path, work: Downloading) -> bool:
    """Fetch an object, as manifests and digests describe it, and return whether that was needed.

    Raises Conflict if its bytes are not those that were sealed, and nothing of them remains then;
    Refused if another file has the name, unless it may be overwritten, or if it cannot be written;
    Full; Cold; Failed if it is gone, or if another process fetches it; Retry.
    """
    if is_there(described, target, overwrite=work.overwrite):
        return False
    part = beside(target, ".part")
    with _opened(part) as file:
        if not _downloaded(described, file, target, work):
            part.unlink()
            raise Conflict(
                f"{described['key']} does not hold the bytes that were sealed, and nothing of it "
                "was kept: `legato verify --deep` says more"
            )
        with disk(target):
            os.fsync(file.fileno())
            part.replace(target)
            keep_names(target.parent)
    return True


def is_there(described: Json, target: Path, *, overwrite: bool = False) -> bool:
    """Say whether a file is there that holds the bytes of an object.

    Raises Refused if another one has its name, unless it may be overwritten, and for a link.
    """
    refuse_link(target)
    with disk(target):
        if not target.exists():
            return False
        same = (
            target.is_file()
            and target.stat().st_size == described["bytes"]
            and sha256_of(target) == described["sha256"]
        )
    if not same and (target.is_dir() or not overwrite):
        raise taken(target)
    return same


def taken(target: Path) -> Refused:
    """Return the error for a file whose name another one has."""
    return Refused(
        f"{target} exists with other content: --overwrite replaces it, --out chooses another folder"
    )


@contextmanager
def _opened(part: Path) -> Iterator[IO[bytes]]:
    """Open what is there of a file, to go on with it, for no other process at the same time."""
    with disk(part):
        number = opened(part)
    with open(number, "r+b", buffering=0) as file:  # noqa: PTH123 - a number has no path
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Failed(f"another command is writing {part} at this moment") from error
        except OSError:
            pass  # a file system without locks
        if not (part.exists() and os.path.samestat(os.fstat(number), part.stat())):
            raise Failed(f"another command has just finished {part}: run this one again")
        try:
            yield file
        except BaseException:
            if os.fstat(number).st_size == 0:
                part.unlink(missing_ok=True)
            raise


def _downloaded(described: Json, file: IO[bytes], target: Path, work: Downloading) -> bool:
    """Fetch what is missing of an object, and say whether its bytes are those that were sealed."""
    sealed: str = described["sha256"]
    resumed = os.fstat(file.fileno()).st_size > 0
    if _download(described, file, target, work) == sealed:
        return True
    if not resumed:
        return False
    # What was there before may be of an earlier revision, or damaged on this disk.
    with disk(target):
        file.truncate(0)
    return _download(described, file, target, work) == sealed


def _download(described: Json, file: IO[bytes], target: Path, work: Downloading) -> str:
    """Go on where the file ends, as often as it takes, and return the SHA-256 of all of it."""
    digest, tries = _read(file), 0
    while (begin := file.tell()) < described["bytes"]:
        try:
            _go_on(described, file, digest, target, work)
        except Retry as error:
            tries = tries + 1 if file.tell() == begin else 1
            if tries == TRIES:
                raise Retry(f"{error}: the same command resumes there") from error
            work.wait(2**tries / 2)
    return digest.hexdigest()


def _read(file: IO[bytes]) -> _Hash:
    """Read what is there, up to the end of the file."""
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest


def _go_on(
    described: Json, file: IO[bytes], digest: _Hash, target: Path, work: Downloading
) -> None:
    """Fetch what is missing at the end of the file, in one go. Raises Retry where it breaks off.

    Stops as soon as there are more bytes than there may be.
    """
    key, total = described["key"], described["bytes"]

    def tell() -> None:
        work.tell(FileProgress(name=target.name, done=file.tell(), total=total))

    tell()
    with work.library.read(key, version_id=described["version_id"], start=file.tell()) as pieces:
        for piece in pieces:
            with disk(target):
                _write(file, piece)
            digest.update(piece)
            tell()
            if file.tell() > total:
                break
    if file.tell() < total:
        raise Retry(f"reading {key} ended after {file.tell()} of {total} bytes")


def _write(file: IO[bytes], piece: bytes) -> None:
    """Write all of it: a disk takes a part, before it says why it takes no more."""
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]
