"""A line that remembers what came of each request, and gives up soon."""

from __future__ import annotations

import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from legato.setup.answers import Fault, Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONNECT_SECONDS = 4
READ_SECONDS = 6
ANSWER_SECONDS = 10
"""For a whole answer, however it drips: a person waits."""


class Observed(httpx.BaseTransport):
    """Passes requests on, through `inner`, and keeps what was seen; never a body or a header."""

    def __init__(
        self,
        inner: httpx.BaseTransport | None = None,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner or httpx.HTTPTransport(trust_env=False)
        self._seconds = seconds
        self.seen: Seen | None = None
        """What came of the last request."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on, with less patience than the functions have."""
        began = self._seconds()
        patience = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
        request.extensions["timeout"] = patience.as_dict()
        host, path = request.url.host, request.url.path
        try:
            response = self._inner.handle_request(request)
        except httpx.TransportError as error:
            self.seen = Seen(host=host, path=path, fault=_fault(error))
            raise
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        seen = Seen(host=host, path=path, status=response.status_code, media_type=media_type)
        self.seen = seen
        stream = response.stream
        if isinstance(stream, httpx.SyncByteStream):

            def is_late() -> bool:
                late = self._seconds() > began + ANSWER_SECONDS
                if late:
                    self.seen = replace(seen, fault=Fault.SILENT)
                return late

            response.stream = _Bounded(stream, is_late)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _Bounded(httpx.SyncByteStream):
    """A body that is given up when it is late."""

    def __init__(self, stream: httpx.SyncByteStream, is_late: Callable[[], bool]) -> None:
        self._stream = stream
        self._is_late = is_late

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            if self._is_late():
                raise httpx.ReadTimeout(f"the answer takes more than {ANSWER_SECONDS} s")
            yield piece

    def close(self) -> None:
        self._stream.close()


def _fault(error: BaseException) -> Fault:
    if isinstance(error, httpx.TimeoutException):
        return Fault.SILENT
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__name__ == "gaierror":  # of `socket`, which nothing here opens
            return Fault.NO_SUCH_HOST
        if isinstance(cause, ssl.SSLError):
            return Fault.NO_TLS
        cause = cause.__cause__ or cause.__context__
    return Fault.BROKEN
