"""SweeperFunction: a schedule's event in, what is new at the provider into the queue."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from legato.app.function import app
from legato.errors import Unavailable
from legato.lambda_handler import count, lambda_handler, logger, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take `{"provider": …, "goOn": …}`; answer with what was found.

    `goOn` only goes on where the last run ended early. Without a provider it is RingEX. A sweep for
    which our own ledger does not answer is left to the next one; HealthFunction tells it if that
    goes on for long.
    """
    provider = event.get("provider", "ringex")
    sweep_all = app().provider(provider).sweeper()
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    until = app().clock.now() + left
    metrics.add_dimension(name="provider", value=provider)
    try:
        report = sweep_all(until=until, unfinished_only=event.get("goOn") is True)
    except Unavailable as error:
        count("SweepFailed")
        logger.error("the sweep failed", reason=str(error))
        return {"swept": False, "failed": str(error)}
    seconds = MetricUnit.Seconds
    count("SweptRecords", report.records)
    count("SweptCalls", report.calls)
    count("JobsFromTail", report.jobs)
    age, oldest = report.age.total_seconds(), report.oldest.total_seconds()
    metrics.add_metric(name="TailAgeSeconds", unit=seconds, value=age)
    metrics.add_metric(name="OldestUnarchivedSeconds", unit=seconds, value=oldest)
    used = 100 * report.retention_used
    metrics.add_metric(name="RetentionUsed", unit=MetricUnit.Percent, value=used)
    if report.stopped:
        logger.warning("the sweep ended early", reasons=report.stopped, age_seconds=age)
    return {
        "swept": report.swept,
        "jobs": report.jobs,
        "tail_age_seconds": age,
        "oldest_unarchived_seconds": oldest,
    }
