"""Stands in for API Gateway: HTTP requests become events of payload format 2.0, and answers HTTP.

Routes are the stack's own. Throttling and access logs are not played. AWS decodes paths before it
hands them on, `rawPath` too, and queries not.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html

A route with AWS_IAM lets in whoever signs. The signature itself is not checked, and no policy is:
here an access key id is a person.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from local.processes import LocalError
from local.template import Route
from local.worker import InvocationError

MAX_BODY_BYTES = 10 * 1024 * 1024
MAX_EVENT_BYTES = 6_291_556
"""Lambda's own limit, of the event's JSON."""
TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
ACCOUNT = "123456789012"
SIGNATURE = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/\s]+)/\d{8}/[\w-]+/execute-api/aws4_request, "
    r"SignedHeaders=[\w;-]+, Signature=[0-9a-f]{64}"
)
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

type Invoke = Callable[[Any], Any]


def application(routes: Sequence[Route], functions: Mapping[str, Invoke]) -> Starlette:
    """Return the HTTP API; `functions` maps a function's logical id to what runs it."""
    table = [(route, _pattern(route.path)) for route in sorted(routes, key=_precedence)]

    async def answer(request: Request) -> Response:
        for route, pattern in table:
            if route.method == request.method and (match := pattern.fullmatch(_path(request))):
                break
        else:
            return JSONResponse({"message": "Not Found"}, 404)
        caller = _caller(request) if route.signed else None
        if route.signed and caller is None:
            return JSONResponse({"message": "Forbidden"}, 403)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                return JSONResponse({"message": "Request Entity Too Large"}, 413)
        event = event_of(request, bytes(body), route)
        if match.groupdict():
            event["pathParameters"] = match.groupdict()
        if caller is not None:
            event["requestContext"]["authorizer"] = {"iam": caller}
        if len(json.dumps(event, separators=(",", ":"))) > MAX_EVENT_BYTES:
            return JSONResponse({"message": "Request Entity Too Large"}, 413)
        try:
            result = await run_in_threadpool(functions[route.function], event)
            response = response_of(result)
        except (InvocationError, TypeError, ValueError, AttributeError):
            return JSONResponse({"message": "Internal Server Error"}, 500)
        response.headers["apigw-requestid"] = event["requestContext"]["requestId"]
        return response

    return Starlette(routes=[HttpRoute("/{path:path}", answer, methods=METHODS)])


def _precedence(route: Route) -> tuple[bool, bool]:
    """Sort as API Gateway chooses: full matches, then those of one segment each, then greedy ones.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    return "+}" in route.path, "{" in route.path


def _pattern(path: str) -> re.Pattern[str]:
    """Return what matches a route's path; `{name}` is one segment, `{name+}` all that is left."""
    pieces = re.split(r"(\{\w+\+?\})", path)
    return re.compile("".join(map(_piece, pieces)), re.DOTALL)


def _piece(piece: str) -> str:
    if not piece.startswith("{"):
        return re.escape(piece)
    return f"(?P<{piece[1:-2]}>.+)" if piece.endswith("+}") else f"(?P<{piece[1:-1]}>[^/]+)"


def _path(request: Request) -> str:
    path: str = request.scope["path"]
    return path


def _caller(request: Request) -> dict[str, Any] | None:
    """Return who has signed the request, or None if nobody has."""
    signed = SIGNATURE.fullmatch(request.headers.get("authorization", ""))
    if signed is None or "x-amz-date" not in request.headers:
        return None
    key = signed["key"]
    return {
        "accessKey": key,
        "accountId": ACCOUNT,
        "callerId": key,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{ACCOUNT}:user/{key}",
        "userId": key,
    }


def event_of(request: Request, body: bytes, route: Route) -> dict[str, Any]:
    """Write a request as the event of an HTTP API, payload format 2.0."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    now = datetime.now(UTC)
    path = _path(request)
    host = request.url.hostname or ""
    route_key = f"{route.method} {route.path}"
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": path,
                "protocol": f"HTTP/{request.scope['http_version']}",
                "sourceIp": request.client.host if request.client else "",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": route_key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if request.cookies:
        event["cookies"] = [f"{name}={value}" for name, value in request.cookies.items()]
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        query[name] = f"{query[name]},{value}" if name in query else value
    if query:
        event["queryStringParameters"] = query
    if body:
        event |= _body(body, headers.get("content-type", ""))
    return event


def _body(body: bytes, content_type: str) -> dict[str, Any]:
    if content_type.lower().startswith(TEXT_TYPES):
        with contextlib.suppress(UnicodeDecodeError):
            return {"body": body.decode()}
    return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}


def response_of(result: Any) -> Response:
    """Read a function's result. Raises TypeError, ValueError or AttributeError for a wrong one."""
    if not isinstance(result, dict) or "statusCode" not in result:
        return JSONResponse(result)  # format 2.0 takes any other value for the body
    body = result.get("body") or ""
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode()
    headers = {name.lower(): str(value) for name, value in (result.get("headers") or {}).items()}
    if content:
        headers.setdefault("content-type", "text/plain;charset=UTF-8")
    response = Response(content, int(result["statusCode"]), headers)
    for cookie in result.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    return response


@contextlib.contextmanager
def serving(app: Starlette, host: str, port: int) -> Iterator[str]:
    """Serve the application in the background; yields its URL. Port 0 is one that is free."""
    config = uvicorn.Config(
        app, host=host, port=port, log_level="warning", lifespan="off", timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise LocalError(f"the gateway could not listen on {host}:{port}")
        time.sleep(0.01)
    try:
        yield f"http://{host}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
