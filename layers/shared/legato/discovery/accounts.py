"""Of which accounts recordings are kept: those that are named, and those that the provider lists.

A reseller's new customer is archived without a deployment. Each sweep asks the provider which
accounts there are; all others read in the ledger what the last one has seen.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.errors import LegatoError, Unavailable
from legato.ledger.listed_accounts import ListedAccount, listed_accounts, note_accounts
from legato.model import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from legato.ports import Clock, Notes

log = logging.getLogger(__name__)

FORGOTTEN = timedelta(days=7)
"""So long an account is followed that is not listed any more: a list may be wrong for a while."""
READ_EVERY = timedelta(seconds=60)


@dataclass(slots=True, kw_only=True)
class Accounts:
    """The accounts of one provider.

    `named` are followed in any case. `roots` are those for which `listed` returns the others that
    belong to them; it may raise what the provider's API does.
    """

    provider: str
    named: Sequence[str]
    roots: Sequence[str]
    listed: Callable[[str], Collection[str]]
    notes: Notes
    clock: Clock
    _known: Mapping[str, ListedAccount] = field(default_factory=dict, init=False)
    _read_at: datetime | None = field(default=None, init=False)

    def followed(self, *, ask: bool = False) -> tuple[str, ...]:
        """Return all that are followed, as the last sweep has seen them. Raises Retry.

        With `ask` this is the sweep. While the provider does not answer, what it last said counts.
        """
        now = self.clock.now()
        if self.roots and ask:
            self._known, self._read_at = self._asked(), now
        elif self.roots and (self._read_at is None or abs(now - self._read_at) >= READ_EVERY):
            self._known, self._read_at = listed_accounts(self.provider, self.notes), now
        there = (
            name
            for name, account in self._known.items()
            if account.gone_since is None or now - account.gone_since < FORGOTTEN
        )
        return tuple(dict.fromkeys((*self.named, *there)))

    def _asked(self) -> Mapping[str, ListedAccount]:
        found: set[str] = set()
        whole = True
        for root in self.roots:
            try:
                found.update(filter(is_name, self.listed(root)))
            except LegatoError as error:
                whole = False
                extra = {"provider": self.provider, "root": root, "reason": str(error)}
                log.warning("the accounts are not listed", extra=extra)
        try:
            return note_accounts(
                self.provider, found, whole=whole, notes=self.notes, clock=self.clock
            )
        except Unavailable:
            raise
        except LegatoError as error:
            # More accounts than an item of the ledger holds: the sweep follows them all the same.
            extra = {"provider": self.provider, "accounts": str(len(found)), "reason": str(error)}
            log.error("the accounts cannot be noted", extra=extra)
            new = dict.fromkeys(sorted(found), ListedAccount(self.clock.now()))
            return new | listed_accounts(self.provider, self.notes)
