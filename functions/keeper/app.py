"""KeeperFunction: a schedule, a wish or CloudFormation calls; the subscription is looked after.

CloudFormation is always told SUCCESS: a deployment must not fail because the credentials are not
filled in yet, nor a deletion because the provider is down. What went wrong stands in the reason
that it shows, in the log, and in the metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.app.custom_resource import answer
from legato.app.function import app
from legato.discovery.subscription import KeepReport
from legato.lambda_handler import count, count_all, lambda_handler, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take CloudFormation's event of a custom resource, a wish of the command, or any other.

    The wishes are `{"rotate": true}`, `{"subscribe": true}` after `legato uninstall` has gone back,
    and `{"unsubscribe": true}` before the stack is deleted.
    """
    if "RequestType" in event:
        return _stack_changes(event)
    keeper = app().keeper()
    if event.get("unsubscribe") is True:
        return _reported(keeper.unsubscribe(keeper.address))
    reopen = event.get("subscribe") is True
    return _reported(keeper.keep(rotate=event.get("rotate") is True, reopen=reopen))


def _stack_changes(event: dict[str, Any]) -> dict[str, Any]:
    """Keep on Create and Update, unsubscribe on Delete. The address is the resource's id.

    Another address on an Update makes another resource, and CloudFormation deletes the old one.
    """
    keeper = app().keeper()
    name = keeper.address
    try:
        if event["RequestType"] == "Delete":
            name = event["PhysicalResourceId"]
            # A resource whose creation was never answered has a name of CloudFormation's making.
            is_address = name.startswith("http")
            report = keeper.unsubscribe(name if is_address else keeper.address)
        else:
            report = keeper.keep(reopen=True)
    except Exception as error:
        logger.exception("unforeseen error")
        report = KeepReport(healthy=False)
        report.failed(f"unforeseen: {type(error).__name__}")
    answered = _reported(report)
    answer(event, physical_id=name, reason="; ".join(report.reasons) or "all is well")
    return answered


def _reported(report: KeepReport) -> dict[str, Any]:
    count_all(report.counts)
    if report.healthy is not None:
        healthy = int(report.healthy)
        count("SubscriptionHealthy", healthy)
    log = logger.error if report.counts["KeeperFailed"] else logger.info
    log("subscription", id=report.subscription, healthy=report.healthy, reasons=report.reasons)
    return {
        "healthy": report.healthy,
        "subscription": report.subscription,
        "counts": dict(report.counts),
        "reasons": report.reasons,
    }
