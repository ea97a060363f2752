"""Makes one file of the legs of a call.

Legs of one format are copied: every encoded frame of the originals is in the result, unchanged, and
nothing else is. Only a mixture is decoded, because no file can hold two formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from legato.audio import mpeg, riff
from legato.audio.ffmpeg import Ffmpeg, reading
from legato.audio.formats import HEAD, recognise
from legato.disk import create
from legato.errors import DamagedAudio, Failed, NotAudio, TooLarge
from legato.model import MEDIA_TYPES, AudioFacts, offsets_ms
from legato.ports import Joined

type Legs = Sequence[tuple[Path, AudioFacts]]

_PIECE = 1 << 16
_SLIP_MS = 2
"""Lengths are rounded to a millisecond."""


def join(ffmpeg: Ffmpeg, legs: Legs, target: Path, *, max_bytes: int) -> Joined:
    """Write the legs, two or more, into `target`, one after the other.

    Raises Failed with the reason, TooLarge over `max_bytes`. What was written is removed then.
    """
    try:
        with create(target, buffering=0) as file:
            return _joined(ffmpeg, legs, _Output(file, max_bytes))
    except (NotAudio, DamagedAudio) as error:
        target.unlink(missing_ok=True)
        raise Failed(f"a leg changed after it was inspected: {error}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class _Output:
    """The file, which grows up to a limit."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self._file, self._max_bytes = file, max_bytes
        self.size = 0

    def write(self, audio: bytes) -> None:
        self.size += len(audio)
        if self.size > self._max_bytes:
            raise TooLarge(f"the recording grows over the limit of {self._max_bytes:,} bytes")
        left = memoryview(audio)
        while left:
            left = left[self._file.write(left) :]

    def write_in_front(self, header: bytes) -> None:
        self._file.seek(0)
        self._file.write(header)


def _joined(ffmpeg: Ffmpeg, legs: Legs, output: _Output) -> Joined:
    for _, audio in legs:
        if audio.unsupported is not None:
            raise Failed(f"a leg has an unsupported codec: {audio.unsupported}")
    forms = [_form(path, audio) for path, audio in legs]
    if not _copyable(legs, forms):
        return _transcode(ffmpeg, legs, output)
    first = legs[0][1]
    if forms[0] is None:
        _copy_frames(legs, output)
    else:
        _copy_samples(legs, forms[0], output)
    return Joined(
        how="copy",
        audio=AudioFacts(
            extension=first.extension,
            media_type=first.media_type,
            codec=first.codec,
            sample_rate=first.sample_rate,
            channels=first.channels,
            duration_ms=sum(audio.whole_ms for _, audio in legs),
        ),
        offsets_ms=offsets_ms([audio for _, audio in legs]),
    )


def _form(path: Path, audio: AudioFacts) -> riff.Form | None:
    """Return how a WAV's samples are written down. Raises Failed if it is none any more."""
    with path.open("rb") as file:
        if recognise(file.read(HEAD)) != audio.extension:
            raise Failed(f"a leg that was {audio.extension.upper()} is something else now")
    if audio.extension == "mp3":
        return None
    walker = riff.Walker()
    for _ in _walked(path, walker):
        if walker.form:
            return walker.form
    raise DamagedAudio("it holds no audio", extension="wav")


def _copyable(legs: Legs, forms: Sequence[riff.Form | None]) -> bool:
    """Tell whether one file can hold all legs as they are."""
    if len({audio.format for _, audio in legs}) > 1 or any(audio.varies for _, audio in legs):
        return False
    wavs = [(path, form) for (path, _), form in zip(legs, forms, strict=True) if form]
    # A block that is cut would shift all that stand behind it, and those of MP3 cannot be told.
    return len({form.layout for _, form in wavs}) <= 1 and all(
        form.width or _in_whole_blocks(path, form) for path, form in wavs
    )


def _in_whole_blocks(path: Path, form: riff.Form) -> bool:
    walker = riff.Walker()
    for _ in _walked(path, walker):
        pass
    return form.samples(walker.size) is not None


def _walked(path: Path, walker: mpeg.Walker | riff.Walker) -> Iterator[bytes]:
    """Yield the audio of a file, and nothing else."""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield walker.feed(piece)
        yield walker.end()


def _copy_frames(legs: Legs, output: _Output) -> None:
    for path, audio in legs:
        walker = mpeg.Walker()
        for frames in _walked(path, walker):
            output.write(frames)
        _refuse_change(walker.lasts, audio)


def _copy_samples(legs: Legs, form: riff.Form, output: _Output) -> None:
    wide = sum(path.stat().st_size for path, _ in legs) > riff.RIFF_LIMIT
    front = len(riff.header(form, 0, 0, wide=wide))
    output.write(bytes(front))
    samples = 0
    for path, audio in legs:
        begin, rest = output.size, b""
        for piece in _walked(path, riff.Walker()):
            piece = rest + piece if rest else piece
            whole = len(piece) // form.block * form.block
            output.write(piece[:whole])
            rest = piece[whole:]
        here = form.samples(output.size - begin) or 0
        _refuse_change(here / form.rate, audio)
        samples += here
    size = output.size - front
    output.write(bytes(size % 2))
    output.write_in_front(riff.header(form, size, samples, wide=wide))


def _refuse_change(lasts: float, audio: AudioFacts) -> None:
    """Raise Failed unless what was copied is as long as what was inspected."""
    due = audio.whole_ms / 1000
    if abs(lasts - due) * 1000 > _SLIP_MS:
        raise Failed(f"a leg plays {lasts:.1f} s instead of {due:.1f} s")


def _transcode(ffmpeg: Ffmpeg, legs: Legs, output: _Output) -> Joined:
    rate = max(audio.sample_rate for _, audio in legs)
    channels = max(audio.channels for _, audio in legs)
    second = rate * channels * 2
    wide = sum(audio.whole_ms for _, audio in legs) * second // 1000 > riff.RIFF_LIMIT
    form = riff.pcm16(rate, channels)
    front = len(riff.header(form, 0, 0, wide=wide))
    output.write(bytes(front))
    offsets = []
    for path, audio in legs:
        offsets.append(round((output.size - front) * 1000 / second) + audio.delay_ms)
        for pcm in _decoded(ffmpeg, path, audio, rate, channels):
            output.write(pcm)
    size = output.size - front
    output.write_in_front(riff.header(form, size, size // form.block, wide=wide))
    audio = AudioFacts(
        extension="wav",
        media_type=MEDIA_TYPES["wav"],
        codec="pcm_s16le",
        sample_rate=rate,
        channels=channels,
        duration_ms=round(size * 1000 / second),
    )
    return Joined(how="transcode", audio=audio, offsets_ms=tuple(offsets))


def _decoded(
    ffmpeg: Ffmpeg, path: Path, audio: AudioFacts, rate: int, channels: int
) -> Iterator[bytes]:
    # ffmpeg makes one channel quieter by 3 dB when it spreads it over two; `pan` copies it.
    spread = audio.channels == 1 and channels == 2 and not audio.varies
    demuxer = "mp3" if audio.codec.startswith("mp") else "wav"
    arguments = [
        *reading(demuxer),
        *("-map", "0:a:0", *(("-af", "pan=stereo|c0=c0|c1=c0") if spread else ())),
        *("-c:a", "pcm_s16le", "-ar", str(rate), "-ac", str(channels), "-f", "s16le", "pipe:1"),
    ]
    with ffmpeg.fed(arguments) as fed:
        for piece in _encoded(path, audio):
            yield from fed.give(piece)
        yield from fed.end()


def _encoded(path: Path, audio: AudioFacts) -> Iterator[bytes]:
    """Yield what a decoder is given of a leg: frames, or samples behind a header of ours."""
    if audio.extension == "mp3":
        yield from _walked(path, mpeg.Walker())
        return
    outer, inner = riff.Walker(), mpeg.Walker() if audio.codec.startswith("mp") else None
    begun = False
    for piece in _walked(path, outer):
        if inner:
            yield inner.feed(piece)
            continue
        if piece and not begun and outer.form:
            begun = True
            yield riff.header(outer.form, 0, 0, wide=False)
        yield piece
    if inner:
        yield inner.end()
