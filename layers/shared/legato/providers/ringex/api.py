"""RingCentral's REST API over HTTP: one client, one token, its errors in our words.

The token goes to the configured hosts and nowhere else: an address in a response or a redirect
that leads to another host is refused. After a 429 nothing is sent until the penalty is over,
because every request inside it starts it anew
(https://developers.ringcentral.com/guide/basics/rate-limits).
"""

from __future__ import annotations

import json
import math
import re
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import httpx

from legato.errors import Barred, Failed, NotYet, Retry, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from legato.model import Json
    from legato.ports import Clock

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_PATH = "/restapi/oauth/token"  # noqa: S105 - an address, not a token
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
PENALTY_SECONDS = 60
REFUSED_SECONDS = 300
MAX_REDIRECTS = 3
PIECE_BYTES = 256 * 1024
MAX_JSON_BYTES = 64 * 1024 * 1024

# A token is not used in its last minute, so that a long download does not start with a dying one.
_TOKEN_RESERVE = timedelta(seconds=60)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class RingexApi:
    """Requests against RingCentral.

    `credentials` returns `{"clientId", "clientSecret", "jwt"}`, read anew for every token.
    `platform` and `media` are base URLs. Every method raises Wait (429), Barred (credentials or
    permissions are refused), NotYet (404), Retry (5xx or network), Failed (any other refusal).
    """

    def __init__(
        self,
        *,
        platform: str,
        media: str,
        credentials: Callable[[], Json],
        clock: Clock,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._platform = httpx.URL(platform)
        self._media = httpx.URL(media)
        self._clock = clock
        self._credentials = credentials
        self._blocked_until: datetime | None = None
        self._client = httpx.Client(
            transport=transport, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        self._token = _Token(self._mint, clock)

    def get(self, path: str, params: Json) -> Json:
        """GET a JSON object from the platform."""
        request = self._client.build_request("GET", self._platform.join(path), params=params)
        with self._answer(request) as response:
            return _object(_read(response), request)

    def send(self, method: str, path: str, body: Json | None = None) -> Json:
        """POST, PUT or DELETE on the platform; return the answer, empty where it has no body."""
        request = self._client.build_request(method, self._platform.join(path), json=body)
        with self._answer(request) as response:
            content = _read(response)
            return _object(content, request) if content else {}

    @contextmanager
    def stream(self, address: str) -> Iterator[Iterator[bytes]]:
        """GET a recording in pieces from an address that RingCentral gave, on a configured host.

        A body shorter than announced raises Retry while it is read.
        """
        request = self._client.build_request("GET", self._media.join(address))
        for _ in range(MAX_REDIRECTS):
            with self._answer(request) as response:
                if response.is_redirect:
                    location = response.headers.get("location", "")
                    request = self._client.build_request("GET", request.url.join(location))
                    continue
                yield _pieces(_whole(response))
                return
        raise Retry(f"{_where(request)} redirects too often")

    def _origins(self) -> set[tuple[str, str, int | None]]:
        return {_origin(self._platform), _origin(self._media)}

    @contextmanager
    def _answer(self, request: httpx.Request) -> Iterator[httpx.Response]:
        if _origin(request.url) not in self._origins():
            raise Failed(
                f"{request.url.host} is not a configured RingCentral host, so it gets no token"
            )
        response = self._send(request, auth=self._token)
        try:
            self._check(response, request)
            yield response
        finally:
            response.close()

    def _send(self, request: httpx.Request, *, auth: httpx.Auth | None = None) -> httpx.Response:
        now = self._clock.now()
        if self._blocked_until is not None and now < self._blocked_until:
            left = (self._blocked_until - now).total_seconds()
            raise Wait("RingCentral's penalty is not over", seconds=left)
        try:
            return self._client.send(request, auth=auth, stream=True)
        except httpx.TransportError as error:
            raise Retry(f"{_where(request)}: {type(error).__name__}: {error}") from error

    def _check(self, response: httpx.Response, request: httpx.Request) -> None:
        status = response.status_code
        if response.is_success or response.is_redirect:
            return
        if status == httpx.codes.TOO_MANY_REQUESTS:
            seconds = _retry_after(response) + 1
            self._blocked_until = self._clock.now() + timedelta(seconds=seconds)
            raise Wait("RingCentral's rate limit is reached", seconds=seconds)
        reason = f"{_where(request)} answers {status} {_error_code(response)}".rstrip()
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Barred(reason, seconds=REFUSED_SECONDS)
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            raise NotYet(reason)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
            raise Retry(reason)
        raise Failed(reason)

    def _mint(self) -> tuple[str, datetime]:
        """Trade the JWT for an access token; return it with the time until which to use it.

        https://developers.ringcentral.com/guide/authentication/jwt-flow
        """
        credentials = self._credentials()
        missing = [
            name for name in ("clientId", "clientSecret", "jwt") if not credentials.get(name)
        ]
        if missing:
            names = ", ".join(missing)
            raise Barred(f"the secret has no RingCentral {names}", seconds=REFUSED_SECONDS)
        request = self._client.build_request(
            "POST",
            self._platform.join(TOKEN_PATH),
            data={"grant_type": JWT_GRANT, "assertion": credentials["jwt"]},
        )
        basic = httpx.BasicAuth(credentials["clientId"], credentials["clientSecret"])
        response = self._send(request, auth=basic)
        try:
            if response.is_client_error and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                # "Do not repeat" says RingCentral: the same credentials get the same answer.
                code = _error_code(response)
                raise Barred(f"RingCentral mints no token: {code}", seconds=REFUSED_SECONDS)
            self._check(response, request)
            answer = _object(_read(response), request)
        finally:
            response.close()
        token, lifetime = answer.get("access_token"), answer.get("expires_in")
        if not isinstance(token, str) or not isinstance(lifetime, int):
            raise Retry(f"{_where(request)} answers without access_token and expires_in")
        return token, self._clock.now() + timedelta(seconds=lifetime) - _TOKEN_RESERVE


class _Token(httpx.Auth):
    """Puts the token on a request; a 401 costs one new token, a second 401 stands."""

    def __init__(self, mint: Callable[[], tuple[str, datetime]], clock: Clock) -> None:
        self._mint = mint
        self._clock = clock
        self._minted: tuple[str, datetime] | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        response = yield self._signed(request)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._minted = None
            yield self._signed(request)

    def _signed(self, request: httpx.Request) -> httpx.Request:
        if self._minted is None or self._clock.now() >= self._minted[1]:
            self._minted = self._mint()
        request.headers["Authorization"] = f"Bearer {self._minted[0]}"
        return request


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"https": 443, "http": 80}.get(url.scheme)
    return (url.scheme, url.host, port)


def _where(request: httpx.Request) -> str:
    """Name a request in an error or a log: never its query, which may carry numbers."""
    return f"{request.method} {request.url.host}{request.url.path}"


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds of `Retry-After`; the usual penalty where it is absent or no number."""
    try:
        seconds = float(response.headers["retry-after"])
    except (KeyError, ValueError):
        return PENALTY_SECONDS
    return seconds if 0 < seconds < math.inf else PENALTY_SECONDS


def _error_code(response: httpx.Response) -> str:
    """Return RingCentral's codes and the permission that lacks; its messages may change."""
    try:
        body = json.loads(_read(response))
    except (Retry, ValueError):
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    entries = [body, *(errors if isinstance(errors, list) else [])]
    names = ("errorCode", "permissionName", "error")
    found = [str(e[name]) for e in entries if isinstance(e, dict) for name in names if name in e]
    return " ".join(dict.fromkeys(found))


def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in _pieces(response):
        body += piece
        if len(body) > MAX_JSON_BYTES:
            raise Retry(f"an answer of more than {MAX_JSON_BYTES} bytes")
    return bytes(body)


def _pieces(response: httpx.Response) -> Iterator[bytes]:
    """Read a body. A connection that breaks, or ends before what it announced, raises Retry."""
    try:
        yield from response.iter_bytes(PIECE_BYTES)
    except httpx.HTTPError as error:
        where = _where(response.request)
        raise Retry(f"{where} broke off: {type(error).__name__}: {error}") from error


def _whole(response: httpx.Response) -> httpx.Response:
    """Refuse a part of a recording that answers a request for all of it."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        span = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if span is None or span[1] != "0" or int(span[2]) + 1 != int(span[3]):
            raise Retry(f"{_where(response.request)} sends only a part of the recording")
    return response


def _object(body: bytes, request: httpx.Request) -> Json:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise Retry(f"{_where(request)} answers with something that is not JSON") from error
    if not isinstance(answer, dict):
        raise Retry(f"{_where(request)} answers with JSON that is no object")
    return answer
