"""What can be set: the account, who may log in, the limits, and how unpleasant the platform is.

Every field is a key of the configuration in camelCase (`log_lag` is `logLag`). All but the
identity can be changed while running, with `POST /_sim/settings`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

type Json = dict[str, Any]


class BadInput(ValueError):
    """The configuration or a control request is wrong; the message names the field."""


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


@dataclass(slots=True, kw_only=True)
class Config:
    """The settings of one simulator, with values as the documentation or the field has them."""

    account_id: str = "401555000"
    client_id: str = "legato-local-client"
    client_secret: str = "legato-local-secret"
    jwts: dict[str, str] = field(default_factory=lambda: {"legato-local-jwt": "401555101"})
    """The extension id of the user behind each JWT."""
    scopes: str = "ReadCallLog ReadCallRecording EditCallLog CallControl SubscriptionWebhook"
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

    @classmethod
    def from_json(cls, given: Json) -> Config:
        """Read a configuration. Raises BadInput for an unknown key or a wrong type."""
        config = cls()
        config.update(given)
        return config

    def update(self, given: Json) -> None:
        """Change these settings. Raises BadInput and changes nothing when one of them is wrong."""
        names = {_camel(each.name): each.name for each in fields(self)}
        changes = {}
        for key, value in given.items():
            if key not in names:
                raise BadInput(f"{key}: unknown setting; known are {', '.join(sorted(names))}")
            changes[names[key]] = self._checked(key, names[key], value)
        for name, value in changes.items():
            setattr(self, name, value)

    def _checked(self, key: str, name: str, value: Any) -> Any:
        present = getattr(self, name)
        if name == "limits":
            return self.limits | _limits(value)
        if name == "blacklist_seconds" and value is None:
            return None
        if name == "jwts":
            if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
                raise BadInput("jwts: must map each JWT to an extension id")
            return value
        if name == "account_id" and not (isinstance(value, str) and value.isdecimal()):
            raise BadInput(f"accountId: {value!r} is not a number in a string")
        number = not isinstance(value, bool) and isinstance(value, int | float) and value >= 0
        if isinstance(present, bool):
            fits = isinstance(value, bool)
        elif isinstance(present, int | float) or present is None:
            fits = number
        else:
            fits = isinstance(value, str)
        if not fits:
            raise BadInput(f"{key}: {value!r} does not fit; the default is {present!r}")
        return value


def load_config(text: str | None) -> Config:
    """Read a configuration from a JSON file, or from JSON itself when it starts with a brace."""
    if text is None:
        return Config()
    try:
        given = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except ValueError as error:
        raise BadInput(f"the configuration is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise BadInput("the configuration is not a JSON object")
    return Config.from_json(given)


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


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
