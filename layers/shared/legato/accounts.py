"""Which accounts know an id: one interaction or dialog may be a call in several of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.errors import Refused
from legato.model import PROVIDERS, CallId
from legato.notes import change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.model import Note
    from legato.ports import Notes


def siblings(call: CallId, notes: Notes) -> tuple[CallId, ...]:
    """Return the calls of other accounts with the same id, and note this one. Raises Retry."""

    def noted(note: Note) -> Note:
        accounts = {*note.content.get("accounts", ()), call.account}
        return replace(note, content={"accounts": sorted(accounts)})

    accounts: list[str] = change(_key(call), noted, notes).content["accounts"]
    found = (call._replace(account=account) for account in accounts)
    return tuple(other for other in found if other != call)


def meant(text: str, notes: Notes) -> list[CallId]:
    """Return the calls that a person may mean by an address, `provider/call`, or an id alone.

    An address is taken at its word; the other forms find calls that were looked at. Raises Retry.
    """
    try:
        return [CallId.parse(text)]
    except Refused:
        provider, _, call = text.partition("/")
    if provider in PROVIDERS and call:
        return list(_named(provider, unquote(call), notes))
    return [found for provider in PROVIDERS for found in _named(provider, text, notes)]


def only_account_key(provider: str) -> str:
    """Return the key of the note with the account of a provider that has no more than one."""
    return f"account#{provider}"


def _named(provider: str, call: str, notes: Notes) -> Iterator[CallId]:
    only = notes.read(only_account_key(provider)).content.get("account")
    several = notes.read(_key(CallId(provider, "", call))).content.get("accounts", ())
    for account in sorted({*([only] if only else ()), *several}):
        yield CallId(provider, account, call)


def _key(call: CallId) -> str:
    return f"accounts#{call._replace(account='')}"
