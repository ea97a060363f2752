"""What the stitcher says of files, and of the same bytes as a stream, with the real ffmpeg."""

from __future__ import annotations

import contextlib
import struct
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legato.audio.ffmpeg import Ffmpeg, TimedOut, find_tools
from legato.audio.stitch import FfmpegStitcher
from legato.errors import DamagedAudio, Failed, LegatoError, NotAudio, TooLarge
from legato.model import AudioFacts
from tests.audio import (
    ALAW,
    FIXTURES,
    MULAW,
    PCM,
    chunk,
    form,
    gsm,
    ima_adpcm,
    local_tools,
    mp3_in_wav,
    riff,
    tone,
    write_pcm,
    write_wav,
)

BARE = (FIXTURES / "cbr-bare.mp3").read_bytes()
MP3 = AudioFacts(
    extension="mp3",
    media_type="audio/mpeg",
    codec="mp3",
    sample_rate=8000,
    channels=1,
    duration_ms=0,
)


@pytest.fixture(scope="module")
def tools():
    """Give the ffmpeg of this machine; without one, the failure says what to run."""
    return local_tools()


@pytest.fixture(scope="module")
def stitcher(tools):
    return FfmpegStitcher(tools)


def of_file(stitcher, path):
    return stitcher.inspect(path)


def of_stream(stitcher, path):
    content = path.read_bytes()
    with stitcher.listen(content[:4096]) as listener:
        for at in range(0, len(content), 1000):
            listener.hear(content[at : at + 1000])
        return listener.heard()[0]


@pytest.fixture(params=[of_file, of_stream], ids=["file", "stream"])
def facts_of(request):
    """Give a function that judges a recording: one that lies there, or one that passes by."""
    return request.param


@pytest.mark.parametrize(
    ("name", "milliseconds"),
    [
        ("cbr-info", 3312),
        ("cbr-bare", 2448),
        ("cbr-reservoir", 3312),
        ("vbr-xing", 3312),
        ("id3v2", 2448),
    ],
)
def test_an_mp3_is_as_long_as_its_frames(facts_of, stitcher, name, milliseconds):
    """An MP3's length is counted in frames of 72 ms, not estimated from its bit rate."""
    facts = facts_of(stitcher, FIXTURES / f"{name}.mp3")
    assert facts == replace(MP3, duration_ms=milliseconds)


@pytest.mark.parametrize(
    ("name", "rate", "channels", "milliseconds"),
    [("stereo-44k", 44100, 2, 1045), ("vbr-xing-16k", 16000, 1, 2088)],
)
def test_an_mp3_keeps_its_rate_and_channels(facts_of, stitcher, name, rate, channels, milliseconds):
    """Higher rates and two channels are recordings as well."""
    facts = facts_of(stitcher, FIXTURES / f"{name}.mp3")
    assert (facts.sample_rate, facts.channels) == (rate, channels)
    assert facts.duration_ms == milliseconds


@pytest.mark.parametrize(
    ("tag", "bits", "codec"),
    [
        (PCM, 16, "pcm_s16le"),
        (PCM, 8, "pcm_u8"),
        (PCM, 24, "pcm_s24le"),
        (PCM, 32, "pcm_s32le"),
        (3, 32, "pcm_f32le"),
        (MULAW, 8, "pcm_mulaw"),
        (ALAW, 8, "pcm_alaw"),
    ],
)
def test_a_wav_of_every_codec_of_telephony_is_known(facts_of, stitcher, tmp_path, tag, bits, codec):
    """The codec is what the header says, the length what the bytes say."""
    path = write_wav(tmp_path / "leg", bytes(8000 * bits // 8 * 2), tag=tag, bits=bits, channels=2)
    facts = facts_of(stitcher, path)
    assert (facts.codec, facts.channels, facts.duration_ms) == (codec, 2, 1000)
    assert (facts.extension, facts.media_type) == ("wav", "audio/wav")


@pytest.mark.parametrize(
    ("content", "codec", "samples"),
    [
        (ima_adpcm(80), "adpcm_ima_wav", 80 * 505),
        (gsm(50), "gsm_ms", 50 * 320),
        (mp3_in_wav(BARE), "mp3", 34 * 576),
    ],
    ids=["adpcm", "gsm", "mp3"],
)
def test_a_wav_of_a_codec_with_blocks_is_decoded_to_be_measured(
    facts_of, stitcher, tmp_path, content, codec, samples
):
    """A codec of blocks is as long as its samples are many."""
    path = tmp_path / "leg"
    path.write_bytes(content)
    facts = facts_of(stitcher, path)
    assert (facts.codec, facts.duration_ms) == (codec, round(samples / 8))


@pytest.mark.parametrize(
    "content",
    [
        BARE + b"TAG" + bytes(125),
        BARE + bytes(500),
        BARE[70:],
        bytes(300) + BARE,
        BARE * 3,
        (FIXTURES / "vbr-xing.mp3").read_bytes() * 2,
        (FIXTURES / "id3v2.mp3").read_bytes() * 2,
        (FIXTURES / "cbr-reservoir.mp3").read_bytes()[144 * 3 :],
        BARE[:288],
        BARE[: 144 * 5] + bytes(144 * 2) + BARE[144 * 5 :],
    ],
    ids=[
        "id3v1",
        "zeros-behind",
        "starts-within-a-frame",
        "zeros-in-front",
        "three-in-one",
        "two-xing-headers",
        "id3v2-in-the-middle",
        "reservoir-missing",
        "two-frames",
        "a-hole",
    ],
)
def test_harmless_oddities_of_real_recorders_are_accepted(facts_of, stitcher, tmp_path, content):
    """A refused leg is a call that is never joined, so what a player plays is accepted."""
    path = tmp_path / "leg"
    path.write_bytes(content)
    assert facts_of(stitcher, path).duration_ms > 0


def test_a_file_of_several_mp3s_counts_all_of_them(facts_of, stitcher, tmp_path):
    """The header of the first part does not hide the second."""
    path = tmp_path / "leg"
    path.write_bytes((FIXTURES / "vbr-xing.mp3").read_bytes() * 2)
    assert facts_of(stitcher, path).duration_ms >= 2 * 3312


def test_a_frame_that_does_not_decode_counts_as_well(facts_of, stitcher, tmp_path):
    """It is copied when legs are joined, so leaving it out would shift every offset behind it."""
    content = bytearray(BARE)
    for frame in range(5, 30, 2):
        content[frame * 144 + 4 : frame * 144 + 144] = b"\xaa" * 140
    path = tmp_path / "leg"
    path.write_bytes(content)
    legs = [(path, facts_of(stitcher, path))] * 2
    assert legs[0][1].duration_ms == 2448
    stitcher.join(legs, target := tmp_path / "joined.mp3")
    assert facts_of(stitcher, target).duration_ms == 2 * 2448


@pytest.mark.parametrize("announced", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_a_streamed_wav_is_whole(facts_of, stitcher, tmp_path, announced):
    """A recorder that cannot seek back leaves the length open."""
    path = tmp_path / "leg"
    head = riff(chunk(b"fmt ", form(PCM, 8000, 1, 16)))
    path.write_bytes(head + b"data" + struct.pack("<I", announced) + tone(1.5))
    assert facts_of(stitcher, path).duration_ms == 1500


@pytest.mark.parametrize("cut", [1, 40, 143, 145])
def test_an_mp3_cut_within_a_frame_is_damaged(facts_of, stitcher, tmp_path, cut):
    """The message says how much is lacking, and the error says what kind of file is kept."""
    path = tmp_path / "leg"
    path.write_bytes(BARE[:-cut])
    with pytest.raises(DamagedAudio, match=f"its last frame lacks {cut % 144} bytes") as raised:
        facts_of(stitcher, path)
    assert raised.value.extension == "mp3"


def test_an_mp3_cut_between_frames_is_damaged_when_its_header_knows(facts_of, stitcher, tmp_path):
    """A Xing header counts the frames, so half of them is not the whole."""
    whole = (FIXTURES / "cbr-info.mp3").read_bytes()
    path = tmp_path / "leg"
    path.write_bytes(whole[: len(whole) // 216 // 2 * 216])
    with pytest.raises(DamagedAudio, match="of 46 frames are there"):
        facts_of(stitcher, path)


def test_a_wav_cut_short_is_damaged(facts_of, stitcher, tmp_path):
    """The header promises more than came."""
    path = write_pcm(tmp_path / "leg", tone(2))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DamagedAudio, match="31,000 of 32,000 bytes of audio are there") as raised:
        facts_of(stitcher, path)
    assert raised.value.extension == "wav"


@pytest.mark.parametrize(("lost", "lacks_ms"), [(1, 1), (2, 1), (36, 3), (44, 3), (160, 10)])
def test_a_wav_may_lack_a_few_milliseconds_and_says_so(
    facts_of, stitcher, tmp_path, lost, lacks_ms
):
    """Its writer may have miscounted, or its end was cut off: whoever asks for it decides."""
    path = write_pcm(tmp_path / "leg", tone(2))
    assert facts_of(stitcher, path).lacks_ms == 0
    path.write_bytes(path.read_bytes()[:-lost])
    assert facts_of(stitcher, path).lacks_ms == lacks_ms
    path.write_bytes(path.read_bytes()[: -(162 - lost)])
    with pytest.raises(DamagedAudio, match="cut short"):
        facts_of(stitcher, path)


def test_a_header_that_was_counted_in_is_lacking_however_long_it_lasts(
    facts_of, stitcher, tmp_path
):
    """At GSM's rate, or with a few hundred bytes in front of it, that is more than ten."""
    path = tmp_path / "leg"
    for front in (44, 646):
        head = riff(
            chunk(b"fmt ", form(PCM, 8000, 1, 16)), *([chunk(b"bext", bytes(594))] * (front > 44))
        )
        path.write_bytes(head + b"data" + struct.pack("<I", 16_000 + front) + tone(1))
        assert facts_of(stitcher, path).lacks_ms == -(-front // 16)


@pytest.mark.parametrize("rate", [0, 1, 0xFFFFFFFF])
def test_what_a_wav_lacks_is_measured_and_not_read_from_its_header(
    facts_of, stitcher, tmp_path, rate
):
    """A header that says gigabytes a second does not make half of a recording a slip."""
    path = write_pcm(tmp_path / "leg", tone(2))
    content = bytearray(path.read_bytes()[:-16_000])
    content[28:32] = struct.pack("<I", rate)
    path.write_bytes(content)
    with pytest.raises(DamagedAudio, match="16,000 of 32,000 bytes of audio are there"):
        facts_of(stitcher, path)


def test_legs_of_which_one_lacks_a_little_are_copied_all_the_same(stitcher, tmp_path):
    """What a header promises does not change how the samples that came are joined."""
    legs = [(path := write_pcm(tmp_path / name, tone(1)), stitcher.inspect(path)) for name in "ab"]
    path.write_bytes(path.read_bytes()[:-44])
    legs[1] = (path, stitcher.inspect(path))
    assert legs[1][1].lacks_ms
    assert stitcher.join(legs, tmp_path / "joined").how == "copy"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (riff(chunk(b"fmt ", form(PCM, 8000, 1, 16)), chunk(b"data", b"")), "holds no audio"),
        (riff(chunk(b"fmt ", form(0x2A5A, 8000, 1, 16)), chunk(b"data", b"1234")), "decoded"),
        (riff(chunk(b"fmt ", form(PCM, 8000, 200, 16)), chunk(b"data", bytes(400))), "channels"),
        (riff(chunk(b"fmt ", form(PCM, 9000000, 1, 16)), chunk(b"data", bytes(400))), "9000000 Hz"),
    ],
    ids=["no-samples", "unknown-codec", "too-many-channels", "impossible-rate"],
)
def test_a_wav_that_is_no_recording_is_damaged(facts_of, stitcher, tmp_path, content, reason):
    """A header alone, a codec nobody knows and impossible numbers are refused with the reason."""
    path = tmp_path / "leg"
    path.write_bytes(content)
    with pytest.raises(DamagedAudio, match=reason):
        facts_of(stitcher, path)


def test_a_leg_over_the_limit_is_too_large(facts_of, tools, tmp_path):
    """The limit is in seconds of audio, and what is over it is not decoded to its end."""
    limited = FfmpegStitcher(tools, max_seconds=2)
    assert facts_of(limited, write_pcm(tmp_path / "short", tone(2))).duration_ms == 2000
    with pytest.raises(TooLarge, match="longer than the limit of 2 s"):
        facts_of(limited, write_pcm(tmp_path / "long", tone(2.1)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_bytes_of_any_kind_are_judged(facts_of, stitcher, tmp_path, data):
    """A damaged recording is audio, no audio or damaged; nothing else ever comes out."""
    source = data.draw(st.sampled_from([BARE, (FIXTURES / "vbr-xing.mp3").read_bytes()]))
    content = bytearray(source)
    for _ in range(data.draw(st.integers(1, 40))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "leg"
    path.write_bytes(content)
    with contextlib.suppress(NotAudio, DamagedAudio):
        assert facts_of(stitcher, path).duration_ms > 0


def test_ffmpeg_sees_nothing_of_our_environment(tmp_path, monkeypatch):
    """A Lambda's environment holds its credentials; the child that reads strange bytes has none."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for name in ("ffmpeg", "ffprobe"):
        spy = tmp_path / name
        spy.write_text("#!/bin/sh\n/usr/bin/env\n")
        spy.chmod(0o755)
    spied = Ffmpeg(find_tools([tmp_path]), timeout=10, max_output=1 << 20)
    # A shell sets these three for itself.
    names = {line.partition("=")[0] for line in spied.run([]).splitlines()} - {"PWD", "SHLVL", "_"}
    assert names == set()


def test_a_run_that_does_not_end_is_ended(tools, tmp_path):
    """The clock is the wall's, and the process is gone when the error arrives."""
    leg = write_pcm(tmp_path / "leg", tone(1))
    limited = Ffmpeg(tools, timeout=0.2, max_output=1 << 30)
    began = time.monotonic()
    endless = ["-stream_loop", "-1", "-f", "wav", "-i", str(leg), "-f", "null", "-"]
    with pytest.raises(TimedOut, match=r"did not end within 0\.2 s"):
        limited.run(endless)
    assert time.monotonic() - began < 5


def test_a_file_that_grows_over_the_limit_is_stopped(tools, tmp_path):
    """A small file that decodes to a large one cannot fill the disk."""
    leg, target = write_pcm(tmp_path / "leg", tone(1)), tmp_path / "target"
    limited = Ffmpeg(tools, timeout=10, max_output=100_000)
    endless = ["-stream_loop", "-1", "-f", "wav", "-i", str(leg), "-f", "wav", "-y", str(target)]
    with pytest.raises(TooLarge, match="over the limit of 100,000 bytes"):
        limited.run(endless)
    assert target.stat().st_size <= 100_000


@pytest.mark.parametrize("lure", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:2,\n{}\n"])
@pytest.mark.parametrize("front", [b"", b"ID3\4\0\0\0\0\0\0"], ids=["bare", "behind-a-tag"])
def test_a_list_of_other_files_is_never_followed(facts_of, stitcher, tmp_path, lure, front):
    """A playlist could make ffmpeg put another file's content into the archive."""
    secret = write_pcm(tmp_path / "secret.wav", tone(2))
    path = tmp_path / "leg.mp3"
    path.write_bytes(front + lure.format(secret.name).encode())
    with pytest.raises(NotAudio):
        facts_of(stitcher, path)
    path.write_bytes(front + lure.format(secret.name).encode() + BARE)
    with pytest.raises(NotAudio):
        facts_of(stitcher, path)
    with pytest.raises(Failed):
        stitcher.join([(path, MP3), (path, MP3)], tmp_path / "joined")


def test_a_name_that_looks_like_a_protocol_is_a_file(stitcher, tmp_path):
    """A colon or a dash in a name is neither a protocol nor an option."""
    for name in ("concat:a|b", "-version", "http:leg", "it's one, \\ two"):
        assert stitcher.inspect(write_pcm(tmp_path / name, tone(0.5))).duration_ms == 500


def test_a_missing_ffmpeg_names_the_places_and_the_remedy(tmp_path):
    """A person who has not built the layer reads what to run."""
    with pytest.raises(LegatoError, match=r"make -C layers/ffmpeg") as raised:
        find_tools([tmp_path / "a", tmp_path / "b"])
    assert str(tmp_path / "b") in str(raised.value)
