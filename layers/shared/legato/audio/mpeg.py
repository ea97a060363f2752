"""The little of MPEG audio that ffmpeg does not tell: where it starts, and if its end is there.

ffmpeg finds a frame anywhere in anything, which is right for a player and wrong for evidence.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# A recorder that taps a stream may begin in the middle of a frame, the longest of which has 1,441
# bytes; anything longer that is not audio is not a recording.
_LEADING_JUNK = 4096
_TAIL = 65536
PROOF = _TAIL + _LEADING_JUNK
"""Behind the tags of a stream, so many bytes tell where audio starts as well as all would."""
_BITRATES = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of MPEG layer III. `size` is in bytes with the header, `samples` a channel."""

    size: int
    samples: int
    rate: int
    channels: int

    def like(self, other: Frame) -> bool:
        """Tell whether both can stand in one stream."""
        return (self.samples, self.rate) == (other.samples, other.rate)


def frame_at(data: bytes, position: int) -> Frame | None:
    """Read the frame header at `position`; None where there is none."""
    header = data[position : position + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    # Bit rate 0 is the free format, which no recorder writes and whose length nobody states.
    if version == 1 or layer != 1 or bitrate in (0, 15) or rate == 3:
        return None
    first = version == 3
    hertz = _RATES[version][rate]
    kbit = _BITRATES[1 if first else 2][bitrate]
    size = (144000 if first else 72000) * kbit // hertz + (header[2] >> 1 & 1)
    return Frame(size, 1152 if first else 576, hertz, 1 if header[3] >> 6 == 3 else 2)


def is_text(data: bytes) -> bool:
    """Tell whether these bytes are printable ASCII, as playlists, pages and messages are."""
    return all(32 <= byte < 127 or byte in b"\t\r\n\x0c" for byte in data)


def audio_start(file: BinaryIO) -> int | None:
    """Return the offset of the first frame, behind ID3v2 tags and padding; None if it is no MP3.

    The second frame must follow where the first one says, so that no bytes pass by chance.
    """
    end = file.seek(0, 2)
    start = _behind_tags(file)
    file.seek(start)
    data = file.read(_TAIL)
    padding = len(data) - len(data.lstrip(b"\0"))
    for at in range(padding, min(padding + _LEADING_JUNK, len(data))):
        if (frame := frame_at(data, at)) is None:
            continue
        follower = frame_at(data, at + frame.size)
        alone = start + at + frame.size >= end - 128  # one frame, and perhaps an ID3v1 tag
        if alone or (follower is not None and follower.like(frame)):
            # Text in front is no cut frame: a demuxer that guesses could take it for a playlist.
            return (
                None
                if at > padding and is_text(data[padding : min(at, padding + 16)])
                else start + at
            )
    return None


def may_begin(head: bytes, *, whole: bool) -> bool:
    """Tell whether a stream that begins with `head`, or is `whole` in it, may be an MP3.

    Where the head shows too little, because a tag or zeros fill it, it may.
    """
    file = io.BytesIO(head)
    if whole or audio_start(file) is not None:
        return audio_start(file) is not None
    behind = head[_behind_tags(file) :].lstrip(b"\0")
    # Text is never passed over, and other bytes only so far; a header of four must fit in.
    return len(behind) < 16 or (len(behind) < _LEADING_JUNK - 3 and not is_text(behind[:16]))


def tag_size(head: bytes) -> int:
    """Return the bytes of the ID3v2 tag that these ten bytes begin; 0 if they begin none."""
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _behind_tags(file: BinaryIO) -> int:
    position = 0
    while True:
        file.seek(position)
        if not (size := tag_size(file.read(10))):
            return position
        position += size


def promised_frames(file: BinaryIO) -> tuple[int, int]:
    """Return how many frames a Xing or Info header counts, and the samples of each; 0 if none.

    Some encoders count the header's own frame too, which is not audio.
    """
    if (start := audio_start(file)) is None:
        return 0, 0
    file.seek(start)
    data = file.read(64)
    if (frame := frame_at(data, 0)) is None:
        return 0, 0
    side = {(1152, 2): 32, (1152, 1): 17, (576, 2): 17, (576, 1): 9}[frame.samples, frame.channels]
    tag = data[4 + side :]
    if tag[:4] not in (b"Xing", b"Info") or not tag[7] & 1:
        return 0, frame.samples
    return int.from_bytes(tag[8:12], "big"), frame.samples


def missing_at_end(file: BinaryIO) -> int:
    """Return how many bytes the last frame lacks: 0 for a stream that ends where a frame ends.

    Tags, padding and other bytes behind the last frame are no audio, and are not missed.
    """
    end = _before_tags(file)
    start = max(0, end - _TAIL)
    file.seek(start)
    data = file.read(end - start)
    position, reference = next(_chains(data, 0), (len(data), None))
    while reference is not None and position < len(data):
        frame = frame_at(data, position)
        if frame is not None and frame.like(reference):
            if position + frame.size > len(data):
                return position + frame.size - len(data)
            position += frame.size
        elif len(data) - position < 4 and data[position] == 0xFF:
            return reference.size - (len(data) - position)  # not even the header is whole
        else:
            position, reference = next(_chains(data, position + 1), (len(data), None))
    return 0


def _chains(data: bytes, position: int) -> Iterator[tuple[int, Frame]]:
    """Find where three frames of one kind follow each other."""
    while (position := data.find(b"\xff", position)) >= 0:
        at, first = position, frame_at(data, position)
        for _ in range(2):
            if first is None or (frame := frame_at(data, at)) is None or not frame.like(first):
                break
            at += frame.size
        else:
            third = frame_at(data, at)
            if first is not None and (at >= len(data) or (third is not None and third.like(first))):
                yield position, first
        position += 1


def _before_tags(file: BinaryIO) -> int:
    """Return where the audio ends: in front of ID3v1, APE and Lyrics3 tags."""
    end = file.seek(0, 2)
    while end > 128:
        file.seek(max(0, end - 128))
        tail = file.read(min(128, end))
        if tail[:3] == b"TAG":
            end -= 128
        elif tail[-32:-24] == b"APETAGEX":
            length = int.from_bytes(tail[-20:-16], "little")
            end -= length + (32 if tail[-9] & 0x80 else 0)
        elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
            end -= int(tail[-15:-9]) + 15
        else:
            return end
    return max(end, 0)
