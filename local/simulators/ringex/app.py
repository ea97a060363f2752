"""The app: every request passes the same checks, as in the platform: token, limit, permission."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.control import refuse
from local.simulators.faults import Sleep
from local.simulators.ringex import control, oauth
from local.simulators.ringex.config import Config
from local.simulators.ringex.oauth import Session
from local.simulators.ringex.operations import OPERATIONS, Operation
from local.simulators.ringex.problems import Problem, lacks, not_found
from local.simulators.ringex.world import World
from local.simulators.settings import BadInput
from local.simulators.times import Clock


def create_app(
    config: Config | None = None,
    *,
    clock: Clock = time.time,
    sleep: Sleep = asyncio.sleep,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """Return the simulator as an ASGI app; `transport` is what reaches the webhooks.

    Its state is at `app.state.world`.
    """
    world = World(config or Config(), clock=clock, sleep=sleep, transport=transport)

    @contextlib.asynccontextmanager
    async def alive(_app: Starlette) -> AsyncIterator[None]:
        pump = asyncio.create_task(_pump(world))
        yield
        pump.cancel()
        await world.transport.aclose()

    app = Starlette(
        routes=[_route(world, operation) for operation in OPERATIONS] + control.routes(world),
        exception_handlers={HTTPException: _unknown, BadInput: refuse},
        lifespan=alive,
    )
    app.state.world = world
    return app


async def _serve(world: World, operation: Operation, request: Request) -> Response:
    world.deliveries.pump()
    headers: dict[str, str] = {"RCRequestId": str(uuid.uuid4())}
    recording = request.path_params.get("recording")
    try:
        world.faults.outage(operation.name)
        if world.faults.evicts(operation.name, recording):
            world.evict()
        session = _session(world, operation, request)
        headers |= world.limits.grant(session.who, operation.group)

        async def real() -> Response:
            _check(world, operation, request, session)
            return await operation.handler(world, request, session)

        response = await world.faults.answer(operation.name, recording, real)
    except Problem as problem:
        response = problem.response()
    response.headers.update(headers)
    world.stats.request(operation.name, response.status_code)
    return response


def _session(world: World, operation: Operation, request: Request) -> Session:
    if operation.token:
        return world.sessions.holder(request, media=operation.name == "content")
    # Log-ins are limited for each app, whoever logs in.
    client = oauth.client_of(request)
    app = client[0] if client else ""
    return Session(token="", user="*", app=app, scopes=frozenset(), expires_at=0)


def _check(world: World, operation: Operation, request: Request, session: Session) -> None:
    permission = operation.permission
    if permission is not None and permission not in session.scopes:
        raise lacks(permission, "CMN-401")
    if operation.user_permission not in (None, *world.config.user_permissions.split()):
        raise lacks(operation.user_permission or "", "CMN-408")
    # What was given word for word names whatever account it likes.
    raw = world.recordings.is_raw(request.path_params.get("recording", ""))
    account = request.path_params.get("account", "~")
    if account not in ("~", world.config.account_id) and not raw:
        raise not_found("accountId")


def _route(world: World, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _serve(world, operation, request)

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.name)


async def _pump(world: World) -> None:
    """Send what becomes due while nobody asks anything."""
    while True:
        await asyncio.sleep(0.05)
        world.deliveries.pump()


async def _unknown(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Problem(status, "CMN-120", "Unknown resource or method").response()
