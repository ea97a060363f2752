"""AuditorFunction: a schedule's event in, a digest or a reconciliation in the archive."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import Audit, auditor
from legato.bootstrap.configuration import once_configured
from legato.errors import LegatoError, Refused
from legato.evidence.digest import digest
from legato.evidence.safeguards import compare
from legato.evidence.timestamp import witness
from legato.lambda_handler import count, lambda_handler, logger, metrics
from legato.operations.reconcile import reconcile

if TYPE_CHECKING:
    from datetime import datetime

    from aws_lambda_powertools.utilities.typing import LambdaContext


@once_configured
def work() -> Audit:
    """Return what this process works with, made at the first event."""
    return auditor()


@lambda_handler()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take `{"task": "digest"}` or `{"task": "reconcile"}`; answer with what was written."""
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    until = work().clock.now() + left
    match event.get("task"):
        case "digest":
            return _digest(until)
        case "reconcile":
            return _reconcile(until)
        case task:
            raise Refused(f"the auditor's tasks are digest and reconcile, not {task!r}")


def _digest(until: datetime) -> dict[str, Any]:
    report = digest(work().chaining(), until=until)
    count("DigestsWritten", len(report.digests))
    if report.behind is not None:
        behind = report.behind.total_seconds()
        metrics.add_metric(name="DigestBehindSeconds", unit=MetricUnit.Seconds, value=behind)
    return {
        "digests": report.digests,
        "objects": report.objects,
        "stopped": report.stopped and str(report.stopped),
        "stamped": _witness(until),
        "differences": _compare(),
    }


def _compare() -> list[str] | None:
    """Compare what guards the archive with what was deployed, if it is time for that."""
    try:
        found = compare(work().comparing())
    except LegatoError as error:
        logger.error("safeguards not compared", extra={"reason": str(error)})
        return None
    for difference in found or ():
        logger.error("a safeguard differs", extra={"difference": difference})
    return found


def _witness(until: datetime) -> str | None:
    witnessing = work().witnessing()
    if witnessing is None:
        return None
    report = witness(witnessing, until=until)
    if report.behind is not None:
        behind = report.behind.total_seconds()
        metrics.add_metric(name="WitnessBehindSeconds", unit=MetricUnit.Seconds, value=behind)
    return report.stamped


def _reconcile(until: datetime) -> dict[str, Any]:
    report = reconcile(work().reconciling(), until=until)
    if report is None:
        return {"report": None}
    late = report.missing_over_a_day
    count("MissingOverADay", late)
    count("NotAsked", len(report.not_asked))
    return {
        "report": report.key("json"),
        "counts": dict(report.counts),
        "missing_over_a_day": late,
        "not_asked": [f"{one.provider}: {one.reason}" for one in report.not_asked],
    }
