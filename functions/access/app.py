"""AccessFunction: a signed request in, a record of who looks at which calls and why, its key out.

API Gateway has checked the signature and says whose it is, so nobody speaks for somebody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.api_request import request
from legato.app.function import app
from legato.lambda_handler import count, lambda_handler, logger

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an API Gateway HTTP API event, payload version 2.0, of a route with AWS_IAM."""
    body, caller = request(event)
    reply = app().access_log.answer(body, by=caller)
    count(f"Access{reply.outcome}")
    log = logger.error if reply.status >= 500 else logger.info
    log("access", extra={"outcome": reply.outcome, **reply.logged})
    return reply.to_gateway()
