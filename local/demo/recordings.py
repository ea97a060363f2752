"""Leaves the audio of archived calls where a person can listen to it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from legato.audio.ffmpeg import find_tools
from legato.audio.stitch import FfmpegStitcher
from local.demo.evidence import read
from local.worker import LAYER_BINARIES


def save(s3: Any, bucket: str, manifest: dict[str, Any], folder: Path, name: str) -> Path:
    """Write a call into the folder as one file and return where. Legs kept apart are joined."""
    recording = manifest["recording"]
    if recording is None:
        return _joined(s3, bucket, manifest["legs"], folder, name)
    path = folder / f"{name}{Path(recording['key']).suffix}"
    path.write_bytes(read(s3, bucket, recording))
    return path


def _joined(s3: Any, bucket: str, legs: list[dict[str, Any]], folder: Path, name: str) -> Path:
    places = [LAYER_BINARIES, *map(Path, os.get_exec_path())]
    stitcher = FfmpegStitcher(find_tools(places))
    target = folder / name
    with TemporaryDirectory() as scratch:
        parts = []
        for number, leg in enumerate(legs):
            path = Path(scratch) / f"leg-{number}"
            path.write_bytes(read(s3, bucket, leg))
            parts.append((path, stitcher.inspect(path)[0]))
        joined = stitcher.join(parts, target)
    return target.rename(folder / f"{name}.{joined.audio.extension}")
