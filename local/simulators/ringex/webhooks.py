"""What the platform asks of a webhook's answer, in handshakes and in deliveries alike.

200 within 3000 ms, at most 1024 bytes with the headers:
https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import httpx

USER_AGENT = "RingCentral-Webhook/8.3"
MAX_ANSWER = 1024
OVERSIZE = f"Webhook response exceeds max size. Read bytes count: [{MAX_ANSWER}]"


class Unreachable(Exception):
    """No answer came; the message is the reason as the platform words it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook answered. `size` counts headers and body, and stops at the limit."""

    status: int
    phrase: str
    headers: httpx.Headers
    size: int

    @property
    def oversize(self) -> bool:
        """Say whether it is larger than the platform reads."""
        return self.size > MAX_ANSWER


async def post(
    transport: httpx.AsyncBaseTransport,
    address: str,
    content: bytes,
    headers: dict[str, str],
    *,
    seconds: float,
) -> Answer:
    """Send a POST and read no more of the answer than allowed. Raises Unreachable."""
    patience = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    try:
        # The bare transport: a webhook gets no cookies, is followed nowhere, and comes faster.
        response = await transport.handle_async_request(
            httpx.Request(
                "POST",
                address,
                content=content,
                headers={"User-Agent": USER_AGENT, **headers},
                extensions={"timeout": patience},
            )
        )
        try:
            size = sum(len(name) + len(value) + 4 for name, value in response.headers.raw)
            async for piece in cast("httpx.AsyncByteStream", response.stream):
                size += len(piece)
                if size > MAX_ANSWER:
                    break
        finally:
            await response.aclose()
    except httpx.TimeoutException as error:
        raise Unreachable("I/O operation is failed. Details: [Read timed out]") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"I/O operation is failed. Details: [{error}]") from error
    return Answer(response.status_code, response.reason_phrase, response.headers, size)
