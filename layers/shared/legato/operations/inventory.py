"""What the archive has of a day, compared with what the providers' lists and the ledger say.

The other direction of a reconciliation: a list that is shorter than the archive is no proof that
nothing is missing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING

from legato.archive.folder import Verdict, misplaced, unnamed_leg
from legato.archive.layout import call_in, day_prefix, legs_prefix, manifest_key, newest_revision
from legato.archive.manifest import read_manifest
from legato.catalogue.index import Query, every
from legato.errors import LegatoError
from legato.ledger import removals
from legato.ledger.waiting import at_work, promised
from legato.model import CallId, CallState, parse_time
from legato.operations.missing import LIST_EMPTY, NOT_LISTED, SECOND_FOLDER
from legato.operations.past import YOUNG, Listed
from legato.operations.report.reconciliation import Found

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from legato.operations.past import Classifier, Reconciling

AT_ONCE = 16
"""So many calls are looked up at the same time."""
MARGIN = timedelta(days=1)
"""So long before the end of its retention a provider may have deleted a recording."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A folder of the archive, and what the ledger says of its call."""

    folder: str
    sizes: Mapping[str, int]
    state: CallState


class Inventory:
    """Goes through the folders of a provider's days."""

    def __init__(self, work: Reconciling, classifier: Classifier) -> None:
        self._work = work
        self._classifier = classifier

    def of_day(self, provider: str, day: date, listed: Listed) -> list[Found]:
        """Return what is wrong with the calls of a day. Raises Retry."""
        folders: dict[str, Mapping[str, int]] = {}
        for account in self._work.archive.folders(f"calls/{provider}/"):
            folders |= self._classifier.folders(day_prefix(account, day))
        with ThreadPoolExecutor(AT_ONCE) as workers:
            calls = list(workers.map(self._loaded, folders.items()))
            wrong = workers.map(partial(self._wrong, day=day, examined=listed.calls), calls)
            found = [one for some in wrong for one in some]
            if listed.whole:
                lacking = list(workers.map(partial(self._lacking, listed=listed.recordings), calls))
                found += self._not_listed(provider, day, listed, zip(calls, lacking, strict=True))
        return found + list(self._gone(provider, day, folders, listed.calls))

    def _loaded(self, folder: tuple[str, Mapping[str, int]]) -> _Call:
        prefix, sizes = folder
        return _Call(prefix, sizes, self._work.ledger.load(call_in(prefix)))

    def _wrong(self, one: _Call, *, day: date, examined: Collection[CallId]) -> list[Found]:
        state = one.state
        if state.prefix is not None and state.prefix != one.folder:
            reason = f"{one.folder} is a second folder of a call that lies in {state.prefix}"
            flaw = Verdict(kind=SECOND_FOLDER, reason=reason)
            return [as_found(state, flaw, day=day, where=one.folder)]
        if state.id in examined:
            return []
        if state.manifest is None and not state.legs:
            return [as_found(state, flaw, day=day) for flaw in self._unknown(one)]
        return [as_found(state, flaw, day=day) for flaw in self._classifier.flaws(state)]

    def _unknown(self, one: _Call) -> Iterator[Verdict]:
        """Yield what is wrong with a folder of which the ledger says nothing that was sealed."""
        state, now = one.state, self._work.clock.now()
        if at_work(state, now) or promised(state, now) or state.status == "failed":
            return
        newest = newest_revision(one.sizes)
        if not newest:
            legs = legs_prefix(one.folder)
            yield from map(unnamed_leg, sorted(key for key in one.sizes if key.startswith(legs)))
            return
        key = manifest_key(one.folder, newest)
        try:
            sealed = self._work.archive.stored(key)
            content = read_manifest(sealed, self._work.archive) if sealed else {}
            wrong = list(misplaced(state.id, content, key))
        except (LegatoError, ValueError, KeyError) as error:
            yield Verdict(kind="manifest unreadable", reason=f"{key}: {error}")
            return
        reason = f"{key} is in the archive, and the ledger does not know the call"
        yield from wrong or [Verdict(kind="not in the ledger", reason=reason)]

    def _lacking(self, one: _Call, *, listed: Collection[tuple[str, str]]) -> list[str]:
        """Return the archived legs of a call that the list should name, and does not."""
        state = one.state
        if state.prefix != one.folder or state.manifest is None:
            return []
        lists = [each for each in self._work.recorded if each.name == state.provider]
        covered = {
            leg
            for leg in state.legs
            if (state.account, leg) not in listed
            and any(each.covers(state.account, leg) for each in lists)
        }
        if not covered or state.manifest.key not in one.sizes:
            return []
        try:
            content = read_manifest(state.manifest, self._work.archive)
        except (LegatoError, ValueError):
            return []  # that is said of its legs
        first = max(self._work.begin, self._work.oldest(state.provider) + MARGIN)
        last = min(self._work.end, self._work.clock.now() - YOUNG)
        if parse_time(content["started_at"]) < first:
            return []
        return [
            leg["id"]
            for leg in content["legs"]
            if leg["id"] in covered
            and not leg["named_only"]
            and first <= parse_time(leg["started_at"]) < last
            and not removals.is_removed(state.id, leg["id"], self._work.notes)
        ]

    def _not_listed(
        self,
        provider: str,
        day: date,
        listed: Listed,
        calls: Iterable[tuple[_Call, list[str]]],
    ) -> Iterator[Found]:
        accounts: dict[str, list[tuple[CallState, str]]] = {}
        for one, legs in calls:
            for leg in legs:
                accounts.setdefault(one.state.account, []).append((one.state, leg))
        for account, lacking in sorted(accounts.items()):
            state, leg = lacking[0]
            if not listed.days[account, day]:
                reason = (
                    f"the provider lists nothing of {day}, and {len(lacking)} recordings of it "
                    f"are archived: the first is {leg} of {state.id}"
                )
                flaw = Verdict(kind=LIST_EMPTY, reason=reason)
                yield as_found(
                    CallState(provider=provider, account=account, call=""), flaw, day=day
                )
                continue
            for state, leg in lacking:
                reason = "it is archived, and the provider's list does not name it"
                flaw = Verdict(kind=NOT_LISTED, reason=reason, recording=leg)
                yield as_found(state, flaw, day=day)

    def _gone(
        self, provider: str, day: date, folders: Collection[str], examined: Collection[CallId]
    ) -> Iterator[Found]:
        """Yield the calls that the catalogue has, and the bucket has not."""
        if self._work.catalogue is None:
            return
        begin = datetime.combine(day, time(), UTC)
        query = Query(provider=provider, begin=begin, end=begin + timedelta(days=1))
        for row in every(query, self._work.catalogue):
            if row.prefix in folders or row.id in examined or self._work.archive.sizes(row.prefix):
                continue
            state, now = self._work.ledger.load(row.id), self._work.clock.now()
            flaws = self._classifier.flaws(state)
            seen_to = at_work(state, now) or promised(state, now) or state.status == "failed"
            if not flaws and not seen_to and state.prefix in (None, row.prefix):
                flaws = [
                    Verdict(kind="folder gone", reason=f"{row.prefix} is gone from the archive")
                ]
            for flaw in flaws:
                yield as_found(state, flaw, day=day)


def as_found(
    state: CallState,
    verdict: Verdict,
    *,
    day: date,
    where: str = "",
    began_at: datetime | None = None,
) -> Found:
    """Return a verdict on a call as a run reports it."""
    return Found(
        **state.id._asdict(),
        **asdict(verdict),
        day=day,
        began_at=began_at,
        revision=state.revision,
        where=where,
    )
