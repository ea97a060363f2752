"""What breaks next, on demand. Each simulator's control.py documents its `POST /_sim/faults`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import HTMLResponse, Response
from starlette.types import Message, Receive, Scope, Send

from local.simulators.fields import Fields
from local.simulators.media import AudioResponse
from local.simulators.settings import BadInput
from local.simulators.stats import Stats

type Sleep = Callable[[float], Awaitable[None]]

NOW = "now"
"""The route of an eviction that does not wait for a request."""
_SORRY = "<!doctype html><title>Sorry</title><h1>We will be right back</h1>\n"


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """One thing that breaks, `times` times. `only` is the recording it waits for."""

    route: str
    kind: str
    times: int = 1
    only: str | None = None
    status: int = 503
    error_code: str | None = None
    retry_after: int | None = None
    location: str = ""
    seconds: float = 30
    share: float = 0.5
    damage: str = ""


def read_fault(
    fields: Fields, *, kinds: dict[str, tuple[str, ...]], damages: tuple[str, ...], only: str
) -> Fault:
    """Read an order for a fault. `kinds` says on which routes each can happen.

    `only` is the name of the field that names a recording.
    """
    kind = fields.choice("kind", ("?", *kinds))
    if kind == "?":
        raise BadInput(f"{fields.where}kind: is missing; known are {', '.join(kinds)}")
    route = fields.choice("route", (NOW, *kinds[kind]))
    if route == NOW and kind != "evict":
        raise BadInput(f"{fields.where}route: is missing; known are {', '.join(kinds[kind])}")
    location = fields.text("location", default="")
    if kind == "redirect" and not location:
        raise BadInput(f"{fields.where}location: is missing")
    retry_after = fields.number("retryAfter", default=None)
    fault = Fault(
        route=route,
        kind=kind,
        times=int(fields.number("times", default=1)),
        only=fields.text(only, default=None),
        status=int(fields.number("status", default=503)),
        error_code=fields.text("errorCode", default=None),
        retry_after=None if retry_after is None else int(retry_after),
        location=location,
        seconds=fields.number("seconds", default=30),
        share=fields.number("share", default=0.5),
        damage=fields.choice("damage", damages),
    )
    if fault.times < 1 or not 200 <= fault.status <= 599 or fault.share > 1:
        raise BadInput(f"{fields.where}times, status or share is out of range")
    return fault


class Faults(ABC):
    """What was asked for and did not happen yet, in the order asked."""

    def __init__(self, stats: Stats, sleep: Sleep = asyncio.sleep) -> None:
        self._stats = stats
        self._sleep = sleep
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
            self._use(fault, route)
        return fault is not None

    async def answer(
        self, route: str, recording: str | None, real: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the real answer, or what the fault that waits for this request makes of it.

        Only a good answer can be spoiled: a refusal, which `real` raises, leaves the fault for the
        next try.
        """
        fault = self._next(route, recording, lambda each: each.kind != "evict")
        if fault is None:
            return await real()
        response = self._instead(fault)
        if response is None:
            whole = await real()
            response = self._spoiled(fault, whole)
            if response is None:
                return whole
        self._use(fault, route)
        return response

    def _instead(self, fault: Fault) -> Response | None:
        """Return the answer that is given instead of the real one, if it is that kind."""
        if fault.kind == "status":
            return self._refusal(fault)
        if fault.kind == "html":
            return HTMLResponse(_SORRY)
        return None

    @abstractmethod
    def _refusal(self, fault: Fault) -> Response:
        """Return the status that was asked for, in the provider's words."""

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        """Return the real answer, damaged; None when there is nothing in it to damage."""
        if fault.kind == "truncate":
            return Interrupted(response, fault.share)
        if fault.kind == "stall":
            return Interrupted(response, fault.share, lambda: self._sleep(fault.seconds))
        return response

    def _use(self, fault: Fault, route: str) -> None:
        self._stats.faults[f"{route} {fault.kind}"] += 1
        fault.times -= 1
        if fault.times <= 0 and fault in self._waiting:
            self._waiting.remove(fault)

    def _next(
        self, route: str, recording: str | None, fits: Callable[[Fault], bool]
    ) -> Fault | None:
        for fault in self._waiting:
            here = fault.route in (route, "any") and fault.only in (None, recording)
            if here and fits(fault):
                return fault
        return None


class Interrupted(Response):
    """An answer that stops at a share of its body: for good, or until `pause` is over.

    With `complete` nobody sees that it stopped: the announced length is that of the share.
    """

    def __init__(
        self,
        inner: Response,
        share: float,
        pause: Callable[[], Awaitable[None]] | None = None,
        *,
        complete: bool = False,
    ) -> None:
        self.inner = inner
        self.status_code = inner.status_code
        self.raw_headers = inner.raw_headers
        self.background = inner.background
        size = inner.size if isinstance(inner, AudioResponse) else len(inner.body)
        self._left = int(size * share)
        self._pause = pause
        self._resumed = False
        self._complete = complete
        if complete and "content-length" in self.headers:
            self.headers["content-length"] = str(self._left)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_part(message: Message) -> None:
            body = message.get("body", b"")
            whole = self._resumed or len(body) < self._left
            if message["type"] != "http.response.body" or whole:
                self._left -= len(body)
                await send(message)
                return
            more = not self._complete
            await send({**message, "body": body[: self._left], "more_body": more})
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
