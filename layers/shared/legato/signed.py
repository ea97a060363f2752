"""What all requests that people sign have in common: their texts, and how they are answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legato.errors import Refused
from legato.receive import body_of

if TYPE_CHECKING:
    from legato.errors import Retry
    from legato.model import Json

LONGEST = {"call": 1000, "case": 200, "reason": 2000}
"""In characters."""


class Unsigned(Refused):
    """Nobody has signed the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request. `outcome` names the metric, `logged` is for the log only."""

    status: int
    outcome: str
    body: Json
    logged: Json

    def to_gateway(self) -> Json:
        """Write it as API Gateway takes an answer."""
        return {
            "statusCode": self.status,
            "headers": {"Content-Type": "application/json"},
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
