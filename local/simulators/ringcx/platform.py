"""RingCentral's own side, of which RingCX wants a token first: in this process, or elsewhere."""

from __future__ import annotations

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.simulators.ringcx.config import Config
from local.simulators.ringcx.problems import Problem
from local.simulators.ringex import oauth
from local.simulators.ringex.config import Config as PlatformConfig
from local.simulators.ringex.operations import account_info, base_of
from local.simulators.ringex.problems import Problem as PlatformProblem
from local.simulators.ringex.rate_limit import RateLimits
from local.simulators.stats import Stats
from local.simulators.times import Clock

_ACCOUNT = "/restapi/v1.0/account/~"


class Platform:
    """Mints RingCentral's tokens, and knows them again."""

    def __init__(
        self, config: Config, clock: Clock, stats: Stats, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._elsewhere = config.platform_url.rstrip("/")
        self._config = PlatformConfig(
            account_id=config.rc_account_id,
            client_id=config.client_id,
            client_secret=config.client_secret,
            jwts=config.jwts,
        )
        self._sessions = oauth.Sessions(self._config, clock, stats)
        self._limits = RateLimits(self._config, clock, stats)
        self._http = httpx.AsyncClient(transport=transport, trust_env=False)

    async def knows(self, token: str) -> bool:
        """Say whether a token is good for its account. Raises Problem 500 when nobody can say."""
        if not self._elsewhere:
            try:
                self._sessions.find(token)
            except PlatformProblem:
                return False
            return True
        try:
            answer = await self._http.get(
                self._elsewhere + _ACCOUNT, headers={"Authorization": f"Bearer {token}"}
            )
        except httpx.HTTPError as error:
            raise Problem(500, f"RingCentral is out of reach: {error}") from error
        if answer.status_code == 200:
            return True
        if answer.status_code in (401, 403):
            return False
        raise Problem(500, f"RingCentral answers {answer.status_code}")

    async def mint_token(self, request: Request) -> Response:
        """Answer `POST /restapi/oauth/token`."""
        client = oauth.client_of(request)
        headers = self._limits.grant(f"*/{client[0] if client else ''}", "Auth")
        body = await oauth.mint_token(self._config, self._sessions, request)
        return JSONResponse(body, headers=headers)

    async def read_account(self, request: Request) -> Response:
        """Answer `GET /restapi/v1.0/account/~`."""
        session = self._sessions.holder(request, media=False)
        headers = self._limits.grant(session.who, "Light")
        return JSONResponse(
            account_info(self._config.account_id, base_of(request)), headers=headers
        )

    def close_all(self) -> None:
        """Log everybody out."""
        self._sessions.close_all()

    def forget(self) -> None:
        """Open every window again."""
        self._limits.forget()

    async def aclose(self) -> None:
        """Close the line to the other simulator."""
        await self._http.aclose()
