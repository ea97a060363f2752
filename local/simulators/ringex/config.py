"""What can be set: the account, who may log in, the limits, and how unpleasant the platform is.

All but the identity can be changed while running, with `POST /_sim/settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from local.simulators.settings import BadInput, Reader, Settings, digits, jwts, number_or_null


@dataclass(frozen=True, slots=True)
class Limit:
    """A sliding window: `limit` requests in `window` seconds, else `penalty` seconds of 429."""

    limit: int
    window: float
    penalty: float


def _documented_limits() -> dict[str, Limit]:
    """Return the defaults of https://developers.ringcentral.com/guide/basics/rate-limits."""
    return {
        "Light": Limit(50, 60, 60),
        "Medium": Limit(40, 60, 60),
        "Heavy": Limit(10, 60, 60),
        "Auth": Limit(5, 60, 60),
    }


@dataclass(kw_only=True)
class Config(Settings):
    """The settings of one simulator, with values as the documentation or the field has them."""

    READERS: ClassVar[Mapping[str, Reader]] = {
        "account_id": digits,
        "jwts": jwts,
        "limits": lambda _key, given, present: present | _limits(given),
        "blacklist_seconds": number_or_null,
    }

    account_id: str = "401555000"
    client_id: str = "legato-local-client"
    client_secret: str = "legato-local-secret"
    jwts: dict[str, str] = field(default_factory=lambda: {"legato-local-jwt": "401555101"})
    """The extension id of the user behind each JWT."""
    scopes: str = (
        "ReadAccounts ReadCallLog ReadCallRecording EditCallLog CallControl SubscriptionWebhook"
    )
    user_permissions: str = "ReadCompanyCallLog ReadCallRecording"
    """What the users' roles permit, beside what the app may do."""
    jwt_flow: bool = True
    """Whether the app takes JWTs. One that was made for another flow does not."""
    limits: dict[str, Limit] = field(default_factory=_documented_limits)
    token_seconds: float = 3600
    """How long an access token lives, unless the client asks for another `access_token_ttl`."""
    sessions_per_user: int = 5
    sync_token_seconds: float = 7 * 24 * 3600
    """How long a token of `call-log-extract-sync` can be used. Undocumented."""
    log_lag: float = 2
    """Seconds until an ended call is listed. Really 15 to 30, too long to watch on a laptop."""
    session_kept: float = 30
    """Seconds for which an ended session can still be asked for. Undocumented."""
    min_recording_seconds: float = 0
    """A shorter leg becomes a `shortRecording` without audio. Really 30, too long for samples."""
    shuffle: bool = False
    duplicate_share: float = 0
    """How many of all notifications come twice, 0 to 1."""
    seed: int = 1
    """Makes the shuffling and duplicating repeatable."""
    deliveries_at_once: int = 16
    handshake_seconds: float = 3
    """How long a webhook may take to answer, in handshakes and deliveries."""
    blacklist_seconds: float | None = 600
    """Failing this long in a row blacklists a subscription; `null`: never."""
    allow_loopback_http: bool = True
    """Accept a webhook at http:// on this machine or its private network, where containers see it.

    The platform itself would refuse it (SUB-523).
    """


def _limits(given: Any) -> dict[str, Limit]:
    known = _documented_limits()
    if not isinstance(given, dict):
        raise BadInput("limits: must be an object by group")
    limits = {}
    for group, values in given.items():
        if group not in known:
            raise BadInput(f"limits.{group}: unknown group; known are {', '.join(known)}")
        try:
            limits[group] = Limit(
                limit=int(values["limit"]),
                window=float(values.get("window", 60)),
                penalty=float(values.get("penalty", 60)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"limits.{group}: needs limit, window and penalty") from error
    return limits
