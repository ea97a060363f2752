"""RingCentral's log-in and its tokens, which RingEX uses and RingCX trades for its own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx

from legato.errors import Retry
from legato.model import Priority
from legato.providers import responses
from legato.providers.credentials import Credential, Unaccepted
from legato.providers.http_client import LOG_IN_TIMEOUT
from legato.providers.tokens import Minted, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.ports import Clock, Notes
    from legato.providers.http_client import Line

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_PATH = "/restapi/oauth/token"  # noqa: S105 - an address, not a token
UNAUTHORIZED_SECONDS = 300
TOLD = ("scope", "owner_id")
"""What else a log-in tells: the scopes of the app, and the extension of the user."""
UNSAID_SECONDS = 600
"""The shortest life that a token can be asked for: taken for one that does not say it."""


def platform_tokens(
    line: Line,
    platform: httpx.URL,
    notes: Notes,
    clock: Clock,
    *,
    sleep: Callable[[float], None],
) -> Tokens[Credential]:
    """Return RingCentral's tokens: one a user and app, whether RingEX asks for it or RingCX.

    At most five log-ins of a user and app are alive at once, and the next one pushes out the oldest
    (https://developers.ringcentral.com/guide/authentication/tokens).
    """

    def mint(credential: Credential, _refresh: str | None) -> Minted:
        return _log_in(line, platform, credential)

    # The same name for both, so that they read the same note.
    return Tokens(notes, clock, name="ringex", mint=mint, sleep=sleep)


def _log_in(line: Line, platform: httpx.URL, credential: Credential) -> Minted:
    """Trade the JWT for an access token.

    Raises Unaccepted, Wait, Retry. https://developers.ringcentral.com/guide/authentication/jwt-flow
    """
    request = line.request(
        "POST",
        platform.join(TOKEN_PATH),
        data={"grant_type": JWT_GRANT, "assertion": credential.jwt},
        timeout=LOG_IN_TIMEOUT,
    )
    basic = httpx.BasicAuth(credential.client_id, credential.client_secret)
    with closing(
        line.send(request, auth_key(credential), priority=Priority.RESERVED, auth=basic)
    ) as response:
        if response.is_client_error and not responses.passes(response.status_code):
            # "Do not repeat" says RingCentral: the same credentials get the same answer.
            reason = f"RingCentral mints no token: {responses.error_code(response)}"
            raise Unaccepted(reason, seconds=UNAUTHORIZED_SECONDS)
        if not response.is_success:
            raise Retry(f"{responses.where(request)} answers {response.status_code}")
        answer = responses.read_object(response)
    token = responses.named(answer, "access_token", "accessToken")
    if not token:
        raise Retry(f"{responses.where(request)} answers without access_token")
    life = responses.life(answer.get("expires_in"), usual=UNSAID_SECONDS)
    return Minted(token, life, facts={name: responses.named(answer, name) for name in TOLD})


def auth_key(credential: Credential) -> str:
    """Return the gate's key for log-ins.

    RingCentral counts them for the whole app, and suspends an app that overdoes it.
    """
    return f"ringex#app-{credential.client_id}#Auth"
