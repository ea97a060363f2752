"""The header of a WAV file: how it counts its samples, and how many bytes of them it promises."""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from legato.errors import DamagedAudio

# What recorders that cannot seek back write for "until the end": nothing, all ones, and the largest
# lengths that sox and others leave room for.
_UNTIL_THE_END = {0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF}
_LIMIT = 1 << 20
"""Where the audio must have begun. Recorders put some hundred bytes in front of it."""

_EXTENSIBLE = 0xFFFE
# A codec's number stands in the first four bytes of such an identifier.
_SUBFORMAT = bytes.fromhex("00001000800000aa00389b71")
_CODECS = {
    0x0002: "adpcm_ms",
    0x0006: "pcm_alaw",
    0x0007: "pcm_mulaw",
    0x0011: "adpcm_ima_wav",
    0x0031: "gsm_ms",
    0x0032: "gsm_ms",
    0x0055: "mp3",
    0x0069: "adpcm_ima_wav",
    0x1500: "gsm_ms",
    0x6C75: "pcm_mulaw",
}
_PCM_CODECS = {1: "pcm_u8", 2: "pcm_s16le", 3: "pcm_s24le", 4: "pcm_s32le"}
_FLOAT_CODECS = {4: "pcm_f32le", 8: "pcm_f64le"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """A WAV file's layout. `form` is the `fmt ` chunk, `start` and `size` the audio, in bytes.

    `missing` is how many bytes of audio the header promises beyond those that are there.
    """

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

    @property
    def counts_header(self) -> bool:
        """Tell whether just so much is missing as stands in front of the audio.

        Some writers count a header in, the chunk's or the file's, with or without its own first
        eight bytes. A cut may fall there as well.
        """
        return self.missing in (8, self.start - 8, self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in front of the audio, which begins at `start`. `form` is the `fmt ` chunk.

    `promised` is the bytes of audio; None if it goes on until the end.
    """

    form: bytes
    start: int
    promised: int | None

    @property
    def channels(self) -> int:
        """How many samples stand side by side."""
        return self._number(2)

    @property
    def rate(self) -> int:
        """Samples of one channel in a second."""
        return self._number(4, 4)

    @property
    def codec(self) -> str:
        """The codec, by ffmpeg's name for it; `unknown` if ffmpeg is not let to decode it."""
        width = (self._bits() + 7) // 8
        match tag := self._tag():
            case 1:
                return _PCM_CODECS.get(width, "unknown")
            case 3:
                return _FLOAT_CODECS.get(width, "unknown")
        return _CODECS.get(tag, "unknown")

    @property
    def width(self) -> int:
        """Bytes of one sample if samples of whole bytes stand one by one, else 0.

        0 as well where the header contradicts itself.
        """
        width, odd = divmod(self._bits(), 8)
        plain = not odd and self._number(12) == width * self.channels
        return width if plain else 0

    def laid_out(self, end: int) -> Wave:
        """Compare with a file, or a stream, of `end` bytes."""
        there = end - self.start
        promised = there if self.promised is None else self.promised
        return Wave(
            form=self.form,
            start=self.start,
            size=min(promised, there),
            missing=max(0, promised - there),
        )

    def _tag(self) -> int:
        tag = self._number(0)
        if tag != _EXTENSIBLE or self.form[28:40] != _SUBFORMAT or self._number(16) < 22:
            return tag
        return self._number(24, 4)

    def _bits(self) -> int:
        if len(self.form) < 16:
            return 8  # the oldest form of the chunk does not say
        valid = self._number(18) if self._number(0) == _EXTENSIBLE else 0
        return valid or self._number(14)

    def _number(self, at: int, size: int = 2) -> int:
        return int.from_bytes(self.form[at : at + size], "little")


def read_wave(path: Path) -> Wave:
    """Read a WAV file's header. Raises DamagedAudio when it ends before the audio begins."""
    with path.open("rb") as file:
        header = whole_header(file)
        return header.laid_out(file.seek(0, os.SEEK_END))


def whole_header(file: BinaryIO) -> Header:
    """Read the header of a file that is all there. Raises DamagedAudio as `read_wave` does."""
    if header := _read_header(file):
        return header
    raise DamagedAudio("the WAV header ends before the audio begins", extension="wav")


def header_so_far(head: bytes) -> Header | None:
    """Read the header of a stream that begins with `head`; None if more of it is needed.

    Raises DamagedAudio as soon as it is longer than a header may be.
    """
    file = io.BytesIO(head)
    return whole_header(file) if len(head) >= _LIMIT else _read_header(file)


def _read_header(file: BinaryIO) -> Header | None:
    form, wide, start = b"", 0, 12
    while start < _LIMIT:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = head[:4], int.from_bytes(head[4:], "little")
        start += 8
        if name == b"data" and len(form) >= 14:
            promised = wide if wide and size == 0xFFFFFFFF else size
            until_the_end = promised in _UNTIL_THE_END
            return Header(form=form, start=start, promised=None if until_the_end else promised)
        if name == b"fmt ":
            form = file.read(min(size, 4096))
        elif name == b"ds64":
            wide = int.from_bytes(file.read(16)[8:16], "little")
        start += size + size % 2
    return None


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
