"""ProcessorFunction: a batch of jobs in, the messages that SQS shall deliver again out."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import processor_ports
from legato.errors import Stale, Unavailable
from legato.ingest.batch import Message, archive
from legato.printable import log_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from legato.ingest.ports import Ports

logger = Logger(json_serializer=log_line)
metrics = Metrics()
tracer = Tracer()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


@cache
def ports(queue: str) -> Ports:
    """Return what this process works with for the jobs of a queue, made at its first batch."""
    return processor_ports(queue)


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take an SQS event, whose messages are all of one queue; answer which of them failed."""
    work = ports(event["Records"][0]["eventSourceARN"])
    messages = [
        Message(
            record["messageId"],
            record["body"],
            receives=int(record["attributes"]["ApproximateReceiveCount"]),
            receipt=record["receiptHandle"],
        )
        for record in event["Records"]
    ]
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    failed: set[str] = set()

    @contextmanager
    def guard(ids: Collection[str]) -> Iterator[None]:
        try:
            yield
        except (Stale, Unavailable) as error:
            logger.warning("SQS delivers these messages again", reason=str(error), messages=ids)
            failed.update(ids)
        except Exception:
            logger.exception("unforeseen error: SQS delivers these messages again", messages=ids)
            failed.update(ids)

    report = archive(messages, ports=work, until=work.clock.now() + left, guard=guard)
    metrics.add_metric(name="Jobs", unit=MetricUnit.Count, value=len(messages))
    metrics.add_metric(name="JobsRedelivered", unit=MetricUnit.Count, value=len(failed))
    for name, count in report.counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in sorted(failed)]}
