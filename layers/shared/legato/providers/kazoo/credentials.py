"""What logs in at Kazoo: an API key, or a user of an account."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

from legato.errors import Barred
from legato.providers.credentials import INCOMPLETE_SECONDS, text

USER_FIELDS = ("username", "password", "accountName")


@dataclass(frozen=True, slots=True)
class KazooCredential:
    """`path` is where it logs in, `secret` with what, as JSON; `name` tells it from others."""

    path: str
    name: str = field(repr=False)
    secret: str = field(repr=False)

    @property
    def id(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()[:12]


def read_credentials(secret: object) -> list[KazooCredential]:
    """Read `{"apiKey"}` or `{"username", "password", "accountName"}`, the secret's part `kazoo`.

    The API key goes before the user. Raises Barred, naming what lacks.
    https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/how_to_authenticate.md
    """
    part = secret if isinstance(secret, dict) else {}
    key = text(part.get("apiKey"))
    if key:
        return [KazooCredential("api_auth", key, json.dumps({"api_key": key}))]
    user, password, account = given = [text(part.get(name)) for name in USER_FIELDS]
    missing = [name for name, value in zip(USER_FIELDS, given, strict=True) if not value]
    if missing:
        lacks = ", ".join(missing) if any(given) else f"apiKey (or {', '.join(USER_FIELDS)})"
        reason = f"the secret has no Kazoo {lacks} in its part `kazoo`"
        raise Barred(reason, seconds=INCOMPLETE_SECONDS)
    # Kazoo keeps the hash of the name in lower case.
    hashed = hashlib.md5(f"{user.lower()}:{password}".encode(), usedforsecurity=False).hexdigest()
    body = {"credentials": hashed, "method": "md5", "account_name": account}
    return [KazooCredential("user_auth", f"{user.lower()}@{account}", json.dumps(body))]
