"""Credentials: what logs in at a provider, and which of them is refused at present.

A refused log-in or token is evidence about a credential, and so are several different recordings
that are refused in a row; a single one is not. A credential is set aside for a bounded time. Then
one request probes it: if that is granted, the credential is back, if not, it rests for longer.

RingCentral's are here: one app, one or many service users, each with a JWT. RingEX and RingCX begin
with the same log-in, each with its own part of the secret. Rate limits count for each user and app,
so throughput grows with the number of users.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred, Denied
from legato.ledger.notes import change

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.model import Json, Note
    from legato.ports import Clock, Notes

log = logging.getLogger(__name__)

INCOMPLETE_SECONDS = 300
EVERYTHING = ""
"""The scope of a refused log-in or token: no request is made with the credential."""
FORBIDDEN_SECONDS = 60
"""A 403 sets a credential aside for so long at first; a probe costs one request."""
LONGEST_SECONDS = 900
"""Each probe in vain doubles the time, up to this: a mended permission counts as soon as that."""
PROBE_SECONDS = 60
"""How long a worker may take to probe before another one does."""
REFUSED_IN_A_ROW = 5
"""Different recordings, with none granted in between, that are more than their own fault."""
PERMISSIONS_IN_A_ROW = 2
"""The same where the provider names the permission that lacks: one may still be that recording."""
MOST_REMEMBERED = 20
FORGOTTEN_SECONDS = 24 * 3600


class Unaccepted(Barred):
    """The provider refuses this credential; another one may not be.

    `scope` is what it is refused for (`EVERYTHING`, or a kind of request), `seconds` how long it is
    set aside at first.
    """

    def __init__(self, reason: str, *, seconds: float, scope: str = EVERYTHING) -> None:
        super().__init__(reason, seconds=seconds)
        self.scope = scope


class Expired(Unaccepted):
    """A 401: the token does not live any more, as far as the answer says."""


class Forbidden(Denied):
    """A 403 for one recording. `permission` says that a permission was named that lacks."""

    def __init__(self, reason: str, *, permission: bool = False) -> None:
        super().__init__(reason)
        self.permission = permission


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


def read_credentials(secret: object, provider: str) -> list[Credential]:
    """Read `{"clientId", "clientSecret", "jwt"}`, a provider's part of the secret.

    `jwt` is one or a list of them. Raises Barred, naming what lacks: a stack that was just deployed
    has an empty secret, and a person may have put anything into it.
    """
    part = secret if isinstance(secret, dict) else {}
    listed = part.get("jwt")
    jwts = [text(jwt) for jwt in (listed if isinstance(listed, list) else [listed])]
    given = list(dict.fromkeys(filter(None, jwts)))
    app = {name: text(part.get(name)) for name in ("clientId", "clientSecret")}
    missing = [*(name for name, value in app.items() if not value), *([] if given else ["jwt"])]
    if missing:
        names = ", ".join(missing)
        reason = f"the secret has no RingCentral {names} in its part `{provider}`"
        raise Barred(reason, seconds=INCOMPLETE_SECONDS)
    return [Credential(app["clientId"], app["clientSecret"], jwt) for jwt in given]


def text(value: object) -> str:
    """Return a text of the secret without the space around it; an empty one if it is none."""
    if not isinstance(value, str):
        return ""
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character, as JSON can write it
        return ""
    return value.strip()


@dataclass(frozen=True, slots=True)
class Usable[C]:
    """A credential that may be tried.

    `troubled`: something is noted against it, which a success clears. `probe`: it was set aside,
    and one request may try it now.
    """

    credential: C
    troubled: bool
    probe: bool


class Pool[C: AnyCredential]:
    """The credentials, less those that the provider has refused a short while ago.

    `read` returns them as the secret has them now, and is asked every time, so that a credential
    that was mended or added counts at once. A `scope` is a kind of request; what is refused for one
    is used for the others.

    The note `credentials#{provider}` holds by credential and scope: `refused`, the recordings that
    were refused in a row; `until`, `seconds`, `reason` and `credential` (its id) of one that is set
    aside; `probing`.
    """

    def __init__(
        self, read: Callable[[], list[C]], notes: Notes, clock: Clock, *, provider: str
    ) -> None:
        self._read = read
        self._notes = notes
        self._clock = clock
        self._note = f"credentials#{provider}"

    def usable(self, scope: str = EVERYTHING) -> list[Usable[C]]:
        """Return those that may be tried. Raises Barred with the last reason if there is none."""
        content = self._notes.read(self._note).content
        now = self._now()
        waits: list[tuple[float, str]] = []
        usable = []
        for credential in self._read():
            scopes = content.get(_fingerprint(credential), {})
            entries = [scopes[name] for name in {EVERYTHING, scope} if name in scopes]
            aside = [entry for entry in entries if "until" in entry]
            last = max(aside, key=lambda entry: entry["until"], default=None)
            if last is not None and last["until"] > now:
                waits.append((last["until"] - now, last["reason"]))
            else:
                usable.append(Usable(credential, troubled=bool(entries), probe=bool(aside)))
        if not usable:
            seconds, reason = min(waits)
            raise Barred(reason, seconds=seconds)
        return usable

    def ids(self) -> list[str]:
        """Return the ids of all that there are. Raises Barred if the secret is incomplete."""
        return [credential.id for credential in self._read()]

    def claim_probe(self, credential: C, scope: str) -> bool:
        """Say whether this request may try a credential that was set aside; only one may."""
        claimed = False

        def becomes(scopes: Json, now: float) -> Json:
            nonlocal claimed
            aside = {n: scopes[n] for n in {EVERYTHING, scope} if "until" in scopes.get(n, {})}
            claimed = all(entry["until"] <= now for entry in aside.values())
            if not claimed:
                return scopes
            probed = {"until": now + PROBE_SECONDS, "probing": True}
            return scopes | {name: entry | probed for name, entry in aside.items()}

        self._change(credential, becomes)
        return claimed

    def release_probe(self, credential: C, scope: str) -> None:
        """Let another request probe: this one has shown nothing."""

        def becomes(scopes: Json, now: float) -> Json:
            probing = {n: scopes[n] for n in {EVERYTHING, scope} if "probing" in scopes.get(n, {})}
            return scopes | {name: _rested(entry, now) for name, entry in probing.items()}

        self._change(credential, becomes)

    def granted(self, credential: C, scope: str) -> None:
        """Take back what is noted against a credential that was accepted after all."""
        self._change(
            credential,
            lambda scopes, _: {n: scopes[n] for n in scopes if n not in (EVERYTHING, scope)},
        )

    def set_aside(
        self, credential: C, reason: str, *, seconds: float, scope: str = EVERYTHING
    ) -> None:
        """Do without a credential for so long, or for longer if it was just probed in vain."""
        self._change(
            credential,
            lambda scopes, now: (
                scopes
                | {scope: self._aside(credential, scopes.get(scope, {}), reason, seconds, now)}
            ),
        )

    def refused(self, credential: C, refusal: Forbidden, *, recording: str, scope: str) -> bool:
        """Count a recording that was refused; say whether the credential is set aside for it."""
        aside = False

        def becomes(scopes: Json, now: float) -> Json:
            nonlocal aside
            entry = scopes.get(scope, {})
            known = entry.get("refused", {})
            counted = dict([*known.items(), (recording, refusal.permission)][-MOST_REMEMBERED:])
            if entry.get("until", 0) > now:
                # A recording that was refused before tells a probe nothing.
                aside = "probing" not in entry or recording not in known
            else:
                many = len(counted) >= REFUSED_IN_A_ROW
                aside = many or sum(counted.values()) >= PERMISSIONS_IN_A_ROW
            entry = entry | {"refused": counted, "at": now}
            if aside:
                reason = f"{refusal}, and so are others in a row"
                entry = self._aside(credential, entry, reason, FORBIDDEN_SECONDS, now)
            return (
                scopes if entry.get("refused") == known and not aside else scopes | {scope: entry}
            )

        self._change(credential, becomes)
        return aside

    def _aside(self, credential: C, entry: Json, reason: str, seconds: float, now: float) -> Json:
        """Return the entry of one that is set aside, which `legato status` reads too."""
        if entry.get("until", 0) > now and "probing" not in entry:
            return entry  # by another worker
        if "until" in entry:
            seconds = max(seconds, 2 * entry["seconds"])
        seconds = min(seconds, LONGEST_SECONDS)
        log.error(
            "credential set aside",
            extra={"credential": credential.id, "reason": reason, "seconds": seconds},
        )
        aside = {"until": now + seconds, "seconds": seconds, "reason": reason, "at": now}
        aside["credential"] = credential.id
        return {name: entry[name] for name in entry if name != "probing"} | aside

    def _change(self, credential: C, becomes: Callable[[Json, float], Json]) -> None:
        fingerprint, now = _fingerprint(credential), self._now()

        def changed(note: Note) -> Note:
            scopes = becomes(note.content.get(fingerprint, {}), now)
            everybody = note.content | {fingerprint: scopes}
            if scopes == note.content.get(fingerprint, {}):
                return note
            content = {one: _recent(scopes, now) for one, scopes in everybody.items()}
            return replace(note, content={one: kept for one, kept in content.items() if kept})

        change(self._note, changed, self._notes)

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _rested(entry: Json, now: float) -> Json:
    return {name: entry[name] for name in entry if name != "probing"} | {"until": now}


def _recent(scopes: Json, now: float) -> Json:
    """Drop what nobody has asked for within a day, as of credentials that are no longer used."""
    return {
        scope: entry
        for scope, entry in scopes.items()
        if max(entry.get("at", 0), entry.get("until", 0)) > now - FORGOTTEN_SECONDS
    }


def _fingerprint(credential: AnyCredential) -> str:
    """Tell a credential from the same one mended: a new client secret is worth a new try."""
    return hashlib.sha256(credential.secret.encode()).hexdigest()[:16]
