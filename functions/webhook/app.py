"""WebhookFunction: an HTTP request in, an answer of at most 1,024 bytes out.

It is traced by Lambda itself; the tracer's SDK would double the time of a cold start.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from legato.api_request import Request
from legato.bootstrap import Reception, reception
from legato.discovery.webhook import receive
from legato.printable import log_line

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(json_serializer=log_line)
metrics = Metrics()


@cache
def desk() -> Reception:
    """Return what this process works with, made at the first request."""
    return reception()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an API Gateway HTTP API event, payload version 2.0."""
    reply = receive(
        Request.of(event),
        hook=desk().hook,
        jobs=desk().jobs,
        clock=desk().clock,
        settle=desk().settle_seconds,
    )
    metrics.add_metric(name=f"Notification{reply.outcome}", unit=MetricUnit.Count, value=1)
    log = logger.error if reply.status >= 500 else logger.info
    log("notification", extra={"outcome": reply.outcome, **reply.logged})
    return reply.to_gateway()
