"""Credentials: what logs in at a provider, and which of them is refused at present.

RingCentral's are here: one app, one or many service users, each with a JWT. RingEX and RingCX begin
with the same log-in, each with its own part of the secret. Rate limits count for each user and app,
so throughput grows with the number of users.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred, Stale

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.model import Json
    from legato.ports import Clock, Notes

log = logging.getLogger(__name__)

INCOMPLETE_SECONDS = 300


class Unaccepted(Barred):
    """The provider refuses this credential; another one may not be."""


class AnyCredential(Protocol):
    """What logs in at some provider.

    `id` names it in notes and logs; nothing can be learned from it. `secret` is all that it
    consists of: another one is another credential, and what it has encrypted needs it again.
    """

    @property
    def id(self) -> str: ...
    @property
    def secret(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Credential:
    """RingCentral's."""

    client_id: str
    client_secret: str = field(repr=False)
    jwt: str = field(repr=False)

    @property
    def id(self) -> str:
        """Name the user and the app: limits and sessions count for both together."""
        return hashlib.sha256(f"{self.client_id}\n{self.jwt}".encode()).hexdigest()[:12]

    @property
    def secret(self) -> str:
        return "\n".join((self.client_id, self.client_secret, self.jwt))


def read_credentials(secret: Json, provider: str) -> list[Credential]:
    """Read `{"clientId", "clientSecret", "jwt"}`, a provider's part of the secret.

    `jwt` is one or a list of them. Raises Barred, naming what lacks: a stack that was just deployed
    has an empty secret.
    """
    jwts = secret.get("jwt")
    listed = jwts if isinstance(jwts, list) else [jwts]
    given = [jwt for jwt in listed if isinstance(jwt, str) and jwt]
    missing = [name for name in ("clientId", "clientSecret") if not secret.get(name)]
    if missing or not given:
        names = ", ".join([*missing, *([] if given else ["jwt"])])
        reason = f"the secret has no RingCentral {names} in its part `{provider}`"
        raise Barred(reason, seconds=INCOMPLETE_SECONDS)
    unique = dict.fromkeys(given)
    return [Credential(secret["clientId"], secret["clientSecret"], jwt) for jwt in unique]


class AnyPool[C: AnyCredential]:
    """The credentials, less those that the provider has refused a short while ago.

    `read` returns them as the secret has them now, and is asked every time, so that a credential
    that was mended or added counts at once.
    """

    def __init__(
        self, read: Callable[[], list[C]], notes: Notes, clock: Clock, *, provider: str
    ) -> None:
        self._read = read
        self._notes = notes
        self._clock = clock
        self._note = f"credentials#{provider}"

    def usable(self) -> list[C]:
        """Return those that may be tried. Raises Barred with the last reason if there is none."""
        aside = self._notes.read(self._note).content
        now = self._clock.now().timestamp()
        waits: list[tuple[float, str]] = []
        usable = []
        for credential in self._read():
            refused = aside.get(_fingerprint(credential))
            if refused is not None and refused["until"] > now:
                waits.append((refused["until"] - now, refused["reason"]))
            else:
                usable.append(credential)
        if not usable:
            seconds, reason = min(waits)
            raise Barred(reason, seconds=seconds)
        return usable

    def set_aside(self, credential: C, reason: str, *, seconds: float) -> None:
        """Do without a credential for so long. The log entry is what the alarm counts."""
        log.error(
            "credential set aside",
            extra={"credential": credential.id, "reason": reason, "seconds": seconds},
        )
        entry = {"until": self._clock.now().timestamp() + seconds, "reason": reason}
        while True:
            note = self._notes.read(self._note)
            content = {**note.content, _fingerprint(credential): entry}
            try:
                self._notes.write(replace(note, content=content))
            except Stale:
                continue
            return


class Pool(AnyPool[Credential]):
    """RingCentral's. `read` returns the provider's part of the secret."""

    def __init__(
        self, read: Callable[[], Json], notes: Notes, clock: Clock, *, provider: str
    ) -> None:
        super().__init__(
            lambda: read_credentials(read(), provider), notes, clock, provider=provider
        )


def _fingerprint(credential: AnyCredential) -> str:
    """Tell a credential from the same one mended: a new client secret is worth a new try."""
    return hashlib.sha256(credential.secret.encode()).hexdigest()[:16]
