"""The accounts that a provider lists, as the last sweep has seen them, for all others to read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from legato.model import Json, Note
    from legato.ports import Clock, Notes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """When it was listed for the first time, and since when it is not any more."""

    since: datetime
    gone_since: datetime | None = None


def listed_accounts(provider: str, notes: Notes) -> dict[str, ListedAccount]:
    """Return all of a provider, those that are gone as well. Raises Retry."""
    return _read(notes.read(_key(provider)))


def note_accounts(
    provider: str, listed: Collection[str], *, whole: bool, notes: Notes, clock: Clock
) -> dict[str, ListedAccount]:
    """Write down what is listed now, and return all that are known.

    Nothing is gone that is only absent from a list that is not the `whole` one. Raises Retry.
    """

    def noted(note: Note) -> Note:
        now, known = clock.now(), _read(note)
        since = {name: account.since for name, account in known.items()}
        found = {name: ListedAccount(since.get(name, now)) for name in listed}
        absent = {
            name: replace(account, gone_since=account.gone_since or now) if whole else account
            for name, account in known.items()
            if name not in found
        }
        # Most lists tell nothing new, and what was written stays as it is.
        return note if known == found | absent else replace(note, content=_written(found | absent))

    before = listed_accounts(provider, notes)
    known = _read(change(_key(provider), noted, notes))
    for name, account in known.items():
        if name not in before:
            log.info("a new account", extra={"provider": provider, "account": name})
        elif account.gone_since is not None and before[name].gone_since is None:
            log.warning("an account is not listed any more", extra={"account": name})
    return known


def _read(note: Note) -> dict[str, ListedAccount]:
    return {
        name: ListedAccount(parse_time(since), parse_time(gone) if gone else None)
        for name, (since, gone) in note.content.get("accounts", {}).items()
    }


def _written(accounts: dict[str, ListedAccount]) -> Json:
    return {
        "accounts": {
            name: [format_time(each.since), each.gone_since and format_time(each.gone_since)]
            for name, each in sorted(accounts.items())
        }
    }


def _key(provider: str) -> str:
    return f"listed-accounts#{provider}"
