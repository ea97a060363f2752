"""Documents that stand in a database word for word, with their audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from local.simulators import times
from local.simulators.audio import Audio, Given
from local.simulators.kazoo.calls import Calls, Key
from local.simulators.kazoo.gregorian import UNIX, gregorian, month_of
from local.simulators.raw import Raw, audio_of, identity, seconds_of, text
from local.simulators.settings import Json
from local.simulators.times import Clock

TIMES = ("start", "created", "modified", "timestamp", "pvt_created", "pvt_modified")
"""The fields whose times are Gregorian seconds. Elsewhere a time is a text."""
_LAST = UNIX + 253_402_300_799
"""The end of the year 9999, beyond which there are no months."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawDocument:
    """A document as it was given, where it stands in lists, and what can be fetched of it."""

    value: Any
    account: str
    identity: str | None
    name: str | None
    key: Key
    audio: Audio | None

    @property
    def owner(self) -> Any:
        """Return whose it is."""
        return self.value.get("owner_id") if isinstance(self.value, dict) else None


class RawDocuments:
    """All of them, in the order given."""

    def __init__(self, clock: Clock, calls: Calls) -> None:
        self._clock = clock
        self._calls = calls
        self._documents: list[RawDocument] = []
        self._audio: dict[tuple[str, str], Audio] = {}
        self._numbers = count()

    def take(self, account: str, raw: Raw) -> list[str]:
        """List these documents of an account from now on, in place of those with the same id.

        Returns the recordings whose audio can be fetched.
        """
        for name, given in raw.audio.items():
            self._audio[account, name] = Given(given)
        taken = [self._document(value, account) for value in raw.entries]
        again = {each.identity for each in taken if each.identity}
        self._documents = [
            each
            for each in self._documents
            if each.account != account or each.identity not in again
        ]
        self._documents += taken
        for document in taken:
            self._calls.unlist(account, document.name)
        named = [each.name for each in taken if each.name is not None and each.audio]
        return list(dict.fromkeys([*raw.audio, *named]))

    def within(
        self, account: str, month: int, begin: Key, end: Key, *, ascending: bool
    ) -> Iterator[RawDocument]:
        """Yield what says that it was saved in a month, from `begin` to `end`."""
        found = [
            each
            for each in self._documents
            if each.account == account
            and month_of(each.key[0] - UNIX) == month
            and begin <= each.key <= end
        ]
        yield from sorted(found, key=lambda each: each.key, reverse=not ascending)

    def find(self, account: str, name: str | None) -> RawDocument | None:
        """Return the document with this id."""
        found = (e for e in self._documents if (e.account, e.name) == (account, name))
        return next(found, None)

    def drop(self, document: RawDocument) -> None:
        """Let a document be gone."""
        self._documents.remove(document)

    def forget(self) -> None:
        """Drop everything."""
        self._documents.clear()
        self._audio.clear()

    def _document(self, value: Any, account: str) -> RawDocument:
        fields = value if isinstance(value, dict) else {}
        name = text(fields.get("id"))
        return RawDocument(
            value=value,
            account=account,
            identity=identity(value, "id"),
            name=name,
            # Numbered, so that a page ends between two of the same id.
            key=(_created(fields, self._clock()), f"{name or ''}#{next(self._numbers):09}"),
            audio=None if name is None else self._heard(account, name, fields),
        )

    def _heard(self, account: str, name: str, fields: Json) -> Audio | None:
        given = self._audio.get((account, name))
        placed = self._calls.recordings.get(name)
        if given is None and placed and placed.account == account:
            return placed.audio
        return given or audio_of(name, None, _length(fields), audio_format="mp3")


def written(name: str, moment: float) -> Any:
    """Write a time as it stands in a field."""
    return gregorian(moment) if name in TIMES else times.write(moment)


def _created(fields: Json, now: float) -> int:
    for value in (fields.get("created"), fields.get("start")):
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if UNIX <= value <= _LAST:
            return int(value)
    return gregorian(now)


def _length(fields: Json) -> float | None:
    milliseconds = seconds_of(fields.get("duration_ms"), per_second=1000)
    return milliseconds or seconds_of(fields.get("duration"))
