"""Log-in with a JWT, and what becomes of the sessions.

Rules: https://developers.ringcentral.com/guide/authentication/jwt-flow and
https://developers.ringcentral.com/guide/authentication/tokens: at most five active sessions per
user and app, the oldest is invalidated by the sixth.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from local.simulators.ringex.config import Config
from local.simulators.ringex.problems import OauthProblem, Problem, bad_parameter
from local.simulators.settings import Json
from local.simulators.stats import Stats
from local.simulators.times import Clock

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A token that was minted: whose it is and until when."""

    token: str
    user: str
    app: str
    scopes: frozenset[str]
    expires_at: float

    @property
    def who(self) -> str:
        """Whose rate limits it uses."""
        return f"{self.user}/{self.app}"


class Sessions:
    """Everybody who is logged in. Expired sessions are kept, so that they are told so."""

    def __init__(self, config: Config, clock: Clock, stats: Stats) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._by_token: dict[str, Session] = {}

    def open(self, user: str, *, lifetime: float | None) -> Json:
        """Mint a token and return the body of the answer (`TokenInfo`)."""
        now = self._clock()
        seconds = self._config.token_seconds if lifetime is None else lifetime
        session = Session(
            token=f"SIM{secrets.token_urlsafe(32)}",
            user=user,
            app=self._config.client_id,
            scopes=frozenset(self._config.scopes.split()),
            expires_at=now + seconds,
        )
        active = [s for s in self._by_token.values() if s.who == session.who and s.expires_at > now]
        for oldest in active[: max(0, len(active) + 1 - self._config.sessions_per_user)]:
            del self._by_token[oldest.token]
            self._stats.broke("session evicted")
        self._by_token[session.token] = session
        self._stats.tokens_minted += 1
        return {
            "access_token": session.token,
            "token_type": "bearer",
            "expires_in": int(seconds),
            "scope": self._config.scopes,
            "owner_id": user,
            "endpoint_id": secrets.token_urlsafe(16),
            "session_id": str(uuid.uuid4()),
        }

    def holder(self, request: Request, *, media: bool) -> Session:
        """Return the session of a request. Raises Problem 401."""
        return self.find(self._presented(request, media=media))

    def find(self, token: str) -> Session:
        """Return the session of a token. Raises Problem 401."""
        session = self._by_token.get(token)
        if session is None:
            raise Problem(401, "OAU-213", "Token not found")
        if session.expires_at <= self._clock():
            raise Problem(401, "OAU-128", "Access token expired")
        return session

    def _presented(self, request: Request, *, media: bool) -> str:
        header = request.headers.get("authorization")
        query = request.query_params.get("access_token") if media else None
        if header is None and query is not None:
            # Media takes a token in the query too; it ends in other people's logs.
            self._stats.broke("access token in the query")
            return query
        if header is None:
            raise Problem(401, "OAU-123", "Authorization header is not specified")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(401, "OAU-134", "Authorization header is invalid")
        return token

    def close(self, token: str) -> None:
        """Revoke one token."""
        self._by_token.pop(token, None)

    def close_all(self) -> None:
        """Forget everybody, as when other clients of the app keep minting tokens."""
        self._by_token.clear()


def client_of(request: Request) -> tuple[str, str] | None:
    """Return client id and secret of a request's Basic authorization."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return client, secret


async def mint_token(config: Config, sessions: Sessions, request: Request) -> Json:
    """Answer `POST /restapi/oauth/token`."""
    _check_client(config, request)
    form = await read_form(request)
    if form.get("grant_type") != GRANT:
        raise OauthProblem(400, "OAU-251", "unsupported_grant_type", "Unsupported grant type")
    if not config.jwt_flow:
        # https://ringcentral.github.io/ringcentral-faq/unauthorized-grant-type
        words = "Unauthorized for this grant type"
        raise OauthProblem(400, "OAU-251", "unauthorized_client", words)
    user = config.jwts.get(form.get("assertion", ""))
    if user is None:
        raise OauthProblem(400, "OAU-331", "invalid_grant", "Invalid assertion: JWT is not valid")
    return sessions.open(user, lifetime=_lifetime(form.get("access_token_ttl")))


async def revoke_token(config: Config, sessions: Sessions, request: Request) -> None:
    """Answer `POST /restapi/oauth/revoke`; the token stands in the form or in the query."""
    _check_client(config, request)
    token = request.query_params.get("token") or (await read_form(request)).get("token")
    if not token:
        raise OauthProblem(400, "CMN-101", "invalid_request", "Parameter [token] is not specified")
    sessions.close(token)


def _check_client(config: Config, request: Request) -> None:
    client = client_of(request)
    if client is None or client[0] != config.client_id:
        raise OauthProblem(400, "OAU-153", "invalid_client", "Invalid client application")
    if not secrets.compare_digest(client[1].encode(), config.client_secret.encode()):
        raise OauthProblem(401, "OAU-146", "invalid_client", "Invalid client credentials")


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form. Raises Problem 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Problem(415, "CMN-100", f"Content type must be {FORM}")
    # Not request.form(), which would need one more dependency for multipart.
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


def _lifetime(text: str | None) -> float | None:
    if text is None:
        return None
    if not text.isdecimal() or not 600 <= int(text) <= 3600:
        raise bad_parameter("access_token_ttl", text)
    return float(text)
