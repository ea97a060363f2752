"""Joined files, checked byte by byte and frame by frame against their legs, with real ffmpeg."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legato.audio import riff
from legato.audio.stitch import FfmpegStitcher
from legato.errors import Failed, TooLarge
from tests.audio import (
    ALAW,
    FIXTURES,
    MULAW,
    audio_of,
    frames_of,
    gsm,
    ima_adpcm,
    mp3_in_wav,
    tone,
    write_pcm,
    write_wav,
)

MP3S = ("cbr-info", "cbr-bare", "cbr-reservoir", "vbr-xing", "id3v2")


def inspected(stitcher, paths):
    return [(path, stitcher.inspect(path)[0]) for path in paths]


def sums(numbers):
    return tuple(itertools.accumulate(numbers, initial=0))


@pytest.mark.parametrize(
    "names",
    [
        MP3S,
        MP3S[::-1],
        ("vbr-xing", "vbr-xing", "vbr-xing"),
        ("cbr-bare", "cbr-info"),
        ("id3v2", "id3v2"),
    ],
    ids="+".join,
)
def test_every_frame_of_every_mp3_leg_is_in_the_result(stitcher, tools, tmp_path, names):
    """Headers and tags are no audio; every frame is, with its bytes and in its place."""
    legs = inspected(stitcher, [FIXTURES / f"{name}.mp3" for name in names])
    joined = stitcher.join(legs, target := tmp_path / "joined.mp3")
    assert frames_of(target, tools) == [
        frame for path, _ in legs for frame in frames_of(path, tools)
    ]
    *begins, length = sums(facts.whole_ms for _, facts in legs)
    offsets = [begin + facts.delay_ms for begin, (_, facts) in zip(begins, legs, strict=True)]
    assert (joined.how, joined.audio.extension) == ("copy", "mp3")
    assert joined.offsets_ms == tuple(offsets)
    assert joined.audio.duration_ms == length
    assert stitcher.inspect(target)[0] == joined.audio


def test_a_joined_mp3_is_nothing_but_frames(stitcher, tmp_path):
    """Odd recordings join like good ones: cut in front, several in one, tags at the end."""
    bare = (FIXTURES / "cbr-bare.mp3").read_bytes()
    contents = [bare[70:], bare * 2, bare + b"TAG" + bytes(125), bare + bytes(500), bare[:-1]]
    paths = []
    for number, content in enumerate(contents):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(content)
    stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined.mp3")
    assert target.read_bytes() == bare[144:] + bare * 4 + bare[:-1] + b"\0"


def test_a_cover_picture_is_left_behind(stitcher, tools, tmp_path):
    """A picture in an ID3 tag is no audio, whichever leg has one."""
    bare = (FIXTURES / "cbr-bare.mp3").read_bytes()
    picture = b"\0image/png\0\3\0" + b"\x89PNG\r\n\x1a\n" + bytes(200)
    apic = b"APIC" + len(picture).to_bytes(4, "big") + b"\0\0" + picture
    tagged = tmp_path / "tagged"
    tagged.write_bytes(b"ID3\3\0\0\0\0" + bytes((len(apic) >> 7, len(apic) & 127)) + apic + bare)
    plain = FIXTURES / "cbr-bare.mp3"
    stitcher.join(inspected(stitcher, [tagged, plain, tagged]), target := tmp_path / "joined.mp3")
    assert frames_of(target, tools) == frames_of(plain, tools) * 3


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_joined_wav_is_the_bytes_of_its_legs(stitcher, tmp_path, rate, channels):
    """The audio is untouched, behind the plainest header there is."""
    pcms = [
        tone(seconds, rate=rate, channels=channels, hertz=300 * seconds)
        for seconds in (1.0, 0.25, 2.5)
    ]
    paths = [
        write_pcm(tmp_path / str(number), pcm, rate=rate, channels=channels)
        for number, pcm in enumerate(pcms)
    ]
    joined = stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined.wav")
    assert target.read_bytes()[44:] == b"".join(pcms)
    assert target.read_bytes()[36:40] == b"data"
    assert joined.offsets_ms == (0, 1000, 1250)
    assert stitcher.inspect(target)[0] == joined.audio
    assert (joined.how, joined.audio.duration_ms) == ("copy", 3750)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 9000), min_size=2, max_size=6))
def test_wav_legs_of_any_length_join_without_a_seam(stitcher, tmp_path, lengths):
    """However long the legs are, no sample is lost or made at a border."""
    sound = tone(2)
    pcms = [sound[at * 2 : at * 2 + length * 2] for at, length in enumerate(lengths)]
    paths = [write_pcm(tmp_path / str(number), pcm) for number, pcm in enumerate(pcms)]
    stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined.wav")
    assert audio_of(target) == b"".join(pcms)


@pytest.mark.parametrize(("tag", "codec"), [(MULAW, "pcm_mulaw"), (ALAW, "pcm_alaw")])
@pytest.mark.parametrize("channels", [1, 2])
def test_telephone_codecs_are_copied_bit_for_bit(stitcher, tmp_path, tag, codec, channels):
    """Eight bits of µ-law stay eight bits of µ-law, in legs of odd length too."""
    datas = [bytes(range(256)) * 20 * channels, bytes(range(201)) * channels]
    paths = [
        write_wav(tmp_path / str(number), data, tag=tag, bits=8, channels=channels)
        for number, data in enumerate(datas)
    ]
    joined = stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined.wav")
    assert audio_of(target) == b"".join(datas)
    assert (joined.how, joined.audio.codec) == ("copy", codec)


@pytest.mark.parametrize("made", [ima_adpcm, gsm])
def test_codecs_of_blocks_are_copied_block_for_block(stitcher, tmp_path, made):
    """ADPCM and GSM are joined without decoding, and play as long as their legs."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, blocks in zip(paths, (80, 33), strict=True):
        path.write_bytes(made(blocks))
    legs = inspected(stitcher, paths)
    joined = stitcher.join(legs, target := tmp_path / "joined.wav")
    assert joined.how == "copy"
    assert audio_of(target) == b"".join(audio_of(path) for path in paths)
    assert abs(stitcher.inspect(target)[0].duration_ms - joined.audio.duration_ms) <= 1


def test_mp3_inside_wav_is_decoded(stitcher, tmp_path):
    """Its frames do not fill blocks, so only its sound can be joined."""
    path = tmp_path / "leg"
    path.write_bytes(mp3_in_wav((FIXTURES / "cbr-bare.mp3").read_bytes()))
    joined = stitcher.join(inspected(stitcher, [path, path]), tmp_path / "joined.wav")
    assert (joined.how, joined.audio.codec) == ("transcode", "pcm_s16le")
    assert joined.audio.duration_ms == 2 * 2448


def test_a_leg_that_ends_within_a_sample_shifts_nothing(stitcher, tmp_path):
    """Half a sample is no audio; the samples behind it stay where they belong."""
    pcm = tone(1)
    paths = [write_wav(tmp_path / "a", pcm + b"\x55"), write_wav(tmp_path / "b", pcm)]
    stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined.wav")
    assert audio_of(target) == pcm + pcm


def test_a_mixture_becomes_pcm_of_the_best_of_its_legs(stitcher, tmp_path):
    """The highest rate and channel count win, and every leg keeps its length and its level."""
    paths = [
        write_pcm(tmp_path / "a", tone(1), rate=8000),
        write_wav(tmp_path / "b", bytes([0xFF]) * 4000, tag=MULAW, bits=8),
        FIXTURES / "stereo-44k.mp3",
        FIXTURES / "cbr-bare.mp3",
    ]
    legs = inspected(stitcher, paths)
    joined = stitcher.join(legs, target := tmp_path / "joined.wav")
    assert (joined.how, joined.audio.extension, joined.audio.codec) == (
        "transcode",
        "wav",
        "pcm_s16le",
    )
    assert (joined.audio.sample_rate, joined.audio.channels) == (44100, 2)
    for got, want in zip(
        (*joined.offsets_ms, joined.audio.duration_ms), (0, 1000, 1500, 2545, 4993), strict=True
    ):
        assert abs(got - want) <= 1
    assert stitcher.inspect(target)[0] == joined.audio


def test_one_channel_is_copied_to_both_at_its_level(stitcher, tmp_path):
    """A leg with one channel sounds as loud as before, left and right."""
    mono, stereo = tone(1), tone(1, channels=2, hertz=700)
    paths = [write_pcm(tmp_path / "a", mono), write_pcm(tmp_path / "b", stereo, channels=2)]
    stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined.wav")
    assert audio_of(target) == tone(1, channels=2) + stereo


def test_the_same_legs_make_the_same_bytes(stitcher, tmp_path):
    """A repeated join is recognised as the same recording by its SHA-256."""
    legs = inspected(stitcher, [FIXTURES / f"{name}.mp3" for name in MP3S])
    mixed = [*legs, *inspected(stitcher, [write_pcm(tmp_path / "leg", tone(1))])]
    for parts in (legs, mixed):
        results = set()
        for attempt in range(2):
            stitcher.join(parts, target := tmp_path / f"joined-{attempt}")
            results.add(target.read_bytes())
        assert len(results) == 1


def test_names_with_quotes_and_spaces_are_joined(stitcher, tmp_path):
    """A leg's name is never read as part of the list."""
    names = ("it's a 'leg'", "back\\slash", "é # ;", "file x")
    paths = [write_pcm(tmp_path / name, tone(0.5, hertz=300)) for name in names]
    stitcher.join(inspected(stitcher, paths), target := tmp_path / "joined file's.wav")
    assert audio_of(target) == tone(0.5, hertz=300) * 4


def test_what_is_too_large_for_a_riff_becomes_an_rf64(stitcher, tmp_path, monkeypatch):
    """Which counts in 64 bits; players know it, and so do we."""
    monkeypatch.setattr(riff, "RIFF_LIMIT", 30_000)
    paths = [write_pcm(tmp_path / name, tone(1, hertz=300)) for name in "ab"]
    paths.append(write_wav(tmp_path / "c", tone(1), tag=MULAW, bits=8))
    for chosen, how in ((paths[:2], "copy"), (paths, "transcode")):
        joined = stitcher.join(inspected(stitcher, chosen), target := tmp_path / how)
        assert target.read_bytes()[:4] == b"RF64"
        assert joined.how == how
        assert stitcher.inspect(target)[0] == joined.audio


def test_an_hour_of_silence_is_no_work(stitcher, tmp_path):
    """At the lowest rate it is 50,000 frames."""
    frame = bytes.fromhex("ffe318c4") + bytes(68)
    path = tmp_path / "leg"
    path.write_bytes(frame * 50_000)
    facts, levels = stitcher.inspect(path)
    assert facts.duration_ms == 3600 * 1000
    assert levels.silent_share == 1
    joined = stitcher.join([(path, facts)] * 2, target := tmp_path / "joined")
    assert (joined.audio.duration_ms, target.stat().st_size) == (2 * 3600 * 1000, 2 * 3_600_000)


def test_many_legs_are_joined(stitcher, tmp_path):
    """A call that was paused 300 times has 300 legs."""
    path = write_pcm(tmp_path / "leg", tone(0.1))
    legs = inspected(stitcher, [path]) * 300
    joined = stitcher.join(legs, target := tmp_path / "joined.wav")
    assert audio_of(target) == tone(0.1) * 300
    assert joined.offsets_ms[-1] == 29_900


@pytest.mark.parametrize("kind", ["copy", "transcode"])
def test_a_result_over_the_limit_is_refused_and_removed(tools, stitcher, tmp_path, kind):
    """What could not be written whole is not left behind."""
    limited = FfmpegStitcher(tools, max_bytes=50_000)
    paths = [write_pcm(tmp_path / "a", tone(2)), write_pcm(tmp_path / "b", tone(2), rate=8000)]
    if kind == "transcode":
        write_pcm(paths[1], tone(2, rate=16000), rate=16000)
    with pytest.raises(TooLarge, match="over the limit of 50,000"):
        limited.join(inspected(stitcher, paths), target := tmp_path / "joined.wav")
    assert not target.exists()


def test_a_leg_that_vanished_fails_with_the_reason(stitcher, tmp_path):
    """A leg that is another file than the one inspected is never joined."""
    path = write_pcm(tmp_path / "leg", tone(1))
    legs = inspected(stitcher, [path, path])
    path.write_bytes((FIXTURES / "cbr-bare.mp3").read_bytes())
    with pytest.raises(Failed, match="something else now"):
        stitcher.join(legs, tmp_path / "joined.wav")
    path.write_bytes(b"<html>")
    with pytest.raises(Failed, match="an HTML page"):
        stitcher.join(legs, tmp_path / "joined.wav")


def test_a_loss_is_noticed_before_anybody_seals_it(stitcher, tmp_path):
    """A result that plays shorter than its legs is refused."""
    legs = inspected(stitcher, [FIXTURES / "cbr-bare.mp3"] * 2)
    longer = [(path, replace(facts, duration_ms=90_000)) for path, facts in legs]
    with pytest.raises(Failed, match=r"a leg plays 2\.4 s instead of 90\.0 s"):
        stitcher.join(longer, tmp_path / "joined.mp3")
