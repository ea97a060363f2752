"""RingCX's own tokens, for which RingCentral's are exchanged.

Rules: https://developers.ringcentral.com/engage/voice/guide/authentication/auth-ringcentral: an
access token lives five minutes, a refresh token is replaced by each use. How long a refresh token
lives is not documented; here it does not age.
"""

from __future__ import annotations

import secrets

from starlette.requests import Request

from local.simulators.ringcx.config import Config
from local.simulators.ringcx.problems import Text, expired
from local.simulators.settings import Json
from local.simulators.times import Clock


class Tokens:
    """Every token that was given out and still counts."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._expires: dict[str, float] = {}
        self._refresh: set[str] = set()

    def issue(self, *, refresh: bool) -> Json:
        """Return the body of an exchange's answer (`AccessTokenUserDetails`)."""
        access = f"eyJ{secrets.token_urlsafe(96)}"
        self._expires[access] = self._clock() + self._config.token_seconds
        answer: Json = {"accessToken": access, **self._details()}
        if refresh:
            token = secrets.token_urlsafe(48)
            self._refresh.add(token)
            answer = {"refreshToken": token, **answer}
        return answer

    def rotate(self, token: str) -> Json:
        """Take a refresh token for new ones. Raises Problem 401."""
        if token not in self._refresh:
            raise Text(401, "Refresh token is not valid")
        self._refresh.remove(token)
        return self.issue(refresh=True)

    def check(self, request: Request) -> None:
        """Let a request with a living access token pass. Raises Problem 401."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._expires.get(token, 0) <= self._clock():
            raise expired()

    def close_all(self) -> None:
        """Forget every token."""
        self._expires.clear()
        self._refresh.clear()

    def _details(self) -> Json:
        config = self._config
        return {
            "tokenType": "Bearer",
            "mainAccountId": config.main_account_id,
            "agentDetails": [
                {
                    "agentId": 111111 + at,
                    "firstName": "Ada",
                    "lastName": "Brown",
                    "email": "ada.brown@example.com",
                    "username": "ada.brown@example.com",
                    "agentType": "AGENT",
                    "rcUserId": 401555101,
                    "accountId": sub_account,
                    "accountName": account_name(sub_account),
                    "agentGroupId": None,
                    "allowLoginControl": True,
                    "allowLoginUpdates": True,
                }
                for at, sub_account in enumerate(config.sub_accounts)
            ],
            "adminId": 1111,
            "adminUrl": "/voice/admin/",
            "agentUrl": "/voice/agent/",
            "ssoLogin": True,
        }


def account_name(sub_account: str) -> str:
    """Return what a sub-account is called."""
    return f"Contact centre {sub_account[-2:]}"
