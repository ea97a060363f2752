"""Puts what was heard of several recordings together, as if they were one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from legato.audio.levels import MAX_POINTS, audiowaveform, dbfs
from legato.model import AudioFacts, Json, offsets_ms
from legato.ports import Levels

type Parts = Sequence[tuple[AudioFacts, Levels]]


def combine_levels(parts: Parts) -> Levels:
    """Return levels and peaks of one or more recordings that play one after the other.

    The longest silence is that of any one of them: silence is not followed across their borders.
    The silent share is that of the whole time, loudness is the mean of their energy. One recording
    alone is returned as it is.
    """
    if len(parts) == 1:
        return parts[0][1]
    lengths = [max(1, audio.duration_ms) for audio, _ in parts]
    heard = [levels for _, levels in parts]
    silent = sum(each.silent_share * ms for each, ms in zip(heard, lengths, strict=True))
    energy = sum(
        10 ** (each.loudness_dbfs / 10) * ms
        for each, ms in zip(heard, lengths, strict=True)
        if each.loudness_dbfs is not None
    )
    return Levels(
        longest_silence_ms=max(each.longest_silence_ms for each in heard),
        silent_share=round(silent / sum(lengths), 4),
        peak_dbfs=max(
            (each.peak_dbfs for each in heard if each.peak_dbfs is not None), default=None
        ),
        loudness_dbfs=dbfs(math.sqrt(energy / sum(lengths))),
        peaks=_one_picture([each.peaks for each in heard], [audio for audio, _ in parts]),
    )


def _one_picture(pictures: Sequence[Json], parts: Sequence[AudioFacts]) -> Json:
    """Return one picture in which each part is where it is heard.

    Its pixels are as fine as the coarsest of the parts allows, and no more than MAX_POINTS. A pixel
    that lies across the border of two shows in both, so that no peak is lost. A part whose picture
    ends before its time, because frames did not decode, is silent there; so is what an encoder
    added around it.
    """
    rates = [picture["sample_rate"] for picture in pictures]
    # Everything is counted in ticks of which milliseconds and samples of all rates are whole.
    second = math.lcm(1000, *rates)
    widths = [
        picture["samples_per_pixel"] * (second // picture["sample_rate"]) for picture in pictures
    ]
    starts = [offset * (second // 1000) for offset in offsets_ms(parts)]
    ends = [
        start + max(1, audio.duration_ms) * (second // 1000)
        for start, audio in zip(starts, parts, strict=True)
    ]
    total = max(ends[-1], sum(audio.whole_ms for audio in parts) * (second // 1000))
    sample = second // max(rates)
    finest = max(*widths, -(-total // MAX_POINTS))
    pixel = -(-finest // sample) * sample
    pairs: list[tuple[int, int] | None] = [None] * -(-total // pixel)
    for picture, width, start, end in zip(pictures, widths, starts, ends, strict=True):
        data = picture["data"]
        for at, pair in enumerate(zip(data[::2], data[1::2], strict=True)):
            first = min(start + at * width, end - 1)
            last = min(start + (at + 1) * width, end) - 1
            for point in {first // pixel, last // pixel}:
                known = pairs[point] or pair
                pairs[point] = min(known[0], pair[0]), max(known[1], pair[1])
    return audiowaveform(max(rates), pixel // sample, [pair or (0, 0) for pair in pairs])
