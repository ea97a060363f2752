"""Says what a fetched file is, and whether all of it is there.

A refused leg is a call that is never joined, so only a loss that a listener would miss is refused:
an end that is cut off, or audio that does not decode. Tags, padding, wrong counts in headers and a
first frame that leans on one that was never recorded are how real recorders write.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import BinaryIO, NoReturn

from legato.audio import mpeg
from legato.audio.ffmpeg import Ffmpeg, FfmpegFailed, reading
from legato.audio.formats import Format, recognise
from legato.audio.riff import Wave, read_wave
from legato.errors import DamagedAudio, TooLarge
from legato.model import MEDIA_TYPES, AudioFacts

WHOLE = ("-flags2", "+skip_manual")
"""Decode every sample of every frame.

Players leave out the first and last samples of an MP3, which its encoder added. In a joined file
they are inside, so lengths and offsets count them, or they would drift from leg to leg.
"""

_MAX_RATE, _MAX_CHANNELS = 192_000, 16
_SLIP_MS = 10
"""What a WAV may lack of its header's promise and still be taken for whole, with a note of it."""


def inspect(ffmpeg: Ffmpeg, path: Path, *, max_seconds: int) -> AudioFacts:
    """Return the facts of the file at `path`, with its exact duration, and what a WAV lacks.

    Raises NotAudio, DamagedAudio, or TooLarge for more than `max_seconds` of audio.
    """
    form = recognise(path)
    wave = read_wave(path) if form == "wav" else None
    if wave is None:
        with path.open("rb") as file:
            refuse_cut_mp3(file)
    try:
        codec, rate, channels, frames = _probe(ffmpeg, path, form)
        samples = _decoded(ffmpeg, path, form, channels, max_seconds + 1)
    except FfmpegFailed as error:
        raise undecodable(error, form) from error
    if not samples:
        raise empty(form)
    if wave is None:
        # A frame that does not decode is copied and played over all the same, so frames count.
        with path.open("rb") as file:
            samples = refuse_lost_frames(frames, mpeg.promised_frames(file), rate)
    refuse_long(samples, rate, max_seconds)
    facts = facts_of(form, codec, rate, channels, samples)
    return facts if wave is None else replace(facts, lacks_ms=lacks_ms(wave, samples, rate))


def facts_of(form: Format, codec: str, rate: int, channels: int, samples: int) -> AudioFacts:
    """Return the facts of a recording with so many samples of one channel."""
    return AudioFacts(
        extension=form,
        media_type=MEDIA_TYPES[form],
        codec=codec,
        sample_rate=rate,
        channels=channels,
        duration_ms=round(samples * 1000 / rate),
    )


def lacks_ms(wave: Wave, samples: int, rate: int) -> int:
    """Return how many ms the header promises beyond the `samples` of one channel that came.

    Raises DamagedAudio if that is more than a slip of the writer's may be.
    """
    lacks = ceil(wave.missing * samples * 1000 / (wave.size * rate))
    if lacks > _SLIP_MS and not wave.counts_header:
        promised = wave.size + wave.missing
        _cut_short("wav", f"{wave.size:,} of {promised:,} bytes of audio are there")
    return lacks


def refuse_cut_mp3(file: BinaryIO) -> None:
    """Raise DamagedAudio if the file, or the end of a stream, ends within a frame."""
    if missing := mpeg.missing_at_end(file):
        _cut_short("mp3", f"its last frame lacks {missing:,} bytes")


def refuse_lost_frames(frames: int, promise: tuple[int, int], rate: int) -> int:
    """Compare with what the header promises, and return the samples of all frames."""
    promised, each = promise
    # Encoders differ by a frame or two, and a frame that is broken on the way may swallow another.
    if (promised - frames) * each > rate:
        _cut_short("mp3", f"{frames:,} of {promised:,} frames are there")
    return frames * each


def refuse_absurd(rate: int, channels: int, form: Format) -> None:
    """Raise DamagedAudio for numbers that no recording has."""
    if not (0 < rate <= _MAX_RATE and 0 < channels <= _MAX_CHANNELS):
        reason = f"no recording has {channels} channels of {rate} Hz"
        raise DamagedAudio(reason, extension=form)


def empty(form: Format) -> DamagedAudio:
    """Return the error for a recording in which there is not one sample."""
    return DamagedAudio("it holds no audio", extension=form)


def refuse_long(samples: int, rate: int, max_seconds: int) -> None:
    """Raise TooLarge if so many samples are more than `max_seconds`."""
    if samples > max_seconds * rate:
        raise TooLarge(f"the recording is longer than the limit of {max_seconds:,} s")


def undecodable(error: FfmpegFailed, form: Format) -> DamagedAudio:
    """Return what ffmpeg's failure says of the recording that it read."""
    return DamagedAudio(f"it cannot be decoded: {error}", extension=form)


def _cut_short(form: Format, reason: str) -> NoReturn:
    raise DamagedAudio(f"the {form.upper()} is cut short: {reason}", extension=form)


def _probe(ffmpeg: Ffmpeg, path: Path, form: Format) -> tuple[str, int, int, int]:
    """Return codec, sample rate, channels, and for MP3 the number of frames."""
    fields = "stream=codec_name,sample_rate,channels,nb_read_packets"
    arguments = ["-select_streams", "a:0", "-show_entries", fields, "-of", "json"]
    if form == "mp3":
        arguments.append("-count_packets")
    said = json.loads(ffmpeg.probe([*reading(path, form), *arguments]) or "{}")
    stream = (said.get("streams") or [{}])[0]
    codec = stream.get("codec_name", "unknown")
    rate, channels = int(stream.get("sample_rate", 0)), int(stream.get("channels", 0))
    refuse_absurd(rate, channels, form)
    return codec, rate, channels, int(stream.get("nb_read_packets", 0))


def _decoded(ffmpeg: Ffmpeg, path: Path, form: Format, channels: int, seconds: int) -> int:
    """Decode to the end, or for `seconds`, and count the samples of one channel."""
    written = ["-map", "0:a:0", "-c:a", "pcm_s16le", "-t", str(seconds), "-f", "s16le"]
    report = ffmpeg.run(
        [*reading(path, form, *WHOLE), *written, "-progress", "pipe:1", "-y", "file:/dev/null"]
    )
    sizes = [line[11:] for line in report.splitlines() if line.startswith("total_size=")]
    return int(sizes[-1]) // (2 * channels) if sizes and sizes[-1].isdigit() else 0
