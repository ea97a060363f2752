"""Make the ledger anew from the bucket, which is the truth.

What the bucket cannot tell is asked of the providers again: where their lists begin, what was found
and is not archived, limits and tokens. What it can tell is here: which calls there are and where,
what of them is sealed, who holds them, and which evidence no digest names yet. An entry that knows
as much as the bucket is left alone, so it may be run again, and beside everything else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING

from legato.archive import document, library
from legato.archive.layout import CALLS, call_in
from legato.archive.library import COLD, whole
from legato.errors import Refused, Stale
from legato.evidence import legal_hold
from legato.ingest import related
from legato.ingest.seal import known
from legato.ingest.streaming import remember_sealed
from legato.ledger import birthmark, undigested
from legato.ledger.accounts import siblings
from legato.ledger.listings import records_key
from legato.ledger.notes import change
from legato.model import CallId, parse_time
from legato.operations.catalogue_rebuild import FOLDERS, each_folder, in_batches, newest_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from legato.archive.library import Library, Stored
    from legato.ledger.birthmark import Marked
    from legato.model import Json, Note, StoredObject
    from legato.ports import Clock, Ledger, Notes


@dataclass(slots=True, kw_only=True)
class Remade:
    """What came of it.

    So many `calls` are sealed in the bucket, of which the ledger did not know `forgotten`; so many
    folders are `unsealed`, and will be fetched again. `unnamed` documents are in no digest yet.
    `doubled` are folders of a call that has another one, `unread` those whose manifest cannot be
    read, with the reason.
    """

    calls: int = 0
    forgotten: int = 0
    unsealed: int = 0
    holds: int = 0
    unnamed: int = 0
    doubled: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRebuild:
    """Makes a ledger anew. `marked` must not lock what it writes."""

    library: Library
    marked: Marked
    ledger: Ledger
    notes: Notes
    clock: Clock

    def run(self, *, tell: Callable[[Remade], None] = lambda _: None) -> Remade:
        """Write what the bucket knows into the ledger, and let functions seal again. Raises Retry.

        They stay stopped if anything cannot be read: run it again, or mend what `unread` names.
        """
        report = Remade()
        seen: dict[CallId, str] = {}
        looked = each_folder(self.library, [CALLS], self._folder)
        for number, (folder, found) in enumerate(looked, start=1):
            _count(folder, found, seen, report)
            if number % FOLDERS == 0:
                tell(report)
        report.holds = self._holds()
        report.unnamed = self._evidence()
        if not report.unread:
            birthmark.mark_anew(self.marked, self.notes, self.clock)
        return report

    def _folder(self, folder: str, objects: Sequence[Stored]) -> _Found:
        """Write what a folder says into the ledger's entry of its call. Raises LegatoError."""
        call, stored = call_in(folder), newest_manifest(folder, objects)
        if stored is None:
            return _Found(call=call, sealed=False, forgotten=self._entered(call, folder, None))
        sealed, body = library.document(self.library, stored)
        content: Json = json.loads(body)
        if CallId.of(content) != call:
            raise Refused(f"{sealed.key} is of {CallId.of(content)}")
        self._remember_records(call, content)
        related.remember(call, map(CallId.parse, content["related"]), self.notes)
        siblings(call, self.notes)
        self._remember_cold(content, objects)
        return _Found(
            call=call, sealed=True, forgotten=self._entered(call, folder, (sealed, content))
        )

    def _entered(self, call: CallId, folder: str, sealed: tuple[StoredObject, Json] | None) -> bool:
        """Write the entry of a call, unless it knows as much; say whether it was written."""
        while True:
            state = self.ledger.load(call)
            revision = sealed[1]["revision"] if sealed else 0
            if state.prefix == folder and state.revision >= revision:
                return False
            if state.prefix not in (None, folder) and state.revision >= revision:
                return False  # the other folder is the call's, and knows as much
            state = state.changed(prefix=folder)
            if sealed is not None:
                at = parse_time(sealed[1]["sealed_at"])
                state = known(state, *sealed).changed(
                    status="archived", looked_at=at, seen_at=state.seen_at or at, catalogued=0
                )
            try:
                self.ledger.save(state)
            except Stale:
                continue
            return True

    def _remember_records(self, call: CallId, content: Json) -> None:
        """Keep the provider's records, so that what is listed later is added to them."""

        def remembered(note: Note) -> Note:
            records = {
                _name(record, at): record for at, record in enumerate(content["provider_records"])
            }
            before = note.content.get("records", {})
            if not records.keys() - before.keys():
                return note
            return replace(note, content=note.content | {"records": records | before})

        change(records_key(call), remembered, self.notes)

    def _remember_cold(self, content: Json, objects: Sequence[Stored]) -> None:
        """Keep what was heard of legs that cannot be read again, for the next revision."""
        cold = {one.key for one in objects if one.storage_class in COLD}
        legs = [leg for leg in content["legs"] if leg["key"] in cold]
        if legs:
            named = content["peaks"]
            peaks = json.loads(whole(self.library, named["key"], version_id=named["version_id"]))
            for leg in legs:
                remember_sealed(leg, content["levels"], peaks, self.notes)

    def _holds(self) -> int:
        """Write every hold into the ledger that it has forgotten; return how many are held."""
        count = 0
        records = groupby(
            self.library.listed("holds/"), lambda stored: stored.key.rpartition("/")[0]
        )
        for _, stored in records:
            steps = sorted((self._json(one) for one in stored), key=lambda step: step["step"])
            count += legal_hold.remembered(steps, self.notes)
        return count

    def _evidence(self) -> int:
        """Announce the documents that no digest names; return how many they are."""
        named = {one["key"] for digest in self._digests() for one in digest["objects"]}
        count = 0
        for stored in self._documents():
            if stored.key in named:
                continue
            described, _ = library.document(self.library, stored)
            undigested.announce(stored.key, self.notes, self.clock)
            undigested.written(described, self.notes)
            count += 1
        return count

    def _digests(self) -> Iterator[Json]:
        keys = (one for one in self.library.listed("digests/2") if one.key.endswith(".json"))
        return in_batches(self._json, keys)

    def _documents(self) -> Iterable[Stored]:
        for prefix in document.FOLDERS:
            for stored in self.library.listed(prefix):
                if document.is_document(stored.key):
                    yield stored

    def _json(self, stored: Stored) -> Json:
        read: Json = json.loads(whole(self.library, stored.key, version_id=stored.version_id))
        return read


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A folder of the bucket: whose it is, whether it is sealed, and whether that was forgotten."""

    call: CallId
    sealed: bool
    forgotten: bool


def _count(folder: str, found: _Found | str, seen: dict[CallId, str], report: Remade) -> None:
    if isinstance(found, str):
        report.unread[folder] = found
        return
    if seen.setdefault(found.call, folder) != folder:
        report.doubled.append(folder)
    report.calls += found.sealed
    report.unsealed += not found.sealed
    report.forgotten += found.forgotten


def _name(record: Json, at: int) -> str:
    names = (record.get(name) for name in ("segmentId", "segmentID", "id"))
    return next((str(name) for name in names if name), f"without id, {at}")
