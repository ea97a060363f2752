"""The local disk: names that appear whole or not at all, and what a disk refuses, in our words."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from legato.errors import Failed, Refused
from legato.words import volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Full(Failed):
    """The disk has no room for it."""


@contextmanager
def disk(target: Path) -> Iterator[None]:
    """Say in our words what a disk refuses. Raises Full, Refused."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise Full(
                f"the disk of {target.parent} is full: make room, and the same command goes on "
                f"where {target.name} ended"
            ) from error
        raise Refused(f"{error.filename or target} cannot be written: {error.strerror}") from error


def prepare(folder: Path) -> None:
    """Make a folder if it is not there. Raises Refused for one that takes no files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"{folder} cannot be written: name another folder with --to")


def free(folder: Path) -> int:
    """Return how many bytes a folder still takes."""
    return shutil.disk_usage(folder).free


def refuse_lack_of_room(needed: int, room: int, folder: Path) -> None:
    """Raise Full if more bytes are to come than there is room for."""
    if needed > room:
        raise Full(
            f"{folder} has room for {volume(room)}, and {volume(needed)} are to come: make room, "
            "or name another folder with --to"
        )


def beside(target: Path, ending: str) -> Path:
    """Return the path of what belongs to a file and lies beside it."""
    return target.with_name(target.name + ending)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_names(folder: Path) -> None:
    """Let a new name survive a power failure."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        pass  # not every file system can
    finally:
        os.close(number)
