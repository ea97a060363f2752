"""Measures how loud a recording is, and draws its picture for players.

It listens to a tenth of a second at a time, with what pydub listens by, and nothing is kept but the
result: a day of audio takes the memory of a minute. It makes no difference in which pieces the
samples come.
"""

from __future__ import annotations

import audioop
import math
import re
import warnings
from operator import mul

from legato.model import Json
from legato.ports import Levels

with warnings.catch_warnings():
    # It warns that it finds no ffmpeg of its own. It is not asked to decode anything.
    warnings.simplefilter("ignore")
    from pydub.utils import ratio_to_db

SILENCE_DBFS = -50.0
"""A tenth of a second whose mean level is below this is silence."""

MAX_POINTS = 8192
_FULL_SCALE = 32768
_HALF_DECIBELS = bytes([0, *(round(40 * math.log10(rms)) for rms in range(1, _FULL_SCALE + 1))])
"""By the mean level of a tenth of a second."""
_SILENT = re.compile(
    b"[%c-%c]+" % (0, _HALF_DECIBELS[round(_FULL_SCALE * 10 ** (SILENCE_DBFS / 20))] - 1)
)


class LevelMeter:
    """Hears PCM16 of `channels` interleaved channels at `rate` Hz.

    `samples` counts those of one channel that were heard so far.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self.rate, self.channels = rate, channels
        self.samples = 0
        window = max(1, rate // 10)
        self._window = window * channels * 2
        self._rest = b""
        self._loudness = _Loudness(rate, channels, window)
        self._peaks = _Peaks(rate, 1 if channels < 3 else channels)

    def hear(self, pcm: bytes) -> None:
        """Take the next samples; a piece may end within one."""
        heard = self._rest + pcm
        whole = len(heard) // self._window * self._window
        self._rest = heard[whole:]
        if whole:
            self._listen(heard[:whole])

    def levels(self) -> Levels:
        """Return levels over all channels, and peaks of their mixture, after the last samples."""
        frame = 2 * self.channels
        if rest := self._rest[: len(self._rest) // frame * frame]:
            self._listen(rest)
        self._rest = b""
        return self._loudness.result(self._peaks.to_json())

    def _listen(self, pcm: bytes) -> None:
        self._loudness.add(pcm)
        # More than two channels are not met; their picture shows all of them.
        self._peaks.add(audioop.tomono(pcm, 2, 0.5, 0.5) if self.channels == 2 else pcm)
        self.samples += len(pcm) // (2 * self.channels)


class _Loudness:
    """Measures windows of so many samples of one channel. The last one may be shorter."""

    def __init__(self, rate: int, channels: int, window: int) -> None:
        self._rate, self._frame, self._window = rate, 2 * channels, window
        self._samples = self._peak = self._energy = 0
        self._envelope = bytearray()

    def add(self, pcm: bytes) -> None:
        size, view = self._window * self._frame, memoryview(pcm)
        levels = [audioop.rms(view[at : at + size], 2) for at in range(0, len(pcm), size)]
        lacking = self._window * len(levels) - len(pcm) // self._frame
        self._samples += len(pcm) // self._frame
        self._energy += self._window * sum(map(mul, levels, levels)) - lacking * levels[-1] ** 2
        self._envelope += bytes(map(_HALF_DECIBELS.__getitem__, levels))
        self._peak = max(self._peak, audioop.max(pcm, 2))

    def result(self, peaks: Json) -> Levels:
        rms = math.sqrt(self._energy / self._samples) if self._samples else 0.0
        spans = [
            min(found.end() * self._window, self._samples) - found.start() * self._window
            for found in _SILENT.finditer(self._envelope)
        ]
        return Levels(
            longest_silence_ms=round(max(spans, default=0) * 1000 / self._rate),
            silent_share=round(sum(spans) / self._samples, 4) if self._samples else 1.0,
            peak_dbfs=dbfs(self._peak / _FULL_SCALE),
            loudness_dbfs=dbfs(rms / _FULL_SCALE),
            peaks=peaks,
            envelope=bytes(self._envelope),
        )


def dbfs(ratio: float) -> float | None:
    """Return a level, of which 1.0 is full scale, in decibels; there is none for silence."""
    return round(ratio_to_db(ratio), 2) if ratio else None


class _Peaks:
    """Lowest and highest sample of each pixel; pixels double as the recording turns out longer."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate = rate
        self._frame = 2 * channels
        self._samples = 64
        self._pairs: list[tuple[int, int]] = []
        self._rest = b""

    def add(self, pcm: bytes) -> None:
        pcm = self._rest + pcm
        at, view = 0, memoryview(pcm)
        while (count := self._whole(len(pcm) - at)) > 0:
            width = self._frame * self._samples
            end = at + count * width
            pieces = [view[begin : begin + width] for begin in range(at, end, width)]
            self._pairs += [audioop.minmax(piece, 2) for piece in pieces]
            at = end
            if len(self._pairs) == MAX_POINTS:
                halves = zip(self._pairs[::2], self._pairs[1::2], strict=True)
                self._pairs = [(min(a[0], b[0]), max(a[1], b[1])) for a, b in halves]
                self._samples *= 2
        self._rest = pcm[at:]

    def _whole(self, size: int) -> int:
        """Return how many whole pixels so many bytes have, up to those that there is room for."""
        return min(size // (self._frame * self._samples), MAX_POINTS - len(self._pairs))

    def to_json(self) -> Json:
        last = [audioop.minmax(self._rest, 2)] if self._rest else []
        pairs = [(low >> 8, high >> 8) for low, high in [*self._pairs, *last]]
        return audiowaveform(self._rate, self._samples, pairs)


def audiowaveform(rate: int, samples_per_pixel: int, pairs: list[tuple[int, int]]) -> Json:
    """Return the lowest and highest sample of each pixel, in 8 bits, as players read them.

    The format is https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
    """
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": rate,
        "samples_per_pixel": samples_per_pixel,
        "bits": 8,
        "length": len(pairs),
        "data": [value for pair in pairs for value in pair],
    }
