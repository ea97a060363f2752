"""Sets Kazoo up: an API key of the first account, a reseller's, which sees the second one too."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

ACCOUNTS = ["5a2d994fbae69b1d6b01eb9f0e7dfe62", "c1f8e3d7a9b04562938475acde102f36"]


def invent_api_key() -> str:
    """Return a key like no other run's."""
    return secrets.token_hex(32)


def settings(api_key: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the simulator's configuration; `given` goes over it."""
    reseller = ACCOUNTS[0]
    return {
        "accounts": ACCOUNTS,
        "resellers": [reseller],
        "apiKeys": {api_key: reseller},
        **given,
    }


def parameters(url: str, configured: Mapping[str, Any]) -> dict[str, str]:
    """Return what the template wants to know. `configured` are the simulator's settings."""
    return {"KazooUrl": f"{url}/v2", "KazooAccountIds": ",".join(configured["accounts"])}


def credentials(api_key: str) -> dict[str, str]:
    """Return the secret's part."""
    return {"apiKey": api_key}
