"""A time stamping authority, asked over HTTP (RFC 3161, section 3.4)."""

from __future__ import annotations

import httpx

from legato.errors import Retry
from legato.providers import responses
from legato.providers.client import web_client

TIMEOUT = httpx.Timeout(15.0, connect=5.0)
HEADERS = {
    "Content-Type": "application/timestamp-query",
    "Accept": "application/timestamp-reply",
}


class TimestampAuthority:
    """No redirect is followed. It is told a hash, and nothing of what has it."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._client = web_client(transport=transport, timeout=TIMEOUT, headers=HEADERS)

    def stamp(self, request: bytes) -> bytes:
        """Answer a TimeStampReq with what may be a TimeStampResp. Raises Retry."""
        asked = self._client.build_request("POST", self._url, content=request)
        try:
            response = self._client.send(asked, stream=True)
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
            reason = f"{responses.where(asked)}: {type(error).__name__}: {error}"
            raise Retry(reason) from error
        try:
            if response.status_code != httpx.codes.OK:
                raise Retry(f"{responses.where(asked)} answers {response.status_code}")
            return responses.read(response)
        finally:
            response.close()
