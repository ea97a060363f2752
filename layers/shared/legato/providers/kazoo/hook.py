"""Kazoo's webhook: objects of type `call_recording`, with our secret in `custom_data`.

A hook of type `object` says only which document was created or edited. What Kazoo adds of
`custom_data` goes over its own fields, so a secret stands there:
https://github.com/2600hz/kazoo/blob/master/applications/webhooks/doc/events/object.md
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from legato.errors import Refused
from legato.model import Job, Json
from legato.receive import Reply, Request, among, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

TOKEN_FIELD = "legato_token"  # noqa: S105 - a name
MAX_FIELDS = 100

_ID = re.compile(r"[0-9A-Za-z_-]{1,100}")


class KazooHook:
    """`tokens` returns the secrets that are accepted; with `fresh=True` it reads them anew."""

    def __init__(self, tokens: Callable[..., Sequence[str]]) -> None:
        self._tokens = tokens

    def handshake(self, request: Request) -> Reply | None:
        """Return None: Kazoo does not try an address before it uses it."""
        del request
        return None

    def authentic(self, request: Request) -> bool:
        """Compare the secret in constant time. It is a field of the body, whatever its format."""
        try:
            given = str(self.read(request).get(TOKEN_FIELD, "")).encode()
        except Refused:
            return False
        return any(among(given, self._tokens(fresh=fresh)) for fresh in (False, True))

    def read(self, request: Request) -> Json:
        """Return the notification, a form or JSON by the hook's `format`. Raises Refused."""
        if "json" in request.headers.get("content-type", ""):
            return read_json(request.body)
        try:
            pairs = parse_qsl(request.body.decode(), max_num_fields=MAX_FIELDS)
        except ValueError as error:
            raise Refused("the body is not a form") from error
        return dict(pairs)

    def job(self, notification: Json, *, now: datetime) -> Job | None:
        """Return a job that looks up which call the recording belongs to.

        When its document is created, its audio is usually not there yet: the job waits for it.
        """
        if notification.get("type") != "call_recording":
            return None
        recording, account = notification.get("id"), notification.get("account_id")
        if not all(isinstance(name, str) and _ID.fullmatch(name) for name in (recording, account)):
            return None
        if notification.get("action") not in ("doc_created", "doc_edited"):
            return None
        return Job(provider="kazoo", account=str(account), call=str(recording), seen_at=now)
