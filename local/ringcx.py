"""Sets RingCX up: its simulator asks RingEX's, which mints the tokens, who somebody is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A minute of RingCX's lasts a second here, so fifteen of them last fifteen.
SHORT_LIMITS = {
    "Metadata": [{"limit": 3, "window": 1}, {"limit": 9, "window": 15}],
    "Recordings": [{"limit": 120, "window": 1}],
    "Exchange": [{"limit": 5, "window": 1}],
}


def settings(platform_url: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the simulator's configuration; `given` goes over it."""
    return {
        "platformUrl": platform_url,
        "subAccounts": ["21550001", "21550002"],
        "limits": SHORT_LIMITS,
        "tooFreshSeconds": 0,
        **given,
    }


def parameters(url: str, configured: Mapping[str, Any]) -> dict[str, str]:
    """Return what the template wants to know. `configured` are the simulator's settings."""
    return {"RingcxUrl": url, "RingcxSubAccountIds": ",".join(configured["subAccounts"])}
