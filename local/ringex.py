"""Sets RingEX up as an operator would. The keeper subscribes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OPERATOR_EXTENSION = "401555101"
# A minute of RingCentral's lasts a second here: the same rules, in a time that one can watch.
SHORT_LIMITS = {
    "Light": {"limit": 50, "window": 1, "penalty": 1},
    "Medium": {"limit": 40, "window": 1, "penalty": 1},
    "Heavy": {"limit": 10, "window": 1, "penalty": 1},
    "Auth": {"limit": 5, "window": 1, "penalty": 1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Made up anew for every run."""

    client_id: str
    client_secret: str
    jwt: str

    def secret(self) -> dict[str, Any]:
        """Return what the secret of the credentials holds of them: RingEX and RingCX share them."""
        part = {"clientId": self.client_id, "clientSecret": self.client_secret, "jwt": self.jwt}
        return {"ringex": part, "ringcx": part}


def invent_credentials() -> Credentials:
    return Credentials(
        client_id="legato-local",
        client_secret=secrets.token_urlsafe(24),
        jwt=f"local.{secrets.token_urlsafe(48)}",
    )


def settings(credentials: Credentials, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the simulator's configuration; `given` goes over it."""
    return {
        "clientId": credentials.client_id,
        "clientSecret": credentials.client_secret,
        "jwts": {credentials.jwt: OPERATOR_EXTENSION},
        "limits": SHORT_LIMITS,
        **given,
    }


def parameters(url: str) -> dict[str, str]:
    """Return what the template wants to know."""
    return {"RingexUrl": url}
