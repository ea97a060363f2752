"""Which accounts know an id: one interaction or dialog may be a call in several of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.errors import Refused
from legato.ledger.listings import records_key
from legato.ledger.notes import change
from legato.model import PROVIDERS, CallId, is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from legato.model import Job, Note
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

    An address is taken at its word; the other forms find calls that were looked at. Nothing is
    meant by what can be no id. Raises Retry.
    """
    try:
        address = CallId.parse(text)
    except Refused:
        provider, _, call = text.partition("/")
    else:
        return [address] if all(map(is_name, address)) else []
    if provider in PROVIDERS and call:
        return list(_named(provider, unquote(call), notes))
    return [found for provider in PROVIDERS for found in _named(provider, text, notes)]


def ours(
    accounts: Callable[[], Collection[str]], notes: Notes, *, unplaced: str | None = None
) -> Callable[[Job], Job]:
    """Return who lets jobs through that are of these accounts, or of a call that a sweep found.

    An account that is not followed any more may have calls on their way. Only calls that
    begin with `unplaced` have no account yet. Raises Refused, Retry.
    """

    def identified(job: Job) -> Job:
        placed = job.account or unplaced is None or not job.call.startswith(unplaced)
        if placed and job.account not in accounts():
            check_found(job, notes)
        return job

    return identified


def check_found(job: Job, notes: Notes) -> None:
    """Raise Refused for a job of a foreign account, unless a sweep has found its call there."""
    if not notes.read(records_key(job.id)).version:
        raise Refused(f"a job of account {job.account!r}, which is none of ours, or not any more")


def only_account_key(provider: str) -> str:
    """Return the key of the note with the account of a provider that has no more than one."""
    return f"account#{provider}"


def _named(provider: str, call: str, notes: Notes) -> Iterator[CallId]:
    if not is_name(call):
        return
    only = notes.read(only_account_key(provider)).content.get("account")
    several = notes.read(_key(CallId(provider, "", call))).content.get("accounts", ())
    for account in sorted({*([only] if only else ()), *several}):
        yield CallId(provider, account, call)


def _key(call: CallId) -> str:
    return f"accounts#{call._replace(account='')}"
