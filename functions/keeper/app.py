"""KeeperFunction: a schedule, a wish or CloudFormation calls; the subscription is looked after.

CloudFormation is always told SUCCESS: a deployment must not fail because the credentials are not
filled in yet, nor a deletion because the provider is down. What went wrong stands in the reason
that it shows, in the log, and in the metrics.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.logging.utils import copy_config_to_registered_loggers
from aws_lambda_powertools.metrics import MetricUnit

from legato.bootstrap import Lodge, keeper
from legato.discovery.subscription import KeepReport, keep, unsubscribe
from legato.printable import log_line

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(json_serializer=log_line)
metrics = Metrics()
tracer = Tracer()
logging.getLogger("legato")
copy_config_to_registered_loggers(source_logger=logger, include={"legato"})


@cache
def lodge() -> Lodge:
    """Return what this process works with, made at the first event."""
    return keeper()


@logger.inject_lambda_context
@metrics.log_metrics
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take CloudFormation's event of a custom resource, `{"rotate": true}`, or any other."""
    if "RequestType" in event:
        return _stack_changes(event)
    return _reported(keep(lodge().keeping, rotate=event.get("rotate") is True))


def _stack_changes(event: dict[str, Any]) -> dict[str, Any]:
    """Keep on Create and Update, unsubscribe on Delete. The address is the resource's id.

    Another address on an Update makes another resource, and CloudFormation deletes the old one.
    """
    keeping = lodge().keeping
    name = keeping.policy.address
    try:
        if event["RequestType"] == "Delete":
            name = event["PhysicalResourceId"]
            # A resource whose creation was never answered has a name of CloudFormation's making.
            is_address = name.startswith("http")
            report = unsubscribe(keeping, address=name if is_address else keeping.policy.address)
        else:
            report = keep(keeping, reopen=True)
    except Exception as error:
        logger.exception("unforeseen error")
        report = KeepReport(healthy=False)
        report.failed(f"unforeseen: {type(error).__name__}")
    answer = _reported(report)
    lodge().answer(event, physical_id=name, reason="; ".join(report.reasons) or "all is well")
    return answer


def _reported(report: KeepReport) -> dict[str, Any]:
    for name, count in report.counts.items():
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=count)
    if report.healthy is not None:
        healthy = int(report.healthy)
        metrics.add_metric(name="SubscriptionHealthy", unit=MetricUnit.Count, value=healthy)
    log = logger.error if report.counts["KeeperFailed"] else logger.info
    log("subscription", id=report.subscription, healthy=report.healthy, reasons=report.reasons)
    return {
        "healthy": report.healthy,
        "subscription": report.subscription,
        "counts": dict(report.counts),
        "reasons": report.reasons,
    }
