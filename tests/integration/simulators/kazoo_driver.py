"""Drives the Kazoo simulator in this process, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette

from local.simulators.kazoo import Config, create_app
from local.simulators.kazoo.config import FIRST, SECOND
from local.simulators.kazoo.gregorian import gregorian
from local.simulators.kazoo.world import World
from tests.integration.simulators.kazoo_spec import check_answer
from tests.integration.simulators.ringex_driver import Clock, Http

__all__ = ["FIRST", "KEY", "SECOND", "Driver", "Receiver", "at", "driving"]

KEY = "legato-local-key".ljust(64, "0")
ROOMY = {"bucketTokens": 100_000, "tokensPerSecond": 100_000}


def at(text: str) -> float:
    """Return a time in UTC as the clock shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Receiver:
    """Keeps what is pushed, and answers as `reply` says."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.reply: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.reply(request)


class Driver:
    """A client of the simulator, logged in. Every answer is held against the schemas."""

    def __init__(
        self, app: Starlette, http: Http, clock: Clock, receiver: Receiver, pauses: list[float]
    ) -> None:
        self.app = app
        self.http = http
        self.clock = clock
        self.receiver = receiver
        self.pauses = pauses
        self.world: World = app.state.world
        self.token = ""

    def put(self, path: str, data: Any) -> httpx.Response:
        """Log in with this."""
        answer = self.http.request("PUT", f"/v2/{path}", json={"data": data})
        check_answer(answer)
        return answer

    def log_in(self, key: str = KEY) -> None:
        """Log in with an API key, and use the token from now on."""
        answer = self.put("api_auth", {"api_key": key})
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["auth_token"]

    def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        account: str = FIRST,
        data: Any = None,
        check: bool = True,
        **options: Any,
    ) -> httpx.Response:
        """Send a request of an account with the token."""
        headers = {"X-Auth-Token": self.token} | options.pop("headers", {})
        if data is not None:
            options["json"] = {"data": data}
        url = f"/v2/accounts/{account}/{path}"
        answer = self.http.request(method, url, headers=headers, **options)
        if check:
            check_answer(answer)
        return answer

    def page(self, path: str = "recordings", *, account: str = FIRST, **query: Any) -> Any:
        """Return the envelope of a page."""
        answer = self.ask(path, account=account, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def listed(self, **query: Any) -> list[str]:
        """Return the ids of a page."""
        return [each["id"] for each in self.page(**query)["data"]]

    def between(self, begin: float, end: float, **query: Any) -> list[str]:
        """Return the ids of what was saved in this time, the oldest first."""
        times = {"created_from": gregorian(begin), "created_to": gregorian(end)}
        return self.listed(ascending="true", **times, **query)

    def audio(self, recording: str, **options: Any) -> httpx.Response:
        """Fetch the audio of a recording."""
        headers = {"Accept": "audio/mpeg"} | options.pop("headers", {})
        return self.ask(f"recordings/{recording}", headers=headers, **options)

    def control(self, path: str, body: Any = None, method: str = "POST") -> httpx.Response:
        """Send a control request."""
        return self.http.request(method, f"/_sim/{path}", json=body)

    def place(self, *durations: float, **order: Any) -> dict[str, Any]:
        """Place a call with such recordings, one after the other, that has just ended."""
        recordings = [{"duration": each} for each in durations]
        answer = self.control("calls", {"recordings": recordings} | order)
        assert answer.status_code == 201, answer.text
        assert "ignored" not in answer.json()
        ids: dict[str, Any] = answer.json()
        return ids

    def one(self, **recording: Any) -> str:
        """Place a call with this recording, and return its id."""
        [name] = self.place(recordings=[{"duration": 10} | recording])["recordingIds"]
        return str(name)

    def break_next(self, **fault: Any) -> None:
        """Let something break."""
        assert self.control("faults", fault).status_code == 201

    def stats(self) -> dict[str, Any]:
        """Return what the simulator counted."""
        counted: dict[str, Any] = self.control("stats", method="GET").json()
        return counted


@contextmanager
def driving(*, log_in: bool = True, now: float | None = None, **settings: Any) -> Iterator[Driver]:
    """Start a simulator with these settings, whose clock stands still at `now`."""
    clock, receiver, pauses = Clock(), Receiver(), []
    clock.now = clock.now if now is None else now

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    app = create_app(
        Config.from_json(ROOMY | settings),
        clock=clock,
        sleep=sleep,
        transport=httpx.MockTransport(receiver),
    )
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        driver = Driver(app, Http(app, portal), clock, receiver, pauses)
        if log_in:
            driver.log_in()
        yield driver
