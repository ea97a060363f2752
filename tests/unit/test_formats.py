"""What a file is, by its bytes alone."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.audio import mpeg
from legato.audio.formats import recognise
from legato.audio.riff import pcm_header, read_wave
from legato.errors import DamagedAudio, NotAudio
from tests.audio import FIXTURES, chunk, form, riff

BARE = (FIXTURES / "cbr-bare.mp3").read_bytes()
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (32).to_bytes(4, "little") + bytes(16)
LYRICS = b"LYRICSBEGIN" + b"IND00002" + b"10" + b"000021LYRICS200"


@pytest.fixture
def made(tmp_path):
    """Write bytes to a file whose name says nothing."""

    def write(content: bytes) -> Path:
        path = tmp_path / "fetched"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.mp3")), ids=lambda path: path.stem)
def test_recognises_mp3_with_and_without_headers_and_tags(path):
    """An MP3 is one whether it begins with ID3v2, a Xing header or a plain frame."""
    assert recognise(path) == "mp3"


@pytest.mark.parametrize("magic", [b"RIFF", b"RF64"])
def test_recognises_wav(made, magic):
    """RIFF and its 64-bit sister are WAV when they hold a wave."""
    assert recognise(made(magic + b"\xff\xff\xff\xffWAVEfmt ")) == "wav"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>Sign in</title>", "an HTML page"),
        (b"\n  <HTML><body>", "an HTML page"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        (b'{"errorCode": "CMN-102"}', "JSON"),
        (b"\xef\xbb\xbf[]", "JSON"),
        (b"#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n", "a playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "a playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "a session description"),
        (b"OggS\0\2", "an Ogg file"),
        (b"RIFF\0\0\0\0AVI LIST", "a RIFF file without a wave"),
        (b"\0\0\0\x20ftypM4A ", "an MP4 file"),
        (b"Too many requests\n", "text"),
        (bytes(5000), "zeros"),
        (b"ID3\4\0\0\0\0\0\0" + b"no frame here", "an ID3 tag without MPEG audio behind it"),
        (b"\x12\x34\x56\x78\x9a\xbc\xde\xf0", "unknown (it begins 12 34 56 78 9a bc de f0)"),
    ],
)
def test_names_what_is_no_audio(made, content, name):
    """The reason names what came, because a person reads it."""
    with pytest.raises(NotAudio) as raised:
        recognise(made(content))
    assert str(raised.value) == f"what came is {name}, not MP3 or WAV audio"


def test_a_playlist_in_front_of_real_frames_is_no_audio(made):
    """Text in front of MPEG frames could be taken for a playlist by a demuxer that guesses."""
    playlist = b"ffconcat version 1.0\nfile /etc/passwd\n"
    with pytest.raises(NotAudio):
        recognise(made(playlist + BARE))
    with pytest.raises(NotAudio):
        recognise(made(b"ID3\4\0\0\0\0\0\0" + playlist + BARE))


def test_a_stream_tapped_within_a_frame_is_audio(made):
    """A recorder that starts in the middle of a frame, or pads with zeros, still records audio."""
    assert recognise(made(BARE[70:])) == "mp3"
    assert recognise(made(bytes(1000) + BARE)) == "mp3"


def test_a_link_or_a_directory_is_refused(tmp_path):
    """What was fetched is a plain file; a link could lead anywhere."""
    link = tmp_path / "leg.mp3"
    link.symlink_to(FIXTURES / "cbr-bare.mp3")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        with pytest.raises(NotAudio, match="regular file"):
            recognise(path)


@given(st.binary(max_size=400))
def test_no_bytes_break_the_recogniser(content):
    """Whatever comes is judged, and nothing but a verdict comes out."""
    file = io.BytesIO(content)
    mpeg.audio_start(file)
    assert mpeg.missing_at_end(file) >= 0


@given(st.integers(min_value=1, max_value=len(BARE) - 144 * 4))
def test_every_cut_within_a_frame_is_noticed(cut):
    """An MP3 that loses its last bytes is cut short, unless the cut falls between two frames."""
    lost = mpeg.missing_at_end(io.BytesIO(BARE[:-cut]))
    assert lost == cut % 144


@pytest.mark.parametrize(
    "tail",
    [b"", ID3V1, APE, LYRICS, LYRICS + ID3V1, APE + ID3V1, bytes(700), b"\r\n", bytes(3) + ID3V1],
    ids=["none", "id3v1", "ape", "lyrics3", "lyrics3+id3v1", "ape+id3v1", "zeros", "line", "odd"],
)
def test_tags_and_padding_behind_the_last_frame_are_not_missed_audio(tail):
    """What stands behind the last frame is no cut frame."""
    assert mpeg.missing_at_end(io.BytesIO(BARE + tail)) == 0


def test_a_cut_in_front_of_an_id3v1_tag_is_noticed():
    """A tag at the end does not make the frame in front of it whole."""
    assert mpeg.missing_at_end(io.BytesIO(BARE[:-50] + ID3V1)) == 50


def test_reads_the_frame_count_of_a_xing_header():
    """The header of a VBR file says how many frames there should be."""
    with (FIXTURES / "vbr-xing.mp3").open("rb") as file:
        assert mpeg.promised_frames(file) == (46, 576)
    assert mpeg.promised_frames(io.BytesIO(BARE)) == (0, 576)


FORM = chunk(b"fmt ", form(1, 8000, 1, 16))


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_streamed_wav_reaches_to_its_end(made, size):
    """A recorder that cannot seek back writes no length, or the largest; the file's end counts."""
    path = made(riff(FORM) + b"data" + size.to_bytes(4, "little") + bytes(1000))
    assert (read_wave(path).size, read_wave(path).missing) == (1000, 0)


def test_a_wav_that_promises_more_than_is_there_lacks_it(made):
    """The data chunk states its length, and a body cut on its way does not reach it."""
    path = made(riff(FORM) + b"data" + (5000).to_bytes(4, "little") + bytes(1000))
    assert read_wave(path).missing == 4000


@pytest.mark.parametrize("more", [8, 36, 44])
def test_a_wav_whose_writer_may_have_counted_the_header_in_lacks_just_that(made, more):
    """Some writers put the file's size where the audio's belongs; a cut may fall there as well."""
    path = made(riff(FORM) + b"data" + (1000 + more).to_bytes(4, "little") + bytes(1000))
    assert (read_wave(path).missing, read_wave(path).counts_header) == (more, True)
    path = made(riff(FORM) + b"data" + (1001 + more).to_bytes(4, "little") + bytes(1000))
    assert not read_wave(path).counts_header


def test_other_chunks_in_front_of_the_audio_are_passed_over(made):
    """LIST, fact and chunks nobody knows stand where they like, with their padding."""
    path = made(
        riff(chunk(b"LIST", b"odd"), FORM, chunk(b"fact", bytes(4)), chunk(b"data", b"1234"))
    )
    wave = read_wave(path)
    assert path.read_bytes()[wave.start : wave.start + wave.size] == b"1234"


@pytest.mark.parametrize("content", [b"RIFF\0\0\0\0WAVE", riff(FORM), riff(chunk(b"data", b"12"))])
def test_a_wav_without_form_or_audio_is_damaged(made, content):
    """A header that ends before the audio begins is a file cut short."""
    with pytest.raises(DamagedAudio, match="header ends"):
        read_wave(made(content))


@pytest.mark.parametrize("wide", [False, True])
def test_the_header_that_is_written_is_the_one_that_is_read(made, wide):
    """Both the plain header, of 44 bytes, and RF64's say where the audio is and how long."""
    header = pcm_header(8000, 2, 1000, wide=wide)
    assert len(header) == (80 if wide else 44)
    wave = read_wave(made(header + bytes(1000)))
    assert (wave.start, wave.size, wave.block, wave.missing) == (len(header), 1000, 4, 0)
