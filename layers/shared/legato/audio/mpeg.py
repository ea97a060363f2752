"""MPEG audio, frame by frame: which bytes of a stream are frames, and what stands beside them.

ffmpeg finds a frame anywhere in anything, which is right for a player and wrong for evidence. So it
is given frames alone, and a joined file consists of nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

HEAD = 4
TAG_HEAD = 14
"""So many bytes tell whether an ID3v2 tag begins."""
_LONGEST = 1732
"""No frame is longer, in bytes: layer II with 384 kbit/s at 32 kHz."""
_LOOK = 4 * _LONGEST
"""So many bytes say whether a frame begins: three that follow each other, and one more header."""
_TAIL = 1 << 16
"""So much is held back, since what stands in the end says where the audio ends."""
_TAG_HELD = 1 << 20
"""A tag of this size is looked at whole before it is believed; a larger one is believed."""
_AT_ONCE = 256
"""So many frames are compared together, and for nothing where all differ."""
FEW_BYTES = 16
"""A last frame may lack so much: its end is padding, and players do not notice."""
_MPEG_1 = 3
_RATES = {_MPEG_1: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBITS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): _LOW,
    (False, 3): _LOW,
}
# All of a header that one encoder does not change from frame to frame: not the bit rate, padding,
# the private bit, and how two channels are coded.
_STEADY = 0xFFFF0C0F
_DECODER_DELAY = 529
"""Samples that every decoder of layer III adds in front, and players leave out with the encoder's.

As FFmpeg's libavformat/mp3dec.c counts them.
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """What frames of one stream have in common. `samples` are those of one channel in a frame."""

    layer: int
    samples: int
    rate: int
    channels: int

    def like(self, other: Kind) -> bool:
        """Tell whether both can follow each other: channels may change, as encoders do."""
        return (self.layer, self.samples, self.rate) == (other.layer, other.samples, other.rate)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `size` is in bytes with the header; `steady` is what its successors repeat."""

    kind: Kind
    size: int
    steady: int


@lru_cache(4096)
def frame_of(header: bytes) -> Frame | None:
    """Read the four bytes of a header; None if they are none, or of the free format."""
    if len(header) < HEAD or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == _MPEG_1
    hertz, kbit = _RATES[version][rate], _KBITS[first, layer][bitrate]
    padding = header[2] >> 1 & 1
    if layer == 1:
        samples, size = 384, (12_000 * kbit // hertz + padding) * 4
    else:
        samples = 1152 if first or layer == 2 else 576
        size = samples * 125 * kbit // hertz + padding
    channels = 1 if header[3] >> 6 == 3 else 2
    steady = int.from_bytes(header, "big") & _STEADY | channels << 6
    return Frame(Kind(layer, samples, hertz, channels), size, steady)


@dataclass(frozen=True, slots=True)
class Info:
    """What the frame in front says that is no audio: a Xing, Info or VBRI header.

    `frames` are those that should follow, 0 if it does not say; `delay` and `padding` the samples
    that the encoder added in front and behind.
    """

    frames: int
    delay: int = 0
    padding: int = 0


class Walker:
    """Takes a stream in pieces, and hands out its frames and nothing else.

    `counts` has the frames by kind, in the order in which the kinds came; `border` is where in the
    frames that were handed out last a second kind begins, if it does; `beside` has the bytes that
    are no audio, by what they are; `missing` is how many bytes the last frame lacks. Up to
    FEW_BYTES that are missing are made up for with zeros; a frame that lacks more is not handed
    out. Any bytes may stand in front of frames, behind or between them.
    """

    def __init__(self) -> None:
        self.counts: Counter[Kind] = Counter()
        self.border: int | None = None
        self.beside: Counter[str] = Counter()
        self.info: Info | None = None
        self.missing = 0
        self._held = bytearray()
        self._enough = 2 * _TAIL
        self._tag = 0
        self._last: Frame | None = None
        self._mark = b""
        self._cut: Frame | None = None

    @property
    def frames(self) -> int:
        return self.counts.total()

    @property
    def lasts(self) -> float:
        """How long all frames so far are, in seconds.

        A frame that does not decode is copied and played over all the same, so frames count.
        """
        return sum(count * kind.samples / kind.rate for kind, count in self.counts.items())

    @property
    def lacks(self) -> float:
        """How much of the last frame is missing, in seconds, after the end."""
        if self._cut is None:
            return 0
        return self.missing / self._cut.size * self._cut.kind.samples / self._cut.kind.rate

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes, and return the frames that are known by now."""
        self.border = None
        self._held += piece
        if self._tag:
            passed = min(self._tag, len(self._held))
            self.beside["ID3v2 tag"] += passed
            self._tag -= passed
            del self._held[:passed]
        if len(self._held) < self._enough:
            return b""
        frames, at = self._walk(bytes(self._held), len(self._held) - _TAIL)
        del self._held[:at]
        self._enough = 2 * max(_TAIL, len(self._held))
        return frames

    def end(self) -> bytes:
        """Return the frames that are left, after the last byte."""
        self.border = None
        held = bytes(self._held)
        self._held.clear()
        end = _before_tags(held)
        frames, at = self._walk(held[:end], None)
        if cut := self._cut_frame(rest := held[at:end]):
            self._cut, self.missing = cut, cut.size - len(rest)
            if self.missing <= FEW_BYTES:
                self._count(cut.kind, 1, len(frames))
                frames += rest + bytes(self.missing)
        self._put_aside(held[end:])
        return frames

    def _walk(self, data: bytes, stop: int | None) -> tuple[bytes, int]:
        """Return the frames of `data`, and where what is left of it begins.

        Nothing that begins at `stop` or behind is judged, since more is to come. If it is None,
        this is all, and at most a frame is left that is cut.
        """
        frames, at, limit = bytearray(), 0, len(data) if stop is None else stop
        while True:
            begin, at = at, self._run(data, at, limit, len(frames))
            frames += data[begin:at]
            if at >= limit or (after := self._beside(data, at, stop)) is None:
                return bytes(frames), at
            at = after

    def _run(self, data: bytes, at: int, limit: int, before: int) -> int:
        """Return where the frames of one kind end that follow each other without a gap.

        `before` is how many bytes of frames are handed out in front of them.
        """
        if self._last is None:
            return at
        kind, end, count = self._last.kind, len(data), 0
        while (
            at < limit
            and (frame := frame_of(data[at : at + HEAD])) is not None
            and frame.kind == kind
            and at + frame.size <= end
        ):
            alike = _alike(data, at, frame.size, limit)
            at += alike * frame.size
            count += alike
        if count:
            self._count(kind, count, before)
        return at

    def _count(self, kind: Kind, count: int, position: int) -> None:
        if len(self.counts) == 1 and kind not in self.counts:
            self.border = position
        self.counts[kind] += count

    def _beside(self, data: bytes, at: int, stop: int | None) -> int | None:
        """Pass over what is no frame of this kind, and return where the next one may be.

        None if that takes more bytes to know, or the last frame begins there and is cut.
        """
        size = tag_size(data[at : at + TAG_HEAD]) or _ape_size(data[at : at + 32])
        if size and at + size <= len(data):
            return self._aside(data, at, at + size)
        if size and stop is not None:
            if size <= _TAG_HELD:
                return None
            self._tag = at + size - len(data)
            return self._aside(data, at, len(data))
        limit = len(data) if stop is None else stop
        tag = _TAGS.search(data, at + 1, limit)
        limit = tag.start() if tag else limit
        if stop is None and self._cut_frame(data[at:]):
            return None
        for header in _HEADER.finditer(data, at, limit + HEAD):
            position = header.start()
            if position < limit and (frame := self._begins(data, position, whole=stop is None)):
                self._aside(data, at, position)
                return self._begun(data, position, frame)
        return self._aside(data, at, limit)

    def _begins(self, data: bytes, position: int, *, whole: bool) -> Frame | None:
        """Return the frame that begins there, unless it may be one by chance.

        It is none by chance if it repeats what stood in the header of the one before, or three
        follow each other, or, in the `whole` of the data, all to its end. The header of the first
        of all may also be repeated twice further on.
        """
        frame = follower = frame_of(data[position : position + HEAD])
        end, at, count = len(data), position, 0
        if frame is None:
            return None
        while count < 3 and follower is not None and follower.kind.like(frame.kind):
            if at + follower.size > end:
                break
            at, count = at + follower.size, count + 1
            follower = frame_of(data[at : at + HEAD])
        if self._last is not None:
            repeats = frame.steady == self._last.steady
        else:
            usual = frame.kind.layer == 3
            repeats = usual and self._repeated(data, position + frame.size, frame)
        if count == 3 or (count and repeats):
            return frame
        to_its_end = whole and (follower is not None or not any(data[at:]))
        return frame if to_its_end and count >= (1 if self._last is None else 2) else None

    def _repeated(self, data: bytes, at: int, frame: Frame) -> bool:
        """Say whether two more headers behind repeat what this says, of the layer that is usual."""
        count = 0
        for header in _HEADER.finditer(data, at, at + _LOOK):
            other = frame_of(data[header.start() : header.start() + HEAD])
            if header.start() >= at and other is not None and other.steady == frame.steady:
                at, count = header.start() + other.size, count + 1
        return count >= 2

    def _begun(self, data: bytes, position: int, frame: Frame) -> int:
        """Go on with frames like this one. The first of all may be a header, which is no audio."""
        first, self._last = self._last is None, frame
        self._mark = data[position : position + 2]
        if first and (info := _info(data[position : position + frame.size], frame.kind)):
            self.info = info
            self.beside["Xing header"] += frame.size
            return position + frame.size
        return position

    def _cut_frame(self, rest: bytes) -> Frame | None:
        """Return the frame that begins so, and is all of it that came; None if it is none."""
        if rest and len(rest) < HEAD and self._mark.startswith(rest[:2]):
            return self._last
        frame = frame_of(rest[:HEAD])
        known = frame is not None and self._last is not None and frame.kind == self._last.kind
        return frame if frame and known and frame.size > len(rest) else None

    def _aside(self, data: bytes, begin: int, end: int) -> int:
        self._put_aside(data[begin:end])
        return end

    def _put_aside(self, junk: bytes) -> None:
        while junk:
            name, size = _named(junk)
            self.beside[name] += size
            junk = junk[size:]


def _alike(data: bytes, at: int, size: int, limit: int) -> int:
    """Return how many whole frames in a row have the header of this one, itself included.

    At a constant bit rate all have. They are compared by columns, which takes no loop.
    """
    count = min((len(data) - at) // size, (limit - at + size - 1) // size, _AT_ONCE)
    for byte in (2, 3, 1, 0):  # the bit rate first, which differs first
        if count == 1:
            break
        column = data[at + byte : at + count * size : size]
        count -= len(column.lstrip(column[:1]))
    return count


# What follows is looked at again, since one header may begin within what looks like another.
_HEADER = re.compile(rb"\xff(?=[\xe2-\xe7\xf2-\xf7\xfa-\xff][\x10-\xef])")
_TAGS = re.compile(rb"ID3[\x02-\x04]|APETAGEX")
_APE = re.compile(rb"APETAGEX(?:\xe8\x03|\xd0\x07)\x00\x00")  # version 1.000 or 2.000
_KNOWN = re.compile(rb"ID3[\x02-\x04]|APETAGEX|TAG|LYRICSBEGIN|\0{16}")
_TEXT = re.compile(rb"[\t\n\f\r -~]+")
_LYRICS_END = re.compile(rb"LYRICS(200|END)")
_TAG_BEGINS = re.compile(rb"[A-Z0-9]{3}|\0")


def tag_size(head: bytes) -> int:
    """Return the bytes of the ID3v2 tag that begins so; 0 if none does."""
    if head[:3] != b"ID3" or len(head) < 10 or not 2 <= head[3] <= 4:
        return 0
    if head[5] & 0x0F or any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    extended = head[5] & 0x40
    if length and not extended and len(head) > 12 and not _TAG_BEGINS.match(head, 10):
        return 0
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _ape_size(head: bytes) -> int:
    """Return the bytes of the APE tag whose header this is; 0 if it is none."""
    if not _APE.match(head) or len(head) < 32 or not head[23] & 0x20:
        return 0
    return 32 + int.from_bytes(head[12:16], "little")


def _named(junk: bytes) -> tuple[str, int]:
    """Say what the first bytes of these are, and how many belong to it."""
    if junk[:3] == b"TAG" and len(junk) >= 128:
        return "ID3v1 tag", 128
    if junk[:3] == b"ID3":
        return "ID3v2 tag", min(tag_size(junk[:TAG_HEAD]) or len(junk), len(junk))
    if junk[:8] == b"APETAGEX":
        return "APE tag", min(_ape_size(junk[:32]) or len(junk), len(junk))
    if junk[:11] == b"LYRICSBEGIN":
        end = _LYRICS_END.search(junk)
        return "Lyrics3 tag", end.end() if end else len(junk)
    if zeros := len(junk) - len(junk.lstrip(b"\0")):
        return "padding", zeros
    after = _KNOWN.search(junk, 1)
    size = after.start() if after else len(junk)
    text = _TEXT.match(junk, 0, size)
    return ("text", size) if text and text.end() == size else ("unknown bytes", size)


def _before_tags(data: bytes) -> int:
    """Return where the audio ends: in front of ID3v1, APE and Lyrics3 tags."""
    end = len(data)
    while True:
        tail, start = data[max(0, end - 128) : end], end
        if tail[:3] == b"TAG" and len(tail) == 128:
            start = end - 128
        elif _APE.match(tail[-32:]):
            start = end - int.from_bytes(tail[-20:-16], "little")
            if tail[-9] & 0x80:
                start -= 32
            named = data[max(0, start) :][:8] == b"APETAGEX"
            if not named and not _TEXT.fullmatch(data[max(0, start) + 8 :][:2]):
                return end
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            start = end - int(tail[-15:-9]) - 15
            if data[max(0, start) :][:11] != b"LYRICSBEGIN":
                return end
        if not 0 <= start < end:
            return end
        end = start


def _info(frame: bytes, kind: Kind) -> Info | None:
    """Read what the first frame says if it is a header, as FFmpeg's libavformat/mp3dec.c does."""
    if kind.layer != 3:
        return None
    if frame[36:40] == b"VBRI":
        return Info(int.from_bytes(frame[50:54], "big"))
    side = {(1152, 2): 32, (1152, 1): 17, (576, 2): 17, (576, 1): 9}[kind.samples, kind.channels]
    tag = frame[4 + side :]
    if tag[:4] not in (b"Xing", b"Info") or len(tag) < 8:
        return None
    flags, at = tag[7], 8
    frames = int.from_bytes(tag[8:12], "big") if flags & 1 else 0
    size = int.from_bytes(tag[at + 4 * (flags & 1) :][:4], "big") if flags & 2 else 0
    if not (frames or size):
        return None  # players play it
    for flag, length in ((1, 4), (2, 4), (4, 100), (8, 4)):
        at += length if flags & flag else 0
    delays = tag[at + 21 : at + 24]
    if tag[at : at + 4] not in (b"LAME", b"Lavf", b"Lavc") or len(delays) < 3:
        return Info(frames)
    both = int.from_bytes(delays, "big")
    return Info(frames, delay=both >> 12, padding=both & 0xFFF)


def left_out(info: Info | None, kind: Kind) -> list[tuple[int, int]]:
    """Return which samples players leave out: from here, and up to there.

    They trust the header, as FFmpeg's libavformat/mp3dec.c does.
    """
    if info is None or not info.delay:
        return []
    counted = info.frames * kind.samples
    ranges = [(0, info.delay + _DECODER_DELAY)]
    if counted and info.padding > _DECODER_DELAY:
        ranges.append((counted - info.padding + _DECODER_DELAY, counted))
    return ranges
