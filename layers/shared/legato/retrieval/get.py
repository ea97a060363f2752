"""Fetch calls from the archive into a folder, as files that a person can play and hand on.

Which files these are, and whether all of them can be fetched, is clear before the first one is. A
call whose legs lie apart is joined here; no manifest knows the SHA-256 of what comes of it, so a
`NAME.sha256` is put beside it, as `sha256sum --check` reads it. `download.py` brings the bytes.
"""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Literal

from legato.archive.library import Cold
from legato.disk import (
    Full,
    beside,
    disk,
    prepare,
    refuse_lack_of_room,
    refuse_link,
    sha256_of,
    write_whole,
)
from legato.errors import Failed, Refused
from legato.format import counted
from legato.retrieval.download import fetch, is_there, taken
from legato.retrieval.filenames import leg_stem, stem
from legato.retrieval.joined import extension, join, joined_extension, joined_size
from legato.retrieval.manifests import audio, manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from legato.archive.library import State
    from legato.catalogue.index import Row
    from legato.model import Json
    from legato.retrieval.download import Downloading

FEW = 3
"""Calls that an error names; of all others it is said that there are some."""
AT_ONCE = 16
"""Small questions to the archive at the same time."""

type Kind = Literal["recording", "leg", "joined", "manifest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is to be fetched: an object, as a manifest has it, or several that are joined.

    `leg` is the id of the one leg that it is. `there` is its SHA-256 if it need not be fetched.
    """

    kind: Kind
    row: Row
    manifest: Json
    target: Path
    objects: tuple[Json, ...]
    leg: str | None = None
    there: str | None = None

    @property
    def size(self) -> int:
        """The bytes that it takes; of a joined one, about."""
        size: int = self.objects[0]["bytes"]
        return joined_size(self.objects) if self.kind == "joined" else size


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The files of all calls, in order, and the calls of which there is nothing to fetch by."""

    files: tuple[File, ...]
    lost: tuple[tuple[Row, Failed], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """What became of a call's file, or why it could not be had."""

    row: Row
    file: File | None = None
    sha256: str = ""
    error: Failed | None = None


def plan(
    rows: Sequence[Row],
    folder: Path,
    work: Downloading,
    *,
    legs: bool = False,
    manifests: bool = False,
) -> Plan:
    """Return what to fetch of these calls. Nothing is fetched before all can be.

    `legs` wants each leg as it was sent, instead of one recording; `manifests` the manifests too.
    Raises Cold, with all calls that have to be restored; Refused for a folder that takes no files,
    for other files that have their names, and for two files of one name; Full; Failed if nobody is
    here to join legs; Retry.
    """
    prepare(folder)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        contents = list(pool.map(lambda row: _manifest(row, work), rows))
    found = list(zip(rows, contents, strict=True))
    files = [
        _looked_for(file, overwrite=work.overwrite)
        for row, content in found
        if not isinstance(content, Failed)
        for file in _files(row, content, folder, legs=legs, manifests=manifests)
    ]
    _refuse_one_name(files)
    missing = [file for file in files if file.there is None]
    _refuse_cold(missing, work)
    refuse_lack_of_room(_needed(missing), work.room(folder), folder)
    if any(file.kind == "joined" for file in missing):
        work.stitcher()
    lost = tuple((row, content) for row, content in found if isinstance(content, Failed))
    return Plan(files=tuple(files), lost=lost)


def get(planned: Plan, work: Downloading) -> Iterator[Got]:
    """Fetch what was planned, one after the other, and say of each file what became of it.

    One that cannot be had keeps nobody from the others. Raises Full, Refused if the folder takes no
    more files, Retry: the same again goes on where this ended.
    """
    for row, error in planned.lost:
        yield Got(row=row, error=error)
    for file in planned.files:
        try:
            yield Got(row=file.row, file=file, sha256=file.there or _got(file, work))
        except Full:
            raise
        except Failed as error:
            yield Got(row=file.row, file=file, error=error)


def refusal(states: Iterable[tuple[Row, State]]) -> Cold | None:
    """Return the error that names calls of which something cannot be read now, if there are."""
    cold: dict[str, None] = {}
    coming: dict[str, None] = {}
    for row, state in states:
        if not state.readable:
            (coming if state.restoring else cold)[str(row.id)] = None
    words = []
    if cold:
        first = " ".join(map(shlex.quote, islice(cold, FEW)))
        many = f"{first} …` with all of them" if len(cold) > FEW else f"{first}`"
        words.append(f"{_are(cold)} in cold storage: first run `legato restore {many}")
    if waiting := [call for call in coming if call not in cold]:
        more = ", …" if len(waiting) > FEW else ""
        words.append(
            f"{_are(waiting)} being restored ({', '.join(waiting[:FEW])}{more}): "
            "`legato restore --list` shows the progress"
        )
    return Cold("; ".join(words)) if words else None


def _are(calls: Collection[str]) -> str:
    return f"{counted(len(calls), 'call')} {'is' if len(calls) == 1 else 'are'}"


def _manifest(row: Row, work: Downloading) -> Json | Failed:
    try:
        return manifest(row, work.library)
    except Failed as error:
        return error


def _refuse_cold(files: Sequence[File], work: Downloading) -> None:
    """Raise Cold if something cannot be read now, with all calls that have to be restored."""
    sounds = [
        (file.row, each) for file in files if file.kind != "manifest" for each in file.objects
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        states = list(pool.map(lambda one: _state(one[1], work), sounds))
    known = zip((row for row, _ in sounds), states, strict=True)
    if error := refusal((row, state) for row, state in known if state is not None):
        raise error


def _state(described: Json, work: Downloading) -> State | None:
    """Say how an object is stored; nothing of one that is gone: fetching it tells."""
    try:
        return work.library.state(described["key"], version_id=described["version_id"])
    except Failed:
        return None


def _files(row: Row, content: Json, folder: Path, *, legs: bool, manifests: bool) -> Iterator[File]:
    name, sounds = stem(row), audio(content)

    def file(kind: Kind, file_name: str, *objects: Json, leg: str | None = None) -> File:
        target = folder / file_name
        return File(kind=kind, row=row, manifest=content, target=target, objects=objects, leg=leg)

    if legs:
        for number, leg in enumerate(content["legs"], 1):
            file_name = f"{leg_stem(row, number, leg['id'])}.{extension(leg)}"
            yield file("leg", file_name, leg, leg=leg["id"])
    elif len(sounds) == 1:
        yield file("recording", f"{name}.{extension(sounds[0])}", sounds[0])
    else:
        yield file("joined", f"{name}.{joined_extension(sounds)}", *sounds)
    if manifests:
        yield file("manifest", f"{name}.manifest.json", row.to_json()["manifest"])


def _looked_for(file: File, *, overwrite: bool) -> File:
    """Return the file, with its SHA-256 if it is there already.

    Raises Refused if another one has its name, unless it may be overwritten.
    """
    if file.kind != "joined":
        [described] = file.objects
        there = is_there(described, file.target, overwrite=overwrite)
        return replace(file, there=described["sha256"]) if there else file
    refuse_link(file.target)
    with disk(file.target):
        if not file.target.exists():
            return file
        if file.target.is_file():
            sha256 = sha256_of(file.target)
            if _note(file, sha256) == _noted(file):
                return replace(file, there=sha256)
    if file.target.is_dir() or not overwrite:
        raise taken(file.target)
    return file


def _got(file: File, work: Downloading) -> str:
    """Fetch a file and return its SHA-256."""
    if file.kind != "joined":
        [described] = file.objects
        fetch(described, file.target, work)
        sealed: str = described["sha256"]
        return sealed
    sha256 = join(file.manifest, file.target, work)
    write_whole(beside(file.target, ".sha256"), _note(file, sha256).encode())
    return sha256


def _note(file: File, sha256: str) -> str:
    """Return what stands beside a joined file: what it was made of, and its SHA-256."""
    sealed = file.row.manifest
    return (
        f"# The legs of {sealed.key}, one after the other;\n"
        f"# the SHA-256 of that manifest is {sealed.sha256}.\n"
        f"{sha256}  {file.target.name}\n"
    )


def _noted(file: File) -> str:
    try:
        return beside(file.target, ".sha256").read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return ""


def _refuse_one_name(files: Sequence[File]) -> None:
    """Raise Refused if one file would take another one's place."""
    names: dict[str, File] = {}
    for file in files:
        other = names.setdefault(file.target.name.casefold(), file)
        if other is not file:
            calls = " and ".join(str(each.row.id) for each in (other, file))
            raise Refused(f"{calls} have the same file name: use two folders")


def _needed(files: Sequence[File]) -> int:
    """Return how many bytes are to come, with the legs that lie beside what becomes of them."""
    needed = sum(file.size - _size(beside(file.target, ".part")) for file in files)
    # They are those of one call at a time.
    return needed + max((_legs_size(file) for file in files if file.kind == "joined"), default=0)


def _legs_size(file: File) -> int:
    """Return how many bytes of a call's legs are not on the disk yet."""
    folder = beside(file.target, ".legs")
    there = sum(map(_size, folder.iterdir())) if folder.is_dir() else 0
    whole: int = sum(leg["bytes"] for leg in file.objects)
    return max(0, whole - there)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
