"""Our own API, asked in the name of whose AWS identity this is: each request is signed with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from legato.aws.stack import Sign, signer
from legato.errors import Failed, NotFound, NotPermitted, Refused, Retry
from legato.evidence.access_log import MOST_CALLS
from legato.providers.client import web_client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.model import CallId, Json

ANSWER_SECONDS = 35
"""API Gateway itself gives up after 30."""
UNWRITTEN = "nothing was read, because the access log cannot be written"


_sender = partial(web_client, timeout=ANSWER_SECONDS)


@dataclass(frozen=True, slots=True)
class Holder:
    """HolderFunction behind its address."""

    url: str
    http: httpx.Client = field(default_factory=_sender)
    sign: Sign = field(default_factory=signer)

    def ask(self, request: Json) -> Json:
        """Return the answer. Raises Refused for a wrong request, Failed, Retry if unfinished."""
        return _post(self.url, request, self.http, self.sign)


@dataclass(frozen=True, slots=True)
class AccessRecorder:
    """AccessFunction behind its address."""

    url: str
    http: httpx.Client = field(default_factory=_sender)
    sign: Sign = field(default_factory=signer)

    def record(
        self,
        action: str,
        calls: Sequence[CallId],
        *,
        reason: str | None = None,
        details: Json | None = None,
    ) -> Json:
        """Write down what is about to be done with these calls.

        Returns `id`, `at`, `by` and `key` of the record, the first of the `keys` of all: a record
        takes a thousand calls. Raises Refused for what is no access, Failed, Retry; then nothing
        may be read.
        """
        said = {"reason": reason, "details": details}
        given = {name: value for name, value in said.items() if value}
        done = [
            self._post({"action": action, "calls": [call._asdict() for call in part], **given})
            for part in (batched(calls, MOST_CALLS, strict=False) if calls else ((),))
        ]
        return done[0] | {"keys": [each["key"] for each in done]}

    def _post(self, request: Json) -> Json:
        try:
            return _post(self.url, request, self.http, self.sign)
        except Refused as error:
            if "reason" in request or "`reason` is missing" not in str(error):
                raise
            raise Refused("give a --reason: the access log keeps it") from error
        except Failed as error:
            raise Failed(f"{UNWRITTEN}: {error}") from error
        except Retry as error:
            raise Retry(f"{UNWRITTEN}: {error}") from error


def _post(url: str, request: Json, http: httpx.Client, sign: Sign) -> Json:
    """Return the answer. Raises Refused for a wrong request, Failed, Retry if unfinished."""
    sent = http.build_request("POST", url, json=request)
    sent.headers.update(sign("POST", url, sent.content))
    try:
        response = http.send(sent)
    except httpx.HTTPError as error:
        raise Retry(f"{url} does not answer: {type(error).__name__}") from error
    said = _json(response)
    if response.is_success:
        return said
    # API Gateway's own refusals have a word of theirs, or a sentence about permissions.
    reason = said.get("message") or said.get("Message") or f"HTTP {response.status_code}"
    if response.status_code == 403 and (reason == "Forbidden" or "execute-api" in reason):
        raise NotPermitted(
            f"AWS does not permit execute-api:Invoke on POST {urlsplit(url).path}: "
            "docs/permissions.md lists what the command needs"
        )
    if response.status_code in (400, 404):
        raise (Refused if response.status_code == 400 else NotFound)(reason)
    if response.status_code == 429 or response.status_code >= 500:
        raise Retry(f"{reason}: run the same command again")
    raise Failed(reason)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
