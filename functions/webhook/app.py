"""WebhookFunction: an HTTP request in, an answer of at most 1,024 bytes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.api_request import Request
from legato.app.webhook import receiver
from legato.lambda_handler import count, lambda_handler, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler(traced=False)
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an API Gateway HTTP API event, payload version 2.0."""
    reply = receiver()(Request.of(event))
    count(f"Notification{reply.outcome}")
    log = logger.error if reply.status >= 500 else logger.info
    log("notification", extra={"outcome": reply.outcome, **reply.logged})
    return reply.to_gateway()
