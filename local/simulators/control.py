"""The side under `/_sim/` that is no provider's, as far as it is the same for all simulators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators.faults import NOW, Fault, Faults
from local.simulators.fields import Fields, read_body
from local.simulators.settings import BadInput, Json
from local.simulators.stats import Stats

type Run = Callable[[Request], Awaitable[Response]]


class World(Protocol):
    """What the control side needs of a simulator's world."""

    @property
    def stats(self) -> Stats:
        """Return what was counted."""
        ...

    @property
    def faults(self) -> Faults:
        """Return what breaks."""
        ...

    def configure(self, given: Json) -> None:
        """Change settings. Raises BadInput."""
        ...

    def evict(self) -> None:
        """Log everybody out."""
        ...

    def reset(self) -> None:
        """Begin anew, with the same clients."""
        ...


def routes(
    world: World,
    read_fault: Callable[[Fields], Fault],
    own: tuple[tuple[str, str, Run], ...],
) -> list[Route]:
    """Return the routes under `/_sim/`: those of every simulator, and its own."""

    async def add_faults(request: Request) -> Response:
        given = await read_body(request)
        faults = [
            read_fault(Fields(each, f"[{at}]."))
            for at, each in enumerate(given if isinstance(given, list) else [given])
        ]
        for fault in faults:
            if fault.route == NOW:
                world.evict()
            else:
                world.faults.add(fault)
        return JSONResponse({"faults": len(faults)}, status_code=201)

    async def clear_faults(_request: Request) -> Response:
        world.faults.clear()
        return Response(status_code=204)

    async def clear_stats(_request: Request) -> Response:
        world.stats.clear()
        return Response(status_code=204)

    async def change_settings(request: Request) -> Response:
        given = await read_body(request)
        if not isinstance(given, dict):
            raise BadInput("the body: must be a JSON object")
        world.configure(given)
        return Response(status_code=204)

    async def reset(_request: Request) -> Response:
        world.reset()
        return Response(status_code=204)

    table: tuple[tuple[str, str, Run], ...] = (
        *own,
        ("POST", "faults", add_faults),
        ("DELETE", "faults", clear_faults),
        ("DELETE", "stats", clear_stats),
        ("POST", "settings", change_settings),
        ("POST", "reset", reset),
    )
    return [Route(f"/_sim/{path}", run, methods=[method]) for method, path, run in table]


async def refuse(_request: Request, error: Exception) -> Response:
    """Answer bad control input."""
    return JSONResponse({"error": str(error)}, status_code=400)
