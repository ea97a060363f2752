"""The evidence of calls comes out of the archive into a folder, every byte verified on its way."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from legato.archive.library import whole
from legato.disk import disk, write_whole
from legato.errors import Conflict
from legato.retrieval.download import fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from legato.model import Json
    from legato.retrieval.download import Downloading, FileProgress
    from legato.retrieval.export.choose import Chosen
    from legato.retrieval.export.proofs import Proofs

AT_ONCE = 8
SMALL = 4 * 1024 * 1024
"""Bytes of an object that is fetched beside others; larger ones come one after the other."""


def bring(
    chosen: Sequence[Chosen],
    proofs: Proofs,
    folder: Path,
    work: Downloading,
    *,
    tell: Callable[[int, int], None],
) -> None:
    """Fetch all that belongs to these calls, under its keys, and remove whatever else is there.

    What is there already is looked at, and not fetched again. `tell` gets the bytes of audio that
    are there, of how many. Raises Conflict for a byte that is not what was sealed, Full, Refused,
    Failed, Retry.
    """
    objects = {each["key"]: each for one in chosen for each in one.objects}
    documents = dict(_documents(chosen, proofs))
    _remove_strays(folder, objects.keys() | documents.keys())
    total = sum(each["bytes"] for each in objects.values())
    fetching = _Fetching(folder, work, lambda done: tell(done, total))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = [pool.submit(fetching.document, *each) for each in documents.values()]
        small = [each for each in objects.values() if each["bytes"] <= SMALL]
        _finish(pool, [*begun, *(pool.submit(fetching.object, each) for each in small)])
    for each in objects.values():
        if each["bytes"] > SMALL:
            fetching.object(each)


def placed(folder: Path, key: str) -> Path:
    """Return where a key of the archive lies in a folder, which is made for it."""
    path = folder / key
    with disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _documents(
    chosen: Sequence[Chosen], proofs: Proofs
) -> Iterator[tuple[str, tuple[str, str, str | None]]]:
    """Yield what is read whole by key: key, version, and SHA-256 as far as it is known already."""
    for one in chosen:
        for document in one.documents:
            yield document.key, (document.key, document.version_id, document.sha256)
    files = proofs.files({digest for one in chosen for digest in one.digests})
    for key, stored in files.items():
        yield key, (key, stored.version_id, None)
    for key, each in proofs.public_keys(key for key in files if key.endswith(".json")).items():
        yield key, (key, each["version_id"], each["sha256"])


def _remove_strays(folder: Path, wanted: set[str]) -> None:
    """Remove what an earlier run left and nobody wants now, and links, which it never makes."""
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.is_symlink() or not {name, name.removesuffix(".part")} & wanted:
            path.unlink()


def _finish(pool: Executor, begun: Sequence[Future[None]]) -> None:
    """Wait for all of it. What has not begun is let go of when one fails."""
    try:
        for future in begun:
            future.result()
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise


@dataclass(frozen=True, slots=True)
class _Fetching:
    """Fetches objects, and counts the bytes of all of them together."""

    folder: Path
    work: Downloading
    tell: Callable[[int], None]
    known: dict[str, int] = field(default_factory=dict)

    def object(self, described: Json) -> None:
        """Fetch an object as a manifest describes it."""
        key = described["key"]

        def tell(progress: FileProgress) -> None:
            self._count(key, progress.done)

        fetch(described, placed(self.folder, key), replace(self.work, overwrite=True, tell=tell))
        self._count(key, described["bytes"])

    def document(self, key: str, version_id: str, sha256: str | None) -> None:
        """Fetch a small object, of which nobody may know the SHA-256."""
        body = whole(self.work.library, key, version_id=version_id)
        if sha256 is not None and hashlib.sha256(body).hexdigest() != sha256:
            raise Conflict(f"{key} does not hold the bytes that were written: `legato verify`")
        write_whole(placed(self.folder, key), body)

    def _count(self, key: str, done: int) -> None:
        self.known[key] = done
        self.tell(sum(self.known.values()))
