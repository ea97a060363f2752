"""Put together what holds calls, and what the commands need that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.aws.accesses import DynamoAccesses
from legato.aws.bucket import S3Archive
from legato.aws.catalogue import DynamoCatalogue
from legato.aws.clients import client
from legato.aws.ledger import DynamoLedger
from legato.bootstrap.post import post, sender
from legato.clock import SystemClock
from legato.evidence.legal_hold import Holding

if TYPE_CHECKING:
    import httpx

    from legato.config import HolderSettings
    from legato.model import Json

S3_SECONDS = 6


def holding(settings: HolderSettings) -> Holding:
    """Return what HolderFunction needs."""
    ledger, clock = DynamoLedger(client("dynamodb"), table=settings.table), SystemClock()
    return Holding(
        archive=S3Archive(
            client("s3", read_timeout=S3_SECONDS),
            bucket=settings.bucket,
            lock=settings.retention.longest,
            clock=clock,
        ),
        ledger=ledger,
        notes=ledger,
        clock=clock,
        accesses=DynamoAccesses(client("dynamodb"), table=settings.table),
        catalogue=DynamoCatalogue(client("dynamodb"), table=settings.table),
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """HolderFunction behind its address, asked in the name of whose AWS identity this is."""

    url: str
    http: httpx.Client

    def ask(self, request: Json) -> Json:
        """Return the answer. Raises Refused for a wrong request, Failed, Retry if unfinished."""
        return post(self.url, request, self.http)


def asking(url: str) -> Holder:
    """Return who asks HolderFunction at this address."""
    return Holder(url, sender())
