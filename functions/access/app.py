"""AccessFunction: a signed request in, a record of who looks at which calls and why, its key out.

API Gateway has checked the signature and says whose it is, so nobody speaks for somebody else.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.api_request import request
from legato.bootstrap import access_log
from legato.evidence.access_log import answer
from legato.printable import log_line

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from legato.evidence.access_log import AccessLog

logger = Logger(json_serializer=log_line)
metrics = Metrics()
tracer = Tracer()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


@cache
def work() -> AccessLog:
    """Return what this process works with, made at the first request."""
    return access_log()


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an API Gateway HTTP API event, payload version 2.0, of a route with AWS_IAM."""
    body, caller = request(event)
    reply = answer(body, by=caller, work=work())
    metrics.add_metric(name=f"Access{reply.outcome}", unit=MetricUnit.Count, value=1)
    log = logger.error if reply.status >= 500 else logger.info
    log("access", extra={"outcome": reply.outcome, **reply.logged})
    return reply.to_gateway()
