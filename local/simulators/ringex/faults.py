"""What breaks next, on demand: `POST /_sim/faults` documents itself in control.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from local.simulators.ringex.problems import Problem
from local.simulators.ringex.stats import Stats

type Sleep = Callable[[float], Awaitable[None]]

KINDS = ("status", "truncate", "html", "stall", "redirect", "evict", "bad-page")
DAMAGES = ("startTime", "legs", "records")
_CODES = {429: "CMN-301", 404: "CMN-102", 401: "OAU-213", 403: "CMN-401", 503: "CMN-203"}
_SORRY = "<!doctype html><title>Sorry</title><h1>We will be right back</h1>\n"


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """One thing that breaks, `times` times."""

    route: str
    kind: str
    times: int = 1
    status: int = 503
    error_code: str | None = None
    retry_after: int | None = None
    recording_id: str | None = None
    location: str = ""
    seconds: float = 30
    share: float = 0.5
    damage: str = "startTime"

    def instead(self) -> Response | None:
        """Return the answer that is given instead of the real one, if it is that kind."""
        if self.kind == "status":
            code = self.error_code or _CODES.get(self.status, "CMN-201")
            problem = Problem(self.status, code, "A fault was asked for")
            if self.retry_after is not None:
                problem.headers["Retry-After"] = str(self.retry_after)
            return problem.response()
        if self.kind == "html":
            return HTMLResponse(_SORRY)
        if self.kind == "redirect":
            return RedirectResponse(self.location, status_code=302)
        return None

    def spoil(self, response: Response, sleep: Sleep) -> Response:
        """Return the real answer, damaged."""
        if self.kind == "truncate":
            return _Interrupted(response, self.share, None)
        if self.kind == "stall":
            return _Interrupted(response, self.share, lambda: sleep(self.seconds))
        if self.kind == "bad-page":
            return _damaged(response, self.damage)
        return response


class Faults:
    """What was asked for and did not happen yet, in the order asked."""

    def __init__(self, stats: Stats, sleep: Sleep = asyncio.sleep) -> None:
        self._stats = stats
        self.sleep = sleep
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let this break too."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Let nothing break any more."""
        self._waiting.clear()

    def evicts(self, route: str, recording: str | None) -> bool:
        """Say whether all sessions go before this request; that is then used up."""
        fault = self._next(route, recording, lambda each: each.kind == "evict")
        if fault:
            self.use(fault, route)
        return fault is not None

    def due(self, route: str, recording: str | None) -> Fault | None:
        """Return the fault that waits for this request. It is used up only when it happened."""
        return self._next(route, recording, lambda each: each.kind != "evict")

    def use(self, fault: Fault, route: str) -> None:
        """Count that a fault happened."""
        self._stats.faults[f"{route} {fault.kind}"] += 1
        fault.times -= 1
        if fault.times <= 0 and fault in self._waiting:
            self._waiting.remove(fault)

    def _next(
        self, route: str, recording: str | None, fits: Callable[[Fault], bool]
    ) -> Fault | None:
        for fault in self._waiting:
            here = fault.route in (route, "any") and fault.recording_id in (None, recording)
            if here and fits(fault):
                return fault
        return None


class _Interrupted(Response):
    """An answer that stops at a share of its body: for good, or until `pause` is over."""

    def __init__(
        self, inner: Response, share: float, pause: Callable[[], Awaitable[None]] | None
    ) -> None:
        self.inner = inner
        self.status_code = inner.status_code
        self.raw_headers = inner.raw_headers
        self.background = inner.background
        self._left = int(int(inner.headers.get("content-length", "0")) * share)
        self._pause = pause
        self._resumed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_part(message: Message) -> None:
            body = message.get("body", b"")
            whole = self._resumed or len(body) < self._left
            if message["type"] != "http.response.body" or whole:
                self._left -= len(body)
                await send(message)
                return
            await send({**message, "body": body[: self._left], "more_body": True})
            if self._pause is None:
                raise _Cut
            await self._pause()
            self._resumed = True
            await send({**message, "body": body[self._left :]})

        try:
            await self.inner(scope, receive, send_part)
        except _Cut:
            # Returning without the last piece makes the server close the connection.
            return


class _Cut(Exception):
    """Ends an answer in the middle."""


def _damaged(response: Response, damage: str) -> Response:
    page: Any = json.loads(bytes(response.body))
    records = page.get("records", [page])
    if damage == "records":
        page["records"] = {"broken": True}
    elif damage == "legs":
        for record in records[:1]:
            record["legs"] = "none"
    else:
        for record in records[:1]:
            record.pop("startTime", None)
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    return Response(json.dumps(page), status_code=response.status_code, headers=headers)
