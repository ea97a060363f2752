"""Where the running local system is told to deploy, as CloudFormation is: `legato --local setup`.

Listens on this machine only. A page in a browser cannot use it: its requests are no JSON, or are
asked for first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.gateway import serving
from local.processes import LocalError
from local.worker import InvocationError

type Json = dict[str, Any]
type Parameters = Mapping[str, str]


@contextlib.contextmanager
def controlled(
    host: str,
    *,
    parameters: Parameters,
    deploy: Callable[[Parameters], None],
    delete: Callable[[], None],
    invoke: Callable[[str, Any], Any],
) -> Iterator[str]:
    """Listen for wishes; yields the address.

    `GET /parameters` tells those that every stack here has. `PUT /stack` with `{"parameters": {…}}`
    creates or updates the stack, `DELETE /stack` deletes it, `POST /functions/{logical id}` runs a
    function with the event that is sent. What is refused is answered with `{"error": "…"}`.
    """

    async def told(_request: Request) -> Response:
        return JSONResponse(dict(parameters))

    async def changed(request: Request) -> Response:
        if request.method == "DELETE":
            return await _answered(lambda: delete())
        wanted = await _json(request)
        given = wanted.get("parameters") if isinstance(wanted, dict) else None
        if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
            return _refused('send {"parameters": {"Name": "text"}} as application/json')
        return await _answered(lambda: deploy(given))

    async def invoked(request: Request) -> Response:
        event = await _json(request)
        return await _answered(lambda: invoke(request.path_params["logical"], event))

    app = Starlette(
        routes=[
            Route("/parameters", told, methods=["GET"]),
            Route("/stack", changed, methods=["PUT", "DELETE"]),
            Route("/functions/{logical}", invoked, methods=["POST"]),
        ]
    )
    with serving(app, host, 0) as url:
        yield url


async def _json(request: Request) -> Any:
    if request.headers.get("content-type") != "application/json":
        return None
    try:
        return await request.json()
    except ValueError:
        return None


async def _answered(work: Callable[[], Any]) -> Response:
    try:
        return JSONResponse({"result": await run_in_threadpool(work)})
    except (LocalError, InvocationError, BotoCoreError, ClientError) as error:
        return _refused(str(error))


def _refused(why: str) -> Response:
    return JSONResponse({"error": why}, 400)
