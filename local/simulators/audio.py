"""Audio of any length, made while it is sent and never held whole.

Each recording plays its own melody of four notes, and no two have the same bytes, however short
they are. WAV is PCM16; every note in it begins with a soft crackle that no other recording has, and
a second channel plays the next note higher. MP3 is 32 kHz mono as measured on a real account, and
repeats real frames: tones.mp3 holds 28 frames of each note, cut from steady tones encoded with
`lame -t --nores -m m --resample 32 -b 32 --cbr`. Without a bit reservoir no frame needs its
neighbour: any sequence of them decodes without an error. At least eleven bytes at the end of each
are filled up and never heard: every note says there whose it is.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Literal, Protocol

MP3_FRAME = 144
"""Bytes: 32 kbit/s at 32 kHz is exactly 144 a frame, with no padding."""
MP3_FRAME_SECONDS = 1152 / 32000
_FRAMES_PER_NOTE = 28
_CRACKLE = 64
"""Samples, of at most -42 dBFS."""
_MARK = 8
"""Bytes at the end of an MP3 frame."""
_PITCHES = (392, 494, 587, 698)
_MELODY_NOTES = 32
_MOST_WAV = 2**32 - 64
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
    loop: Callable[[], bytes]

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop`, in pieces."""
        if start < len(self.head):
            yield self.head[start : min(len(self.head), stop)]
            start = len(self.head)
        loop = self.loop()
        while start < stop:
            at = (start - len(self.head)) % len(loop)
            piece = loop[at : at + min(stop - start, _PIECE)]
            yield piece
            start += len(piece)


def melody(
    name: str,
    *,
    audio_format: Literal["mp3", "wav"],
    seconds: float,
    channels: int = 1,
    rate: int = 8000,
) -> Melody:
    """Return audio of this length, right to one frame. Raises ValueError when WAV cannot.

    `channels` and `rate`, in Hz, are those of WAV.
    """
    if audio_format == "mp3":
        frames = round(seconds / MP3_FRAME_SECONDS)
        return Melody(frames * MP3_FRAME, b"", partial(_mp3_loop, name))
    if not 1 <= channels <= 8 or not 1000 <= rate <= 48000:
        raise ValueError(f"{channels} channels of {rate} Hz are not made here")
    payload = round(seconds * rate) * 2 * channels
    if payload > _MOST_WAV:
        raise ValueError(f"a WAV file holds at most {_MOST_WAV / (2 * channels * rate):.0f} s")
    head = _wav_head(payload, channels, rate)
    return Melody(len(head) + payload, head, partial(_wav_loop, name, channels, rate))


def _wav_head(payload: int, channels: int, rate: int) -> bytes:
    frame = 2 * channels
    shape = struct.pack("<HHIIHH", 1, channels, rate, frame * rate, frame, 16)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", 36 + payload, b"WAVE", b"fmt ", len(shape))
        + shape
        + struct.pack("<4sI", b"data", payload)
    )


@lru_cache(maxsize=16)
def _mp3_loop(name: str) -> bytes:
    mark = hashlib.sha256(name.encode()).digest()[:_MARK]
    notes = [note[: MP3_FRAME - len(mark)] + mark + note[MP3_FRAME:] for note in _mp3_notes()]
    return b"".join(notes[at] for at in _tune(name))


@lru_cache(maxsize=16)
def _wav_loop(name: str, channels: int, rate: int) -> bytes:
    notes = _wav_notes(channels, rate)
    crackle = array("h", list(hashlib.shake_128(name.encode()).digest(_CRACKLE))).tobytes()
    return b"".join(crackle + notes[at][len(crackle) :] for at in _tune(name))


def _tune(name: str) -> list[int]:
    digest = hashlib.sha256(name.encode()).digest()
    return [byte % len(_PITCHES) for byte in digest[:_MELODY_NOTES]]


@cache
def _mp3_notes() -> list[bytes]:
    frames = (Path(__file__).parent / "tones.mp3").read_bytes()
    note = _FRAMES_PER_NOTE * MP3_FRAME
    return [frames[at : at + note] for at in range(0, len(frames), note)]


@cache
def _wav_notes(channels: int, rate: int) -> list[bytes]:
    # A whole number of hertz in one second: notes follow each other without a click.
    tones = [
        [round(8000 * math.sin(2 * math.pi * pitch * i / rate)) for i in range(rate)]
        for pitch in _PITCHES
    ]
    return [
        array(
            "h",
            itertools.chain.from_iterable(
                zip(*(tones[(at + n) % len(tones)] for n in range(channels)), strict=True)
            ),
        ).tobytes()
        for at in range(len(tones))
    ]
