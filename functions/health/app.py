"""HealthFunction: a schedule's event in, what changed of what needs a person out by mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.app.function import app
from legato.lambda_handler import count, lambda_handler, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take any event; answer with how much needs a person, and what changed.

    There is no `Heartbeat` while something cannot be read, and the alarm that misses it fires.
    """
    report = app().check_health()
    count("NeedsPerson", report.needs)
    for what, error in report.unknown.items():
        logger.error("not known", what=what, reason=str(error))
    if report.fault is not None:
        raise report.fault
    if not report.unknown:
        count("Heartbeat")
    return {
        "needs": report.needs,
        "new": report.new,
        "over": report.over,
        "mailed": report.mailed,
        "unknown": sorted(report.unknown),
    }
