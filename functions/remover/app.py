"""RemoverFunction: a schedule's event in, what is proven to be archived removed at the provider."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import remover
from legato.operations.removal import remove
from legato.printable import log_line

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from legato.errors import LegatoError
    from legato.operations.removal import Removal

logger = Logger(json_serializer=log_line)
metrics = Metrics()
tracer = Tracer()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


@cache
def removals(provider: str | None) -> list[Removal]:
    """Return what this process works with for a provider, or for all, made at its first event."""
    return remover(provider)


@logger.inject_lambda_context
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take `{"provider": …}`, or nothing for all; answer with what was done, by provider.

    Fails when our own archive could not be asked, so that the alarm rings.
    """
    done: dict[str, Any] = {}
    faults: list[LegatoError] = []
    for work in removals(event.get("provider")):
        left = timedelta(milliseconds=context.get_remaining_time_in_millis())
        report = remove(work, until=work.clock.now() + left)
        provider = work.source.name
        metrics.add_dimension(name="provider", value=provider)
        for name, count in report.counts.items():
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
        metrics.flush_metrics()  # each provider's are its own
        if report.stopped:
            reason = str(report.stopped)
            logger.warning("the removal ended early", provider=provider, reason=reason)
        done[provider] = dict(report.counts)
        faults += report.faults
    if faults:
        raise faults[0]
    return done
