"""Sends audio piece by piece, whole or in a range."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Send

from local.simulators.audio import Audio


class OutOfRange(Exception):
    """A range begins behind the end."""


class AudioResponse(StreamingResponse):
    """The bytes of an audio from `start` up to `stop`. Unless `announced`, it comes in chunks."""

    def __init__(
        self,
        audio: Audio,
        start: int,
        stop: int,
        *,
        status: int,
        headers: Mapping[str, str],
        announced: bool = True,
        sent: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare the answer; `sent` is called after the last byte."""
        self.size = stop - start
        length = {"Content-Length": str(self.size)} if announced else {}

        async def pieces() -> AsyncGenerator[bytes]:
            for piece in audio.read(start, stop):
                yield piece
                # A fast client never makes us wait, and the others would.
                await asyncio.sleep(0)
            sent()

        self._pieces = pieces()
        super().__init__(self._pieces, status_code=status, headers={**headers, **length})

    async def stream_response(self, send: Send) -> None:
        """Send the pieces. What is broken off is closed here: the loop may end with the answer."""
        async with aclosing(self._pieces):
            await super().stream_response(send)


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Read one byte range as (start, stop). A header that is no range is ignored (RFC 9110).

    Raises OutOfRange.
    """
    matched = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").replace(" ", ""))
    if matched is None or matched.group() == "bytes=-":
        return None
    first, last = matched.groups()
    if first and last and int(first) > int(last):
        return None
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    else:
        start, stop = max(0, size - int(last)), size
    if start >= size:
        raise OutOfRange
    return start, stop
