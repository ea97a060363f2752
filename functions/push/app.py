"""PushFunction: a recording in an HTTP request in, a short answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.app.push import receiver
from legato.discovery.push import Push
from legato.lambda_handler import count, lambda_handler, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler(traced=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an API Gateway HTTP API event, payload version 2.0."""
    reply = receiver()(Push.of(event))
    count(f"Push{reply.outcome}")
    log = logger.error if reply.status >= 500 else logger.info
    log("push", extra={"outcome": reply.outcome, **reply.logged})
    return reply.to_gateway()
