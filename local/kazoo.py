"""Sets Kazoo up: an API key of the first account, a reseller's, which sees the second one too."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from legato.discovery.push import KAZOO_PUSH_KEY, token_of
from local.endpoints import EVENTS_TOKEN

ACCOUNTS = ["5a2d994fbae69b1d6b01eb9f0e7dfe62", "c1f8e3d7a9b04562938475acde102f36"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The API key is made up anew for every run. Push URLs are made with the push key."""

    api_key: str
    push_key: str

    def secret(self) -> dict[str, Any]:
        """Return what the secret of the credentials holds of them."""
        return {"kazoo": {"apiKey": self.api_key}}

    def tokens(self) -> dict[str, str]:
        """Return what the secret of the inbound tokens holds of them."""
        return {KAZOO_PUSH_KEY: self.push_key}


def invent_credentials() -> Credentials:
    return Credentials(api_key=secrets.token_hex(32), push_key=EVENTS_TOKEN)


def push_urls(credentials: Credentials, address: str, accounts: Sequence[str]) -> dict[str, str]:
    """Return where each account pushes its recordings."""
    return {each: f"{address}/{token_of(each, credentials.push_key)}" for each in accounts}


def settings(credentials: Credentials, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the simulator's configuration; `given` goes over it."""
    reseller = ACCOUNTS[0]
    return {
        "accounts": ACCOUNTS,
        "resellers": [reseller],
        "apiKeys": {credentials.api_key: reseller},
        **given,
    }


def parameters(url: str, configured: Mapping[str, Any]) -> dict[str, str]:
    """Return what the template wants to know. `configured` are the simulator's settings."""
    accounts = configured["accounts"]
    below = [each for each in configured["resellers"] if each in accounts]
    ids = f"{below[0]}/*" if below else ",".join(accounts)
    return {"KazooUrl": f"{url}/v2", "KazooAccountIds": ids}
