"""Sets RingEX up as an operator would: credentials into the secret. The keeper subscribes."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import aws
from local.processes import running_module, wait_until_answers

SIMULATOR = "local.simulators.ringex"
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


@contextlib.contextmanager
def simulator(
    host: str, port: int, credentials: Credentials, settings: Mapping[str, Any], *, directory: Path
) -> Iterator[Any]:
    """Run the simulator; yields a function that waits until it answers and returns its URL."""
    config = directory / "ringex.json"
    config.write_text(
        json.dumps(
            {
                "clientId": credentials.client_id,
                "clientSecret": credentials.client_secret,
                "jwts": {credentials.jwt: OPERATOR_EXTENSION},
                "limits": SHORT_LIMITS,
                **settings,
            },
            indent=2,
        ),
        encoding="utf-8",
    )
    log = directory / "logs" / "ringex.log"
    arguments = ["--host", host, "--port", str(port), "--config", str(config)]
    with running_module(SIMULATOR, arguments, log=log) as process:
        url = f"http://{host}:{port}"

        def ready() -> str:
            wait_until_answers(f"{url}/_sim/stats", process, log=log)
            return url

        yield ready


def fill_secret(credentials: Credentials, *, endpoint: str, arn: str) -> str:
    """Put the credentials into the stack's secret; return the webhook's verification token."""
    client = aws.client("secretsmanager", endpoint)
    content = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
    content["ringex"] = {
        "clientId": credentials.client_id,
        "clientSecret": credentials.client_secret,
        "jwt": credentials.jwt,
    }
    client.put_secret_value(SecretId=arn, SecretString=json.dumps(content))
    token: str = content["ringexVerificationToken"]
    return token
