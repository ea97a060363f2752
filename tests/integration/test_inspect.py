"""What the stitcher says of files, and of the same bytes as a stream, with the real ffmpeg."""

from __future__ import annotations

import contextlib
import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from legato.audio.ffmpeg import find_tools
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


def of_file(stitcher, path):
    return stitcher.inspect(path)[0]


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
        ("cbr-info", 3100),
        ("cbr-bare", 2448),
        ("cbr-reservoir", 3312),
        ("vbr-xing", 3100),
        ("id3v2", 2448),
    ],
)
def test_an_mp3_is_as_long_as_its_frames(facts_of, stitcher, name, milliseconds):
    """Frames of 72 ms are counted, without what players leave out: as a full ffmpeg plays it."""
    facts = facts_of(stitcher, FIXTURES / f"{name}.mp3")
    assert replace(facts, delay_ms=0, padding_ms=0, beside={}) == replace(
        MP3, duration_ms=milliseconds
    )


@pytest.mark.parametrize(
    ("name", "rate", "channels", "milliseconds"),
    [("stereo-44k", 44100, 2, 1045), ("vbr-xing-16k", 16000, 1, 2000)],
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
    # A header in the middle is played as a frame; what a full ffmpeg plays is 6,484 ms.
    assert facts_of(stitcher, path).duration_ms == 6484


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


@pytest.mark.parametrize(
    ("cut", "where"),
    [
        (17, "17 bytes before the end of frame 34"),
        (143, "143 bytes before the end of frame 34"),
        (184, "40 bytes before the end of frame 33"),
    ],
)
@pytest.mark.parametrize("tail", [b"", b"TAG" + bytes(125)], ids=["bare", "tagged"])
def test_an_mp3_cut_within_a_frame_is_damaged(facts_of, stitcher, tmp_path, cut, where, tail):
    """The message says where, and the error says what kind of file is kept."""
    path = tmp_path / "leg"
    path.write_bytes(BARE[:-cut] + tail)
    with pytest.raises(DamagedAudio, match=f"the MP3 is cut {where}") as raised:
        facts_of(stitcher, path)
    assert raised.value.extension == "mp3"


@pytest.mark.parametrize(("cut", "lacks_ms"), [(1, 1), (2, 1), (16, 8), (145, 1)])
def test_a_last_frame_may_lack_a_few_bytes_and_says_so(facts_of, stitcher, tmp_path, cut, lacks_ms):
    """Its end is padding, so players play it; it is as long as if they were there."""
    path = tmp_path / "leg"
    path.write_bytes(BARE[:-cut])
    facts = facts_of(stitcher, path)
    assert (facts.lacks_ms, facts.duration_ms) == (lacks_ms, 2448 - 72 * (cut > 144))


def test_an_mp3_cut_between_frames_is_damaged_when_its_header_knows(facts_of, stitcher, tmp_path):
    """A Xing header counts the frames, so half of them is not the whole."""
    whole = (FIXTURES / "cbr-info.mp3").read_bytes()
    path = tmp_path / "leg"
    path.write_bytes(whole[: len(whole) // 216 // 2 * 216])
    with pytest.raises(DamagedAudio, match="of 46 frames are there"):
        facts_of(stitcher, path)


@pytest.mark.parametrize(
    ("lost", "lacks_ms"), [(1, 1), (2, 1), (44, 3), (160, 10), (1000, 63), (24_000, 1500)]
)
@pytest.mark.parametrize("rate", [16_000, 0, 0xFFFFFFFF])
def test_a_wav_says_what_it_lacks_of_its_promise(
    facts_of, stitcher, tmp_path, lost, lacks_ms, rate
):
    """Its writer may have miscounted, or its end was cut off: whoever asks for it decides.

    It is measured, whatever the header says of bytes in a second.
    """
    path = write_pcm(tmp_path / "leg", tone(2))
    assert facts_of(stitcher, path).lacks_ms == 0
    content = bytearray(path.read_bytes()[:-lost])
    content[28:32] = struct.pack("<I", rate)
    path.write_bytes(content)
    assert facts_of(stitcher, path).lacks_ms == lacks_ms


def test_legs_of_which_one_lacks_a_little_are_copied_all_the_same(stitcher, tmp_path):
    """What a header promises does not change how the samples that came are joined."""
    paths = [write_pcm(tmp_path / name, tone(1)) for name in "ab"]
    paths[1].write_bytes(paths[1].read_bytes()[:-44])
    legs = [(path, stitcher.inspect(path)[0]) for path in paths]
    assert legs[1][1].lacks_ms
    assert stitcher.join(legs, tmp_path / "joined").how == "copy"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (riff(chunk(b"fmt ", form(PCM, 8000, 1, 16)), chunk(b"data", b"")), "holds no audio"),
        (riff(chunk(b"fmt ", form(PCM, 8000, 200, 16)), chunk(b"data", bytes(400))), "channels"),
        (riff(chunk(b"fmt ", form(PCM, 9000000, 1, 16)), chunk(b"data", bytes(400))), "9000000 Hz"),
    ],
    ids=["no-samples", "too-many-channels", "impossible-rate"],
)
def test_a_wav_that_is_no_recording_is_damaged(facts_of, stitcher, tmp_path, content, reason):
    """A header alone and impossible numbers are refused with the reason."""
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


@pytest.mark.parametrize("lure", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:2,\n{}\n"])
@pytest.mark.parametrize("front", [b"", b"ID3\4\0\0\0\0\0\0"], ids=["bare", "behind-a-tag"])
def test_a_list_of_other_files_is_never_followed(facts_of, stitcher, tmp_path, lure, front):
    """A playlist could make ffmpeg put another file's content into the archive."""
    secret = write_pcm(tmp_path / "secret.wav", tone(2))
    path = tmp_path / "leg.mp3"
    path.write_bytes(front + lure.format(secret.name).encode())
    with pytest.raises(NotAudio):
        facts_of(stitcher, path)
    with pytest.raises(Failed):
        stitcher.join([(path, MP3), (path, MP3)], tmp_path / "joined")
    path.write_bytes(front + lure.format(secret.name).encode() + BARE)
    if front:
        assert facts_of(stitcher, path).duration_ms == 2448
        stitcher.join([(path, replace(MP3, duration_ms=2448))] * 2, target := tmp_path / "joined")
        assert target.read_bytes() == BARE * 2
    else:
        with pytest.raises(NotAudio):
            facts_of(stitcher, path)


def test_a_missing_ffmpeg_names_the_places_and_the_remedy(tmp_path):
    """A person who has not built the layer reads what to run."""
    with pytest.raises(LegatoError, match=r"make -C layers/ffmpeg") as raised:
        find_tools([tmp_path / "a", tmp_path / "b"])
    assert str(tmp_path / "b") in str(raised.value)
