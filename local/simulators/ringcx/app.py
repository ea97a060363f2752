"""The app: every request passes the same checks: token, limits, then what it asks for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.control import refuse
from local.simulators.faults import Sleep
from local.simulators.ringcx import control
from local.simulators.ringcx.config import Config
from local.simulators.ringcx.operations import OPERATIONS, PLATFORM, Operation
from local.simulators.ringcx.problems import Problem
from local.simulators.ringcx.world import World
from local.simulators.ringex.problems import Problem as PlatformProblem
from local.simulators.settings import BadInput
from local.simulators.times import Clock


def create_app(
    config: Config | None = None,
    *,
    clock: Clock = time.time,
    sleep: Sleep = asyncio.sleep,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """Return the simulator as an ASGI app; `transport` is what reaches `platformUrl`.

    Its state is at `app.state.world`.
    """
    world = World(config or Config(), clock=clock, sleep=sleep, transport=transport)
    operations = OPERATIONS if world.config.platform_url else (*PLATFORM, *OPERATIONS)

    @contextlib.asynccontextmanager
    async def alive(_app: Starlette) -> AsyncIterator[None]:
        yield
        await world.platform.aclose()

    async def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return Problem(status).response(request, world.clock())

    app = Starlette(
        routes=[_route(world, operation) for operation in operations] + control.routes(world),
        exception_handlers={HTTPException: unknown, BadInput: refuse},
        lifespan=alive,
    )
    app.state.world = world
    return app


async def _serve(world: World, operation: Operation, request: Request) -> Response:
    segment = request.path_params.get("segment")
    try:
        world.faults.outage(operation.name)
        if world.faults.evicts(operation.name, segment):
            world.evict()
        if operation.token:
            world.tokens.check(request)
        if operation.group:
            # Only metadata is counted for each sub-account.
            sub_account = request.path_params.get("sub_account", "")
            who = sub_account if operation.group == "Metadata" else ""
            world.limits.grant(who, operation.group)
        response = await world.faults.answer(
            operation.name, segment, lambda: operation.handler(world, request)
        )
    except Problem as problem:
        response = problem.response(request, world.clock())
    except PlatformProblem as problem:
        response = problem.response()
    world.stats.request(operation.name, response.status_code)
    return response


def _route(world: World, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _serve(world, operation, request)

    path = operation.path.replace("{prefix}", world.config.prefix)
    return Route(path, endpoint, methods=[operation.method], name=operation.name)
