"""One access token for all: minted once, kept in the ledger encrypted, renewed by one worker.

RingCentral allows five mints a minute, and keeps about five sessions alive for a user and app: a
worker that minted its own would push out another's
(https://developers.ringcentral.com/guide/authentication/tokens).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken

from legato.errors import Stale, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from legato.model import Json, Note
    from legato.ports import Clock, Notes
    from legato.providers.ringex.credentials import Credential

RENEW_SHARE = 0.1
"""Of a token's life: in its last tenth one worker renews it, while the others still use it."""
MINT_SECONDS = 20
"""How long a worker may take to mint before another one tries."""
PAUSE_SECONDS = 0.25
PATIENCE_SECONDS = 2.0


class Tokens:
    """`mint` trades a credential's JWT for a token and its life in seconds."""

    def __init__(
        self,
        notes: Notes,
        clock: Clock,
        *,
        mint: Callable[[Credential], tuple[str, float]],
        sleep: Callable[[float], None],
    ) -> None:
        self._notes = notes
        self._clock = clock
        self._mint = mint
        self._sleep = sleep
        self._known: dict[str, tuple[str, float]] = {}

    def token(self, credential: Credential) -> str:
        """Return a token that is alive. Raises Wait while another worker mints, and as `mint`."""
        known = self._known.get(credential.id)
        if known is not None and self._now() < known[1]:
            return known[0]
        patience = PATIENCE_SECONDS
        while True:
            note = self._notes.read(_name(credential))
            token = _decrypted(note, credential)
            now = self._now()
            if token is not None and now < note.content["renew_at"]:
                return self._remembered(credential, token, note.content["renew_at"])
            if now >= note.content.get("minting_until", 0.0):
                minted = self._minted(note, credential)
                if minted is not None:
                    return minted
                continue
            if token is not None and now < note.content["expires_at"]:
                return token
            if patience <= 0:
                raise Wait("another worker is minting the token", seconds=PATIENCE_SECONDS)
            self._sleep(PAUSE_SECONDS)
            patience -= PAUSE_SECONDS

    def refused(self, credential: Credential, token: str) -> None:
        """Forget a token that was answered 401, unless a newer one stands in the ledger."""
        self._known.pop(credential.id, None)
        note = self._notes.read(_name(credential))
        if _decrypted(note, credential) == token:
            self._written(note, {})

    def _minted(self, note: Note, credential: Credential) -> str | None:
        """Mint, if nobody else began at the same moment."""
        claim = note.content | {"minting_until": self._now() + MINT_SECONDS}
        claimed = self._written(note, claim)
        if claimed is None:
            return None
        try:
            token, life = self._mint(credential)
        except BaseException:
            # What is alive is still good for the others; what went wrong is tried again by one.
            self._written(claimed, note.content)
            raise
        now = self._now()
        renew_at = now + life * (1 - RENEW_SHARE)
        content = {
            "token": _cipher(credential).encrypt(token.encode()).decode(),
            "renew_at": renew_at,
            "expires_at": now + life - 1,
        }
        self._written(claimed, content)
        return self._remembered(credential, token, renew_at)

    def _remembered(self, credential: Credential, token: str, until: float) -> str:
        self._known[credential.id] = (token, until)
        return token

    def _written(self, note: Note, content: Json) -> Note | None:
        try:
            return self._notes.write(replace(note, content=content))
        except Stale:
            return None

    def _now(self) -> float:
        return self._clock.now().timestamp()


def _name(credential: Credential) -> str:
    return f"token#ringex#{credential.id}"


def _cipher(credential: Credential) -> Fernet:
    """Derive the key from the secret, so that the ledger alone gives no access."""
    key = hmac.digest(
        credential.client_secret.encode(),
        b"legato token " + credential.jwt.encode(),
        hashlib.sha256,
    )
    return Fernet(base64.urlsafe_b64encode(key))


def _decrypted(note: Note, credential: Credential) -> str | None:
    sealed = note.content.get("token")
    if sealed is None:
        return None
    try:
        return _cipher(credential).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None  # minted with other credentials
