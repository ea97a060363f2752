"""Audio of any length, made while it is sent and never held whole.

Each recording plays its own melody of four notes, so that two recordings do not have the same
bytes. WAV is PCM16, 8 kHz, mono. MP3 is 32 kHz mono as measured on a real account, and repeats
real frames: tones.mp3 holds 28 frames of each note, cut from steady tones encoded with
`lame -t --nores -m m --resample 32 -b 32 --cbr`. Without a bit reservoir no frame needs its
neighbour, so any sequence of them decodes without an error.
"""

from __future__ import annotations

import hashlib
import math
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, Protocol

MP3_FRAME = 144
"""Bytes: 32 kbit/s at 32 kHz is exactly 144 a frame, with no padding."""
MP3_FRAME_SECONDS = 1152 / 32000
_FRAMES_PER_NOTE = 28
_WAV_RATE = 8000
_PITCHES = (392, 494, 587, 698)
_MELODY_NOTES = 32
_LONGEST_WAV = (2**32 - 64) / (2 * _WAV_RATE)
_PIECE = 256 * 1024


class Audio(Protocol):
    """Bytes that can be read from anywhere."""

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`, in pieces."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """Exactly these bytes."""

    content: bytes

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return len(self.content)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`, in pieces."""
        for at in range(start, stop, _PIECE):
            yield self.content[at : min(at + _PIECE, stop)]


@dataclass(frozen=True, slots=True)
class Melody:
    """A head, then one loop repeated until `size` is reached."""

    size: int
    head: bytes
    format: Literal["mp3", "wav"]
    name: str

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`, in pieces."""
        if start < len(self.head):
            yield self.head[start : min(len(self.head), stop)]
            start = len(self.head)
        loop = _loop(self.format, self.name)
        while start < stop:
            at = (start - len(self.head)) % len(loop)
            piece = loop[at : at + min(stop - start, _PIECE)]
            yield piece
            start += len(piece)


def melody(name: str, *, audio_format: Literal["mp3", "wav"], seconds: float) -> Melody:
    """Return audio of this length, right to one frame. Raises ValueError when WAV cannot."""
    if audio_format == "mp3":
        frames = round(seconds / MP3_FRAME_SECONDS)
        return Melody(frames * MP3_FRAME, b"", "mp3", name)
    if seconds > _LONGEST_WAV:
        raise ValueError(f"a WAV file holds at most {_LONGEST_WAV:.0f} s")
    payload = round(seconds * _WAV_RATE) * 2
    return Melody(44 + payload, _wav_head(payload), "wav", name)


def _wav_head(payload: int) -> bytes:
    shape = struct.pack("<HHIIHH", 1, 1, _WAV_RATE, 2 * _WAV_RATE, 2, 16)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", 36 + payload, b"WAVE", b"fmt ", len(shape))
        + shape
        + struct.pack("<4sI", b"data", payload)
    )


@lru_cache(maxsize=64)
def _loop(audio_format: Literal["mp3", "wav"], name: str) -> bytes:
    notes = _mp3_notes() if audio_format == "mp3" else _wav_notes()
    digest = hashlib.sha256(name.encode()).digest()
    return b"".join(notes[byte % len(notes)] for byte in digest[:_MELODY_NOTES])


@cache
def _mp3_notes() -> list[bytes]:
    frames = (Path(__file__).parent / "tones.mp3").read_bytes()
    note = _FRAMES_PER_NOTE * MP3_FRAME
    return [frames[at : at + note] for at in range(0, len(frames), note)]


@cache
def _wav_notes() -> list[bytes]:
    # A whole number of hertz in one second: notes follow each other without a click.
    return [
        array(
            "h",
            (round(8000 * math.sin(2 * math.pi * pitch * i / _WAV_RATE)) for i in range(_WAV_RATE)),
        ).tobytes()
        for pitch in _PITCHES
    ]
