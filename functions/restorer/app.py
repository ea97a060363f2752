"""RestorerFunction: S3's event in, what is restored noted, people told when all of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.app.function import app
from legato.errors import Refused
from legato.lambda_handler import count, lambda_handler, logger
from legato.retrieval.restore.event import read, restored

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@lambda_handler()
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Take an event of S3 from EventBridge; answer with what became of it.

    One that is none is logged and let go: it would be none the next time. If the ledger does not
    answer this fails, and Lambda tries it twice more.
    """
    try:
        told = read(event)
        outcome = restored(told, app().completing)
        logger.info("restore", outcome=outcome, key=told.key, version_id=told.version_id)
    except Refused as error:
        outcome = "Refused"
        logger.error("no event of a restore", reason=str(error))
    count(f"Restore{outcome}")
    return {"outcome": outcome}
