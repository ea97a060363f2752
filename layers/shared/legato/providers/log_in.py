"""RingCentral's log-in, which RingEX and RingCX both begin with."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import httpx

from legato.errors import Retry
from legato.providers import answers
from legato.providers.credentials import Unaccepted

if TYPE_CHECKING:
    from legato.providers.credentials import Credential
    from legato.providers.line import Line

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_PATH = "/restapi/oauth/token"  # noqa: S105 - an address, not a token
UNAUTHORIZED_SECONDS = 300


def log_in(line: Line, platform: httpx.URL, credential: Credential) -> tuple[str, int]:
    """Trade the JWT for an access token; return it with its life in seconds.

    Raises Unaccepted, Wait, Retry. https://developers.ringcentral.com/guide/authentication/jwt-flow
    """
    request = line.request(
        "POST",
        platform.join(TOKEN_PATH),
        data={"grant_type": JWT_GRANT, "assertion": credential.jwt},
    )
    basic = httpx.BasicAuth(credential.client_id, credential.client_secret)
    with closing(line.send(request, auth_key(credential), turn=True, auth=basic)) as response:
        if response.is_client_error:
            # "Do not repeat" says RingCentral: the same credentials get the same answer.
            reason = f"RingCentral mints no token: {answers.error_code(response)}"
            raise Unaccepted(reason, seconds=UNAUTHORIZED_SECONDS)
        if not response.is_success:
            raise Retry(f"{answers.where(request)} answers {response.status_code}")
        answer = answers.read_object(response)
    token, life = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not isinstance(life, int):
        raise Retry(f"{answers.where(request)} answers without access_token and expires_in")
    return token, life


def auth_key(credential: Credential) -> str:
    """Return the gate's key for log-ins.

    RingCentral counts them for the whole app, and suspends an app that overdoes it.
    """
    return f"ringex#app-{credential.client_id}#Auth"
