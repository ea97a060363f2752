"""What was heard of several recordings, as if they were one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.audio.combine_levels import combine_levels
from legato.audio.levels import MAX_POINTS, audiowaveform
from legato.model import AudioFacts
from legato.ports import Levels


def part(seconds, pairs=((0, 0),), *, rate=8000, pixel=None, **levels):
    """Return a recording whose picture has these pixels, of equal width if it is not said."""
    facts = AudioFacts(
        extension="wav",
        media_type="audio/wav",
        codec="pcm_s16le",
        sample_rate=rate,
        channels=1,
        duration_ms=round(seconds * 1000),
    )
    heard = {
        "longest_silence_ms": 0,
        "silent_share": 0.0,
        "peak_dbfs": -3.0,
        "loudness_dbfs": -20.0,
        **levels,
    }
    width = pixel or max(1, -(-round(seconds * rate) // len(pairs)))
    return facts, Levels(**heard, peaks=audiowaveform(rate, width, list(pairs)))


def points(picture):
    return list(zip(picture["data"][::2], picture["data"][1::2], strict=True))


def seconds_of(picture):
    return picture["length"] * picture["samples_per_pixel"] / picture["sample_rate"]


def test_one_alone_stays_as_it_is():
    """There is nothing to put together."""
    only = part(10)
    assert combine_levels([only]) is only[1]


def test_levels_are_those_of_the_whole_time():
    """A long part counts for more; of silences and peaks the greatest counts."""
    loud = part(10, longest_silence_ms=700, silent_share=0.1, peak_dbfs=-1.5, loudness_dbfs=-10.0)
    quiet = part(30, longest_silence_ms=2000, silent_share=0.5, peak_dbfs=-9.0, loudness_dbfs=-40.0)
    levels = combine_levels([loud, quiet])
    assert levels.longest_silence_ms == 2000
    assert levels.silent_share == 0.4
    assert levels.peak_dbfs == -1.5
    assert levels.loudness_dbfs == pytest.approx(-16.01, abs=0.01), "a quarter of the time: -6 dB"


def test_a_part_without_a_sound_has_no_level_but_its_time():
    """Half of the time nothing takes 3 dB; twice nothing is nothing."""
    nothing = part(10, silent_share=1.0, peak_dbfs=None, loudness_dbfs=None)
    levels = combine_levels([part(10), nothing])
    assert (levels.peak_dbfs, levels.loudness_dbfs) == (-3.0, -23.01)
    levels = combine_levels([nothing, nothing])
    assert (levels.peak_dbfs, levels.loudness_dbfs, levels.silent_share) == (None, None, 1)


def test_pictures_of_one_scale_are_put_side_by_side():
    """If the parts are whole pixels long, not one changes."""
    first = part(2.048, [(-1, 1), (-2, 2)], pixel=8192)
    second = part(1.024, [(-3, 3)], pixel=8192)
    assert combine_levels([first, second]).peaks == {
        "version": 2,
        "channels": 1,
        "sample_rate": 8000,
        "samples_per_pixel": 8192,
        "bits": 8,
        "length": 3,
        "data": [-1, 1, -2, 2, -3, 3],
    }


def test_the_coarsest_part_sets_the_scale():
    """Nobody can look closer than that; the finer ones keep their extremes."""
    coarse = part(4, [(-9, 9), (-8, 8)], rate=8000, pixel=16000)
    fine = part(2, [(-1, 5), (-7, 1), (-2, 2), (-3, 3)], rate=16000, pixel=8000)
    picture = combine_levels([coarse, fine]).peaks
    assert (picture["sample_rate"], picture["samples_per_pixel"]) == (16000, 32000)
    assert points(picture) == [(-9, 9), (-8, 8), (-7, 5)]


def test_a_sound_stands_where_it_is_heard():
    """Parts of odd rates and lengths do not shift what comes behind them."""
    silent = part(61.234, [(0, 0)] * 900, rate=44100)
    spike = part(10.5, [(0, 0)] * 50 + [(-100, 100)] + [(0, 0)] * 54, rate=8000)
    picture = combine_levels([silent, spike, silent]).peaks
    loud = [at for at, (_, high) in enumerate(points(picture)) if high == 100]
    pixel = seconds_of(picture) / picture["length"]
    assert loud[0] * pixel == pytest.approx(66.234, abs=pixel)
    assert len(loud) <= 2


def test_there_are_never_more_points_than_one_recording_has():
    """Many parts share the points that one alone may have."""
    full = part(600, [(-1, 1)] * 8000, rate=8000)
    picture = combine_levels([full] * 10).peaks
    assert MAX_POINTS - 100 <= picture["length"] <= MAX_POINTS
    assert seconds_of(picture) == pytest.approx(6000, abs=1)


pairs = st.tuples(st.integers(-128, 0), st.integers(0, 127))


@given(
    st.lists(
        st.builds(
            part,
            st.floats(0, 5000),
            st.lists(pairs, min_size=1, max_size=300),
            rate=st.sampled_from([8000, 11025, 16000, 44100]),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_any_parts_make_one_picture(parts):
    """Its length is right within a pixel, no extreme is lost and none but silence is made."""
    picture = combine_levels(parts).peaks
    got = points(picture)
    known = [pair for _, levels in parts for pair in points(levels.peaks)]
    assert 0 < picture["length"] == len(got) <= MAX_POINTS
    pixel = picture["samples_per_pixel"] / picture["sample_rate"]
    total = sum(facts.duration_ms for facts, _ in parts) / 1000
    assert total <= seconds_of(picture) + 1e-6
    assert seconds_of(picture) < total + pixel + 0.001 * len(parts)
    assert min(low for low, _ in got) == min(low for low, _ in known)
    assert max(high for _, high in got) == max(high for _, high in known)
    assert {low for low, _ in got} <= {0, *(low for low, _ in known)}
    assert {high for _, high in got} <= {0, *(high for _, high in known)}
