"""WAV files by what is in them: which bytes are audio, how they count, and what stands beside them.

What a header says of lengths is what its writer believed. Streams are written with no length or the
largest; writers miscount; files are cut, or go on behind the length that was written first.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from legato.audio.mpeg import TAG_HEAD, tag_size
from legato.errors import DamagedAudio

# What recorders that cannot seek back write for "until the end": nothing, or what is near to the
# most that 31 or 32 bits hold, since some take off what stands in front (sox: 0x7ffff000 and less).
_NEAR = 1 << 16
_FORM_BYTES = 4096
_TEXT_BYTES = 64

_EXTENSIBLE = 0xFFFE
# A codec's number stands in the first four bytes of such an identifier.
_SUBFORMAT = bytes.fromhex("00001000800000aa00389b71")
_CODECS = {
    0x0002: "adpcm_ms",
    0x0006: "pcm_alaw",
    0x0007: "pcm_mulaw",
    0x0011: "adpcm_ima_wav",
    0x0014: "adpcm_g726",
    0x0031: "gsm_ms",
    0x0032: "gsm_ms",
    0x0040: "adpcm_g726",
    0x0042: "g723_1",
    0x0045: "adpcm_g726",
    0x0050: "mp2",
    0x0055: "mp3",
    0x0064: "adpcm_g726",
    0x0069: "adpcm_ima_wav",
    0x0083: "g729",
    0x0111: "g723_1",
    0x028F: "adpcm_g722",
    0x1500: "gsm_ms",
    0x6C75: "pcm_mulaw",
    0x729A: "g729",
    0xA100: "g723_1",
}
# Of those that are not decoded here, the ones that recorders write.
_NAMES = {
    0x000A: "Windows Media Voice",
    0x0010: "OKI ADPCM",
    0x0017: "Dialogic ADPCM",
    0x0022: "TrueSpeech",
    0x0038: "AMR",
    0x0057: "AMR",
    0x0058: "AMR-WB",
    0x00FF: "AAC",
    0x0130: "Sipro ACELP",
    0x0161: "Windows Media Audio",
    0x028E: "Siren",
    0x1600: "AAC",
    0xA109: "Speex",
    0xF1AC: "FLAC",
}
_PCM_CODECS = {1: "pcm_u8", 2: "pcm_s16le", 3: "pcm_s24le", 4: "pcm_s32le"}
_FLOAT_CODECS = {4: "pcm_f32le", 8: "pcm_f64le"}
_BLOCK_HEADS = {"adpcm_ms": 7, "adpcm_ima_wav": 4, "gsm_ms": 65}
"""Bytes of a block that stand in front of its samples, for each channel."""
_FULL = 0xFFFFFFFF
RIFF_LIMIT = (1 << 32) - (1 << 16)
"""RIFF counts bytes in 32 bits. Beyond that a WAV becomes an RF64."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the samples are written down: the body of a `fmt ` chunk, of 14 bytes or more."""

    body: bytes

    @property
    def channels(self) -> int:
        return self._number(2)

    @property
    def rate(self) -> int:
        """Samples of one channel in a second."""
        return self._number(4, 4)

    @property
    def block(self) -> int:
        """Bytes that belong together: one sample of all channels, or a block of a codec."""
        return max(1, self._number(12))

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
    def name(self) -> str:
        """The codec, for a person, if it is not decoded here."""
        tag = self._tag()
        return _NAMES.get(tag, f"format 0x{tag:04x} of {self._bits()} bits")

    @property
    def bytes_a_second(self) -> int:
        """What the header says of it, which may be wrong."""
        return max(1, self._number(8, 4))

    @property
    def width(self) -> int:
        """Bytes of one sample if samples of whole bytes stand one by one, else 0.

        0 as well where the header contradicts itself.
        """
        width, odd = divmod(self._bits(), 8)
        plain = not odd and self._number(12) == width * self.channels
        return width if plain and self.codec.startswith("pcm_") else 0

    @property
    def layout(self) -> bytes:
        """What must be the same for samples to be written one behind the other."""
        # PCM is told by its codec and the size of a sample; other codecs say more in their header.
        return self.body[12:16] if self.codec.startswith("pcm_") else self.body

    def samples(self, size: int) -> int | None:
        """Return the samples of one channel in the whole blocks of so many bytes.

        None if blocks do not tell, or if a part of one is decoded as well: less than the head of a
        block is not, nor is any part of one of GSM (sox counts the byte that fills up the chunk).
        """
        if self.width:
            return size // self.block
        each, head = self._number(18), _BLOCK_HEADS.get(self.codec, 0) * self.channels
        return size // self.block * each if each and size % self.block < head else None

    def _tag(self) -> int:
        tag = self._number(0)
        if tag != _EXTENSIBLE or self.body[28:40] != _SUBFORMAT or self._number(16) < 22:
            return tag
        return self._number(24, 4)

    def _bits(self) -> int:
        if len(self.body) < 16:
            return 8  # the oldest form of the chunk does not say
        valid = self._number(18) if self._number(0) == _EXTENSIBLE else 0
        return valid or self._number(14)

    def _number(self, at: int, size: int = 2) -> int:
        return int.from_bytes(self.body[at : at + size], "little")


class Walker:
    """Takes a WAV file in pieces, and hands out its audio and nothing else.

    `form` is known before the first byte of audio. `size` is the bytes of audio so far, `missing`
    those that its header promises beyond them, and `beside` those that are neither audio nor what
    tells how to read it. Audio that goes on behind the length that its header states is audio.
    """

    def __init__(self) -> None:
        self.form: Form | None = None
        self.size = 0
        self.beside: Counter[str] = Counter()
        self._held = bytearray()
        self._audio: list[bytes] = []
        self._step: Callable[[bool], bool] = self._in_front
        self._pass, self._passed = 0, ""  # how many bytes, and what they are
        self._wide = 0
        self._odd = self._begun = self._directly = False
        self._left: int | None = 0
        self._zeros = 0

    @property
    def known_form(self) -> Form:
        """How the samples are written down, for whoever has audio of it."""
        if self.form is None:
            raise DamagedAudio("the WAV has no `fmt ` chunk", extension="wav")
        return self.form

    @property
    def missing(self) -> int:
        """Bytes of audio that the header promises and that did not come, after the end."""
        return self._left or 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes, and return those of the audio."""
        if self._step == self._in_audio and not self._held and self._goes_on(len(piece)):
            return piece  # the usual case, without a copy
        self._held += piece
        return self._take(whole=False)

    def end(self) -> bytes:
        """Return the audio that is left. Raises DamagedAudio if there was none."""
        audio = self._take(whole=True)
        if self.known_form and not self._begun:
            raise DamagedAudio("the WAV ends in front of its audio", extension="wav")
        self._put_aside("padding", self._zeros)
        if rest := bytes(self._held):
            self._put_aside("text" if _TEXT.fullmatch(rest) else "unknown bytes", len(rest))
        return audio

    def _goes_on(self, size: int) -> bool:
        """Say whether this is audio and not the end of it, and count it."""
        if self._left is not None:
            if self._left <= size:
                return False
            self._left -= size
        self.size += size
        return True

    def _take(self, *, whole: bool) -> bytes:
        while self._held and self._step(whole):
            pass
        audio = b"".join(self._audio)
        self._audio.clear()
        self.size += len(audio)
        return audio

    # Each step takes bytes off the front, and says whether it need not wait for more of them.

    def _in_front(self, whole: bool) -> bool:
        """Pass over the tags that some writers put in front of all, as players do."""
        if len(self._held) < TAG_HEAD and not whole:
            return False
        if size := tag_size(bytes(self._held[:TAG_HEAD])):
            self._go_past("ID3v2 tag", size)
        else:
            self._go_past("", _RIFF_HEAD)
        return True

    def _passing(self, _whole: bool) -> bool:
        size = min(self._pass, len(self._held))
        self._put_aside(self._passed, size)
        del self._held[:size]
        self._pass -= size
        if not self._pass:
            self._step = self._in_front if self._passed == "ID3v2 tag" else self._in_chunks
        return True

    def _in_chunks(self, whole: bool) -> bool:
        if len(self._held) < _CHUNK_HEAD + self._odd and not whole:
            return False
        if self._odd and self._is_filled_up():
            del self._held[:1]
        self._odd = False
        if len(self._held) < _CHUNK_HEAD:
            return False
        name, size = bytes(self._held[:4]), int.from_bytes(self._held[4:8], "little")
        by_chance = self._directly and size > _MOST_BEHIND and name not in (b"data", b"RIFF")
        if by_chance or not _is_chunk(self._held):
            return self._no_chunk()
        self._directly = False
        if name == b"data" and self.form:
            return self._begin_audio(size)
        if name == b"fmt " and not self._begun:
            return self._read_form(size, whole)
        if name == b"ds64":
            if len(self._held) < 24 and not whole:
                return False
            self._wide = int.from_bytes(self._held[16:24], "little")
        what = f"{name.decode().strip()} chunk"
        if len(self.beside) >= _KINDS and what not in self.beside:
            what = "other chunks"
        self._odd = bool(size % 2)
        if name in _OF_THE_HEADER:
            what = ""
        return self._go_past("another file" if name == b"RIFF" else what, _CHUNK_HEAD + size)

    def _is_filled_up(self) -> bool:
        """Say whether a byte fills up the odd chunk in front: some writers leave it out."""
        if self._held[1:5] in _EXPECTED or (not self._held[0] and _is_chunk(self._held[1:])):
            return True
        return not _is_chunk(self._held) and not self._directly

    def _no_chunk(self) -> bool:
        if self._directly:
            self._step = self._behind
            return True
        if self._begun:
            return self._go_past("unknown bytes", _FOREVER)
        # Lost between chunks: the two that count are looked for.
        found = _SOUGHT.search(self._held, 1)
        return self._go_past("unknown bytes", found.start() if found else len(self._held) - 3)

    def _read_form(self, size: int, whole: bool) -> bool:
        wanted = _CHUNK_HEAD + min(size, _FORM_BYTES)
        if len(self._held) < wanted and not whole:
            return False
        if size >= _SHORTEST_FORM:
            self.form = Form(bytes(self._held[_CHUNK_HEAD:wanted]))
        self._odd = bool(size % 2)
        return self._go_past("", _CHUNK_HEAD + size)

    def _begin_audio(self, size: int) -> bool:
        del self._held[:_CHUNK_HEAD]
        self._begun = True
        promised = self._wide if self._wide and size == _FULL else size
        until_the_end = _FULL - _NEAR < promised <= _FULL or 0 <= (1 << 31) - promised < _NEAR
        self._left = None if until_the_end else promised
        self._odd = bool(promised % 2)
        self._step = self._in_audio
        return True

    def _in_audio(self, _whole: bool) -> bool:
        size = len(self._held) if self._left is None else min(self._left, len(self._held))
        self._audio.append(bytes(self._held[:size]))
        del self._held[:size]
        if self._left is not None:
            self._left -= size
            if not self._left:
                self._directly, self._step = True, self._in_chunks
        return True

    def _behind(self, whole: bool) -> bool:
        """Tell audio that goes on from padding and text."""
        sound = self._held.lstrip(b"\0")
        if sound and not self._zeros and len(sound) < _TEXT_BYTES and not whole:
            return False
        if sound and not self._zeros and _TEXT.fullmatch(sound[:_TEXT_BYTES]):
            return self._go_past("text", _FOREVER)
        self._zeros += len(self._held) - len(sound)
        self._held[:] = sound
        if sound:
            self._audio.append(bytes(self._zeros))
            self._zeros, self._left, self._step = 0, None, self._in_audio
        return True

    def _go_past(self, what: str, size: int) -> bool:
        self._pass, self._passed, self._step = size, what, self._passing
        return True

    def _put_aside(self, what: str, size: int) -> None:
        if what and size:
            self.beside[what] += size


_RIFF_HEAD = 12
_CHUNK_HEAD = 8
_SHORTEST_FORM = 14
_FOREVER = 1 << 62
_KINDS = 20
_EXPECTED = (b"fmt ", b"data", b"fact", b"LIST")
_OF_THE_HEADER = (b"fmt ", b"fact", b"ds64")
_MOST_BEHIND = 1 << 24
_TEXT = re.compile(rb"[\t\n\f\r -~]+")
_SOUGHT = re.compile(rb"fmt |data")
_NAME = re.compile(rb"[A-Za-z0-9_]{3}[A-Za-z0-9_ ]")


def _is_chunk(held: bytes | bytearray) -> bool:
    return _NAME.match(held) is not None


def header(form: Form, size: int, samples: int, *, wide: bool) -> bytes:
    """Return the header of a WAV file with `size` bytes of audio, `samples` of one channel.

    Of 16-bit PCM the plain header has 44 bytes; the `wide` one, RF64, counts in 64 bits.
    """
    body = _chunk(b"fmt ", form.body)
    if form.codec != "pcm_s16le":
        body += _chunk(b"fact", struct.pack("<I", min(samples, _FULL)))
    if not wide:
        riff = struct.pack("<4sI4s", b"RIFF", 4 + len(body) + 8 + size + size % 2, b"WAVE")
        return riff + body + struct.pack("<4sI", b"data", size)
    numbers = struct.pack("<QQQI", 4 + 36 + len(body) + 8 + size + size % 2, size, samples, 0)
    riff = struct.pack("<4sI4s", b"RF64", _FULL, b"WAVE") + _chunk(b"ds64", numbers)
    return riff + body + struct.pack("<4sI", b"data", _FULL)


def pcm16(rate: int, channels: int) -> Form:
    return Form(struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16))


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
