"""RemoverFunction: a schedule's event in, what is proven to be archived removed at the provider."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from legato.app.function import app
from legato.lambda_handler import count_all, lambda_handler, logger, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from legato.errors import LegatoError


@lambda_handler()
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take `{"provider": …}`, or nothing for all; answer with what was done, by provider.

    Fails when our own archive could not be asked, so that the alarm fires.
    """
    done: dict[str, Any] = {}
    faults: list[LegatoError] = []
    for work in app().removals(event.get("provider")):
        left = timedelta(milliseconds=context.get_remaining_time_in_millis())
        report = work.run(until=work.clock.now() + left)
        provider = work.source.name
        if done:
            metrics.flush_metrics()  # each provider's are its own
        metrics.add_dimension(name="provider", value=provider)
        count_all(report.counts)
        if report.stopped:
            reason = str(report.stopped)
            logger.warning("the removal ended early", provider=provider, reason=reason)
        done[provider] = dict(report.counts)
        faults += report.faults
    if faults:
        raise faults[0]
    return done
