"""Listens to a recording that passes by, and judges it as `inspect` judges a file.

Nobody keeps the recording here: plain samples are heard as they come, everything else goes through
an ffmpeg that reads from one pipe and writes to another. What is held is what stands in front of
the audio, a tenth of a second of sound and the last bytes, each up to a limit.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import audioop

from legato.audio import mpeg
from legato.audio.ear import Ear
from legato.audio.ffmpeg import Fed, Ffmpeg, FfmpegFailed, reading_pipe
from legato.audio.formats import HEAD, Format, recognise_stream, refusal
from legato.audio.inspect import (
    WHOLE,
    empty,
    facts_of,
    lacks_ms,
    refuse_absurd,
    refuse_cut_mp3,
    refuse_long,
    refuse_lost_frames,
    undecodable,
)
from legato.audio.riff import Header, header_so_far, whole_header
from legato.errors import NotAudio
from legato.model import AudioFacts
from legato.ports import Levels, Listener

# Twice what `mpeg.missing_at_end` looks at, so that it sees behind tags of up to 64 KiB.
_END = 1 << 17
_AT_ONCE = 1 << 16

# By codec: bytes of a sample, and how to make PCM16 of many, to the bit as ffmpeg does.
_PLAIN: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "pcm_s16le": (2, lambda samples: samples),
    "pcm_u8": (1, lambda samples: audioop.lin2lin(audioop.bias(samples, 1, 128), 1, 2)),
    "pcm_s24le": (3, lambda samples: audioop.lin2lin(samples, 3, 2)),
    "pcm_s32le": (4, lambda samples: audioop.lin2lin(samples, 4, 2)),
    "pcm_mulaw": (1, lambda samples: audioop.ulaw2lin(samples, 2)),
    "pcm_alaw": (1, lambda samples: audioop.alaw2lin(samples, 2)),
}


@contextmanager
def listen(ffmpeg: Ffmpeg, head: bytes, *, max_seconds: int) -> Iterator[Listener]:
    """Begin to listen to a recording whose first 4096 bytes, or all, are `head`. Raises NotAudio.

    Nothing can be looked at twice, so some is seen later than in a file, or not: an MP3 behind a
    tag or zeros that fill the head may turn out to be none in `hear`, with NotAudio; an MP3's cut
    end is not seen in front of more than 64 KiB of tags. As in a file, an MP3 that was cut between
    two frames is only known by a header that counts them.
    """
    form = recognise_stream(head)
    with ExitStack() as stack:
        sound = _Sound(form, max_seconds)
        decoding = [
            *reading_pipe(form, *WHOLE),
            *("-map", "0:a:0", "-c:a", "pcm_s16le", "-flush_packets", "0", "-f", "wav", "pipe:1"),
        ]

        def decoder() -> _Piped:
            return _Piped(sound, stack.enter_context(ffmpeg.fed(decoding)))

        yield _Wav(sound, decoder) if form == "wav" else _Mp3(sound, decoder, refusal(head))


class _Sound:
    """What the ear hears of one recording, within the limits for recordings."""

    def __init__(self, form: Format, max_seconds: int) -> None:
        self.form = form
        self._max_seconds = max_seconds
        self.ear: Ear | None = None

    def begin(self, rate: int, channels: int) -> None:
        refuse_absurd(rate, channels, self.form)
        self.ear = Ear(rate, channels)

    def hear(self, pcm: bytes) -> None:
        if self.ear:
            self.ear.hear(pcm)
            refuse_long(self.ear.samples, self.ear.rate, self._max_seconds)

    def end(self) -> tuple[Ear, Levels]:
        levels = self.ear.levels() if self.ear else None
        if self.ear is None or levels is None or not self.ear.samples:
            raise empty(self.form)
        return self.ear, levels

    def facts(self, ear: Ear, codec: str, samples: int) -> AudioFacts:
        refuse_long(samples, ear.rate, self._max_seconds)
        return facts_of(self.form, codec, ear.rate, ear.channels, samples)


class _Plain:
    """Samples that stand one by one in a WAV."""

    def __init__(self, sound: _Sound, header: Header) -> None:
        self._sound = sound
        self._width, self._to_pcm16 = _PLAIN[header.codec]
        self._left = header.promised
        self._rest = b""

    def give(self, piece: bytes) -> None:
        """Take the next bytes of the audio, and pass over what stands behind it."""
        if self._left is not None:
            piece = piece[: self._left]
            self._left -= len(piece)
        for at in range(0, len(piece), _AT_ONCE):
            samples = self._rest + piece[at : at + _AT_ONCE]
            whole = len(samples) // self._width * self._width
            self._rest = samples[whole:]
            self._sound.hear(self._to_pcm16(samples[:whole]))

    def end(self) -> None:
        """Do nothing: what is left is no whole sample."""


class _Piped:
    """An ffmpeg that decodes a whole recording into PCM16, behind a header with its numbers."""

    def __init__(self, sound: _Sound, fed: Fed) -> None:
        self._sound, self._fed = sound, fed
        self._head = b""

    def give(self, piece: bytes) -> None:
        """Take the next bytes. Raises DamagedAudio when ffmpeg gives up, TimedOut."""
        self._listen(self._fed.give(piece))

    def end(self) -> None:
        """Hear the rest. Raises as `give` does."""
        self._listen(self._fed.end())

    @property
    def packets(self) -> int:
        """How many packets there were, those that do not decode among them."""
        return self._fed.packets

    def _listen(self, pieces: Iterable[bytes]) -> None:
        try:
            for pcm in pieces:
                if self._sound.ear:
                    self._sound.hear(pcm)
                    continue
                self._head += pcm
                if header := header_so_far(self._head):
                    self._sound.begin(header.rate, header.channels)
                    self._sound.hear(self._head[header.start :])
        except FfmpegFailed as error:
            raise undecodable(error, self._sound.form) from error


class _Wav:
    extension: Format = "wav"

    def __init__(self, sound: _Sound, decoder: Callable[[], _Piped]) -> None:
        self._sound, self._new_decoder = sound, decoder
        self._size = 0
        self._held = bytearray()
        self._enough = HEAD
        self._begun: tuple[Header, _Plain | _Piped] | None = None

    def hear(self, piece: bytes) -> None:
        """Take the next bytes. Raises DamagedAudio, TooLarge."""
        self._size += len(piece)
        if self._begun:
            self._begun[1].give(piece)
            return
        self._held += piece
        if len(self._held) >= self._enough:
            # Read again only when there is twice as much, so that small pieces cost no more.
            self._enough = 2 * len(self._held)
            if header := header_so_far(bytes(self._held)):
                self._begin(header)

    def heard(self) -> tuple[AudioFacts, Levels]:
        """Say what it was. Raises DamagedAudio, TooLarge."""
        header, decoder = self._begun or self._begin(whole_header(io.BytesIO(self._held)))
        decoder.end()
        ear, levels = self._sound.end()
        facts = self._sound.facts(ear, header.codec, ear.samples)
        lacks = lacks_ms(header.laid_out(self._size), ear.samples, ear.rate)
        return replace(facts, lacks_ms=lacks), levels

    def _begin(self, header: Header) -> tuple[Header, _Plain | _Piped]:
        refuse_absurd(header.rate, header.channels, "wav")
        decoder: _Plain | _Piped
        held, self._held = bytes(self._held), bytearray()
        if header.codec in _PLAIN and header.width == _PLAIN[header.codec][0]:
            self._sound.begin(header.rate, header.channels)
            decoder, held = _Plain(self._sound, header), held[header.start :]
        else:
            decoder = self._new_decoder()
        self._begun = header, decoder
        decoder.give(held)
        return self._begun


class _Mp3:
    extension: Format = "mp3"

    def __init__(self, sound: _Sound, decoder: Callable[[], _Piped], no_audio: NotAudio) -> None:
        self._sound, self._new_decoder, self._no_audio = sound, decoder, no_audio
        self._tag = 0
        self._held, self._end = bytearray(), bytearray()
        self._begun: tuple[_Piped, tuple[int, int]] | None = None

    def hear(self, piece: bytes) -> None:
        """Take the next bytes. Raises NotAudio, DamagedAudio, TooLarge."""
        self._end += piece[-_END:]
        if len(self._end) > 2 * _END:
            del self._end[:-_END]
        if self._begun:
            self._begun[0].give(piece)
            return
        self._held += piece
        self._pass_tags()
        if len(self._held) >= mpeg.PROOF:
            self._begin()

    def heard(self) -> tuple[AudioFacts, Levels]:
        """Say what it was. Raises NotAudio, DamagedAudio, TooLarge."""
        decoder, promise = self._begun or self._begin()
        refuse_cut_mp3(io.BytesIO(self._end[-_END:]))
        decoder.end()
        ear, levels = self._sound.end()
        samples = refuse_lost_frames(decoder.packets, promise, ear.rate)
        return self._sound.facts(ear, "mp3", samples), levels

    def _pass_tags(self) -> None:
        # Pictures and texts are kept from ffmpeg, which has no use for them.
        while self._held:
            if not (size := self._tag or mpeg.tag_size(bytes(self._held[:10]))):
                return
            self._tag = max(0, size - len(self._held))
            del self._held[:size]

    def _begin(self) -> tuple[_Piped, tuple[int, int]]:
        file = io.BytesIO(self._held)
        if mpeg.audio_start(file) is None:
            raise self._no_audio
        self._begun = self._new_decoder(), mpeg.promised_frames(file)
        # So much at once: ffmpeg reads a header again, which it cannot in a pipe that trickles.
        held, self._held = bytes(self._held), bytearray()
        self._begun[0].give(held)
        return self._begun
