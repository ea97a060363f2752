"""Joins of recordings of every kind, in twos and threes, decoded by a full ffmpeg where one is."""

from __future__ import annotations

import audioop
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from legato.audio.mpeg import Walker
from legato.audio.stitch import FfmpegStitcher
from tests.audio import local_tools
from tests.kinds import kinds

JOINS = int(os.environ.get("LEGATO_JOINS", "30"))
SEED = int(os.environ.get("LEGATO_SEED", "1"))
PLACES = 10
# High enough that two samplings of a tone differ by little.
RATE = 32000
FRAME_MS = 72
WARM_MS = 12 * FRAME_MS
"""A decoder that begins in the middle lacks what earlier frames left for these: up to 255 bytes."""
ALIKE = 0.75
FULL = shutil.which("ffmpeg")
KINDS = [
    kind
    for kind in kinds()
    if kind.ms and kind.ms > 1500 and not kind.unsupported and "in one" not in kind.name
]


def decoded(path: Path, *seek: str) -> bytes:
    """Return the sound as PCM16 at 8 kHz, of one channel. Fails if ffmpeg says a word."""
    if FULL:
        reading = [FULL, "-v", "error", *seek, "-i", str(path)]
    else:
        form = "wav" if path.read_bytes()[:2] == b"RI" else "mp3"
        reading = [str(local_tools().ffmpeg), "-v", "error", "-f", form, "-i", "pipe:0"]
    done = subprocess.run(
        [*reading, "-ar", str(RATE), "-ac", "1", "-f", "s16le", "pipe:1"],
        input=path.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert done.stderr == b"", f"{path}: {done.stderr[:300]!r}"
    return done.stdout


def cut(sound: bytes, begin_ms: int, length_ms: int | None = None) -> bytes:
    """Return a part of the sound."""
    begin = begin_ms * RATE // 1000 * 2
    return sound[begin:] if length_ms is None else sound[begin:][: length_ms * RATE // 1000 * 2]


def sounds_like(fragment: bytes, sound: bytes) -> bool:
    """Tell whether the fragment is heard somewhere in the sound."""
    offset, factor = audioop.findfit(sound, fragment)
    there = sound[2 * offset : 2 * offset + len(fragment)]
    rest = audioop.add(fragment, audioop.mul(there, 2, -factor), 2)
    return audioop.rms(rest, 2) <= (1 - ALIKE) * audioop.rms(fragment, 2) + 60


@pytest.mark.parametrize("number", range(JOINS))
def test_a_join_plays_its_legs_one_after_the_other(tmp_path, number):
    """Without a word of the decoder; lengths and offsets are true, and what is heard there."""
    chance = random.Random(f"{SEED} {number}")
    alike = chance.random() < 0.6
    chosen = chance.sample(KINDS, chance.choice([2, 3]))
    if alike:
        like = [kind for kind in KINDS if kind.name.split(":")[0] == chosen[0].name.split(":")[0]]
        chosen = [chance.choice(like) for _ in chosen] if len(like) > 1 else chosen
    stitcher = FfmpegStitcher(local_tools())
    legs = []
    for at, kind in enumerate(chosen):
        path = tmp_path / f"leg-{at}"
        path.write_bytes(kind.content)
        facts, _ = stitcher.inspect(path)
        legs.append((path, facts))
    joined = stitcher.join(legs, target := tmp_path / "joined")
    names = [kind.name for kind in chosen]
    if joined.audio.extension == "mp3":
        walker = Walker()
        frames = walker.feed(target.read_bytes()) + walker.end()
        assert frames == target.read_bytes(), f"{names}: nothing but frames"
    whole = decoded(target)
    assert len(whole) / 2 / RATE * 1000 == pytest.approx(joined.audio.duration_ms, abs=72), names
    again, _ = stitcher.inspect(target)
    assert again.duration_ms == pytest.approx(joined.audio.duration_ms, abs=2), names
    for (path, facts), offset in zip(legs, joined.offsets_ms, strict=True):
        clean = tmp_path / "clean"
        # A full ffmpeg complains of what stands beside frames: it is given the leg's own alone.
        stitcher.join([(path, facts)] * 2, clean)
        alone = decoded(clean)
        for place in range(PLACES):
            # Not within the first frames, where a decoder begins, nor in the last ones.
            ms = 3 * FRAME_MS + place * (facts.duration_ms - 8 * FRAME_MS) // PLACES
            fragment = cut(alone, facts.delay_ms + ms, 100)
            begin = max(0, offset + ms - WARM_MS)
            there = decoded(target, "-ss", f"{begin / 1000:.3f}") if FULL else cut(whole, begin)
            there = cut(there, offset + ms - begin - FRAME_MS, 100 + 2 * FRAME_MS)
            assert sounds_like(fragment, there), f"{names}: {path.name} at {ms} ms"
