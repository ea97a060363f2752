"""Requests to the stack's HTTP API: who signed them, what they say, and how they are answered."""

from __future__ import annotations

import base64
import hmac
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from legato.errors import Retry
    from legato.model import Json

MAX_BODY_BYTES = 256 * 1024
LONGEST = {"call": 1000, "case": 200, "reason": 2000}
"""In characters."""


class Unsigned(Refused):
    """Nobody has signed the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request. `outcome` names the metric, `logged` is for the log only."""

    status: int
    outcome: str
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    logged: Json = field(default_factory=dict)

    def to_gateway(self) -> Json:
        """Write it as API Gateway takes an answer."""
        if self.body is None:
            return {"statusCode": self.status, "headers": dict(self.headers), "body": ""}
        return {
            "statusCode": self.status,
            "headers": {"Content-Type": "application/json", **self.headers},
            "body": json.dumps(self.body, ensure_ascii=False),
        }


def refused(error: Refused, told: Json, *, status: int = 400) -> Reply:
    """Return the answer to a request that is wrong. `told` is known of it, for the log."""
    status = 403 if isinstance(error, Unsigned) else status
    return _failure(str(error), told, status=status, outcome="Refused")


def unfinished(error: Retry, told: Json) -> Reply:
    """Return the answer to a request that could not be carried out to its end."""
    reason = f"{error}: send the same request again"
    return _failure(reason, told, status=503, outcome="Unfinished")


def request(event: Json) -> tuple[bytes, str]:
    """Return the body of a request, and the ARN of who signed it; none if nobody has.

    The event is that of an HTTP API, payload version 2.0, of a route with AWS_IAM.
    """
    caller: Any = event
    for name in ("requestContext", "authorizer", "iam", "userArn"):
        caller = caller.get(name) if isinstance(caller, dict) else None
    return body_of(event), caller if isinstance(caller, str) else ""


def check_signed(by: str) -> None:
    """Raise Unsigned for a request of which API Gateway does not say who signed it."""
    if not by:
        raise Unsigned("nobody has signed this request")


def text(fields: Json, name: str, *, needed: bool = True) -> str:
    """Take a text out of a request's fields. Raises Refused, naming the field."""
    given: Any = fields.pop(name, "")
    if not isinstance(given, str):
        raise Refused(f"`{name}` is not a text")
    value = given.strip()
    if needed and not value:
        raise Refused(f"`{name}` is missing")
    if len(value) > LONGEST.get(name, 100):
        raise Refused(f"`{name}` is longer than {LONGEST.get(name, 100)} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # JSON can say half a character, and no file can hold it.
        raise Refused(f"`{name}` is not a text") from error
    return value


def nothing_else(fields: Json) -> None:
    """Raise Refused for fields that nobody has taken: a field that is misspelt is not left out."""
    if fields:
        named = sorted(fields)[:10]
        names = (name if name.isprintable() else ascii(name) for name in named)
        raise Refused(f"nobody knows the field {', '.join(name[:60] for name in names)}")


def _failure(reason: str, told: Json, *, status: int, outcome: str) -> Reply:
    logged = told | {"reason": reason}
    return Reply(status=status, outcome=outcome, body={"message": reason}, logged=logged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An HTTP request. Header names are looked up in lower case, however they came."""

    headers: Mapping[str, str]
    body: bytes

    def __post_init__(self) -> None:
        lower = {name.lower(): value for name, value in self.headers.items()}
        object.__setattr__(self, "headers", lower)

    @classmethod
    def of(cls, event: Json) -> Request:
        """Return the request of an API Gateway event (payload 2.0)."""
        return cls(headers=texts_of(event, "headers"), body=body_of(event))


def among(given: bytes, expected: Sequence[str]) -> bool:
    """Say in constant time whether a secret is one of ours. An empty one is none."""
    # All are compared before one counts, so that the time does not tell which one it was.
    equal = [hmac.compare_digest(given, token.encode()) for token in expected if token]
    return any(equal)


def texts_of(event: Json, name: str) -> dict[str, str]:
    """Return the texts of a field of an API Gateway event, as its headers. Others are left out."""
    given = event.get(name)
    if not isinstance(given, dict):
        return {}
    return {key: value for key, value in given.items() if isinstance(value, str)}


def body_of(event: Json) -> bytes:
    """Return the body of an API Gateway event (payload 2.0), whatever stands there for one.

    What no HTTP body can be, a lone surrogate or something else than Base64, is left to be refused
    by whoever reads it.
    """
    body = event.get("body")
    if not isinstance(body, str):
        return b""
    if event.get("isBase64Encoded"):
        with suppress(ValueError):
            return base64.b64decode(body, validate=True)
    return body.encode(errors="surrogatepass")


def read_json(body: bytes) -> Json:
    """Return the JSON object that a body is. Raises Refused."""
    try:
        notification = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(notification, dict):
        raise Refused("the body is not a JSON object")
    return notification
