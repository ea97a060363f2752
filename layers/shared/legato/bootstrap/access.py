"""Put together what keeps the access log, and what the commands write into it with."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import batched
from typing import TYPE_CHECKING

from legato.aws.accesses import DynamoAccesses
from legato.aws.bucket import S3Archive
from legato.aws.clients import client
from legato.aws.ledger import DynamoLedger
from legato.bootstrap.post import post, sender
from legato.clock import SystemClock
from legato.errors import Failed, Refused, Retry
from legato.evidence.access_log import MOST_CALLS, AccessLog

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from legato.config import AccessSettings
    from legato.model import CallId, Json

S3_SECONDS = 6
UNWRITTEN = "nothing was read, because the access log cannot be written"


def access_log(settings: AccessSettings) -> AccessLog:
    """Return what AccessFunction needs."""
    clock = SystemClock()
    return AccessLog(
        archive=S3Archive(
            client("s3", read_timeout=S3_SECONDS),
            bucket=settings.bucket,
            lock=settings.retention.longest,
            clock=clock,
        ),
        notes=DynamoLedger(client("dynamodb"), table=settings.table),
        accesses=DynamoAccesses(client("dynamodb"), table=settings.table),
        clock=clock,
        reason_required=settings.reason_required,
    )


@dataclass(frozen=True, slots=True)
class AccessRecorder:
    """AccessFunction behind its address, told in the name of whose AWS identity this is."""

    url: str
    http: httpx.Client

    def record(
        self,
        action: str,
        calls: Sequence[CallId],
        *,
        reason: str | None = None,
        case: str | None = None,
        details: Json | None = None,
    ) -> Json:
        """Write down what is about to be done with these calls.

        Returns `id`, `at`, `by` and `key` of the record, the first of the `keys` of all: a record
        takes a thousand calls. Raises Refused for what is no access, Failed, Retry; then nothing
        may be read.
        """
        said = {"reason": reason, "case": case, "details": details}
        given = {name: value for name, value in said.items() if value}
        done = [
            self._post({"action": action, "calls": _described(part), **given})
            for part in (batched(calls, MOST_CALLS, strict=False) if calls else ((),))
        ]
        return done[0] | {"keys": [each["key"] for each in done]}

    def _post(self, request: Json) -> Json:
        try:
            return post(self.url, request, self.http)
        except Refused as error:
            if "reason" in request or "`reason` is missing" not in str(error):
                raise
            raise Refused("say why with --reason: it stands in the access log") from error
        except Failed as error:
            raise Failed(f"{UNWRITTEN}: {error}") from error
        except Retry as error:
            raise Retry(f"{UNWRITTEN}: {error}") from error


def asking(url: str) -> AccessRecorder:
    """Return who tells AccessFunction at this address."""
    return AccessRecorder(url, sender())


def _described(calls: Sequence[CallId]) -> list[Json]:
    return [call._asdict() for call in calls]
