"""Sets RingEX up as an operator would: credentials into the secret. The keeper subscribes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local import aws

OPERATOR_EXTENSION = "401555101"
# A minute of RingCentral's lasts a second here: the same rules, in a time that one can watch.
SHORT_LIMITS = {
    "Light": {"limit": 50, "window": 1, "penalty": 1},
    "Medium": {"limit": 40, "window": 1, "penalty": 1},
    "Heavy": {"limit": 10, "window": 1, "penalty": 1},
    "Auth": {"limit": 5, "window": 1, "penalty": 1},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Made up anew for every run."""

    client_id: str
    client_secret: str
    jwt: str


def invent_credentials() -> Credentials:
    return Credentials(
        client_id="legato-local",
        client_secret=secrets.token_urlsafe(24),
        jwt=f"local.{secrets.token_urlsafe(48)}",
    )


def settings(credentials: Credentials, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the simulator's configuration; `given` goes over it."""
    return {
        "clientId": credentials.client_id,
        "clientSecret": credentials.client_secret,
        "jwts": {credentials.jwt: OPERATOR_EXTENSION},
        "limits": SHORT_LIMITS,
        **given,
    }


def parameters(url: str) -> dict[str, str]:
    """Return what the template wants to know."""
    return {"RingexUrl": url}


def fill_secret(
    credentials: Credentials, *, others: Mapping[str, Any], endpoint: str, arn: str
) -> str:
    """Put the credentials into the stack's secret; return the webhook's verification token.

    One app and one user serve RingEX and RingCX. `others` is what the secret holds beside them.
    """
    client = aws.client("secretsmanager", endpoint)
    content = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    for provider in ("ringex", "ringcx"):
        content[provider] = {
            "clientId": credentials.client_id,
            "clientSecret": credentials.client_secret,
            "jwt": credentials.jwt,
        }
    content |= others
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(content))
    token: str = content["ringexVerificationToken"]
    return token
