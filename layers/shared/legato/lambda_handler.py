"""What all handlers have in common: the logger, the metrics, the tracer, and one decorator."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.printable import log_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    type Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

logger = Logger(json_serializer=log_line)
metrics = Metrics()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


def count(name: str, value: float = 1) -> None:
    """Count something in a metric."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def count_all(counts: Mapping[str, float]) -> None:
    """Count each of these in the metric of its name."""
    for name, value in counts.items():
        count(name, value)


def lambda_handler(*, traced: bool = True) -> Callable[[Handler], Handler]:
    """Make a function Lambda's handler: it logs with the request's id, and its metrics are sent.

    A handler that answers HTTP requests in milliseconds is not `traced` by the SDK, which would
    double the time of a cold start: Lambda itself traces it.
    """

    def decorated(function: Handler) -> Handler:
        handled: Handler = metrics.log_metrics(function)
        if traced:
            from aws_lambda_powertools import Tracer

            handled = Tracer().capture_lambda_handler(capture_response=False)(handled)
        return logger.inject_lambda_context(handled)

    return decorated
