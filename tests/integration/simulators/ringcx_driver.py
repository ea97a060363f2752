"""Drives the RingCX simulator in this process, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette

from local.simulators.ringcx import Config, create_app
from local.simulators.ringcx.world import World
from tests.integration.simulators.ringcx_spec import check_answer
from tests.integration.simulators.ringex_driver import CLIENT, JWT_BEARER, Clock, Http

RC_ACCOUNT, MAIN, SUB, OTHER = "401555000", "21550000", "21550001", "21550002"
PREFIX = "/voice/api/cx/integration/v1"
EXCHANGE = "/api/auth/login/rc/accesstoken"
ROOMY = {group: [{"limit": 10_000}] for group in ("Metadata", "Recordings", "Exchange")}


def wall(moment: float) -> str:
    """Return a time as `segmentEndTime` wants it, in UTC."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S}"


class Driver:
    """A client of the simulator, logged in. Every answer is held against the description."""

    def __init__(self, app: Starlette, http: Http, clock: Clock, pauses: list[float]) -> None:
        self.app = app
        self.http = http
        self.clock = clock
        self.pauses = pauses
        self.world: World = app.state.world
        self.token = ""
        self.refresh_token = ""

    def mint(self) -> str:
        """Return a token of RingCentral's."""
        form = {"grant_type": JWT_BEARER, "assertion": "legato-local-jwt"}
        answer = self.http.request("POST", "/restapi/oauth/token", data=form, auth=CLIENT)
        token: str = answer.json()["access_token"]
        return token

    def exchange(self, token: str, *, refresh: str = "true", **changes: str) -> httpx.Response:
        """Exchange a token of RingCentral's for RingCX's."""
        form = {"rcAccessToken": token, "rcTokenType": "Bearer"} | changes
        answer = self.http.request("POST", f"{EXCHANGE}?includeRefresh={refresh}", data=form)
        if answer.status_code != 400:  # no description says how this is refused
            check_answer(answer)
        return answer

    def refresh(self, token: str) -> httpx.Response:
        """Ask for new tokens."""
        form = {"refresh_token": token}
        answer = self.http.request("POST", "/api/auth/token/refresh", data=form)
        check_answer(answer)
        return answer

    def log_in(self) -> None:
        """Exchange a new token, and use what comes from now on."""
        tokens = self.exchange(self.mint()).json()
        self.token, self.refresh_token = tokens["accessToken"], tokens["refreshToken"]

    def ask(
        self, path: str, method: str = "GET", *, check: bool = True, **options: Any
    ) -> httpx.Response:
        """Send a request with the token."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "User-Agent": "Legato/1.0",
        } | options.pop("headers", {})
        answer = self.http.request(method, path, headers=headers, **options)
        if check:
            check_answer(answer)
        return answer

    def metadata(
        self,
        ago: float = 3600,
        seconds: Any = 3300,
        *,
        account: str = RC_ACCOUNT,
        sub: str = SUB,
        check: bool = True,
        **changes: Any,
    ) -> httpx.Response:
        """Ask for a window that begins so many seconds ago."""
        body = {
            "segmentEndTime": wall(self.clock.now - ago),
            "timeInterval": seconds,
            "timeZone": "UTC",
        } | changes
        path = f"{PREFIX}/accounts/{account}/sub-accounts/{sub}/interaction-metadata"
        return self.ask(path, "POST", json=body, check=check)

    def rows(self, ago: float = 3600, seconds: int = 3300, **changes: Any) -> list[dict[str, Any]]:
        """Return the rows of a window."""
        answer = self.metadata(ago, seconds, **changes)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()
        return rows

    def recording(
        self, placed: dict[str, Any], at: int = 0, *, account: str = RC_ACCOUNT, **options: Any
    ) -> httpx.Response:
        """Fetch a segment's recording. MP3, ranges and bare strings stand in no description."""
        return self.ask(self.address(placed, at, account=account), **options)

    def address(self, placed: dict[str, Any], at: int = 0, *, account: str = RC_ACCOUNT) -> str:
        """Return the path of a segment's recording."""
        return (
            f"{PREFIX}/accounts/{account}/sub-accounts/{placed['subAccountId']}"
            f"/recordings/dialogs/{placed['dialogId']}/segments/{placed['segmentIds'][at]}"
        )

    def control(self, path: str, body: Any = None, method: str = "POST") -> httpx.Response:
        """Send a control request."""
        return self.http.request(method, f"/_sim/{path}", json=body)

    def place(self, *durations: float, ago: float | None = None, **order: Any) -> dict[str, Any]:
        """Place a call of such segments, one after the other, that ended so long ago."""
        segments: list[dict[str, Any]] = [{"duration": each} for each in durations]
        if ago is not None:
            segments[0]["startTime"] = self.clock.ago(ago + sum(durations))
        answer = self.control("calls", {"segments": segments} | order)
        assert answer.status_code == 201, answer.text
        assert "ignored" not in answer.json()
        ids: dict[str, Any] = answer.json()
        return ids

    def break_next(self, **fault: Any) -> None:
        """Let something break."""
        assert self.control("faults", fault).status_code == 201

    def stats(self) -> dict[str, Any]:
        """Return what the simulator counted."""
        counted: dict[str, Any] = self.control("stats", method="GET").json()
        return counted


@contextmanager
def driving(
    *,
    log_in: bool = True,
    transport: httpx.AsyncBaseTransport | None = None,
    **settings: Any,
) -> Iterator[Driver]:
    """Start a simulator with these settings."""
    clock, pauses = Clock(), []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    app = create_app(
        Config.from_json({"limits": ROOMY} | settings),
        clock=clock,
        sleep=sleep,
        transport=transport,
    )
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        driver = Driver(app, Http(app, portal), clock, pauses)
        if log_in:
            driver.log_in()
        yield driver
