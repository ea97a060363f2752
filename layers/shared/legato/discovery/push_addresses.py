"""Make the addresses that Kazoo pushes to, and change the key of the secret that they hang on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from legato.discovery.push import KAZOO_PREVIOUS_PUSH_KEY, KAZOO_PUSH_KEY, token_of
from legato.errors import Failed

if TYPE_CHECKING:
    from legato.discovery.subscription import SecretStore
    from legato.model import Json

type Wish = Literal["keep", "rotate", "revoke"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAddresses:
    """What push URLs are made of: a token for each account goes behind `address`."""

    tokens: SecretStore
    address: str
    accounts: tuple[str, ...]

    def urls(self) -> dict[str, str]:
        """Return each account's URL. Raises Failed if the secret has no key, Retry."""
        key = str(self.tokens.read().get(KAZOO_PUSH_KEY) or "")
        if not key:
            raise Failed("the secret has no push key")
        return {account: f"{self.address}/{token_of(account, key)}" for account in self.accounts}

    def planned(self, wish: Wish) -> str:
        """Say what would become of the secret; nothing if it stays as it is. Raises Retry."""
        return _changed(self.tokens.read(), wish)[1]

    def change(self, wish: Wish) -> None:
        """Do what was planned. Raises Retry."""
        # It is read again: somebody may have thought about the question for a while.
        before = self.tokens.read()
        after, _ = _changed(before, wish)
        if after != before:
            self.tokens.write(after)


def _changed(value: Json, wish: Wish) -> tuple[Json, str]:
    """Return the secret as it is to be, and what that means."""
    key, previous = (value.get(name) or "" for name in (KAZOO_PUSH_KEY, KAZOO_PREVIOUS_PUSH_KEY))
    fresh = {KAZOO_PUSH_KEY: secrets.token_hex(32)}
    if not key:
        return {**value, **fresh}, "the secret has no push key: one is made"
    if wish == "rotate":
        means = "a new push key is made; URLs of the present key stay valid until --revoke-previous"
        if previous:
            means += "; URLs of the key before it end"
        return {**value, **fresh, KAZOO_PREVIOUS_PUSH_KEY: key}, means
    if wish == "revoke" and previous:
        kept = {name: item for name, item in value.items() if name != KAZOO_PREVIOUS_PUSH_KEY}
        return kept, "URLs of the previous push key are no longer accepted"
    return value, ""
