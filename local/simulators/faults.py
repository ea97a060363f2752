"""What breaks next, on demand. Each simulator's control.py documents its `POST /_sim/faults`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from local.simulators.fields import Fields
from local.simulators.media import AudioResponse
from local.simulators.settings import BadInput
from local.simulators.stats import Stats
from local.simulators.times import Clock

type Sleep = Callable[[float], Awaitable[None]]

NOW = "now"
"""The route of an eviction that does not wait for a request."""
EVERYWHERE = (
    "status",
    "truncate",
    "cut",
    "stall",
    "hang",
    "slow",
    "html",
    "json",
    "empty",
    "redirect",
)
"""The kinds that every simulator knows on every route."""
_SORRY = "<!doctype html><title>Sorry</title><h1>We will be right back</h1>\n"


@dataclass(slots=True, kw_only=True, eq=False)
class Fault:
    """One thing that breaks, `times` times or for `holds` seconds; None: until it is taken back.

    `only` is the recording it waits for, or breaks whenever it is asked for when `stays`.
    """

    route: str
    kind: str
    times: int | None = 1
    holds: float | None = None
    until: float | None = None
    only: str | None = None
    stays: bool = False
    status: int = 503
    error_code: str | None = None
    permission: str | None = None
    retry_after: int | None = None
    location: str = ""
    pause: float = 30
    share: float = 0.5
    missing: int = 1
    as_if_whole: bool = False
    rate: float = 8000
    damage: str = ""


def read_fault(
    fields: Fields,
    *,
    kinds: dict[str, tuple[str, ...]],
    damages: tuple[str, ...],
    only: str,
    about_one: tuple[str, ...],
) -> Fault:
    """Read an order for a fault. `kinds` says on which routes each can happen.

    `only` is the name of the field that names a recording, `about_one` are the routes that do.
    """
    status = fields.number("status", default=None)
    kind = fields.choice("kind", ("?" if status is None else "status", *kinds))
    if kind == "?":
        raise BadInput(f"{fields.where}kind: is missing; known are {', '.join(kinds)}")
    known, stays = kinds[kind], fields.text("for", default=None)
    if stays is not None:
        known = tuple(each for each in known if each in ("any", *about_one))
        if not known:
            raise BadInput(f"{fields.where}for: {kind} is about no recording")
    # Whatever is asked for this one, unless it is said.
    route = fields.choice("route", known if stays else (NOW, *known))
    if route == NOW and kind != "evict":
        raise BadInput(f"{fields.where}route: is missing; known are {', '.join(known)}")
    location = fields.text("location", default="")
    if kind == "redirect" and not location:
        raise BadInput(f"{fields.where}location: is missing")
    pauses = kind in ("stall", "hang")
    seconds = fields.number("seconds", default=None)
    holds = None if pauses else seconds
    lasts = bool(stays) or holds is not None or kind == "endless"
    fault = Fault(
        route=route,
        kind=kind,
        times=_whole(fields.number("times", default=None if lasts else 1)),
        holds=holds,
        only=stays or fields.text(only, default=None),
        stays=stays is not None,
        status=503 if status is None else int(status),
        error_code=fields.text("errorCode", default=None),
        permission=fields.text("permissionName", default=None),
        retry_after=_whole(fields.number("retryAfter", default=None)),
        location=location,
        pause=30 if seconds is None else seconds,
        share=fields.number("share", default=0.5),
        missing=int(fields.number("bytes", default=1)),
        as_if_whole=fields.flag("asIfWhole", default=False),
        rate=fields.number("bytesPerSecond", default=8000),
        damage=fields.choice("damage", damages),
    )
    if fault.times == 0 or not 200 <= fault.status <= 599 or fault.share > 1 or fault.rate < 1:
        raise BadInput(f"{fields.where}times, status, share or bytesPerSecond is out of range")
    return fault


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


class Faults(ABC):
    """What was asked for and did not happen yet, in the order asked."""

    def __init__(self, stats: Stats, clock: Clock, sleep: Sleep = asyncio.sleep) -> None:
        self._stats = stats
        self._clock = clock
        self._sleep = sleep
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let this break too. What stays goes in place of what stayed for the same recording."""
        if fault.stays:
            same = [e for e in self._waiting if e.stays and _target(e) == _target(fault)]
            self._waiting = [each for each in self._waiting if each not in same]
        if fault.holds is not None:
            fault.until = self._clock() + fault.holds
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

    def outage(self, route: str) -> None:
        """Raise the refusal that holds for some time: it comes before anybody is known."""
        fault = self._next(route, None, lambda each: each.kind == "status" and bool(each.holds))
        if fault:
            self._use(fault, route)
            raise self._refusal(fault)

    async def answer(
        self, route: str, recording: str | None, real: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the real answer, or what the fault that waits for this request makes of it.

        Only a good answer can be spoiled: a refusal, which `real` raises, leaves the fault for the
        next try. Raises the refusal that was asked for, too.
        """
        fault = self._next(route, recording, lambda each: each.kind != "evict")
        if fault is None:
            return await real()
        if fault.kind == "status":
            self._use(fault, route)
            raise self._refusal(fault)
        if fault.kind == "hang":
            self._use(fault, route)
            await self._sleep(fault.pause)
            return await real()
        response = _instead(fault)
        if response is None:
            whole = await real()
            response = self._spoiled(fault, whole)
            if response is None:
                return whole
        self._use(fault, route)
        return response

    @abstractmethod
    def _refusal(self, fault: Fault) -> Exception:
        """Return the status that was asked for, in the provider's words."""

    def _spoiled(self, fault: Fault, response: Response) -> Response | None:
        """Return the real answer, damaged; None when there is nothing in it to damage."""
        size = response.size if isinstance(response, AudioResponse) else len(response.body)
        share = int(size * fault.share)
        if fault.kind == "truncate":
            return Interrupted(response, share)
        if fault.kind == "cut":
            left = max(0, size - fault.missing)
            return Interrupted(response, left, complete=fault.as_if_whole)
        if fault.kind == "stall":
            return Interrupted(response, share, lambda: self._sleep(fault.pause))
        if fault.kind == "slow":
            return Slow(response, fault.rate, self._sleep)
        return response

    def _use(self, fault: Fault, route: str) -> None:
        self._stats.faults[f"{route} {fault.kind}"] += 1
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times <= 0 and fault in self._waiting:
            self._waiting.remove(fault)

    def _next(
        self, route: str, recording: str | None, fits: Callable[[Fault], bool]
    ) -> Fault | None:
        now = self._clock()
        for fault in self._waiting:
            over = fault.until is not None and fault.until <= now
            here = fault.route in (route, "any") and fault.only in (None, recording)
            if here and not over and fits(fault):
                return fault
        return None


def _target(fault: Fault) -> tuple[str | None, str]:
    return fault.only, fault.route


def _instead(fault: Fault) -> Response | None:
    """Return the answer that is given instead of the real one, if it is that kind."""
    if fault.kind == "html":
        return HTMLResponse(_SORRY)
    if fault.kind == "json":
        return JSONResponse({"message": "Please try again later"})
    if fault.kind == "empty":
        return Response()
    if fault.kind == "redirect":
        return RedirectResponse(fault.location, status_code=302)
    return None


class Wrapped(Response):
    """An answer whose head is that of another one."""

    def __init__(self, inner: Response) -> None:
        self.inner = inner
        self.status_code = inner.status_code
        self.raw_headers = inner.raw_headers
        self.background = inner.background


class Slow(Wrapped):
    """An answer that comes at so many bytes a second, four times a second."""

    def __init__(self, inner: Response, rate: float, sleep: Sleep) -> None:
        super().__init__(inner)
        self._piece = max(1, int(rate / 4))
        self._rate = rate
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_slowly(message: Message) -> None:
            body, more = message.get("body", b""), message.get("more_body", False)
            if not body:
                await send(message)
            for at in range(0, len(body), self._piece):
                piece = body[at : at + self._piece]
                goes_on = more or at + self._piece < len(body)
                await send({**message, "body": piece, "more_body": goes_on})
                if goes_on:
                    await self._sleep(len(piece) / self._rate)

        await self.inner(scope, receive, send_slowly)


class Interrupted(Wrapped):
    """An answer that stops after `left` bytes of its body: for good, or until `pause` is over.

    With `complete` nobody sees that it stopped: the announced length is that of these bytes.
    """

    def __init__(
        self,
        inner: Response,
        left: int,
        pause: Callable[[], Awaitable[None]] | None = None,
        *,
        complete: bool = False,
    ) -> None:
        super().__init__(inner)
        self._left = left
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
