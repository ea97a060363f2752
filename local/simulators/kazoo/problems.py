"""Refusals, in the words of cb_context:add_system_error and add_validation_error."""

from __future__ import annotations

from starlette.responses import JSONResponse

from local.simulators.settings import Json

_WORDS = {
    400: ("validation error", "validation error"),
    401: ("invalid_credentials", "invalid credentials"),
    403: ("forbidden", "forbidden"),
    404: ("bad_identifier", "bad identifier"),
    405: ("method_not_allowed", "method not allowed"),
    406: ("not_acceptable", "not acceptable"),
    416: ("range_not_satisfiable", "range not satisfiable"),
    429: ("too_many_requests", "too many requests"),
    503: ("datastore_unreachable", "datastore unreachable"),
}
_BROKEN = ("unspecified_fault", "unspecified fault")


class Problem(Exception):
    """A refusal that ends a request with `status`. `data` is the envelope's."""

    def __init__(
        self, status: int, message: str | None = None, *, data: Json | None = None
    ) -> None:
        message, words = (message, message) if message else _WORDS.get(status, _BROKEN)
        super().__init__(message)
        self.status = status
        self.message = message
        self.data: Json = {"message": words} if data is None else data
        self.headers: dict[str, str] = {}

    def response(self, envelope: Json) -> JSONResponse:
        """Return the answer, in an envelope that says the rest."""
        kind = "fatal" if self.status >= 500 else "error"
        body = {
            "data": self.data,
            "error": str(self.status),
            "message": self.message,
            "status": kind,
            **envelope,
        }
        return JSONResponse(body, status_code=self.status, headers=self.headers)


def invalid(field: str, rule: str, message: str, cause: object = None) -> Problem:
    """Refuse a field's value, and say by which rule."""
    found = {"message": message} | ({} if cause is None else {"cause": cause})
    return Problem(400, data={field: {rule: found}})


def bad_identifier(name: str | None) -> Problem:
    """Refuse an id that nothing has."""
    return Problem(404, data={"message": "bad identifier", "cause": name})


def faulty(cause: str) -> Problem:
    """Refuse a request for a page that cannot be."""
    return Problem(404, "faulty_request", data={"message": cause})
