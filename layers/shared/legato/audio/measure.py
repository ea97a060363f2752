"""How loud a recording is, and its picture for players.

ffmpeg streams the samples, pydub listens to a tenth of a second at a time, and nothing is kept but
the result: a day of audio takes the memory of a minute.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import audioop

from legato.audio.ffmpeg import Ffmpeg, reading
from legato.audio.inspect import WHOLE
from legato.model import AudioFacts, Json
from legato.ports import Levels

with warnings.catch_warnings():
    # It warns that it finds no ffmpeg of its own. It is not asked to decode anything.
    warnings.simplefilter("ignore")
    from pydub import AudioSegment
    from pydub.utils import ratio_to_db

SILENCE_DBFS = -50.0
"""A tenth of a second whose mean level is below this is silence."""

MAX_POINTS = 8192
_FULL_SCALE = 32768
_WINDOWS_AT_ONCE = 64


def measure(ffmpeg: Ffmpeg, path: Path, audio: AudioFacts) -> Levels:
    """Measure levels over all channels, and peaks of their mixture. Raises Failed."""
    levels, peaks = (
        _Levels(),
        _Peaks(audio.sample_rate, 1 if audio.channels < 3 else audio.channels),
    )
    arguments = ["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]
    with ffmpeg.stream([*reading(path, audio.extension, *WHOLE), *arguments]) as pcm:
        for window in _windows(pcm, audio):
            levels.add(window)
            peaks.add(_mono(window))
    return levels.result(audio.sample_rate, peaks.to_json())


def _windows(pcm: IO[bytes], audio: AudioFacts) -> Iterator[AudioSegment]:
    frame = 2 * audio.channels
    size = max(1, audio.sample_rate // 10) * frame
    while block := pcm.read(size * _WINDOWS_AT_ONCE):
        for at in range(0, len(block) // frame * frame, size):
            yield AudioSegment(
                data=block[at : at + size],
                sample_width=2,
                frame_rate=audio.sample_rate,
                channels=audio.channels,
            )


def _mono(window: AudioSegment) -> bytes:
    # More than two channels are not met; pydub would mix them sample by sample, in Python.
    mixed = window.set_channels(1) if window.channels == 2 else window
    pcm: bytes = mixed.raw_data
    return pcm


class _Levels:
    """Sums up windows. Counts samples of one channel."""

    def __init__(self) -> None:
        self._samples = self._silent = self._silence = self._longest = self._peak = 0
        self._energy = 0.0
        self._threshold = _FULL_SCALE * 10 ** (SILENCE_DBFS / 20)

    def add(self, window: AudioSegment) -> None:
        samples, rms = int(window.frame_count()), window.rms
        self._samples += samples
        self._energy += rms * rms * samples
        self._peak = max(self._peak, window.max)
        if rms < self._threshold:
            self._silent += samples
            self._silence += samples
            self._longest = max(self._longest, self._silence)
        else:
            self._silence = 0

    def result(self, rate: int, peaks: Json) -> Levels:
        rms = math.sqrt(self._energy / self._samples) if self._samples else 0.0
        return Levels(
            longest_silence_ms=round(self._longest * 1000 / rate),
            silent_share=round(self._silent / self._samples, 4) if self._samples else 1.0,
            peak_dbfs=_dbfs(self._peak),
            loudness_dbfs=_dbfs(rms),
            peaks=peaks,
        )


def _dbfs(level: float) -> float | None:
    return round(ratio_to_db(level / _FULL_SCALE), 2) if level else None


class _Peaks:
    """Lowest and highest sample of each pixel; pixels double as the recording turns out longer.

    The format is audiowaveform's: https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._frame = 2 * channels
        self._pixel = 64
        self._pairs: list[tuple[int, int]] = []
        self._rest = b""

    def add(self, pcm: bytes) -> None:
        data, at = self._rest + pcm, 0
        while len(data) - at >= (size := self._frame * self._pixel):
            self._append(data[at : at + size])
            at += size
        self._rest = data[at:]

    def _append(self, pcm: bytes) -> None:
        low, high = audioop.minmax(pcm, 2)
        self._pairs.append((low >> 8, high >> 8))
        if len(self._pairs) == MAX_POINTS:
            halves = zip(self._pairs[::2], self._pairs[1::2], strict=True)
            self._pairs = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in halves]
            self._pixel *= 2

    def to_json(self) -> Json:
        if self._rest:
            self._append(self._rest)
            self._rest = b""
        return {
            "version": 2,
            "channels": 1,
            "sample_rate": self._rate,
            "samples_per_pixel": self._pixel,
            "bits": 8,
            "length": len(self._pairs),
            "data": [value for pair in self._pairs for value in pair],
        }
