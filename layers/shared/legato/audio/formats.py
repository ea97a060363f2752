"""What a recording is, by its first bytes.

A file's name and its Content-Type are what somebody says of it. An error page behind a 200 or a
playlist that points elsewhere must never reach a demuxer, so only two shapes get there. Other
recordings are kept as they came, since they are recordings.
"""

from __future__ import annotations

import re

from legato.audio.mpeg import TAG_HEAD, Walker, tag_size
from legato.errors import NotAudio

HEAD = 4096
"""Bytes that are looked at to recognise a recording."""

_UNSUPPORTED = (
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9][\x00-\xff]{4}"), "aac", "AAC"),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), "aiff", "AIFF"),
    (re.compile(rb"#!AMR"), "amr", "AMR"),
    (re.compile(rb"\.snd"), "au", "AU"),
    (re.compile(rb"fLaC"), "flac", "FLAC"),
    (re.compile(rb"....ftyp", re.DOTALL), "mp4", "MP4"),
    (re.compile(rb"OggS"), "ogg", "Ogg"),
    (re.compile(rb"RIFX....WAVE", re.DOTALL), "wav", "big-endian WAV"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "webm", "Matroska or WebM"),
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "wma", "Windows Media"),
)
_OTHERS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed bytes"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"v=0\r\n", "a session description"),
    (b"v=0\n", "a session description"),
)


def recognise(head: bytes) -> str:
    """Return the extension of what begins with `head`: 4096 bytes, or all if it has less.

    Raises NotAudio, naming what it looks like. An MP3 is believed to be one if more than the head
    is needed to see it; whoever reads on must see it.
    """
    if other := unsupported(head):
        return other[0]
    behind = _behind_tags(head)
    if behind[:4] in (b"RIFF", b"RF64", b"BW64"):
        if behind[8:12] == b"WAVE":
            return "wav"
        raise refusal(behind)
    if _named(head) is None and _may_be_mpeg(head[:HEAD], whole=len(head) < HEAD):
        return "mp3"
    raise refusal(head)


def unsupported(head: bytes) -> tuple[str, str] | None:
    """Return extension and name of a recording that is kept and not decoded; None if it is none."""
    head = _behind_tags(head)
    for magic, extension, name in _UNSUPPORTED:
        if magic.match(head) and (extension != "aac" or _is_adts(head)):
            return extension, name
    return None


def _behind_tags(head: bytes) -> bytes:
    """Return what stands behind the ID3v2 tags that some writers put in front of anything."""
    while size := tag_size(head[:TAG_HEAD]):
        head = head[size:]
    return head


def _is_adts(head: bytes) -> bool:
    """Tell whether one frame of AAC follows another: a sync word alone may be there by chance."""
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size > 7 and head[size : size + 2] == head[:2]


def _may_be_mpeg(head: bytes, *, whole: bool) -> bool:
    walker = Walker()
    walker.feed(head)
    walker.end()
    if walker.frames or walker.info or whole:
        return bool(walker.frames or walker.info)
    # A tag or zeros may fill the head, or what is left of a frame; text is never a recording.
    return not _is_text(_behind_tags(head).lstrip(b"\0")[:16] or b"\0")


def refusal(head: bytes) -> NotAudio:
    """Return the error for a file or stream that begins so."""
    return NotAudio(f"what came is {describe(head[:512])}, not MP3 or WAV audio")


def _named(head: bytes) -> str | None:
    return next((name for magic, name in _OTHERS if head.startswith(magic)), None)


def describe(head: bytes) -> str:
    """Name what these first bytes look like, for a person who reads the reason."""
    if not head:
        return "empty"
    if name := _named(head):
        return name
    if head.startswith(b"RIFF"):
        return "a RIFF file without a wave"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text[:9].lower() == b"<!doctype" or text[:5].lower() == b"<html":
        return "an HTML page"
    if text.startswith(b"<"):
        return "XML"
    if text.startswith((b"{", b"[")):
        return "JSON"
    if head.startswith(b"ID3"):
        return "an ID3 tag without MPEG audio behind it"
    if not any(head):
        return "zeros"
    return "text" if _is_text(head) else f"unknown (it begins {head[:8].hex(' ')})"


def _is_text(data: bytes) -> bool:
    """Tell whether these bytes are printable ASCII, as playlists, pages and messages are."""
    return all(32 <= byte < 127 or byte in b"\t\r\n\x0c" for byte in data)
