"""Put together what calls are restored with, and what S3's events of it are noted with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.ledger import DynamoLedger
from legato.aws.library import S3Library
from legato.aws.mail import SnsMail
from legato.clock import SystemClock
from legato.retrieval.restore.event import Completing
from legato.retrieval.restore.survey import Restoring

if TYPE_CHECKING:
    from legato.config import RestorerSettings


def completing(settings: RestorerSettings) -> Completing:
    """Return what RestorerFunction needs."""
    topic = settings.topic
    return Completing(
        notes=DynamoLedger(client("dynamodb"), table=settings.table),
        clock=SystemClock(),
        mail=SnsMail(client("sns"), topic=topic) if topic else None,
    )


def restoring(*, bucket: str, table: str) -> Restoring:
    """Return what restores are asked for with, for this bucket and this ledger."""
    return Restoring(
        library=S3Library(client("s3", read_timeout=60), bucket=bucket),
        notes=DynamoLedger(client("dynamodb"), table=table),
        clock=SystemClock(),
    )
