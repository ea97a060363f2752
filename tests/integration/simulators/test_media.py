"""How the simulators send audio."""

import asyncio

import pytest

from local.simulators.audio import Given
from local.simulators.media import AudioResponse

SIZE = 1024 * 1024
"""More than one piece."""


def test_audio_that_breaks_off_leaves_nothing_to_be_closed():
    """Nobody is there to do it: the loop may end with the answer."""
    audio = Given(bytes(SIZE))
    response = AudioResponse(audio, 0, SIZE, status=200, headers={})

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        if message["type"] == "http.response.body":
            raise ConnectionError

    async def broken_off():
        with pytest.raises(ConnectionError):
            await response({"type": "http"}, receive, send)
        return [piece async for piece in response.body_iterator]

    assert asyncio.run(broken_off()) == []
