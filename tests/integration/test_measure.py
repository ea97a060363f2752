"""Levels and peaks of recordings whose sound is known, with the real ffmpeg."""

from __future__ import annotations

import math

import pytest

from legato.audio.levels import MAX_POINTS
from legato.audio.stitch import FfmpegStitcher
from tests.audio import FIXTURES, MULAW, local_tools, tone, write_pcm, write_wav


@pytest.fixture(scope="module")
def measured():
    """Give the levels of a file."""
    stitcher = FfmpegStitcher(local_tools())
    return lambda path: stitcher.inspect(path)[1]


def silence(seconds: float, channels: int = 1) -> bytes:
    return bytes(round(seconds * 8000) * 2 * channels)


def test_silence_is_found_where_it_is(measured, tmp_path):
    """The longest of several silences is told to a tenth of a second, and the share of all."""
    sound = tone(1) + silence(0.5) + tone(1) + silence(2) + tone(0.5)
    levels = measured(write_pcm(tmp_path / "leg", sound))
    assert levels.longest_silence_ms == 2000
    assert levels.silent_share == 0.5


def test_quiet_noise_on_the_line_is_silence(measured, tmp_path):
    """A line hums; below -50 dBFS that is nobody speaking, above it is somebody."""
    assert measured(write_pcm(tmp_path / "hum", tone(1, level=0.003))).silent_share == 1
    assert measured(write_pcm(tmp_path / "voice", tone(1, level=0.006))).silent_share == 0


def test_a_recording_without_a_sound_has_no_level(measured, tmp_path):
    """There is no decibel for nothing."""
    levels = measured(write_pcm(tmp_path / "leg", silence(3)))
    assert (levels.peak_dbfs, levels.loudness_dbfs) == (None, None)
    assert (levels.longest_silence_ms, levels.silent_share) == (3000, 1)


@pytest.mark.parametrize("channels", [1, 2])
def test_levels_of_a_sine_are_those_of_the_book(measured, tmp_path, channels):
    """Half of full scale peaks at -6 dB, and a sine's mean lies 3 dB below its peak."""
    sound = tone(2, level=0.5, channels=channels)
    levels = measured(write_pcm(tmp_path / "leg", sound, channels=channels))
    assert levels.peak_dbfs == pytest.approx(20 * math.log10(0.5), abs=0.02)
    assert levels.loudness_dbfs == pytest.approx(levels.peak_dbfs - 3.01, abs=0.02)


def test_one_clipped_sample_in_one_channel_is_the_peak(measured, tmp_path):
    """The peak is the highest sample anywhere, which a mixture would hide."""
    sound = bytearray(silence(2, channels=2))
    sound[16000:16002] = (-32768).to_bytes(2, "little", signed=True)
    levels = measured(write_pcm(tmp_path / "leg", bytes(sound), channels=2))
    assert levels.peak_dbfs == 0
    assert levels.peaks["samples_per_pixel"] == 64
    assert min(levels.peaks["data"]) == -64, "in the picture, both channels are mixed"


def test_peaks_follow_audiowaveform(measured, tmp_path):
    """Version 2, one channel, pairs of lowest and highest, in 8 bits."""
    peaks = measured(write_pcm(tmp_path / "leg", tone(1, level=1.0))).peaks
    assert {name: value for name, value in peaks.items() if name != "data"} == {
        "version": 2,
        "channels": 1,
        "sample_rate": 8000,
        "samples_per_pixel": 64,
        "bits": 8,
        "length": 125,
    }
    assert len(peaks["data"]) == 250
    assert all(
        -128 <= low <= high <= 127 for low, high in zip(*[iter(peaks["data"])] * 2, strict=True)
    )
    assert (min(peaks["data"]), max(peaks["data"])) == (-128, 127)


def test_a_long_recording_has_no_more_points(measured, tmp_path):
    """Points double their width as the recording goes on, and still stand where they belong."""
    sound = silence(300) + tone(1, level=1.0) + silence(299)
    peaks = measured(write_pcm(tmp_path / "leg", sound)).peaks
    assert MAX_POINTS / 2 <= peaks["length"] < MAX_POINTS
    assert peaks["length"] == math.ceil(600 * 8000 / peaks["samples_per_pixel"])
    loud = [at for at, high in enumerate(peaks["data"][1::2]) if high > 100]
    second = 8000 / peaks["samples_per_pixel"]
    assert (loud[0] / second, loud[-1] / second) == (
        pytest.approx(300, abs=0.2),
        pytest.approx(301, abs=0.2),
    )


def test_compressed_recordings_are_measured_decoded(measured, tmp_path):
    """MP3 and µ-law are heard as they sound."""
    assert measured(FIXTURES / "cbr-info.mp3").peak_dbfs == pytest.approx(-11.2, abs=0.5)
    path = write_wav(tmp_path / "leg", bytes([0x80]) * 8000, tag=MULAW, bits=8)
    assert measured(path).peak_dbfs == pytest.approx(20 * math.log10(32124 / 32768), abs=0.01)
