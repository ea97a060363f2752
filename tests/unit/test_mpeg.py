"""Which bytes of MPEG audio are frames, whatever stands around them."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from legato.audio.mpeg import Walker, frame_of
from tests.audio import FIXTURES

BARE = (FIXTURES / "cbr-bare.mp3").read_bytes()
STEREO = (FIXTURES / "stereo-44k.mp3").read_bytes()
XING = (FIXTURES / "vbr-xing.mp3").read_bytes()
FRAMES = [BARE[at : at + 144] for at in range(0, len(BARE), 144)]
FAKES = FRAMES[0] * 13

ID3V1 = b"TAG" + bytes(125)
LYRICS = b"LYRICSBEGIN" + b"IND00002" + b"10" + b"000021LYRICS200"


def id3v2(body, *, footer=False):
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\4\0" + (b"\x10" if footer else b"\0") + size + body + bytes(10 * footer)


def picture(body):
    return id3v2(b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body)


def ape(items, *, header=True):
    size = (len(items) + 32).to_bytes(4, "little")
    numbers = b"APETAGEX" + (2000).to_bytes(4, "little") + size + (1).to_bytes(4, "little")
    front = numbers + (0xA0000000).to_bytes(4, "little") + bytes(8) if header else b""
    flags = 0x80000000 if header else 0
    return front + items + numbers + flags.to_bytes(4, "little") + bytes(8)


APE_ITEM = (3).to_bytes(4, "little") + bytes(4) + b"Artist\0Ada"


def walked(content, size=1 << 20):
    walker = Walker()
    pieces = [walker.feed(content[at : at + size]) for at in range(0, len(content), size)]
    return walker, b"".join([*pieces, walker.end()])


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("ffe328c4", 144),  # MPEG 2.5, layer III, 16 kbit/s at 8 kHz
        ("fffb9064", 417),  # MPEG 1, layer III, 128 kbit/s at 44.1 kHz
        ("fffb9264", 418),
        ("fffd9004", 522),  # MPEG 1, layer II, 160 kbit/s at 44.1 kHz
        ("ffff9004", 312),  # MPEG 1, layer I, 288 kbit/s at 44.1 kHz
        ("fff39064", 261),  # MPEG 2, layer III, 80 kbit/s at 22.05 kHz
        ("ffe300c4", None),  # the free format
        ("ffe3f8c4", None),
        ("ffeb28c4", None),  # no version of MPEG
        ("ffe12cc4", None),  # no layer
    ],
)
def test_a_header_tells_the_size_of_its_frame(header, size):
    """By the tables of ISO 11172-3 and 13818-3."""
    frame = frame_of(bytes.fromhex(header))
    assert (frame and frame.size) == size


@pytest.mark.parametrize(
    ("content", "beside"),
    [
        (BARE, {}),
        (BARE + b"\n", {"text": 1}),
        (BARE + b"<html><body>Gone</body></html>", {"text": 30}),
        (BARE + bytes(700), {"padding": 700}),
        (BARE + ID3V1, {"ID3v1 tag": 128}),
        (BARE + LYRICS, {"Lyrics3 tag": len(LYRICS)}),
        (BARE + LYRICS + ID3V1, {"Lyrics3 tag": len(LYRICS), "ID3v1 tag": 128}),
        (BARE + ape(APE_ITEM), {"APE tag": 64 + len(APE_ITEM)}),
        (BARE + ape(APE_ITEM, header=False) + ID3V1, None),
        (BARE + ape(APE_ITEM + FAKES), {"APE tag": 64 + len(APE_ITEM + FAKES)}),
        (BARE + ape(APE_ITEM + FAKES, header=False), None),
        (picture(FAKES) + BARE, {"ID3v2 tag": len(picture(FAKES))}),
        (BARE + picture(FAKES), {"ID3v2 tag": len(picture(FAKES))}),
        (BARE[:1440] + picture(FAKES) + BARE[1440:], {"ID3v2 tag": len(picture(FAKES))}),
        (BARE + picture(FAKES) + b"\n" + ID3V1, None),
        (b"\r\n" + picture(FAKES) + BARE, None),
        (id3v2(b"TIT2" + bytes(60), footer=True) + BARE, {"ID3v2 tag": 84}),
        (picture(bytes(300_000)) + BARE, {"ID3v2 tag": len(picture(bytes(300_000)))}),
        (picture(bytes(3_000_000)) + BARE, {"ID3v2 tag": len(picture(bytes(3_000_000)))}),
        (b"ID3\4\0\0\x7f\x7f\x7f\x7f" + b"TIT2" + BARE, {"ID3v2 tag": 14}),
        (b"HTTP/1.1 200 OK\r\n\r\n" + BARE, {"text": 19}),
        (bytes(9000) + BARE, {"padding": 9000}),
        (BARE[70:144] + BARE, {"unknown bytes": 74}),
        (BARE[:1440] + b"\xff" * 5000 + BARE[1440:], {"unknown bytes": 5000}),
    ],
)
@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_what_is_no_frame_is_named_and_not_handed_out(content, beside, size):
    """In front, between, behind; a tag is passed over by its size, whatever is in it."""
    if size == 1 and len(content) > 100_000:
        size = 7
    walker, frames = walked(content, size)
    assert frames == BARE
    assert walker.frames == 34
    assert sum(walker.beside.values()) == len(content) - len(BARE)
    if beside is not None:
        assert dict(walker.beside) == beside


@given(st.lists(st.binary(max_size=40), min_size=35, max_size=35), st.integers(1, 9000))
@example([b"ID3\3\0\0\0\0\0\x7f"] * 35, 500)
@example([b"\xff"] * 35, 500)
@example([b"\xff\xe3"] * 35, 500)
@example([b"APETAGEX"] * 35, 500)
def test_any_bytes_may_stand_around_every_frame(junk, size):
    """They change neither the frames nor their order, in whatever pieces all come."""
    content = junk[0] + b"".join(
        frame + behind for frame, behind in zip(FRAMES, junk[1:], strict=True)
    )
    walker, frames = walked(content, size)
    assert frames == BARE
    # What looks like the beginning of one more frame at the very end, is one that is cut.
    assert sum(walker.beside.values()) == sum(map(len, junk)) or walker.missing


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_may_stand_around_frames_of_all_bit_rates(front, between, behind):
    """Of VBR with a header, in stereo, at a high rate."""
    at = 0
    while at < len(STEREO) // 2:
        at += frame_of(STEREO[at : at + 4]).size
    content = front + STEREO[:at] + between + STEREO[at:] + behind
    assert walked(content)[1] == STEREO


def test_a_xing_header_is_no_audio_and_says_what_should_come():
    """In front; what looks like one further on is played by players."""
    walker, frames = walked(XING)
    assert (walker.info.frames, walker.frames) == (46, 46)
    assert walker.beside == {"Xing header": 288}
    assert XING.endswith(frames)
    assert walked(XING * 2)[0].frames == 93


def test_frames_of_another_kind_are_counted_by_themselves():
    """The rate may change on the way."""
    walker, frames = walked(BARE + STEREO)
    assert frames == BARE + STEREO
    assert [(kind.rate, count) for kind, count in walker.counts.items()] == [
        (8000, 34),
        (44100, 40),
    ]
    assert walker.lasts == pytest.approx(34 * 0.072 + 40 * 1152 / 44100)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
@pytest.mark.parametrize("second", [STEREO * 9, STEREO[:411]], ids=["long", "all but cut off"])
def test_it_is_said_where_a_second_kind_begins(size, second):
    """Once, whatever comes after it."""
    walker, first, borders = Walker(), BARE * 40, []
    content, done = first + second + BARE * (len(second) > 500), 0
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    for step in [*(partial(walker.feed, piece) for piece in pieces), walker.end]:
        frames = step()
        if walker.border is not None:
            borders.append(done + walker.border)
        done += len(frames)
    assert borders == [len(first)]


@given(st.integers(1, len(BARE) - 144 * 4), st.sampled_from([b"", ID3V1, LYRICS + ID3V1]))
def test_every_cut_within_a_frame_is_noticed(cut, tail):
    """Unless it falls between two frames. A few bytes are made up for with zeros."""
    walker, frames = walked(BARE[:-cut] + tail)
    lost = cut % 144
    assert walker.missing == lost
    assert walker.lacks == pytest.approx(lost / 144 * 0.072)
    whole = BARE[: len(BARE) - cut - (144 - lost if lost else 0)]
    assert frames == (BARE[:-cut] + bytes(lost) if lost <= 16 else whole)


def test_memory_does_not_grow_with_what_is_no_frame():
    """Only a tag is held, up to a limit."""
    walker = Walker()
    walker.feed(BARE)
    for _ in range(200):
        walker.feed(bytes(50_000))
        walker.feed(b"\xff\xfb\x90\0\0" * 12_000)
    assert len(walker._held) < 300_000
    assert walker.end() == b""
    assert walker.frames == 34
