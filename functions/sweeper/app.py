"""SweeperFunction: a schedule's event in, what is new at the provider into the queue."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import Round, sweeper
from legato.sweep import sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
tracer = Tracer()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


@cache
def rounds() -> Round:
    """Return what this process works with, made at the first event."""
    return sweeper()


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(_event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take any event; answer with what was found."""
    work = rounds()
    if work.tail is None:
        return {"swept": False}
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    report = sweep(
        tail=work.tail,
        jobs=work.jobs,
        notes=work.notes,
        clock=work.clock,
        until=work.clock.now() + left,
        settle=work.settle_seconds,
        rest=work.rest,
    )
    age = report.age.total_seconds()
    metrics.add_metric(name="SweptRecords", unit=MetricUnit.Count, value=report.records)
    metrics.add_metric(name="SweptSessions", unit=MetricUnit.Count, value=report.calls)
    metrics.add_metric(name="JobsFromTail", unit=MetricUnit.Count, value=report.jobs)
    metrics.add_metric(name="TailAgeSeconds", unit=MetricUnit.Seconds, value=age)
    if report.stopped is not None:
        logger.warning("the sweep ended early", reason=str(report.stopped), age_seconds=age)
    swept = not (report.busy or report.rests)
    return {"swept": swept, "jobs": report.jobs, "tail_age_seconds": age}
