"""One access token for all: minted once, kept in the ledger encrypted, renewed by one worker.

RingCentral allows five mints a minute, and keeps about five sessions alive for a user and app: a
worker that minted its own would push out another's
(https://developers.ringcentral.com/guide/authentication/tokens). RingCX allows five a minute too,
for tokens that live for five minutes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken

from legato.errors import Retry, Stale, Wait
from legato.model import Json

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.model import Note
    from legato.ports import Clock, Notes
    from legato.providers.credentials import AnyCredential

RENEW_SHARE = 0.1
"""Of a token's life: in its last tenth one worker renews it, while the others still use it."""
MINT_SECONDS = 20
"""How long a worker may take to mint before another one tries."""
PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Minted:
    """A token and its life in seconds.

    `refresh` renews it once. `facts` is what else the log-in has told; a renewal need not repeat
    it.
    """

    token: str = field(repr=False)
    life: float
    refresh: str | None = field(default=None, repr=False)
    facts: Json = field(default_factory=dict)


class Tokens[C: AnyCredential]:
    """`mint` trades a credential for a token, and may renew the last one with its refresh token.

    `name` tells these tokens from others of the same credential. Threads may share one of these.
    """

    def __init__(
        self,
        notes: Notes,
        clock: Clock,
        *,
        name: str,
        mint: Callable[[C, str | None], Minted],
        sleep: Callable[[float], None],
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._name = name
        self._mint = mint
        self._sleep = sleep
        self._known: dict[str, tuple[str, Json, float]] = {}
        self._refused: dict[str, str] = {}

    def token(self, credential: C) -> str:
        """Return a token that is alive. Raises Wait while another worker mints, and as `mint`."""
        return self.token_and_facts(credential)[0]

    def token_and_facts(self, credential: C) -> tuple[str, Json]:
        """Return also what its log-in has told. Raises as `token` does."""
        known = self._known.get(credential.id)
        # Another thread may have read a token just before this one forgot it in the ledger.
        refused = self._refused.get(credential.id)
        if known is not None and self._now() < known[2] and known[0] != refused:
            return known[:2]
        patience = PATIENCE_SECONDS
        while True:
            note = _readable(self._notes.read(self._key(credential)))
            token, facts = _unsealed(note, "token", credential), note.content.get("facts", {})
            if token == refused:
                token = None
            now = self._now()
            if token is not None and now < note.content["renew_at"]:
                return self._remembered(credential, token, note.content)
            if now >= note.content.get("minting_until", 0.0):
                minted = self._minted(note, credential)
                if minted is not None:
                    return minted
                continue
            if token is not None and now < note.content["expires_at"]:
                return token, facts
            if patience <= 0:
                raise Wait("another worker is minting the token", seconds=PATIENCE_SECONDS)
            self._sleep(PAUSE_SECONDS)
            patience -= PAUSE_SECONDS

    def refused(self, credential: C, token: str) -> None:
        """Forget a token that was answered 401, unless a newer one stands in the ledger."""
        self._refused[credential.id] = token
        note = _readable(self._notes.read(self._key(credential)))
        if _unsealed(note, "token", credential) == token:
            self._written(note, {})

    def _minted(self, note: Note, credential: C) -> tuple[str, Json] | None:
        """Mint, if nobody else began at the same moment."""
        claim = note.content | {"minting_until": self._now() + MINT_SECONDS}
        claimed = self._written(note, claim)
        if claimed is None:
            return None
        try:
            minted = self._mint(credential, _unsealed(note, "refresh", credential))
            if not minted.token.isprintable():
                raise Retry(f"the token of {self._name} cannot be sent in a header")
        except BaseException:
            # What is alive is still good for the others; what went wrong is tried again by one.
            self._written(claimed, note.content)
            raise
        now = self._now()
        content: Json = {
            "token": _sealed(minted.token, credential),
            "renew_at": now + minted.life * (1 - RENEW_SHARE),
            "expires_at": now + minted.life - 1,
            "facts": note.content.get("facts", {}) | minted.facts,
        }
        if minted.refresh is not None:
            content["refresh"] = _sealed(minted.refresh, credential)
        self._written(claimed, content)
        return self._remembered(credential, minted.token, content)

    def _remembered(self, credential: C, token: str, content: Json) -> tuple[str, Json]:
        facts = content.get("facts", {})
        self._known[credential.id] = (token, facts, content["renew_at"])
        return token, facts

    def _written(self, note: Note, content: Json) -> Note | None:
        try:
            return self._notes.write(replace(note, content=content))
        except Stale:
            return None

    def _key(self, credential: C) -> str:
        return f"token#{self._name}#{credential.id}"

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _readable(note: Note) -> Note:
    """Return the note without what is not as it was written here: a token is minted anew then."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "minting_until": (int, float),
        "token": str,
        "renew_at": (int, float),
        "expires_at": (int, float),
        "facts": dict,
        "refresh": str,
    }
    content = {
        name: value
        for name, kind in kinds.items()
        if isinstance(value := note.content.get(name), kind) and not _is_nan(value)
    }
    if not {"token", "renew_at", "expires_at"} <= content.keys():
        content = {name: content[name] for name in content.keys() & {"minting_until"}}
    return replace(note, content=content)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _cipher(credential: AnyCredential) -> Fernet:
    """Derive the key from the secret, so that the ledger alone gives no access."""
    key = hmac.digest(credential.secret.encode(), b"legato token", hashlib.sha256)
    return Fernet(base64.urlsafe_b64encode(key))


def _sealed(text: str, credential: AnyCredential) -> str:
    return _cipher(credential).encrypt(text.encode()).decode()


def _unsealed(note: Note, name: str, credential: AnyCredential) -> str | None:
    sealed = note.content.get(name)
    if sealed is None:
        return None
    try:
        return _cipher(credential).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None  # minted with other credentials
