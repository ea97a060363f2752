"""ProcessorFunction: a batch of jobs in, the messages that SQS shall deliver again out."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from legato.app.function import app
from legato.errors import Stale, Unavailable
from legato.ingest.batch import Message, archive
from legato.lambda_handler import count, count_all, lambda_handler, logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take an SQS event, whose messages are all of one queue; answer which of them failed."""
    work = app().processing(event["Records"][0]["eventSourceARN"])
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
    count("Jobs", len(messages))
    count("JobsRedelivered", len(failed))
    count_all(report.counts)
    return {"batchItemFailures": [{"itemIdentifier": name} for name in sorted(failed)]}
