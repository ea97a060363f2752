"""What can be set: the accounts, who may log in, the token bucket, and which Kazoo this is.

All but the identity can be changed while running, with `POST /_sim/settings`. A recording keeps the
database of the version that it was placed under.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from local.simulators.settings import BadInput, Reader, Settings, one_of

FIRST = "4c2f7a51b0d94e6f8a3c5d7e9f1b2c3d"
SECOND = "9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b"
KEY_LENGTH = 64
_ACCOUNT = re.compile(r"[0-9a-f]{32}")


def _account(key: str, given: Any) -> str:
    if not isinstance(given, str) or not _ACCOUNT.fullmatch(given):
        raise BadInput(f"{key}: {given!r} is not an id of 32 hexadecimal digits")
    return given


def _accounts(key: str, given: Any, _present: Any) -> list[str]:
    if not isinstance(given, list) or not given:
        raise BadInput(f"{key}: must be a list of ids")
    return [_account(key, each) for each in given]


def _resellers(key: str, given: Any, present: Any) -> list[str]:
    return [] if given == [] else _accounts(key, given, present)


def _by_login(key: str, given: Any, _present: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise BadInput(f"{key}: must map each to an account")
    return {name: _account(key, account) for name, account in given.items()}


def _api_keys(key: str, given: Any, present: Any) -> dict[str, str]:
    keys = _by_login(key, given, present)
    if any(len(each) != KEY_LENGTH for each in keys):
        raise BadInput(f"{key}: a key has {KEY_LENGTH} characters")
    return keys


@dataclass(kw_only=True)
class Config(Settings):
    """The settings of one simulator, with the defaults of https://github.com/2600hz/kazoo."""

    READERS: ClassVar[Mapping[str, Reader]] = {
        "accounts": _accounts,
        "resellers": _resellers,
        "api_keys": _api_keys,
        "users": _by_login,
        "version": one_of("4.3", "master"),
        "not_stored": one_of("404", "empty"),
    }

    accounts: list[str] = field(default_factory=lambda: [FIRST, SECOND])
    resellers: list[str] = field(default_factory=lambda: [FIRST])
    """The accounts whose log-ins see all accounts, not only their own."""
    api_keys: dict[str, str] = field(
        default_factory=lambda: {"legato-local-key".ljust(KEY_LENGTH, "0"): FIRST}
    )
    """The account behind each API key."""
    users: dict[str, str] = field(default_factory=lambda: {"ada@example.com:secret": FIRST})
    """The account behind each `user:password`."""
    version: str = "4.3"
    """Where month ends fall between two databases (calls.py), and what is told of stored audio."""
    token_seconds: float = 3600
    """How long an auth token lives (`token_auth_expiry_s`)."""
    bucket_tokens: float = 100
    """What a bucket holds when it is full."""
    tokens_per_second: float = 10
    """Poured in at once, each whole second after the bucket's first request."""
    request_cost: float = 1
    login_cost: float = 35
    page_size: float = 50
    maximum_range: float = 2_682_000
    """Seconds between `created_from` and `created_to`, at most."""
    active_months: float = 6
    """Older databases of months are gone, and all recordings with them."""
    save_lag: float = 0
    """Seconds from the end of a recording until its document is saved."""
    not_stored: str = "404"
    """What is answered while the audio is not stored: `404`, or 200 and `empty`."""
    push_seconds: float = 300
    """How long a push may take to be answered (`save_timeout_ms`)."""
    push_retry_seconds: float = 5
    """Between two of the five tries of a round, for a storage plan too."""
    push_outer_retry_seconds: float = 60
    """The next of six rounds comes after one to ten times this."""

    def sees(self, who: str, account: str) -> bool:
        """Say whether a log-in of one account may use another."""
        return account in self.accounts and (who == account or who in self.resellers)
