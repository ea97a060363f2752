"""Finds a conversation that was recorded twice: at both ends, or by account and by user.

What is compared is how loud each tenth of a second is. Codecs, levels and noise change that little,
and no two people speak in the same rhythm for seconds. Tones do: what rings, hums or is silent says
nothing, and is never taken for the same.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from operator import mul
from typing import NamedTuple

from legato.model import HeardIn
from legato.ports import Levels

STEP_MS = 100
REACH = 50
"""Steps by which the clocks of two recorders may differ: five seconds."""
ALIKE = 0.85
"""The least correlation of what is the same. Different people speaking reached 0.6."""
# All levels are in half decibels, as an envelope has them.
_RANGE = 80
"""Below the loudest by so much, it is line noise, of which each codec makes another one."""
_SPEECH = 30
_APART = 24
_SECOND = 1000 // STEP_MS
_ENOUGH = 30
"""Steps in which somebody speaks: less than three seconds prove nothing."""
_MOVING = 0.4
"""The least share of them in which the level moves by 3 dB: in speech two thirds, in noise none."""
_MOVE = 6
_PART = 600
"""Steps of a part, in which clocks do not drift apart: a minute."""
_PARTS = 10
_PARTS_ALIKE = 0.9


def repeated(legs: Mapping[str, tuple[datetime, Levels]]) -> dict[str, HeardIn]:
    """Say of legs, by when they began, which are heard in another one of them, and where.

    That one is longer, or began earlier, and is heard in none itself.
    """
    steps = {leg: _steps(levels) for leg, (_, levels) in legs.items()}
    order = sorted(legs, key=lambda leg: (-len(steps[leg]), legs[leg][0], leg))
    found: dict[str, HeardIn] = {}
    playing: list[str] = []
    for leg in order:
        for other in playing:
            behind = legs[leg][0] - legs[other][0]
            begin = round(behind / timedelta(milliseconds=STEP_MS))
            if at := _found(steps[leg], steps[other], begin):
                shift_ms = (at.begin - begin) * STEP_MS
                found[leg] = HeardIn(leg=other, shift_ms=shift_ms, alike=round(at.alike, 2))
                break
        else:
            playing.append(leg)
    return found


class _Place(NamedTuple):
    """Where a leg is heard in another one, in steps, and how alike they are."""

    alike: float
    begin: int


def _found(part: bytes, whole: bytes, begin: int) -> _Place | None:
    """Find a leg in one that is as long or longer, near to where their times say."""
    if not (-REACH <= begin <= len(whole) - len(part) + REACH and _speaks(part)):
        return None
    chosen = _where_to_search(part)
    places = [_at(part, whole, begin + shift, chosen) for shift in range(-REACH, REACH + 1)]
    best = max(filter(None, places), default=None)
    if best is None or best.alike < ALIKE:
        return None
    return _everywhere(part, whole, best.begin)


def _steps(levels: Levels) -> bytes:
    """Return how loud each step is above the least that counts."""
    counts = Counter(levels.envelope)
    seen, loudest = 0, 0
    for loudest in sorted(counts):
        seen += counts[loudest]
        if seen >= 0.98 * len(levels.envelope):
            break
    above = bytes(min(max(0, at - loudest + _RANGE), 255) for at in range(256))
    return levels.envelope.translate(above)


def _speaks(steps: bytes) -> bool:
    """Say whether somebody speaks: loud for long enough, and not as even as a tone."""
    loud = [(a, b) for a, b in pairwise(steps) if min(a, b) > _SPEECH]
    moving = sum(abs(a - b) > _MOVE for a, b in loud)
    return len(loud) >= _ENOUGH and moving >= _MOVING * len(loud)


def _where_to_search(part: bytes) -> tuple[int, int]:
    """Return from where and to where: ten minutes from where somebody speaks on, or all."""
    begins = range(0, len(part), _PART)
    first = next((at for at in begins if _speaks(part[at : at + _PART])), 0)
    return first, min(first + _PARTS * _PART, len(part))


def _at(part: bytes, whole: bytes, begin: int, chosen: tuple[int, int]) -> _Place | None:
    """Compare a chosen part of a leg with another one from its step `begin` on."""
    first, last = chosen
    low, high = max(first, -begin), min(last, len(whole) - begin)
    if high - low < 0.8 * (last - first):
        return None
    ours, theirs = part[low:high], whole[begin + low : begin + high]
    alike = max(_correlation(ours, theirs), _correlation(ours, _between(theirs)))
    return _Place(alike, begin)


def _everywhere(part: bytes, whole: bytes, begin: int) -> _Place | None:
    """Compare the whole of a leg, minute by minute, since clocks drift apart meanwhile."""
    judged: list[float] = []
    near = begin
    for first in range(0, len(part), _PART):
        last = min(first + _PART, len(part))
        if _speaks(part[first:last]):
            places = [_at(part, whole, near + drift, (first, last)) for drift in range(-2, 3)]
            alike, near = max(filter(None, places), default=_Place(0.0, near))
            judged.append(alike)
        if _misses(part[first:last], whole, near + first):
            return None
    good = sum(alike >= ALIKE for alike in judged)
    if not judged or good < _PARTS_ALIKE * len(judged):
        return None
    return _Place(sum(judged) / len(judged), begin)


def _misses(part: bytes, whole: bytes, begin: int) -> bool:
    """Say whether somebody speaks for a second in a leg where the other one is quiet, or over."""
    missed = 0
    for at, loud in enumerate(part):
        near = whole[max(0, begin + at - 2) : max(0, begin + at + 3)]
        missed = missed + 1 if loud > _SPEECH and loud - max(near, default=0) > _APART else 0
        if missed >= _SECOND:
            return True
    return False


def _between(steps: bytes) -> list[float]:
    """Return how loud it is half a step later."""
    behind = [*steps[1:], steps[-1]]
    return [
        20 * math.log10((10 ** (a / 20) + 10 ** (b / 20)) / 2)
        for a, b in zip(steps, behind, strict=True)
    ]


def _correlation(ours: Sequence[float], theirs: Sequence[float]) -> float:
    count = len(ours)
    mean_a, mean_b = sum(ours) / count, sum(theirs) / count
    a, b = [each - mean_a for each in ours], [each - mean_b for each in theirs]
    energy = math.sqrt(sum(map(mul, a, a)) * sum(map(mul, b, b)))
    return sum(map(mul, a, b)) / energy if energy else 0.0
