"""Legs that lie apart in the archive become one recording on the local disk."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from legato.archive.manifest import audio_of
from legato.disk import Full, beside, disk, keep_names, private_folder, sha256_of
from legato.errors import Failed
from legato.model import MEDIA_TYPES, CallId
from legato.retrieval.download import FileProgress, fetch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from legato.model import Json
    from legato.retrieval.download import Downloading

OFFSET_TOLERANCE_MS = 50
"""For each leg: audio at another sample rate ends a little earlier or later."""


def join(manifest: Json, target: Path, work: Downloading) -> str:
    """Fetch all legs of a call, join them into the target, and return its SHA-256.

    The legs are in `NAME.legs` until it is done, and stay there when it breaks off. Replaces what
    has the name. Raises as fetch; Failed if they cannot be joined.
    """
    legs: Sequence[Json] = manifest["legs"]
    folder = beside(target, ".legs")
    total, done = sum(leg["bytes"] for leg in legs), 0

    def tell(progress: FileProgress) -> None:
        work.tell(FileProgress(name=target.name, done=done + progress.done, total=total))

    inside = replace(work, overwrite=True, tell=tell)
    with disk(target):
        private_folder(folder)
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
            keep_names(target.parent)
    except Full:
        raise
    except Failed:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return sha256


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
    decoded: int = sum(audio_of(leg).whole_ms for leg in legs) * second // 1000
    return max(copied, decoded)


def _join(manifest: Json, paths: Sequence[Path], whole: Path, work: Downloading) -> None:
    """Join legs that were verified. Raises Failed if they do not become what the manifest says."""
    legs = manifest["legs"]
    try:
        parts = [(path, audio_of(leg)) for path, leg in zip(paths, legs, strict=True)]
        made = work.stitcher().join(parts, whole)
        for number, (leg, offset) in enumerate(zip(legs, made.offsets_ms, strict=True)):
            if abs(offset - leg["offset_ms"]) > number * OFFSET_TOLERANCE_MS:
                raise Failed(
                    f"leg {leg['id']} begins after {offset} ms instead of {leg['offset_ms']} ms"
                )
        if made.audio.extension != whole.suffix[1:]:
            raise Failed(f"they became {made.audio.extension.upper()}")
    except Failed as error:
        call = CallId.of(manifest)
        raise Failed(
            f"the legs of {call} cannot be joined: {error}: --legs fetches each by itself"
        ) from error


def _alike(legs: Sequence[Json]) -> bool:
    audios = [audio_of(leg) for leg in legs]
    return len({audio.format for audio in audios}) == 1 and not any(each.varies for each in audios)
