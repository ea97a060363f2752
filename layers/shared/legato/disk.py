"""The local disk: names that appear whole or not at all, and what a disk refuses, in our words.

What is made here may be a recording. So nobody else may read it, and no link that somebody put
there leads it elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from legato.errors import Failed, Refused
from legato.format import volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_PLAIN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


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
                f"the disk of {target.parent} is full: make room, and the same command "
                f"resumes {target.name}"
            ) from error
        if error.errno == errno.ELOOP:
            raise a_link(target) from error
        raise Refused(
            f"{error.filename or target} cannot be written ({error.strerror}): choose another "
            "folder"
        ) from error


def prepare(folder: Path) -> None:
    """Make a folder if it is not there. Raises Refused for one that takes no files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(
            f"{folder} cannot be created ({error.strerror}): choose another folder with --out"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Refused(f"{folder} cannot be written: choose another folder with --out")


def a_link(path: Path) -> Refused:
    """Return the error for a symbolic link where a file is to be."""
    return Refused(
        f"{path} is a symbolic link, which is not followed: remove it, or choose another folder "
        "with --out"
    )


def refuse_link(path: Path) -> None:
    """Raise Refused if a name is that of a symbolic link, wherever it leads."""
    if path.is_symlink():
        raise a_link(path)


def create(path: Path, *, buffering: int = -1) -> IO[bytes]:
    """Make a new file that nobody else may read, in place of what has its name. Raises OSError."""
    path.unlink(missing_ok=True)
    number = os.open(path, _PLAIN | os.O_CREAT | os.O_EXCL, 0o600)
    return open(number, "w+b", buffering=buffering)  # noqa: PTH123 - a number has no path


def opened(path: Path) -> int:
    """Open a file to read and write it, or make it. Raises OSError, Refused for somebody else's."""
    try:
        return os.open(path, _PLAIN | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        number = os.open(path, _PLAIN)
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or not _ours(found, path):
            raise _not_ours(path)
        with suppress(PermissionError):  # some network file systems have modes of their own
            os.fchmod(number, 0o600)
    except BaseException:
        os.close(number)
        raise
    return number


def private_folder(folder: Path) -> None:
    """Make a folder that nobody else may look into, if it is not there. Raises OSError, Refused."""
    try:
        folder.mkdir(0o700, parents=True)
    except FileExistsError:
        found = folder.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise a_link(folder) from None
        if not stat.S_ISDIR(found.st_mode) or not _ours(found, folder):
            raise _not_ours(folder) from None
        with suppress(PermissionError):
            folder.chmod(0o700)


def clear_scratch(folder: Path) -> Path:
    """Make a folder that is empty, and return it.

    A process that is killed cleans up nothing, and Lambda keeps its /tmp for the one that takes its
    place. One invocation runs there at a time, so whatever is in the folder belongs to nobody.
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    """
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    private_folder(folder)
    return folder


def write_whole(path: Path, body: bytes) -> None:
    """Write a small file whole or not at all. Raises Full, Refused."""
    part = beside(path, ".part")
    with disk(path):
        with create(part) as file:
            file.write(body)
        part.replace(path)


def free(folder: Path) -> int:
    """Return how many bytes a folder still takes."""
    return shutil.disk_usage(folder).free


def refuse_lack_of_room(needed: int, room: int, folder: Path) -> None:
    """Raise Full if more bytes are to come than there is room for."""
    if needed > room:
        raise Full(
            f"{folder} has {volume(room)} free, and {volume(needed)} are needed: make room, or "
            "choose another folder with --out"
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


def _ours(found: os.stat_result, path: Path) -> bool:
    """Say whether what is there belongs to us, or to whose folder it is in."""
    return found.st_uid in (os.geteuid(), path.parent.stat().st_uid)


def _not_ours(path: Path) -> Refused:
    return Refused(f"{path} belongs to somebody else: choose another folder with --out")
