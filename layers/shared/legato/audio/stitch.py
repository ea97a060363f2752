"""The Stitcher: listens to what was fetched, or passes by, and joins legs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from legato.audio import join, listen, repeated
from legato.audio.combine_levels import combine_levels
from legato.audio.ffmpeg import Ffmpeg, Tools
from legato.model import AudioFacts, HeardIn
from legato.ports import Joined, Levels, Listener


class FfmpegStitcher:
    """Does with ffmpeg and pydub what the port `Stitcher` asks for.

    `max_seconds` is the longest leg, `max_bytes` the largest file that is written, `timeout` the
    seconds that we wait for one run of ffmpeg.
    """

    def __init__(
        self,
        tools: Tools,
        *,
        max_seconds: int = 24 * 3600,
        max_bytes: int = 8 << 30,
        timeout: float = 600,
    ) -> None:
        self._ffmpeg = Ffmpeg(tools, timeout=timeout)
        self._max_seconds = max_seconds
        self._max_bytes = max_bytes

    def listen(self, head: bytes) -> AbstractContextManager[Listener]:
        return listen.listen(self._ffmpeg, head, max_seconds=self._max_seconds)

    def inspect(self, path: Path) -> tuple[AudioFacts, Levels]:
        return listen.inspect(self._ffmpeg, path, max_seconds=self._max_seconds)

    def together(self, parts: Sequence[tuple[AudioFacts, Levels]]) -> Levels:
        return combine_levels(parts)

    def repeated(self, legs: Mapping[str, tuple[datetime, Levels]]) -> Mapping[str, HeardIn]:
        return repeated.repeated(legs)

    def join(self, legs: Sequence[tuple[Path, AudioFacts]], target: Path) -> Joined:
        return join.join(self._ffmpeg, legs, target, max_bytes=self._max_bytes)
