"""AuditorFunction: a schedule's event in, a digest or a reconciliation in the archive."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit

from legato.app.custom_resource import answer
from legato.app.function import app
from legato.config import configuration
from legato.errors import LegatoError, Refused
from legato.lambda_handler import count, lambda_handler, logger, metrics
from legato.operations.reconcile import reconcile
from legato.settings import BadSettings

if TYPE_CHECKING:
    from datetime import datetime

    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take `{"task": "digest"}` or `{"task": "reconcile"}`; answer with what was written.

    Or CloudFormation's event of a deployment, which ends here if its configuration is wrong.
    """
    if "RequestType" in event:
        return _check_configuration(event)
    left = timedelta(milliseconds=context.get_remaining_time_in_millis())
    until = app().clock.now() + left
    match event.get("task"):
        case "digest":
            return _digest(until)
        case "reconcile":
            return _reconcile(until)
        case task:
            raise Refused(f"the auditor's tasks are digest and reconcile, not {task!r}")


def _check_configuration(event: dict[str, Any]) -> dict[str, Any]:
    wrong = ""
    if event["RequestType"] != "Delete":
        try:
            configuration(event["ResourceProperties"]["Document"])
        except BadSettings as error:
            wrong = str(error)
            logger.error("the configuration is wrong", reason=wrong)
    reason = wrong or "the configuration is complete"
    answer(event, physical_id="configuration", reason=reason, success=not wrong)
    return {"configuration": reason}


def _digest(until: datetime) -> dict[str, Any]:
    report = app().digest_chain().write(until=until)
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
        found = app().compare_safeguards()
    except LegatoError as error:
        logger.error("safeguards not compared", extra={"reason": str(error)})
        return None
    for difference in found or ():
        logger.error("a safeguard differs", extra={"difference": difference})
    return found


def _witness(until: datetime) -> str | None:
    stamps = app().time_stamps()
    if stamps is None:
        return None
    report = stamps.stamp(until=until)
    if report.behind is not None:
        behind = report.behind.total_seconds()
        metrics.add_metric(name="WitnessBehindSeconds", unit=MetricUnit.Seconds, value=behind)
    return report.stamped


def _reconcile(until: datetime) -> dict[str, Any]:
    report = reconcile(app().reconciling(), until=until)
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
