"""Lets the ear hear a file: ffmpeg streams its samples."""

from __future__ import annotations

from pathlib import Path

from legato.audio.ear import Ear
from legato.audio.ffmpeg import Ffmpeg, reading
from legato.audio.inspect import WHOLE
from legato.model import AudioFacts
from legato.ports import Levels

_BLOCK = 1 << 18


def measure(ffmpeg: Ffmpeg, path: Path, audio: AudioFacts) -> Levels:
    """Measure levels over all channels, and peaks of their mixture. Raises Failed."""
    ear = Ear(audio.sample_rate, audio.channels)
    arguments = ["-map", "0:a:0", "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]
    with ffmpeg.stream([*reading(path, audio.extension, *WHOLE), *arguments]) as pcm:
        while block := pcm.read(_BLOCK):
            ear.hear(block)
    return ear.levels()
