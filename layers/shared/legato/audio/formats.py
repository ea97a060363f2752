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
        if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
            return "wav"
        if mpeg.audio_start(file) is not None:
            return "mp3"
    raise NotAudio(f"what came is {describe(head)}, not MP3 or WAV audio")


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
