"""Which bytes of a WAV are audio, whatever its header says of lengths."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.audio.riff import Form, Walker, header, pcm16
from legato.errors import DamagedAudio
from tests.audio import GSM, MULAW, PCM, chunk, form, riff, tone

FORM = chunk(b"fmt ", form(PCM, 8000, 1, 16))
SOUND = tone(0.25)
MORE = b"\x80\x01" * 300


def data(size, sound=SOUND):
    return b"data" + struct.pack("<I", size) + sound


def walked(content, size=1 << 20):
    walker = Walker()
    pieces = [walker.feed(content[at : at + size]) for at in range(0, len(content), size)]
    return walker, b"".join([*pieces, walker.end()])


@pytest.mark.parametrize(
    "size", [0, 1 << 31, (1 << 31) - 1, 0x7FFFF000, 0x7FFFEFC2, 0xFFFFFFFF, 0xFFFFFF9B, 0xFFFFFFDB]
)
def test_a_streamed_wav_reaches_to_its_end(size):
    """A recorder that cannot seek back writes nothing, or near to the largest length there is."""
    walker, audio = walked(riff(FORM) + data(size))
    assert (audio, walker.missing) == (SOUND, 0)


@pytest.mark.parametrize("more", [1, 2, 36, 4000, 1 << 30])
def test_what_a_header_promises_beyond_the_file_is_missing(more):
    """All that came is heard, and how much was promised is said."""
    walker, audio = walked(riff(FORM) + data(len(SOUND) + more))
    assert (audio, walker.missing) == (SOUND, more)


@pytest.mark.parametrize("size", [0, 1, 1000, 1001])
@pytest.mark.parametrize("step", [1, 500, 1 << 20])
def test_audio_that_goes_on_behind_its_length_is_audio(size, step):
    """What follows is no chunk, so it is not passed by in silence."""
    walker, audio = walked(riff(FORM) + data(size), step)
    assert (audio, walker.missing, dict(walker.beside)) == (SOUND, 0, {})


@pytest.mark.parametrize(
    ("behind", "beside"),
    [
        (b"", {}),
        (b"\n", {"text": 1}),
        (bytes(5000), {"padding": 5000}),
        (b"<html><body><h1>502 Bad Gateway</h1></body></html>" * 2, {"text": 100}),
        (chunk(b"LIST", b"INFOISFT" + bytes(20)), {"LIST chunk": 36}),
        (
            chunk(b"id3 ", bytes(9)) + chunk(b"bext", bytes(602)),
            {"id3 chunk": 17, "bext chunk": 610},
        ),
        (chunk(b"LIST", b"INFO")[:-2], {"LIST chunk": 10}),
        (chunk(b"LIST", b"INFO") + MORE, {"LIST chunk": 12, "unknown bytes": 600}),
        (riff(FORM, chunk(b"data", SOUND)), {"another file": 44 + len(SOUND)}),
    ],
)
@pytest.mark.parametrize("step", [1, 100, 1 << 20])
def test_what_stands_behind_the_audio_is_named(behind, beside, step):
    """Chunks, text, padding and a file that was appended."""
    walker, audio = walked(riff(FORM) + data(len(SOUND)) + behind, step)
    assert (audio, dict(walker.beside)) == (SOUND, beside)


def test_audio_in_two_chunks_is_heard_whole():
    """As players play it."""
    content = riff(FORM, chunk(b"data", SOUND), chunk(b"LIST", b"INFO"), chunk(b"data", MORE))
    assert walked(content)[1] == SOUND + MORE


@pytest.mark.parametrize(
    "front",
    [
        chunk(b"LIST", b"odd"),
        b"LIST\3\0\0\0odd",  # without the byte that fills it up
        b"LIST\3\0\0\0odd\x55",
        chunk(b"JUNK", bytes(3_000_001)),
        b"".join(chunk(b"c%03d" % number, b"") for number in range(1000)) * 100,
        b"\x01\x02\x03",
        bytes(20),
        chunk(b"fmt ", b"short"),
    ],
    ids=["odd", "unpadded", "other-padding", "large", "many", "lost", "zeros", "two-forms"],
)
def test_what_stands_in_front_of_the_audio_is_survived(front):
    """Large, odd, badly padded, a hundred thousand chunks, or bytes that are none."""
    walker, audio = walked(riff(front, FORM) + data(len(SOUND)), 65536)
    assert audio == SOUND
    assert len(walker.beside) <= 21


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"RIFF\0\0\0\0WAVE", "no `fmt ` chunk"),
        (riff(chunk(b"data", b"12")), "no `fmt ` chunk"),
        (riff(FORM), "ends in front of its audio"),
        (riff(FORM, b"JUNK\xff\xff\xff\xff" + bytes(40)), "ends in front of its audio"),
    ],
)
def test_a_wav_without_form_or_audio_is_damaged(content, reason):
    """And says what it lacks."""
    with pytest.raises(DamagedAudio, match=reason):
        walked(content)


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_no_bytes_break_the_walker(content, size):
    """In whatever pieces they come, it is the same."""

    def outcome(step):
        try:
            walker, audio = walked(riff(FORM) + content, step)
        except DamagedAudio as error:
            return str(error)
        return audio, dict(walker.beside), walker.missing

    assert outcome(size) == outcome(1 << 20)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "body",
    [
        form(PCM, 8000, 2, 16),
        form(MULAW, 8000, 1, 8),
        struct.pack("<HHIIHHHH", GSM, 1, 8000, 1625, 65, 0, 2, 320),
    ],
    ids=["pcm", "mulaw", "gsm"],
)
def test_the_header_that_is_written_is_the_one_that_is_read(body, wide):
    """The plain header, and RF64's, which counts in 64 bits; but for PCM with a `fact`."""
    made = header(Form(body), 65 * 4, 1280, wide=wide)
    plain = body == form(PCM, 8000, 2, 16)
    assert len(made) == 28 + len(body) + (0 if plain else 12) + (36 if wide else 0)
    walker, _ = walked(made + bytes(65 * 4))
    assert (walker.form, walker.size, walker.missing) == (Form(body), 65 * 4, 0)
    assert ((b"fact" + struct.pack("<II", 4, 1280)) in made) is not plain
    assert not walker.beside


def test_more_than_four_gigabytes_are_counted():
    """In the header that says so with 64 bits."""
    made = header(pcm16(8000, 1), 5 << 30, 5 << 29, wide=True)
    walker, _ = walked(made + bytes(1000))
    assert walker.missing == (5 << 30) - 1000
