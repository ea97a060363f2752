"""The header of a WAV file: how it counts its samples, and how many bytes of them it promises."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from legato.errors import DamagedAudio

# What recorders that cannot seek back write for "until the end": nothing, all ones, and the largest
# lengths that sox and others leave room for.
_UNTIL_THE_END = {0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF}
_CHUNKS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A WAV file's layout. `form` is the `fmt ` chunk, `start` and `size` the audio, in bytes."""

    form: bytes
    start: int
    size: int
    missing: int

    @property
    def block(self) -> int:
        """Bytes that belong together: one sample of all channels, or a block of a codec."""
        return max(1, int.from_bytes(self.form[12:14], "little"))

    @property
    def whole(self) -> bool:
        """Tell whether the audio ends where a block ends."""
        return self.size % self.block == 0


def read_wave(path: Path) -> Wave:
    """Read a WAV file's header. Raises DamagedAudio when it ends before the audio begins."""
    end = path.stat().st_size
    form, wide = b"", 0
    with path.open("rb") as file:
        file.seek(12)
        for _ in range(_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                break
            name, size = head[:4], int.from_bytes(head[4:], "little")
            start = file.tell()
            if name == b"data" and len(form) >= 14:
                return _laid_out(form, start, wide if wide and size == 0xFFFFFFFF else size, end)
            if name == b"fmt ":
                form = file.read(min(size, 4096))
            elif name == b"ds64":
                wide = int.from_bytes(file.read(16)[8:16], "little")
            file.seek(start + size + size % 2, os.SEEK_SET)
    raise DamagedAudio("the WAV header ends before the audio begins", extension="wav")


def _laid_out(form: bytes, start: int, promised: int, end: int) -> Wave:
    there = end - start
    if promised in _UNTIL_THE_END:
        promised = there
    # Some writers count the header in: that much too little is their arithmetic, not a loss.
    missing = promised - there if promised - there > start else 0
    return Wave(form=form, start=start, size=min(promised, there), missing=missing)


def pcm_header(rate: int, channels: int, size: int, *, wide: bool) -> bytes:
    """Return the header of a WAV file with `size` bytes of 16-bit PCM.

    The plain header has 44 bytes; the `wide` one, RF64, counts in 64 bits and has 80.
    """
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16
    )
    if not wide:
        return (
            struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE")
            + form
            + struct.pack("<4sI", b"data", size)
        )
    full = 0xFFFFFFFF
    samples = size // (channels * 2)
    return (
        struct.pack(
            "<4sI4s4sIQQQI", b"RF64", full, b"WAVE", b"ds64", 28, 72 + size, size, samples, 0
        )
        + form
        + struct.pack("<4sI", b"data", full)
    )
