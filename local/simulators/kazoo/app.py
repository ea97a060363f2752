"""The app: every request passes the same checks: tokens of the bucket, log-in, account."""

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
from local.simulators.kazoo import control
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.exchange import Exchange
from local.simulators.kazoo.operations import OPERATIONS, Operation
from local.simulators.kazoo.problems import Problem
from local.simulators.kazoo.world import World
from local.simulators.settings import BadInput
from local.simulators.times import Clock


def create_app(
    config: Config | None = None,
    *,
    clock: Clock = time.time,
    sleep: Sleep = asyncio.sleep,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Starlette:
    """Return the simulator as an ASGI app.

    `transport` takes what is pushed. Its state is at
    `app.state.world`.
    """
    world = World(config or Config(), clock=clock, sleep=sleep, transport=transport)

    @contextlib.asynccontextmanager
    async def alive(_app: Starlette) -> AsyncIterator[None]:
        pump = asyncio.create_task(_pump(world))
        yield
        pump.cancel()
        await world.aclose()

    async def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return Problem(status).response(_exchange(world, request).envelope())

    app = Starlette(
        routes=[_route(world, operation) for operation in OPERATIONS] + control.routes(world),
        exception_handlers={HTTPException: unknown, BadInput: refuse},
        lifespan=alive,
    )
    app.state.world = world
    return app


async def _serve(world: World, operation: Operation, request: Request) -> Response:
    world.pump()
    exchange = _exchange(world, request)
    try:
        world.faults.outage(operation.name)
        if world.faults.evicts(operation.name, exchange.recording):
            world.evict()
        _admit(world, operation, exchange)
        response = await world.faults.answer(
            operation.name, exchange.recording, lambda: operation.handler(world, exchange)
        )
    except Problem as problem:
        response = problem.response(exchange.envelope())
    response.headers["X-Request-ID"] = exchange.id
    world.stats.request(operation.name, response.status_code)
    return response


def _admit(world: World, operation: Operation, exchange: Exchange) -> None:
    """Raise Problem unless the request may be answered. A stranger's costs tokens too."""
    request = exchange.request
    account = exchange.account if operation.token else None
    address = request.client.host if request.client else ""
    exchange.remaining = world.buckets.left(address, account)
    exchange.consumed, exchange.remaining = world.buckets.take(address, account)
    if account is None:
        return
    exchange.token, who = world.tokens.check(request)
    if not world.config.sees(who, account):
        raise Problem(403)


def _exchange(world: World, request: Request) -> Exchange:
    return Exchange(request=request, now=world.clock(), version=world.config.version)


def _route(world: World, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        return await _serve(world, operation, request)

    return Route(operation.path, endpoint, methods=[operation.method], name=operation.name)


async def _pump(world: World) -> None:
    """Send what becomes due while nobody asks anything."""
    while True:
        await asyncio.sleep(0.05)
        world.pump()
