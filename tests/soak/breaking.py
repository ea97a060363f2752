"""A network between the functions and AWS that breaks some of what they ask, in every way."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

WAYS = ("refused", "unsent", "late", "lost", "failed", "cut")
"""503 before it takes effect, and no connection; a late answer; the answer lost, a 500 instead of
it, and half of it, after it took effect."""
TRIES = (1, 1, 1, 2, 3)
"""So many tries of an operation are broken. botocore makes three: after them it gives up."""
MOST_SECONDS_LATE = 2
ANSWER = b"HTTP/1.1 %d Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Breaker:
    """Breaks this `share` of all operations; `seen` counts those that were in danger.

    `broken` counts requests by service and way. Which operations are broken is drawn with a seed,
    in the order in which they come.
    """

    def __init__(self, seed):
        self.share = 0.0
        self.seen = 0
        self.broken = Counter()
        self._dice = random.Random(seed)
        self._fates = {}

    @contextmanager
    def between(self, endpoint):
        """Yield the address that stands for AWS's."""
        address = urlsplit(endpoint)
        self._upstream = (address.hostname, address.port)
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(
            asyncio.start_server(self._served, "127.0.0.1", 0, limit=2**20)
        )
        port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    async def _served(self, reader, writer):
        """Pass one request on, or not, and its answer."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")[:-2]
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines[1:])
            }
            if headers.pop("expect", "") == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            headers["connection"] = "close"
            asked = "\r\n".join([lines[0], *(f"{name}: {headers[name]}" for name in headers)])
            answer = await self._answer(asked.encode("latin-1") + b"\r\n\r\n" + body, headers)
            writer.write(answer)
            await writer.drain()
        writer.close()

    async def _answer(self, request, headers):
        way = self._way(headers)
        if way == "refused":
            return ANSWER % 503
        if way == "unsent":
            return b""
        if way == "late":
            await asyncio.sleep(self._dice.uniform(0.1, MOST_SECONDS_LATE))
        reader, writer = await asyncio.open_connection(*self._upstream)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        if way == "lost":
            return b""
        if way == "failed":
            return ANSWER % 500
        if way == "cut":
            head, _, body = answer.partition(b"\r\n\r\n")
            return head + b"\r\n\r\n" + body[: len(body) // 2] if body else b""
        return answer

    def _way(self, headers):
        """Return how a request breaks, if it does: botocore says which operation it is a try of."""
        operation = headers.get("amz-sdk-invocation-id")
        if operation not in self._fates:
            self.seen += self.share > 0
            doomed = self._dice.random() < self.share
            tries = self._dice.choice(TRIES) if doomed else 0
            self._fates[operation] = self._dice.choices(WAYS, k=tries)
        fate = self._fates[operation]
        if not fate:
            return None
        # AWS4-HMAC-SHA256 Credential=key/date/region/service/aws4_request
        service = headers.get("authorization", "////").split("/")[3]
        way = fate.pop()
        self.broken[service, way] += 1
        return way
