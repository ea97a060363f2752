"""Refusals, in the platform's own words and error bodies.

Codes: https://developers.ringcentral.com/guide/basics/errors. The shape is `ApiErrorResponseModel`
of the official description, plus the top-level code and message that the platform adds.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class Problem(Exception):
    """A refusal that ends a request with `status` and the error code."""

    def __init__(self, status: int, code: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.extra = extra
        self.headers: dict[str, str] = {}

    def body(self) -> dict[str, Any]:
        """Return the error body."""
        entry = {"errorCode": self.code, "message": self.message, **self.extra}
        return {**entry, "errors": [entry]}

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.body(), status_code=self.status, headers=self.headers)


class OauthProblem(Problem):
    """A refusal of the token endpoint, which adds the words of RFC 6749."""

    def __init__(self, status: int, code: str, error: str, message: str) -> None:
        super().__init__(status, code, message)
        self.error = error

    def body(self) -> dict[str, Any]:
        """Return the error body."""
        return {"error": self.error, "error_description": self.message, **super().body()}


def bad_parameter(name: str, value: object) -> Problem:
    """Refuse a parameter's value."""
    return Problem(
        400,
        "CMN-101",
        f"Parameter [{name}] value is invalid",
        parameterName=name,
        parameterValue=str(value),
    )


def lacks(permission: str, code: str) -> Problem:
    """Refuse for want of a permission: CMN-401 of the application, CMN-408 of the user."""
    message = (
        f"In order to call this API endpoint, application needs to have [{permission}] permission"
        if code == "CMN-401"
        else f"[{permission}] permission required"
    )
    return Problem(403, code, message, permissionName=permission)


def not_found(parameter: str) -> Problem:
    """Refuse an id that nothing has."""
    return Problem(
        404,
        "CMN-102",
        f"Resource for parameter [{parameter}] is not found",
        parameterName=parameter,
    )
