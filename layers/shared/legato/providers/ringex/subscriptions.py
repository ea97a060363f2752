"""RingCentral's webhook subscriptions, and what ours must look like.

Rules: https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks. The token
can be set only when creating: a PUT ignores it, and deliveries come without any.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import httpx

from legato.errors import NotYet, Retry
from legato.model import parse_time
from legato.ports import Subscription
from legato.providers.client import web_client

if TYPE_CHECKING:
    from legato.model import Json
    from legato.providers.ringex.api import RingexApi

PATH = "/restapi/v1.0/subscription"
SESSIONS = "/restapi/v1.0/account/~/telephony/sessions"
# The ends of calls; which recordings they have, of which the ends need not tell; and reminders that
# the subscription ends. Reminders need no handling: they show in RingCentral's own log, and the
# keeper looks by itself.
FILTERS = (
    f"{SESSIONS}?statusCode=Disconnected",
    f"{SESSIONS}?statusCode=Gone",
    f"{SESSIONS}?withRecordings=true",
    f"{PATH}/~?threshold=259200&interval=43200",
)
REMINDER_SECONDS = 2 * 259200
"""A shorter subscription than this may have no such reminder: it would be refused (SUB-516)."""

HANDSHAKES = 3
HANDSHAKE_TIMEOUT = httpx.Timeout(10.0, connect=5.0)

type Filter = tuple[str, frozenset[tuple[str, str]]]


class RingexSubscriptions:
    """`api` must always speak for the same user: RingCentral shows each user only its own."""

    def __init__(self, api: RingexApi) -> None:
        self._api = api

    def list(self) -> list[Subscription]:
        """Return what RingCentral lists; it keeps at most 30, so there is one page."""
        answer = self._api.get(PATH, {})
        records = answer.get("records")
        if not isinstance(records, list):
            raise Retry("the list of subscriptions has no records")
        return [_read(each) for each in records if _is_webhook(each)]

    def create(self, *, address: str, token: str, seconds: int) -> Subscription:
        """Create one. RingCentral shakes hands with the address before it answers."""
        mode = {"transportType": "WebHook", "address": address, "verificationToken": token}
        body = {
            "eventFilters": list(_wanted(seconds)),
            "expiresIn": seconds,
            "deliveryMode": mode,
        }
        return _read(self._api.send("POST", PATH, body))

    def renew(self, name: str) -> Subscription:
        """Renew it with the lifetime that was chosen when it was created."""
        return _read(self._api.send("POST", f"{PATH}/{name}/renew"))

    def delete(self, name: str) -> None:
        try:
            self._api.send("DELETE", f"{PATH}/{name}")
        except NotYet:
            return


def shake_hands(address: str, *, transport: httpx.BaseTransport | None = None) -> None:
    """Wake a webhook up with the request by which RingCentral tries it, a few times.

    So no cold start falls into RingCentral's three seconds.
    """
    with web_client(transport=transport, timeout=HANDSHAKE_TIMEOUT) as client:
        for _ in range(HANDSHAKES):
            try:
                client.post(address, headers={"Validation-Token": str(uuid.uuid4())})
            except httpx.HTTPError:
                # RingCentral may reach what we cannot, and says why when it cannot either.
                return


def first_user(secret: Json) -> Json:
    """Return the secret's part for RingCentral with the first of several users alone.

    A subscription belongs to the user that made it, and nobody else sees it.
    """
    jwt = secret.get("jwt")
    return {**secret, "jwt": jwt[:1]} if isinstance(jwt, list) else secret


def _wanted(seconds: float) -> tuple[str, ...]:
    return FILTERS if seconds >= REMINDER_SECONDS else FILTERS[:-1]


def _is_webhook(record: Any) -> bool:
    mode = record.get("deliveryMode") if isinstance(record, dict) else None
    return isinstance(mode, dict) and mode.get("transportType") == "WebHook"


def _read(record: Json) -> Subscription:
    try:
        return Subscription(
            id=record["id"],
            address=record["deliveryMode"]["address"],
            expires_at=parse_time(record["expirationTime"]),
            flaw=_flaw(record),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Retry(f"a subscription cannot be read: {type(error).__name__}: {error}") from error


def _flaw(record: Json) -> str | None:
    """Say why it does not bring what it should, in words that stay the same until that changes."""
    if record.get("status", "Active") != "Active":
        data = record.get("blacklistedData")
        reason = data.get("reason") if isinstance(data, dict) else None
        return f"{record['status']}: {reason or 'no reason given'}"
    if disabled := record.get("disabledFilters"):
        named = sorted(f"{each.get('filter')} ({each.get('reason')})" for each in disabled)
        return f"disabled filters: {', '.join(named)}"
    present = {_filter(each) for each in record.get("eventFilters", [])}
    missing = [each for each in FILTERS[:-1] if _filter(each) not in present]
    return f"missing filters: {', '.join(missing)}" if missing else None


def _filter(text: str) -> Filter:
    """Compare filters by what they mean: RingCentral writes the account's number for `~`."""
    path, _, query = text.partition("?")
    return re.sub(r"/account/[^/]+", "/account/~", path), frozenset(parse_qsl(query))
