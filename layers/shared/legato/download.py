"""Bring objects of the archive to the local disk: every byte verified, whole or not at all.

Bytes go into `NAME.part` beside the file that they are to become, and get its name only when they
are those that were sealed. What broke off goes on from there when the same is asked for again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from legato.errors import Conflict, Failed, Refused, Retry
from legato.model import MEDIA_TYPES, AudioFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from legato.library import Library
    from legato.model import Json
    from legato.ports import Stitcher

TRIES = 5
"""So often a connection may break without one more byte."""
OFFSET_TOLERANCE_MS = 50
"""For each leg: audio at another sample rate ends a little earlier or later."""
_PIECE = 1 << 20
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Full(Failed):
    """The disk has no room for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a file is, in bytes; one that is joined counts the bytes of its legs."""

    name: str
    done: int
    total: int


def _tell_nobody(_progress: Progress) -> None:
    return None


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is fetched with.

    `stitcher` makes one when legs have to be joined, and raises Failed if it cannot. `room` says
    how many bytes a folder still takes. `wait` is for seconds.
    """

    library: Library
    stitcher: Callable[[], Stitcher]
    overwrite: bool = False
    tell: Callable[[Progress], None] = _tell_nobody
    room: Callable[[Path], int] = _free
    wait: Callable[[float], None] = time.sleep


def fetch(described: Json, target: Path, work: Work) -> bool:
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
            _keep_names(target.parent)
    return True


def join(manifest: Json, target: Path, work: Work) -> str:
    """Fetch all legs of a call, join them into the target, and return its SHA-256.

    The legs are in `NAME.legs` until it is done, and stay there when it breaks off. Replaces what
    has the name. Raises as fetch; Failed if they cannot be joined.
    """
    legs: Sequence[Json] = manifest["legs"]
    folder = beside(target, ".legs")
    total, done = sum(leg["bytes"] for leg in legs), 0

    def tell(progress: Progress) -> None:
        work.tell(Progress(name=target.name, done=done + progress.done, total=total))

    inside = replace(work, overwrite=True, tell=tell)
    with disk(target):
        folder.mkdir(exist_ok=True)
    try:
        paths = [folder / f"{number}.{extension(leg)}" for number, leg in enumerate(legs)]
        for leg, path in zip(legs, paths, strict=True):
            fetch(leg, path, inside)
            done += leg["bytes"]
        whole = folder / f"joined.{joined_extension(legs)}"
        _join(manifest, paths, whole, work)
        with disk(target):
            sha256 = sha256_of(whole)
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(target)
            _keep_names(target.parent)
    except Full:
        raise
    except Failed:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return sha256


def is_there(described: Json, target: Path, *, overwrite: bool = False) -> bool:
    """Say whether a file is there that holds the bytes of an object.

    Raises Refused if another one has its name, unless it may be overwritten.
    """
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
        f"{target} is there with other bytes: --overwrite replaces it, --to names another folder"
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def beside(target: Path, ending: str) -> Path:
    """Return the path of what belongs to a file and lies beside it."""
    return target.with_name(target.name + ending)


def extension(described: Json) -> str:
    """Return `mp3` or `wav`, for audio as a manifest describes it."""
    return next(name for name, kind in MEDIA_TYPES.items() if kind == described["media_type"])


def joined_extension(legs: Sequence[Json]) -> str:
    """Return what legs become when they are joined: MP3s of one kind an MP3, all else a WAV."""
    return "mp3" if extension(legs[0]) == "mp3" and _alike(legs) else "wav"


def joined_size(legs: Sequence[Json]) -> int:
    """Return about how many bytes legs have when they are joined."""
    copied: int = sum(leg["bytes"] for leg in legs)
    if _alike(legs):
        return copied
    second = 2 * max(leg["sample_rate"] for leg in legs) * max(leg["channels"] for leg in legs)
    decoded: int = sum(leg["duration_ms"] for leg in legs) * second // 1000
    return max(copied, decoded)


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


@contextmanager
def _opened(part: Path) -> Iterator[IO[bytes]]:
    """Open what is there of a file, to go on with it, for no other process at the same time."""
    # A link that somebody put there would lead the bytes elsewhere.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with disk(part):
        number = os.open(part, flags, 0o666)
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


def _downloaded(described: Json, file: IO[bytes], target: Path, work: Work) -> bool:
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


def _download(described: Json, file: IO[bytes], target: Path, work: Work) -> str:
    """Go on where the file ends, as often as it takes, and return the SHA-256 of all of it.

    Stops as soon as there are more bytes than there may be.
    """
    key, total = described["key"], described["bytes"]
    digest, done, tries = hashlib.sha256(), 0, 0
    file.seek(0)
    while piece := file.read(_PIECE):
        digest.update(piece)
        done += len(piece)
    while done < total:
        work.tell(Progress(name=target.name, done=done, total=total))
        try:
            with work.library.read(key, version_id=described["version_id"], start=done) as pieces:
                for piece in pieces:
                    with disk(target):
                        _write(file, piece)
                    digest.update(piece)
                    done, tries = done + len(piece), 0 if piece else tries
                    work.tell(Progress(name=target.name, done=done, total=total))
                    if done > total:
                        break
            if done < total:
                raise Retry(f"reading {key} ended after {done} of {total} bytes")
        except Retry as error:
            tries += 1
            if tries == TRIES:
                raise Retry(f"{error}: the same command again goes on there") from error
            work.wait(2**tries / 2)
    return digest.hexdigest()


def _write(file: IO[bytes], piece: bytes) -> None:
    """Write all of it: a disk takes a part, before it says why it takes no more."""
    left = memoryview(piece)
    while left:
        left = left[file.write(left) :]


def _join(manifest: Json, paths: Sequence[Path], whole: Path, work: Work) -> None:
    """Join legs that were verified. Raises Failed if they do not become what the manifest says."""
    legs = manifest["legs"]
    try:
        parts = [(path, _facts(leg)) for path, leg in zip(paths, legs, strict=True)]
        made = work.stitcher().join(parts, whole)
        for number, (leg, offset) in enumerate(zip(legs, made.offsets_ms, strict=True)):
            if abs(offset - leg["offset_ms"]) > number * OFFSET_TOLERANCE_MS:
                raise Failed(
                    f"leg {leg['id']} begins after {offset} ms instead of {leg['offset_ms']} ms"
                )
        if made.audio.extension != whole.suffix[1:]:
            raise Failed(f"they became {made.audio.extension.upper()}")
    except Failed as error:
        call = manifest["call"]
        raise Failed(
            f"the legs of {call} cannot be joined: {error}: --legs fetches each by itself"
        ) from error


def _alike(legs: Sequence[Json]) -> bool:
    return len({replace(_facts(leg), duration_ms=0) for leg in legs}) == 1


def _facts(described: Json) -> AudioFacts:
    """Return what a manifest says of a leg's audio."""
    names = ("media_type", "codec", "sample_rate", "channels", "duration_ms")
    said: dict[str, Any] = {name: described[name] for name in names}
    return AudioFacts(extension="mp3" if extension(described) == "mp3" else "wav", **said)


def _keep_names(folder: Path) -> None:
    """Let a new name survive a power failure."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError:
        pass  # not every file system can
    finally:
        os.close(number)
