"""Receive RingCentral's webhook: verify, decide, enqueue, answer. Calls no provider."""

from __future__ import annotations

import base64
import hmac
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from legato.errors import Refused, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.model import Job, Json
    from legato.ports import Clock, Jobs

MAX_BODY_BYTES = 256 * 1024
# Fields of the inbound tokens. During a rotation deliveries carry the one or the other.
CURRENT_TOKEN = "ringexVerificationToken"  # noqa: S105 - a name
PREVIOUS_TOKEN = "ringexPreviousVerificationToken"  # noqa: S105 - a name

type Outcome = Literal[
    "Handshake", "Enqueued", "Ignored", "Unauthorized", "TooLarge", "Malformed", "QueueRefused"
]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer. `outcome` names the metric that counts it, `reason` is for the log only."""

    status: int
    outcome: Outcome
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    call: str | None = None
    reason: str | None = None

    def to_gateway(self) -> Json:
        """Write it as API Gateway takes an answer."""
        return {"statusCode": self.status, "headers": dict(self.headers), "body": self.body}


def among(given: bytes, expected: Sequence[str]) -> bool:
    """Say in constant time whether a secret is one of ours. An empty one is none."""
    # All are compared before one counts, so that the time does not tell which one it was.
    equal = [hmac.compare_digest(given, token.encode()) for token in expected if token]
    return any(equal)


class Hook(Protocol):
    """What only the provider's adapter knows of its webhook."""

    def handshake(self, request: Request) -> Reply | None:
        """Answer the request by which the provider tries the address; None if it is not one."""
        ...

    def authentic(self, request: Request) -> bool:
        """Say whether the request carries our secret. Compares in constant time."""
        ...

    def job(self, notification: Json, *, now: datetime) -> Job | None:
        """Return the job that a notification asks for, or None if it is of no interest."""
        ...


def receive(request: Request, *, hook: Hook, jobs: Jobs, clock: Clock, settle: int) -> Reply:
    """Answer one request; `settle` is the delay in seconds before its job is looked at.

    Whatever is answered 200 is either in the queue or of no interest. A queue that refuses is a
    503, so that the provider's own log shows it.
    """
    if (reply := hook.handshake(request)) is not None:
        return reply
    if len(request.body) > MAX_BODY_BYTES:
        return Reply(status=413, outcome="TooLarge", reason=f"{len(request.body)} bytes")
    if not hook.authentic(request):
        return Reply(status=401, outcome="Unauthorized")
    try:
        job = hook.job(read_json(request.body), now=clock.now())
    except Refused as error:
        return Reply(status=400, outcome="Malformed", reason=str(error))
    if job is None:
        return Reply(status=200, outcome="Ignored")
    try:
        jobs.send(job, delay=settle)
    except Retry as error:
        return Reply(status=503, outcome="QueueRefused", call=job.call, reason=str(error))
    return Reply(status=200, outcome="Enqueued", call=job.call)


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
