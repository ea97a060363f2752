"""Put together what holds calls, and what the commands need that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from legato.aws.bucket import S3Archive
from legato.aws.clients import client
from legato.aws.stack import signed
from legato.bootstrap.shared import tools
from legato.errors import Failed, Refused, Retry
from legato.hold import Holding

if TYPE_CHECKING:
    from legato.model import Json
    from legato.settings import HolderSettings

S3_SECONDS = 6
ANSWER_SECONDS = 35
"""API Gateway itself gives up after 30."""
FORBIDDEN = (
    "AWS does not permit execute-api:Invoke on POST /holds: docs/operations.md lists what the "
    "command needs"
)


def holding(settings: HolderSettings) -> Holding:
    """Return what HolderFunction needs."""
    made = tools(secret=settings.secret, table=settings.table)
    return Holding(
        archive=S3Archive(
            client("s3", read_timeout=S3_SECONDS),
            bucket=settings.bucket,
            lock=settings.retention.longest,
            clock=made.clock,
        ),
        ledger=made.ledger,
        notes=made.ledger,
        clock=made.clock,
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """HolderFunction behind its address, asked in the name of whose AWS identity this is."""

    url: str
    http: httpx.Client

    def ask(self, request: Json) -> Json:
        """Return the answer. Raises Refused for a wrong request, Failed, Retry if unfinished."""
        sent = self.http.build_request("POST", self.url, json=request)
        sent.headers.update(signed("POST", self.url, sent.content))
        try:
            response = self.http.send(sent)
        except httpx.HTTPError as error:
            raise Retry(f"{self.url} does not answer: {type(error).__name__}") from error
        said = _json(response)
        if response.is_success:
            return said
        # API Gateway's own refusals have a word of theirs, or a sentence about permissions.
        reason = said.get("message") or said.get("Message") or f"HTTP {response.status_code}"
        if response.status_code == 403 and (reason == "Forbidden" or "execute-api" in reason):
            raise Failed(FORBIDDEN)
        if response.status_code in (400, 404):
            raise Refused(reason)
        if response.status_code >= 500:
            raise Retry(f"{reason}: run the same command again")
        raise Failed(reason)


def asking(url: str) -> Holder:
    """Return who asks HolderFunction at this address."""
    return Holder(url, httpx.Client(timeout=ANSWER_SECONDS))


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
