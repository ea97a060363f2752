"""What a recording is, by its first bytes alone."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.audio.formats import recognise
from legato.errors import NotAudio
from legato.model import MEDIA_TYPES
from tests.audio import FIXTURES

BARE = (FIXTURES / "cbr-bare.mp3").read_bytes()


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*.mp3")), ids=lambda path: path.stem)
def test_recognises_mp3_with_and_without_headers_and_tags(path):
    """An MP3 is one whether it begins with ID3v2, a Xing header or a plain frame."""
    assert recognise(path.read_bytes()[:4096]) == "mp3"


@pytest.mark.parametrize("magic", [b"RIFF", b"RF64", b"BW64"])
def test_recognises_wav(magic):
    """RIFF and its 64-bit sisters are WAV when they hold a wave."""
    assert recognise(magic + b"\xff\xff\xff\xffWAVEfmt ") == "wav"


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\0\0\0\x20ftypM4A ", "mp4"),
        (b"OggS\0\2", "ogg"),
        (b"fLaC\0\0", "flac"),
        (b"#!AMR\n", "amr"),
        (b"FORM\0\0\0\0AIFFCOMM", "aiff"),
        (b".snd\0\0\0\x18", "au"),
        (b"\x1a\x45\xdf\xa3", "webm"),
        (b"RIFX\0\0\0\0WAVEfmt ", "wav"),
        (b"\xff\xf1\x60\x40\x01\x7f\xfc" + bytes(4) + b"\xff\xf1", "aac"),
    ],
)
def test_recognises_recordings_that_are_kept_as_they_came(head, extension):
    """Nobody decodes them here, and they are recordings all the same."""
    assert recognise(head) == extension
    assert extension in MEDIA_TYPES


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
        (b"ffconcat version 1.0\nfile /etc/passwd\n" + BARE, "a playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "a session description"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nHello\n", "text"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(5000), "a RIFF file without a wave"),
        (b"Too many requests\n", "text"),
        (bytes(4000), "zeros"),
        (b"ID3\4\0\0\0\0\0\0" + b"no frame here", "an ID3 tag without MPEG audio behind it"),
        (b"\x12\x34\x56\x78\x9a\xbc\xde\xf0", "unknown (it begins 12 34 56 78 9a bc de f0)"),
        (
            b"\xff\xf1\x60\x40\x01\x7f\xfc\0\0\0\0\0\0",
            "unknown (it begins ff f1 60 40 01 7f fc 00)",
        ),
    ],
)
def test_names_what_is_no_audio(content, name):
    """The reason names what came, because a person reads it."""
    with pytest.raises(NotAudio) as raised:
        recognise(content[:4096])
    assert str(raised.value) == f"what came is {name}, not MP3 or WAV audio"


@given(st.binary(max_size=5000))
def test_no_bytes_break_the_recogniser(content):
    """Whatever comes is judged, and nothing but a verdict comes out."""
    with contextlib.suppress(NotAudio):
        assert recognise(content[:4096]) in MEDIA_TYPES
