"""What a fetched file is, by its first bytes.

A file's name and its Content-Type are what somebody says of it. An error page behind a 200 or a
playlist that points elsewhere must never reach a demuxer, so only two shapes get past here.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from legato.audio import mpeg
from legato.errors import NotAudio

type Format = Literal["mp3", "wav"]

HEAD = 4096
"""Bytes that are looked at to recognise a stream."""

_OTHERS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed bytes"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"#!AMR", "an AMR file"),
    (b"FORM", "an AIFF file"),
    (b".snd", "an AU file"),
    (b"RIFX", "a big-endian WAV file"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"v=0\r\n", "a session description"),
    (b"v=0\n", "a session description"),
)


def recognise(path: Path) -> Format:
    """Return the format of the file at `path`. Raises NotAudio, naming what it looks like."""
    # A link could lead out of the working directory, and a FIFO would never end.
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise NotAudio("what came is not a regular file")
    with path.open("rb") as file:
        head = file.read(512)
        if _is_wave(head):
            return "wav"
        if mpeg.audio_start(file) is not None:
            return "mp3"
    raise refusal(head)


def recognise_stream(head: bytes) -> Format:
    """Return the format of what begins with `head`: 4096 bytes, or all if it has less.

    Raises NotAudio as `recognise` does. An MP3 behind a tag or zeros that fill the head is believed
    to be one; whoever reads on must see it.
    """
    if _is_wave(head):
        return "wav"
    if mpeg.may_begin(head[:HEAD], whole=len(head) < HEAD):
        return "mp3"
    raise refusal(head)


def _is_wave(head: bytes) -> bool:
    return head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"


def refusal(head: bytes) -> NotAudio:
    """Return the error for a file or stream that begins so."""
    return NotAudio(f"what came is {describe(head[:512])}, not MP3 or WAV audio")


def describe(head: bytes) -> str:
    """Name what these first bytes look like, for a person who reads the reason."""
    if not head:
        return "empty"
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head.startswith(b"RIFF"):
        return "a RIFF file without a wave"
    if head[4:8] == b"ftyp":
        return "an MP4 file"
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
    return "text" if mpeg.is_text(head) else f"unknown (it begins {head[:8].hex(' ')})"
