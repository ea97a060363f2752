"""Recordings of every kind with bytes changed, cut out, doubled and put in: a verdict, and soon."""

from __future__ import annotations

import contextlib
import os
import random
import time
import tracemalloc

import pytest

from legato.audio.stitch import FfmpegStitcher
from legato.errors import DamagedAudio, NotAudio, TooLarge
from tests.audio import local_tools
from tests.kinds import kinds

MUTATIONS = int(os.environ.get("LEGATO_MUTATIONS", "300"))
SEED = int(os.environ.get("LEGATO_SEED", "1"))
SECONDS = 10
OWN_BYTES = 24 << 20
KINDS = [kind for kind in kinds() if len(kind.content) < 400_000]


def mutated(content, chance):
    """Return the content with up to eight changes of all sizes."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(made) + 1)
        size = min(chance.choice([1, 1, 2, 4, 50, 2000]), len(made) - at)
        match chance.randrange(5):
            case 0:
                made[at : at + size] = chance.randbytes(size)
            case 1:
                del made[at : at + size]
            case 2:
                made[at:at] = made[at : at + size]
            case 3:
                made[at:at] = chance.choice([b"\xff", b"\0\0", b"RIFF", b"data", b"ID3\4"])
            case 4 if made:
                made[chance.randrange(min(64, len(made)))] = chance.choice([0, 1, 127, 128, 255])
    return bytes(made)


@pytest.mark.parametrize("part", range(10))
def test_whatever_is_done_to_a_recording_it_is_judged(tmp_path, part):
    """No crash, nothing that hangs, and no more memory than for a good one.

    ffmpeg has a limit of its own, which the good ones keep: tests/integration/test_kinds.py.
    """
    stitcher, path = FfmpegStitcher(local_tools()), tmp_path / "leg"
    chance = random.Random(f"{SEED} {part}")
    tracemalloc.start()
    slowest = 0.0
    for _ in range(max(1, MUTATIONS // 10)):
        path.write_bytes(mutated(chance.choice(KINDS).content, chance))
        tracemalloc.reset_peak()
        began = time.monotonic()
        with contextlib.suppress(DamagedAudio, NotAudio, TooLarge):
            facts, _ = stitcher.inspect(path)
            assert facts.duration_ms >= 0
        slowest = max(slowest, time.monotonic() - began)
        assert tracemalloc.get_traced_memory()[1] < OWN_BYTES
    tracemalloc.stop()
    assert slowest < SECONDS
