"""PushFunction: a recording in an HTTP request in, a short answer out.

It is traced by Lambda itself; the tracer's SDK would double the time of a cold start.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import hatch
from legato.discovery.push import Push, push
from legato.printable import log_line

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from legato.bootstrap.push import Hatch

logger = Logger(json_serializer=log_line)
metrics = Metrics()


@cache
def opened() -> Hatch:
    """Return what this process works with, made at the first request."""
    return hatch()


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an API Gateway HTTP API event, payload version 2.0."""
    reply = push(
        Push.of(event),
        keys=opened().keys,
        recognise=opened().recognise,
        inbox=opened().inbox,
    )
    metrics.add_metric(name=f"Push{reply.outcome}", unit=MetricUnit.Count, value=1)
    log = logger.error if reply.status >= 500 else logger.info
    log("push", extra={"outcome": reply.outcome, **reply.logged})
    return reply.to_gateway()
