"""Refusals, in RingCX's own words: JSON as described, but also plain text and bare strings.

Bodies: `Errors` of the official description. What is not described there was seen on real accounts.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

_WORDS = {
    400: ("Bad request", "The supplied data is not valid"),
    403: ("Access is denied.", "You do not have permission to access this resource"),
    404: ("Not found", "The resource you have requested does not exist"),
    416: ("Range not satisfiable", "The supplied range is not valid"),
}
_BROKEN = (
    "Internal server error",
    "An Internal Server Error occurred while processing this request",
)
_CODES = {403: "access.denied.exception", 500: "unknown.exception"}


class Problem(Exception):
    """A refusal that ends a request with `status`. `wrong` names a field and its value."""

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        wrong: tuple[str, Any] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message or status)
        self.status = status
        self.message = message
        self.wrong = wrong
        self.code = code or _CODES.get(status)
        self.headers: dict[str, str] = {}

    def response(self, request: Request, now: float) -> Response:
        """Return the answer."""
        developer, general = _WORDS.get(self.status, _BROKEN)
        # The gateway in front takes away `/voice`.
        path = request.url.path.removeprefix("/voice")
        body: dict[str, Any] = {
            "details": "",
            "developerMessage": developer if self.wrong else self.message or developer,
            "cause": "",
            "generalMessage": general,
            "requestUri": f"{path} - {request.method}",
            "timestamp": round(now * 1000),
        }
        if self.code:
            body["errorCode"] = self.code
        if self.wrong:
            name, value = self.wrong
            body["validationErrors"] = [
                {
                    "attributeName": name,
                    "message": self.message,
                    "value": "null" if value is None else str(value),
                }
            ]
        return JSONResponse(body, status_code=self.status, headers=self.headers)


class Text(Problem):
    """A refusal in plain text."""

    def response(self, _request: Request, _now: float) -> Response:
        """Return the answer."""
        return PlainTextResponse(self.message, status_code=self.status, headers=self.headers)


class Bare(Problem):
    """A refusal whose whole body is a JSON string."""

    def response(self, _request: Request, _now: float) -> Response:
        """Return the answer."""
        return JSONResponse(self.message, status_code=self.status)


def invalid(name: str, value: Any, message: str) -> Problem:
    """Refuse a field's value."""
    return Problem(400, message, wrong=(name, value))


def expired() -> Problem:
    """Refuse an access token. A token that never was is not told from an old one."""
    return Text(401, "Jwt is expired")


def too_many(retry_after: int = 1) -> Problem:
    """Refuse one request too many. The header always says a second, however long it takes."""
    problem = Text(429, "rate")
    problem.headers["Retry-After"] = str(retry_after)
    return problem
