"""RestorerFunction: S3's event in, what is restored noted, people told when all of it is there."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import restorer
from legato.errors import Refused
from legato.printable import log_line
from legato.retrieval.restore.event import read, restored

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from legato.retrieval.restore.event import Completing

logger = Logger(json_serializer=log_line)
metrics = Metrics()
tracer = Tracer()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


@cache
def work() -> Completing:
    """Return what this process works with, made at the first event."""
    return restorer()


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an event of S3 from EventBridge; answer with what became of it.

    One that is none is logged and let go: it would be none the next time. If the ledger does not
    answer this fails, and Lambda tries it twice more.
    """
    try:
        told = read(event)
        outcome = restored(told, work())
        logger.info("restore", outcome=outcome, key=told.key, version_id=told.version_id)
    except Refused as error:
        outcome = "Refused"
        logger.error("no event of a restore", reason=str(error))
    metrics.add_metric(name=f"Restore{outcome}", unit=MetricUnit.Count, value=1)
    return {"outcome": outcome}
