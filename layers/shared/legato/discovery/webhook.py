"""Receive RingCentral's webhook: verify, decide, enqueue, answer. Calls no provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from legato.api_request import MAX_BODY_BYTES, Reply, Request, read_json
from legato.errors import Refused, Retry

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Job, Json
    from legato.ports import Clock, Jobs

# Fields of the inbound tokens. During a rotation deliveries carry the one or the other.
CURRENT_TOKEN = "ringexVerificationToken"  # noqa: S105 - a name
PREVIOUS_TOKEN = "ringexPreviousVerificationToken"  # noqa: S105 - a name


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
        return Reply(
            status=413, outcome="TooLarge", logged={"reason": f"{len(request.body)} bytes"}
        )
    if not hook.authentic(request):
        return Reply(status=401, outcome="Unauthorized")
    try:
        job = hook.job(read_json(request.body), now=clock.now())
    except Refused as error:
        return Reply(status=400, outcome="Malformed", logged={"reason": str(error)})
    if job is None:
        return Reply(status=200, outcome="Ignored")
    try:
        jobs.send(job, delay=settle)
    except Retry as error:
        logged = {"call": job.call, "reason": str(error)}
        return Reply(status=503, outcome="QueueRefused", logged=logged)
    return Reply(status=200, outcome="Enqueued", logged={"call": job.call})
