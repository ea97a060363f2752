"""Listens to a recording: once, piece by piece, as it passes by or from a file.

Nobody keeps the recording here. A walker says which of its bytes are audio; plain samples are heard
as they come, everything else goes through an ffmpeg that reads from one pipe and writes to another
and sees nothing but frames or blocks behind a header of ours. What is held is a tag, some tenths of
a second of sound and the last bytes, each up to a limit.

A refused leg is a call that is never joined, so only a loss that a listener would miss is refused:
an end that is cut off, or audio that does not decode. Tags, padding, wrong counts in headers and a
first frame that leans on one that was never recorded are how real recorders write. What a WAV lacks
of its header's promise is said (`lacks_ms`): whether it was cut, only another download tells.
"""

from __future__ import annotations

import audioop
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path

from legato.audio import mpeg, riff
from legato.audio.ffmpeg import Fed, Ffmpeg, FfmpegFailed, reading
from legato.audio.formats import HEAD, recognise, refusal, unsupported
from legato.audio.levels import LevelMeter, audiowaveform
from legato.errors import DamagedAudio, NotAudio, TooLarge
from legato.model import MEDIA_TYPES, AudioFacts
from legato.ports import Levels, Listener

_MAX_RATE, _MAX_CHANNELS = 192_000, 16
_MAX_JUNK = 1 << 16
"""So much that is neither a tag nor padding may stand in front of an MP3's first frame."""
_AT_ONCE = 1 << 16
_GROUPED = ("-af", "asetnsamples=n=32768:p=0")
"""Lets ffmpeg write down many frames together, which takes a seventh of its time less."""
_PIECE = 1 << 16

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

    An MP3 behind a tag or zeros that fill the head may turn out to be none later, with NotAudio. An
    MP3 that was cut between two frames is only known by a header that counts them.
    """
    form = recognise(head)
    if other := unsupported(head):
        yield _Unheard(*other)
        return
    with ExitStack() as stack:
        sound = _Sound(form, max_seconds)

        def piped(demuxer: str, *options: str, grouped: bool = True) -> _Piped:
            written = ("-map", "0:a:0", "-c:a", "pcm_s16le", "-flush_packets", "0", "-f", "wav")
            together = _GROUPED if grouped else ()
            arguments = [*reading(demuxer), *options, *together, *written, "pipe:1"]
            return _Piped(sound, stack.enter_context(ffmpeg.fed(arguments)))

        yield _Wav(sound, piped) if form == "wav" else _Mp3(sound, piped, refusal(head))


def inspect(ffmpeg: Ffmpeg, path: Path, *, max_seconds: int) -> tuple[AudioFacts, Levels]:
    """Listen to the file at `path`.

    Raises NotAudio, DamagedAudio, or TooLarge for more than `max_seconds` of audio.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        with listen(ffmpeg, head, max_seconds=max_seconds) as listener:
            listener.hear(head)
            while piece := file.read(_PIECE):
                listener.hear(piece)
            return listener.heard()


class _Sound:
    """What is heard of one recording, within the limits for recordings."""

    def __init__(self, form: str, max_seconds: int) -> None:
        self.form = form
        self._max_seconds = max_seconds
        self._meter: LevelMeter | None = None
        self._left_out: list[tuple[int, int]] = []
        self._at = 0

    @property
    def begun(self) -> bool:
        return self._meter is not None

    def begin(self, rate: int, channels: int) -> None:
        """Say what comes. Raises DamagedAudio for numbers that no recording has."""
        self.refuse_absurd(rate, channels)
        self._meter = LevelMeter(rate, channels)

    def refuse_absurd(self, rate: int, channels: int) -> None:
        """Raise DamagedAudio for numbers that no recording has."""
        if not (0 < rate <= _MAX_RATE and 0 < channels <= _MAX_CHANNELS):
            raise self.damaged(f"no recording has {channels} channels of {rate} Hz")

    def leave_out(self, ranges: list[tuple[int, int]]) -> None:
        """Do not hear the samples from and up to these."""
        self._left_out = ranges

    def hear(self, pcm: bytes) -> None:
        """Take the next samples. Raises TooLarge."""
        if meter := self._meter:
            if self._left_out:
                pcm = self._kept(pcm, 2 * meter.channels)
            meter.hear(pcm)
            self.refuse_long(meter.samples / meter.rate)

    def end(self) -> tuple[LevelMeter, Levels]:
        """Return what was heard. Raises DamagedAudio if there was not one sample."""
        levels = self._meter.levels() if self._meter else None
        if self._meter is None or levels is None or not self._meter.samples:
            raise self.damaged("it holds no audio")
        return self._meter, levels

    def damaged(self, reason: str) -> DamagedAudio:
        return DamagedAudio(reason, extension=self.form)

    def refuse_long(self, seconds: float) -> None:
        if seconds > self._max_seconds:
            limit = f"the limit of {self._max_seconds:,} s"
            raise TooLarge(f"the recording is longer than {limit}")

    def _kept(self, pcm: bytes, width: int) -> bytes:
        begin, self._at = self._at, self._at + len(pcm)
        kept = bytearray(pcm)
        for first, last in reversed(self._left_out):
            del kept[max(0, first * width - begin) : max(0, last * width - begin)]
        return bytes(kept)


type _Decoder = _Plain | _Piped | _Frames | _Deaf
type _NewPipe = Callable[..., _Piped]


class _Plain:
    """Samples that stand one by one in a WAV."""

    def __init__(self, sound: _Sound, form: riff.Form) -> None:
        sound.begin(form.rate, form.channels)
        self._sound = sound
        self._width, self._to_pcm16 = _PLAIN[form.codec]
        self._rest = b""

    def give(self, audio: bytes) -> None:
        for at in range(0, len(audio), _AT_ONCE):
            samples = self._rest + audio[at : at + _AT_ONCE]
            whole = len(samples) // self._width * self._width
            self._rest = samples[whole:]
            self._sound.hear(self._to_pcm16(samples[:whole]))

    def end(self) -> None:
        """Do nothing: what is left is no whole sample."""


class _Piped:
    """An ffmpeg that decodes what it is given into PCM16, behind a header with its numbers."""

    def __init__(self, sound: _Sound, fed: Fed) -> None:
        self._sound, self._fed = sound, fed
        self._head, self._walker = b"", riff.Walker()

    def give(self, audio: bytes) -> None:
        """Take the next bytes. Raises DamagedAudio when ffmpeg gives up, TimedOut."""
        self._listen(self._fed.give(audio))

    def end(self) -> None:
        self._listen(self._fed.end())

    def _listen(self, pieces: Iterable[bytes]) -> None:
        try:
            for piece in pieces:
                pcm = self._walker.feed(piece)
                if pcm and not self._sound.begun and (form := self._walker.form):
                    self._sound.begin(form.rate, form.channels)
                self._sound.hear(pcm)
        except FfmpegFailed as error:
            raise _Undecodable(str(error), extension=self._sound.form) from error


class _Undecodable(DamagedAudio):
    """ffmpeg gave up."""


class _Frames:
    """Frames of MPEG audio, and what stands between them."""

    def __init__(self, sound: _Sound, new_pipe: _NewPipe) -> None:
        self.walker = mpeg.Walker()
        self._sound, self._new_pipe = sound, new_pipe
        self._pipe: _Piped | None = None

    def give(self, audio: bytes) -> None:
        """Take the next bytes. Raises DamagedAudio, TooLarge, TimedOut."""
        self._decode(self.walker.feed(audio))

    def end(self) -> None:
        """Hear the rest. Raises as `give` does, and DamagedAudio for what is not whole."""
        self._decode(self.walker.end())
        walker = self.walker
        if walker.frames < 2 - bool(walker.info):
            but = "a Xing header" if walker.info else "one frame of MPEG audio"
            raise self._sound.damaged(f"it holds no audio but {but}")
        if walker.missing > mpeg.FEW_BYTES:
            where = f"{walker.missing:,} bytes before the end of frame {walker.frames + 1:,}"
            raise self._sound.damaged(f"the MP3 is cut {where}")
        promised = walker.info.frames if walker.info else 0
        lost = max(0, promised - walker.frames) * self.kind.samples
        # Encoders differ by a frame or two, and what is broken on the way may swallow another.
        if lost > self.kind.rate:
            raise self._sound.damaged(
                f"the MP3 is cut: {walker.frames:,} of {promised:,} frames are there"
            )
        if self._pipe:
            self._pipe.end()

    @property
    def kind(self) -> mpeg.Kind:
        """What the first frames are like."""
        return next(iter(self.walker.counts))

    @property
    def codec(self) -> str:
        return f"mp{self.kind.layer}"

    def _decode(self, frames: bytes) -> None:
        if not frames:
            return
        if self._pipe is None:
            self._pipe = self._decoder(grouped=True)
            self._sound.leave_out(mpeg.left_out(self.walker.info, self.kind))
        self._sound.refuse_long(self.walker.lasts)
        if (border := self.walker.border) is not None:
            self._pipe.give(frames[:border])
            self._pipe.end()
            # Where the rate or the channels change, ffmpeg forgets the samples that it groups.
            self._pipe = self._decoder(grouped=False)
            frames = frames[border:]
        self._pipe.give(frames)

    def _decoder(self, *, grouped: bool) -> _Piped:
        # Where the rate changes, what was said first holds to the end.
        like = ("-ar", str(self.kind.rate), "-ac", str(self.kind.channels))
        return self._new_pipe("mp3", *like, grouped=grouped)


class _Deaf:
    """Hears nothing of what nobody decodes here, and says what that is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def give(self, audio: bytes) -> None:
        """Pass the next bytes by."""

    def end(self) -> None:
        """Do nothing."""


_NOTHING = Levels(
    longest_silence_ms=0,
    silent_share=0.0,
    peak_dbfs=None,
    loudness_dbfs=None,
    peaks=audiowaveform(8000, 64, []),
)
"""What was heard of a recording that nobody decodes here."""


class _Unheard:
    """A recording that is none of those that are decoded here."""

    def __init__(self, extension: str, name: str) -> None:
        self.extension = extension
        self._name = name

    def hear(self, piece: bytes) -> None:
        """Pass the next bytes by."""

    def heard(self) -> tuple[AudioFacts, Levels]:
        facts = AudioFacts(
            extension=self.extension,
            media_type=MEDIA_TYPES[self.extension],
            codec="unknown",
            sample_rate=0,
            channels=0,
            duration_ms=0,
            unsupported=self._name,
        )
        return facts, _NOTHING


class _Wav:
    extension = "wav"

    def __init__(self, sound: _Sound, new_pipe: _NewPipe) -> None:
        self._sound, self._new_pipe = sound, new_pipe
        self._walker = riff.Walker()
        self._begun: tuple[riff.Form, _Decoder] | None = None

    def hear(self, piece: bytes) -> None:
        self._give(self._walker.feed(piece))

    def heard(self) -> tuple[AudioFacts, Levels]:
        self._give(self._walker.end())
        if self._begun is None:
            raise self._sound.damaged("it holds no audio")
        with self._going_deaf():
            self._begun[1].end()
        form, decoder = self._begun
        if isinstance(decoder, _Deaf):
            return self._unheard(form, decoder.name), _NOTHING
        meter, levels = self._sound.end()
        beside, varies = self._walker.beside, False
        if isinstance(decoder, _Frames):
            beside, varies = beside + decoder.walker.beside, len(decoder.walker.counts) > 1
        facts = AudioFacts(
            extension="wav",
            media_type=MEDIA_TYPES["wav"],
            codec=form.codec,
            sample_rate=meter.rate,
            channels=meter.channels,
            duration_ms=round(meter.samples * 1000 / meter.rate),
            lacks_ms=ceil(
                self._walker.missing * meter.samples * 1000 / (self._walker.size * meter.rate)
            ),
            varies=varies,
            beside=dict(beside),
        )
        return facts, levels

    def _unheard(self, form: riff.Form, name: str) -> AudioFacts:
        return AudioFacts(
            extension="wav",
            media_type=MEDIA_TYPES["wav"],
            codec="unknown",
            sample_rate=form.rate,
            channels=form.channels,
            duration_ms=round(self._walker.size * 1000 / form.bytes_a_second),
            unsupported=f"{name} in WAV",
            beside=dict(self._walker.beside),
        )

    def _give(self, audio: bytes) -> None:
        if audio:
            begun = self._begun or self._begin()
            with self._going_deaf():
                begun[1].give(audio)

    @contextmanager
    def _going_deaf(self) -> Iterator[None]:
        """Keep what ffmpeg gives up on: it has a codec that it knows, and not this kind of it."""
        try:
            yield
        except _Undecodable as error:
            if self._begun is None:
                raise
            form, _ = self._begun
            self._begun = form, _Deaf(f"{form.codec} that cannot be decoded ({error})")

    def _begin(self) -> tuple[riff.Form, _Decoder]:
        form = self._walker.known_form
        self._sound.refuse_absurd(form.rate, form.channels)
        decoder: _Decoder
        if form.codec in _PLAIN and form.width == _PLAIN[form.codec][0]:
            decoder = _Plain(self._sound, form)
        elif form.codec in ("mp2", "mp3"):
            decoder = _Frames(self._sound, self._new_pipe)
        elif form.codec == "unknown":
            decoder = _Deaf(form.name)
        else:
            decoder = self._new_pipe("wav")
            # No length: up to the end.
            decoder.give(riff.header(form, 0, 0, wide=False))
        self._begun = form, decoder
        return self._begun


class _Mp3:
    extension = "mp3"

    def __init__(self, sound: _Sound, new_pipe: _NewPipe, no_audio: NotAudio) -> None:
        self._sound, self._no_audio = sound, no_audio
        self._decoder = _Frames(sound, new_pipe)

    def hear(self, piece: bytes) -> None:
        self._decoder.give(piece)
        walker = self._decoder.walker
        if not walker.frames and walker.beside["text"] + walker.beside["unknown bytes"] > _MAX_JUNK:
            raise self._no_audio

    def heard(self) -> tuple[AudioFacts, Levels]:
        frames, walker = self._decoder, self._decoder.walker
        try:
            frames.end()
        except DamagedAudio:
            if walker.frames or walker.info:
                raise
            raise self._no_audio from None
        meter, levels = self._sound.end()
        whole, rate = walker.lasts, frames.kind.rate
        ranges = mpeg.left_out(walker.info, frames.kind)
        samples = round(whole * rate)
        out = [max(0, min(last, samples) - first) for first, last in ranges]
        whole_ms, delay_ms = round(whole * 1000), round(sum(out[:1]) * 1000 / rate)
        duration_ms = round((samples - sum(out)) * 1000 / rate)
        facts = AudioFacts(
            extension="mp3",
            media_type=MEDIA_TYPES["mp3"],
            codec=frames.codec,
            sample_rate=meter.rate,
            channels=meter.channels,
            duration_ms=duration_ms,
            delay_ms=delay_ms,
            padding_ms=whole_ms - delay_ms - duration_ms,
            lacks_ms=ceil(walker.lacks * 1000),
            varies=len(walker.counts) > 1,
            beside=dict(walker.beside),
        )
        return facts, levels
