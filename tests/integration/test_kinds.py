"""Every kind of recording that is met: accepted or not, and how long, with the real ffmpeg."""

from __future__ import annotations

import pytest

from legato.errors import DamagedAudio, NotAudio
from tests.kinds import kinds

KINDS = {kind.name: kind for kind in kinds()}
SLIP_MS = 60


@pytest.mark.parametrize("name", KINDS)
def test_it_is_what_is_right(stitcher, tmp_path, name):
    """As long as a full ffmpeg says, kept if nobody decodes it here, or refused with the reason."""
    kind, path = KINDS[name], tmp_path / "leg"
    path.write_bytes(kind.content)
    if kind.ms is None:
        with pytest.raises((DamagedAudio, NotAudio), match=kind.refused):
            stitcher.inspect(path)
        return
    facts, levels = stitcher.inspect(path)
    if kind.unsupported:
        assert f"unsupported codec: {kind.unsupported}" in facts.unheard
        return
    assert (kind.unheard in (facts.unheard or "")) if kind.unheard else facts.unheard is None
    assert facts.duration_ms == pytest.approx(kind.ms, abs=SLIP_MS)
    assert bool(facts.lacks_ms) == kind.lacks
    shown_ms = levels.peaks["length"] * levels.peaks["samples_per_pixel"] * 1000
    assert shown_ms / levels.peaks["sample_rate"] == pytest.approx(facts.duration_ms, abs=SLIP_MS)


def test_there_are_many():
    """Enough that a change to one way of reading is seen by others."""
    assert len(KINDS) >= 120
