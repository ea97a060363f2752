"""The stack's two secrets, cached: a webhook may not wait for Secrets Manager.

What stands behind the internet reads the tokens that requests to us must carry, and no credential.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from legato.aws.errors import translated
from legato.errors import Retry
from legato.model import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_secretsmanager import SecretsManagerClient


CREDENTIALS = "the secret of the credentials"
INBOUND_TOKENS = "the secret of the inbound tokens"
CACHE_SECONDS = 300
FRESH_SECONDS = 5
"""Even who asks for a fresh one reads no more often: a stranger's bad token must not cost calls.

As short as that, because a new token must be known everywhere before a delivery carries it.
"""


class Secret:
    """`arn` names the secret; its value is a JSON object. `seconds` is a monotonic clock.

    `name` is how errors call it.
    """

    def __init__(
        self,
        secrets: SecretsManagerClient,
        *,
        arn: str,
        name: str = "the secret",
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._arn = arn
        self._name = name
        self._seconds = seconds
        self._read_at: float | None = None
        self._value: Json = {}

    def value(self, *, fresh: bool = False) -> Json:
        """Return the secret, at most five minutes old, or five seconds if `fresh`.

        Raises Retry if it cannot be read, and was never read before.
        """
        age = None if self._read_at is None else self._seconds() - self._read_at
        if age is None or age >= (FRESH_SECONDS if fresh else CACHE_SECONDS):
            try:
                self._value = self._read()
            except Retry:
                if age is None:
                    raise  # else the old one is better than none
            self._read_at = self._seconds()
        return self._value

    def part(self, provider: str, *, fresh: bool = False) -> Json:
        """Return a provider's part of it, empty if there is none or it is no object."""
        part = self.value(fresh=fresh).get(provider)
        return part if isinstance(part, dict) else {}

    def texts(self, *names: str, fresh: bool = False) -> list[str]:
        """Return the texts of these names; an empty one where there is none. Raises as value."""
        value = self.value(fresh=fresh)
        return [str(value.get(name) or "") for name in names]

    def read(self) -> Json:
        """Return the secret as it is now, for who is going to change it. Raises Retry."""
        return self._read()

    def write(self, value: Json) -> None:
        """Put another value in its place. Raises Retry."""
        with translated(f"{self._name} cannot be written"):
            self._secrets.put_secret_value(SecretId=self._arn, SecretString=json.dumps(value))

    def _read(self) -> Json:
        with translated(f"{self._name} cannot be read"):
            text = self._secrets.get_secret_value(SecretId=self._arn)["SecretString"]
        try:
            value = json.loads(text)
        except ValueError as error:
            raise Retry(f"{self._name} is not valid JSON") from error
        if not isinstance(value, dict):
            raise Retry(f"{self._name} is not a JSON object")
        return value
