"""Webhook subscriptions: made in one breath with a handshake, then kept until they expire.

Rules: https://developers.ringcentral.com/guide/notifications/webhooks/creating-webhooks, error
codes: https://developers.ringcentral.com/guide/basics/errors. Two traps are reproduced on purpose:
the token can be set only when creating, and a field named `validationToken` is ignored, so that
deliveries come without a token.
"""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from local.simulators.ringex import webhooks
from local.simulators.ringex.config import Config
from local.simulators.ringex.oauth import Session
from local.simulators.ringex.problems import Problem, bad_parameter, not_found
from local.simulators.ringex.stats import Stats
from local.simulators.settings import Json
from local.simulators.times import Clock, write

DEFAULT_SECONDS = 7 * 24 * 3600
MAX_SECONDS = 10 * 365 * 24 * 3600
MAX_SUBSCRIPTIONS = 30
_REMINDER = "/restapi/v1.0/subscription/~"
# A 64-character digest and a URL-safe base64 token were both refused in the field.
_TOKEN = re.compile(r"[0-9A-Za-z]{1,32}")


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    """One webhook. `failing_since` is when deliveries began to fail without one success."""

    id: str
    who: str
    user: str
    filters: list[str]
    address: str
    token: str | None
    created_at: float
    lifetime: int
    expires_at: float
    blacklisted_at: float | None = None
    reason: str | None = None
    failing_since: float | None = None
    disabled: list[str] = field(default_factory=list)
    """Filters that deliver nothing, because the user lacks a permission."""

    def renew(self, now: float, lifetime: int) -> None:
        """Let it live for so long from now. It does not bring a blacklisted one back."""
        self.lifetime = lifetime
        self.expires_at = now + lifetime


class Subscriptions:
    """All of them, by id."""

    def __init__(self, config: Config, clock: Clock, stats: Stats) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._by_id: dict[str, Subscription] = {}

    def living(self) -> list[Subscription]:
        """Return those that have not expired, the oldest first."""
        now = self._clock()
        return [each for each in self._by_id.values() if each.expires_at > now]

    def of(self, session: Session) -> list[Subscription]:
        """Return those of this user and app, which are all that a client ever sees."""
        return [each for each in self.living() if each.who == session.who]

    def get(self, session: Session, name: str) -> Subscription:
        """Return one. Raises Problem 404."""
        for each in self.of(session):
            if each.id == name:
                return each
        raise not_found("subscriptionId")

    async def create(
        self, session: Session, given: Json, transport: httpx.AsyncBaseTransport
    ) -> Subscription:
        """Check, shake hands and keep. Raises Problem as the platform would."""
        lifetime = _lifetime(given)
        filters = _filters(given, lifetime)
        mode = given.get("deliveryMode")
        if not isinstance(mode, dict) or mode.get("transportType") != "WebHook":
            raise bad_parameter("deliveryMode.transportType", mode)
        token = mode.get("verificationToken")
        if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
            raise bad_parameter("deliveryMode.verificationToken", token)
        if len(self.of(session)) >= MAX_SUBSCRIPTIONS:
            raise Problem(403, "SUB-505", "Subscriptions limit is exceeded")
        address = self._address(mode.get("address"))
        await self._shake_hands(transport, address, token)
        now = self._clock()
        subscription = Subscription(
            id=str(uuid.uuid4()),
            who=session.who,
            user=session.user,
            filters=list(self._resolved(filters, session)),
            address=address,
            token=token,
            created_at=now,
            lifetime=lifetime,
            expires_at=now + lifetime,
        )
        self._by_id[subscription.id] = subscription
        return subscription

    def update(self, session: Session, name: str, given: Json) -> Subscription:
        """Change filters and expiry; everything else is silently ignored, the token too."""
        subscription = self.get(session, name)
        lifetime = _lifetime(given)
        if given:
            filters = _filters(given, lifetime)
            subscription.filters = list(self._resolved(filters, session))
        subscription.renew(self._clock(), lifetime)
        return subscription

    def renew(self, session: Session, name: str) -> Subscription:
        """Renew with the lifetime that was chosen before."""
        subscription = self.get(session, name)
        subscription.renew(self._clock(), subscription.lifetime)
        return subscription

    def delete(self, session: Session, name: str) -> None:
        """Forget one. Raises Problem 404."""
        del self._by_id[self.get(session, name).id]

    def change(
        self, subscription: Subscription, status: str, reason: str, *, disabled: str | None
    ) -> None:
        """Do what the platform does by itself: `Active`, `Blacklisted` for a reason, `Deleted`."""
        blacklisted = status == "Blacklisted"
        subscription.blacklisted_at = self._clock() if blacklisted else None
        subscription.reason = reason if blacklisted else None
        subscription.disabled = [disabled] if disabled else []
        if status == "Deleted":
            del self._by_id[subscription.id]

    def forget(self) -> None:
        """Forget all."""
        self._by_id.clear()

    def render(self, subscription: Subscription, base: str) -> Json:
        """Return a subscription as the platform shows it (`SubscriptionInfo`)."""
        body: Json = {
            "uri": f"{base}/restapi/v1.0/subscription/{subscription.id}",
            "id": subscription.id,
            "eventFilters": subscription.filters,
            "disabledFilters": [
                {
                    "filter": each,
                    "reason": "CMN-408",
                    "message": "In order to call this API endpoint, user needs permission",
                }
                for each in subscription.disabled
            ],
            "expirationTime": write(subscription.expires_at),
            "expiresIn": max(1, int(subscription.expires_at - self._clock())),
            "status": "Active",
            "creationTime": write(subscription.created_at),
            # The token is write-only and never shown.
            "deliveryMode": {
                "transportType": "WebHook",
                "encryption": False,
                "address": subscription.address,
            },
        }
        if subscription.blacklisted_at is not None:
            body["status"] = "Blacklisted"
            body["blacklistedData"] = {
                "blacklistedAt": write(subscription.blacklisted_at),
                "reason": subscription.reason,
            }
        return body

    def _address(self, given: Any) -> str:
        if not isinstance(given, str) or not urlsplit(given).hostname:
            raise bad_parameter("deliveryMode.address", given)
        split = urlsplit(given)
        local = self._config.allow_loopback_http and _is_near(split.hostname or "")
        if split.scheme != "https" and not (split.scheme == "http" and local):
            raise Problem(400, "SUB-523", "HTTPS is required")
        return given

    async def _shake_hands(
        self, transport: httpx.AsyncBaseTransport, address: str, token: str | None
    ) -> None:
        expected = str(uuid.uuid4())
        headers = {"Validation-Token": expected}
        if token is not None:
            headers["Verification-Token"] = token
        seconds = self._config.handshake_seconds
        try:
            answer = await webhooks.post(transport, address, b"", headers, seconds=seconds)
        except webhooks.Unreachable as error:
            self._stats.handshakes["unreachable"] += 1
            if "CERTIFICATE" in str(error).upper():
                raise Problem(400, "SUB-524", "SSL certificate is not valid") from error
            message = f"WebHook is not reachable. {error}"
            raise Problem(400, "SUB-521", message) from error
        self._stats.handshakes[str(answer.status)] += 1
        if answer.status != 200:
            message = f"WebHook responds with incorrect HTTP status. HTTP status is {answer.status}"
            raise Problem(400, "SUB-522", message)
        if answer.oversize:
            raise Problem(400, "SUB-525", webhooks.OVERSIZE)
        if answer.headers.get("validation-token") != expected:
            raise Problem(400, "SUB-520", "Validation-Token header is not returned")
        if not answer.headers.get("content-type", "").startswith("application/json"):
            # The guide asks for it; whether the platform insists is not known.
            self._stats.broke("handshake answered without content type application/json")

    def _resolved(self, filters: list[str], session: Session) -> Iterator[str]:
        for each in filters:
            account = each.replace("/account/~", f"/account/{self._config.account_id}")
            yield account.replace("/extension/~", f"/extension/{session.user}")


def _lifetime(given: Json) -> int:
    seconds = given.get("expiresIn", DEFAULT_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise bad_parameter("expiresIn", seconds)
    if not 1 <= seconds <= MAX_SECONDS:
        raise bad_parameter("expiresIn", seconds)
    return seconds


def _filters(given: Json, lifetime: int) -> list[str]:
    filters = given.get("eventFilters")
    if not isinstance(filters, list) or not filters:
        raise bad_parameter("eventFilters", filters)
    for each in filters:
        if not isinstance(each, str) or not each.startswith("/restapi/v1.0/"):
            raise Problem(400, "SUB-508", "Event filters are not valid", parameterValue=str(each))
    reminders = [each for each in filters if each.startswith(_REMINDER)]
    if len(reminders) == len(filters):
        raise Problem(400, "SUB-515", "Only reminder event filter is specified")
    for each in reminders:
        _check_reminder(each, lifetime)
    return filters


def _check_reminder(reminder: str, lifetime: int) -> None:
    values = parse_qs(urlsplit(reminder).query)
    try:
        threshold, interval = int(values["threshold"][0]), int(values["interval"][0])
    except (KeyError, ValueError):
        threshold = interval = 0
    if not 0 < threshold <= lifetime / 2 or not 0 < interval <= threshold / 2:
        raise Problem(400, "SUB-516", "Reminder event filter parameters are not valid")


def _is_near(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
