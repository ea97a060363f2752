"""Which account `~` stands for at RingCentral: the one of the credentials.

A record, a notification or a job may name it by its id, say `~`, or say nothing. The call is the
same one, so its account is always the id. The first record of the call log that names the id makes
it known; where none has, RingCentral is asked
(https://developers.ringcentral.com/api-reference/Company/readAccountInfo). What a notification
names is nobody's word: its token only proves that it came by our subscription's address.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from legato.errors import Barred, Failed, NotYet
from legato.ledger.accounts import check_found, only_account_key
from legato.ledger.notes import change
from legato.providers.fields import id_of
from legato.providers.ringex.api import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.model import Job, Json, Note
    from legato.ports import Notes
    from legato.providers.ringex.api import RingexApi

OWN = ("", "~")
"""What stands for the account of the credentials."""
ASK_AGAIN_SECONDS = 900

_ID = re.compile(r"/account/([^/?~]+)(?:[/?]|$)")


class RingexAccount:
    """The account of the credentials. All of the secret's JWTs must be of users of that one."""

    def __init__(self, api: RingexApi, notes: Notes) -> None:
        self._api = api
        self._notes = notes
        self._id: str | None = None

    def identified(self, job: Job) -> Job:
        """Return the job under the account's id. Raises Wait, Barred, Retry.

        Raises Refused for one of another account, unless a sweep has found its call there.
        """
        own = self.id()
        if job.account in OWN:
            return replace(job, account=own)
        if job.account != own:
            check_found(job, self._notes)
        return job

    def of_records(self, records: Iterable[Json]) -> list[str]:
        """Return the account of each record of the credentials' call log.

        The first one that names it is remembered. Raises Wait, Barred, Retry.
        """
        named = [_named(record) for record in records]
        told = next(filter(None, named), None)
        if told is not None and self._known() is None:
            self._remember(told)
        return [each or self.id() for each in named]

    def id(self) -> str:
        """Return the id. Raises Wait, Barred, Retry."""
        found = self._known()
        if found is None:
            found = self._asked()
            self._remember(found)
        return found

    def _known(self) -> str | None:
        if self._id is None:
            self._id = self._notes.read(only_account_key("ringex")).content.get("account")
        return self._id

    def _remember(self, account: str) -> None:
        def known(note: Note) -> Note:
            return replace(note, content={"account": account})

        change(only_account_key("ringex"), known, self._notes)
        self._id = account

    def _asked(self) -> str:
        try:
            found = self._api.get(ACCOUNT, {}).get("id")
        except (Failed, NotYet) as error:
            raise Barred(f"no account is known: {error}", seconds=ASK_AGAIN_SECONDS) from error
        name = id_of(found)
        if name is None:
            raise Barred(f"{ACCOUNT} has no `id`", seconds=ASK_AGAIN_SECONDS)
        return name


def _named(record: Json) -> str | None:
    """Return the account's id if the addresses of a record or of its recordings have it."""
    legs = record.get("legs")
    entries = [record, *(legs if isinstance(legs, list) else ())]
    recordings = [entry.get("recording") for entry in entries if isinstance(entry, dict)]
    for said in (record, *recordings):
        if isinstance(said, dict):
            for name in ("uri", "contentUri"):
                if found := _ID.search(str(said.get(name, ""))):
                    return found[1]
    return None
