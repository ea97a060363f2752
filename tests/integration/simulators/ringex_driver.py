"""Drives the RingEX simulator in this process, with a clock that stands still."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.applications import Starlette

from local.simulators.ringex import Config, create_app
from local.simulators.ringex.world import World
from local.simulators.times import write
from tests.integration.simulators.ringex_spec import check_answer

HOOK = "https://hooks.example.com/webhook"
ACCOUNT = "/restapi/v1.0/account/~"
FILTER = "/restapi/v1.0/account/~/telephony/sessions"
CLIENT = ("legato-local-client", "legato-local-secret")
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ROOMY = {group: {"limit": 10_000} for group in ("Light", "Medium", "Heavy", "Auth")}


class Clock:
    """Shows the same time until it is moved."""

    def __init__(self) -> None:
        self.now = 1_793_000_000.0

    def __call__(self) -> float:
        return self.now

    def ago(self, seconds: float) -> str:
        """Return a time so long ago, as text."""
        return write(self.now - seconds)


class Webhook:
    """A receiver: echoes handshakes, keeps deliveries, and answers as `reply` says."""

    def __init__(self) -> None:
        self.handshakes: list[httpx.Request] = []
        self.deliveries: list[httpx.Request] = []
        self.reply: Callable[[httpx.Request], httpx.Response] = self.echo

    def __call__(self, request: httpx.Request) -> httpx.Response:
        (self.deliveries if request.content else self.handshakes).append(request)
        return self.reply(request)

    @staticmethod
    def echo(request: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if "validation-token" in request.headers:
            headers["Validation-Token"] = request.headers["validation-token"]
        return httpx.Response(200, headers=headers)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the bodies that were delivered."""
        return [json.loads(request.content) for request in self.deliveries]


class Http:
    """Requests to an app that runs in another thread of this process."""

    def __init__(self, app: Starlette, portal: BlockingPortal) -> None:
        self._portal = portal
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://ringex.example.com"
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and read its whole answer."""
        return self._portal.call(partial(self._client.request, method, path, **options))


class Driver:
    """A client of the simulator, logged in. Every answer is held against the description."""

    def __init__(
        self, app: Starlette, http: Http, clock: Clock, webhook: Webhook, pauses: list[float]
    ) -> None:
        self.app = app
        self.http = http
        self.clock = clock
        self.webhook = webhook
        self.pauses = pauses
        self.world: World = app.state.world
        self.token = ""

    def mint(self, **changes: str) -> httpx.Response:
        """Ask for a token."""
        form = {"grant_type": JWT_BEARER, "assertion": "legato-local-jwt"} | changes
        return self.authenticate("token", form)

    def authenticate(
        self, path: str, form: dict[str, str], auth: tuple[str, str] | None = CLIENT
    ) -> httpx.Response:
        """Send a form below /restapi/oauth/."""
        response = self.http.request("POST", f"/restapi/oauth/{path}", data=form, auth=auth)
        check_answer(response)
        return response

    def log_in(self) -> str:
        """Ask for a token and use it from now on."""
        self.token = self.mint().json()["access_token"]
        return self.token

    def ask(
        self, path: str, method: str = "GET", *, check: bool = True, **options: Any
    ) -> httpx.Response:
        """Send a request with the token."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        response = self.http.request(method, path, headers=headers, **options)
        if check:
            check_answer(response)
        return response

    def log(self, **query: Any) -> list[dict[str, Any]]:
        """Return the records of a log page."""
        response = self.ask(f"{ACCOUNT}/call-log", params={"view": "Detailed"} | query)
        assert response.status_code == 200, response.text
        records: list[dict[str, Any]] = response.json()["records"]
        return records

    def content(self, recording: str, **options: Any) -> httpx.Response:
        """Fetch the audio of a recording."""
        return self.ask(f"{ACCOUNT}/recording/{recording}/content", **options)

    def control(self, path: str, body: Any = None, method: str = "POST") -> httpx.Response:
        """Send a control request."""
        return self.http.request(method, f"/_sim/{path}", json=body)

    def place(self, **order: Any) -> dict[str, Any]:
        """Place a call; it is listed at once unless the order says otherwise."""
        response = self.control("calls", {"listedAfter": 0, **order})
        assert response.status_code == 201, response.text
        assert "ignored" not in response.json()
        self.control("drain")
        ids: dict[str, Any] = response.json()
        return ids

    def subscribe(self, **changes: Any) -> httpx.Response:
        """Subscribe the webhook."""
        mode = {"transportType": "WebHook", "address": HOOK, "verificationToken": "a1" * 16}
        body = {"eventFilters": [FILTER], "deliveryMode": mode} | changes
        return self.ask("/restapi/v1.0/subscription", "POST", json=body)

    def stats(self) -> dict[str, Any]:
        """Return what the simulator counted."""
        counted: dict[str, Any] = self.control("stats", method="GET").json()
        return counted


@contextmanager
def driving(**settings: Any) -> Iterator[Driver]:
    """Start a simulator with these settings, and log in unless `log_in` is false."""
    clock, webhook, pauses = Clock(), Webhook(), []
    log_in = settings.pop("log_in", True)

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    app = create_app(
        Config.from_json({"limits": ROOMY} | settings),
        clock=clock,
        sleep=sleep,
        transport=httpx.MockTransport(webhook),
    )
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        driver = Driver(app, Http(app, portal), clock, webhook, pauses)
        if log_in:
            driver.log_in()
        yield driver
