"""Logging in with an API key or a user's credentials, and the tokens that come of it.

Rules: https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/api_authentication.md,
user_authentication.md, and core/kazoo_auth/src/kz_auth_jwt.erl: `exp` is in seconds since 1970.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass

from starlette.requests import Request

from local.simulators.kazoo.config import KEY_LENGTH, Config
from local.simulators.kazoo.problems import Problem, bad_identifier, invalid
from local.simulators.settings import Json
from local.simulators.times import Clock

CLUSTER = "b8f6d1c2e3a4957f60718293a4b5c6d7"
"""The id of this Kazoo."""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_HASHES = {"md5": _md5, "sha": _sha}


@dataclass(frozen=True, slots=True)
class Session:
    """Who is behind a token."""

    account: str
    expires_at: int


class Tokens:
    """Every token that was given out and still counts."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._sessions: dict[str, Session] = {}

    def account_of_key(self, data: Json) -> str:
        """Return the account of an API key. Raises Problem 404 for an unknown one."""
        key = data.get("api_key")
        if not isinstance(key, str):
            raise invalid("api_key", "required", "Field is required but missing")
        if len(key) != KEY_LENGTH:
            rule = "minLength" if len(key) < KEY_LENGTH else "maxLength"
            raise invalid("api_key", rule, f"String must have {KEY_LENGTH} characters")
        account = self._config.api_keys.get(key)
        if account is None:
            raise bad_identifier(key)
        return account

    def account_of_user(self, data: Json) -> str:
        """Return the account of a user's credentials. Raises Problem 401."""
        given = data.get("credentials")
        if not isinstance(given, str):
            raise invalid("credentials", "required", "Field is required but missing")
        digest = _HASHES.get(data.get("method", "md5"))
        if digest is None:
            raise invalid("method", "enum", "Value not found in enumerated list of values")
        for login, account in self._config.users.items():
            user, _, password = login.partition(":")
            named = (data.get("account_name"), data.get("account_realm"), data.get("realm"))
            known = name_of(account) in named or realm_of(account) in named
            if known and digest(f"{user.lower()}:{password}") == given:
                return account
        raise Problem(401)

    def issue(self, account: str) -> str:
        """Return a new token."""
        expires_at = int(self._clock() + self._config.token_seconds)
        claims = {
            "iss": "kazoo",
            "identity_sig": secrets.token_urlsafe(32),
            "account_id": account,
            "owner_id": user_of(account),
            "method": "cb_api_auth",
            "exp": expires_at,
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": "1b7c3d5e9f"}
        token = f"{_part(head)}.{_part(claims)}.{secrets.token_urlsafe(64)}"
        self._sessions[token] = Session(account, expires_at)
        return token

    def check(self, request: Request) -> tuple[str, str]:
        """Return the token of a request and the account behind it. Raises Problem 401."""
        token = request.headers.get("x-auth-token") or request.query_params.get("auth_token", "")
        session = self._sessions.get(token)
        if session is None or session.expires_at <= self._clock():
            raise Problem(401)
        return token, session.account

    def close_all(self) -> None:
        """Forget every token."""
        self._sessions.clear()

    def details(self, account: str) -> Json:
        """Return the `data` of a log-in's answer."""
        return {
            "account_id": account,
            "account_name": name_of(account),
            "apps": [],
            "cluster_id": CLUSTER,
            "is_reseller": account in self._config.resellers,
            "language": "en-us",
            "owner_id": user_of(account),
            "reseller_id": (self._config.resellers or [account])[0],
        }


def name_of(account: str) -> str:
    """Return what an account is called."""
    return f"company-{account[:6]}"


def realm_of(account: str) -> str:
    """Return the SIP realm of an account."""
    return f"{account[:6]}.sip.example.com"


def user_of(account: str) -> str:
    """Return the id of the account's user, who talks unless somebody else is named."""
    return _md5(f"user of {account}")


def _part(value: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
