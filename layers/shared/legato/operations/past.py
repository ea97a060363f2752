"""What has become of a recording, by the ledger and the bucket, and what to do about it."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from legato.archive.folder import Verdict, flaws
from legato.archive.layout import folder_of
from legato.errors import Retry, Stale
from legato.ledger import unarchived
from legato.ledger.listings import records_key
from legato.ledger.notes import change
from legato.ledger.waiting import PATIENCE, PROMPT, at_work, promised
from legato.model import Job, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from legato.catalogue.index import Catalogue
    from legato.model import CallId, CallState, Json, Note, Trouble
    from legato.operations.report.reconciliation import Found
    from legato.ports import Archive, Backlog, Clock, Jobs, Ledger, Lists, Notes, Recorded

log = logging.getLogger(__name__)

YOUNG = timedelta(hours=4)
"""What began so lately may not have been found, or be on its way; RingCX's second look is then."""
WRITE_TRIES = 10
FOLDERS = 4
"""How many days' listings of the bucket are held at the same time."""


class Classifier:
    """Says of recordings what has become of them, and sees to those that are missing."""

    def __init__(self, work: Reconciling) -> None:
        self._work = work
        self._days: OrderedDict[str, dict[str, dict[str, int]]] = OrderedDict()
        self._patience: dict[str, timedelta] = {}
        self._lock = Lock()

    def verdicts(
        self, state: CallState, wanted: Mapping[str, datetime | None]
    ) -> tuple[dict[str, Verdict], list[Verdict]]:
        """Return the fate of each recording of a call, and what else is wrong with the call.

        Raises Retry.
        """
        wrong = self.flaws(state)
        of_leg = {flaw.recording: flaw for flaw in reversed(wrong) if flaw.recording}
        note: Note | None = None
        found: dict[str, Verdict] = {}
        for recording, began_at in wanted.items():
            if recording in of_leg and recording in state.legs:
                found[recording] = of_leg[recording]
            elif recording in state.legs:
                found[recording] = _sealed(recording, state.troubles.get(recording))
            else:
                note = note or self._work.notes.read(records_key(state.id))
                absent = self._absent(recording, began_at, state, note)
                found[recording] = replace(absent, recording=recording)
        named = of_leg.keys() & state.legs.keys() & wanted.keys()
        return found, [flaw for flaw in wrong if flaw.recording not in named]

    def flaws(self, state: CallState) -> list[Verdict]:
        """Return what is wrong with a call in the archive, if it was sealed. Raises Retry."""
        if state.prefix is None or (not state.legs and state.manifest is None):
            return []
        found = flaws(state, self._folder(state.prefix), self._work.archive)
        if found:
            # The listing may be older than the entry, and the entry older than the manifest.
            state = self._work.ledger.load(state.id)
            fresh = self._work.archive.sizes(state.prefix or "")
            found = flaws(state, fresh, self._work.archive)
        now = self._work.clock.now()
        if at_work(state, now) or promised(state, now):
            # A leg is stored before it is sealed.
            return [flaw for flaw in found if flaw.kind != "leg of no manifest"]
        return found

    def again(self, missing: Sequence[Found], *, records: Mapping[str, Json]) -> int:
        """Queue a job for what a call lacks, as the sweep does; return for how much. Raises Retry.

        First the ledger forgets what it wrongly says is archived, so that the job finds something
        to do. Nothing that was sealed is touched: what is fetched anew makes another revision.
        """
        call, recordings = missing[0].id, {one.recording for one in missing}
        if self._work.report_only or not self._put_right(call, recordings):
            return 0
        began_at = min((one.began_at for one in missing if one.began_at), default=None)
        ids = sorted(recordings)
        job = Job(
            **call._asdict(),
            # As if seen at the time: where a provider is asked by time, that is where it lies.
            seen_at=began_at or self._work.clock.now(),
            hints={"recordingIds": ids, "listed": ids},
        )
        self._work.jobs[call.provider].send(job, delay=self._work.settle_seconds)
        watches = {one.watch for one in self._work.recorded}
        watch = call.provider if call.provider in watches else f"{call.provider}#{call.account}"
        now = self._work.clock.now()

        def known(note: Note) -> Note:
            merged = note.content.get("records", {}) | dict(records)
            content = note.content | {"records": merged, "seen": format_time(now)}
            note = replace(note, content=content)
            return unarchived.found(note, recordings, watch=watch, since=began_at or now)

        change(records_key(call), known, self._work.notes)
        extra = {"call": str(call), "recordings": ids}
        log.warning("missing in the archive, queued again", extra=extra)
        return len(ids)

    def _put_right(self, call: CallId, recordings: set[str]) -> bool:
        """Have the ledger say no more that these are archived; False if somebody is at work."""
        for _ in range(WRITE_TRIES):
            state = self._work.ledger.load(call)
            if at_work(state, self._work.clock.now()):
                return False
            if not recordings & state.legs.keys():
                return True
            legs = {leg: sha256 for leg, sha256 in state.legs.items() if leg not in recordings}
            reason = "gone from the archive, and to be fetched anew"
            try:
                self._work.ledger.save(state.changed(legs=legs, status="waiting", reason=reason))
            except Stale:
                continue
            return True
        raise Retry(f"the entry of {call} is written faster than it is read")

    def folders(self, day: str) -> dict[str, dict[str, int]]:
        """Return the sizes of all objects below the prefix of a day, by the folders of calls.

        That is a request for a thousand of them. Raises Retry.
        """
        with self._lock:
            if day not in self._days:
                found: dict[str, dict[str, int]] = {}
                for key, size in self._work.archive.sizes(day).items():
                    found.setdefault(folder_of(key), {})[key] = size
                self._days[day] = found
                if len(self._days) > FOLDERS:
                    self._days.popitem(last=False)
            return self._days[day]

    def _folder(self, prefix: str) -> Mapping[str, int]:
        day = prefix[: prefix.rstrip("/").rfind("/") + 1]
        return self.folders(day).get(prefix, {})

    def _patient(self, provider: str) -> timedelta:
        """Return how long what was found may stand in the queue: not for long if that is empty."""
        with self._lock:
            if provider not in self._patience:
                backlog = self._work.backlogs.get(provider)
                empty = backlog is not None and not backlog.depth().all
                self._patience[provider] = PROMPT if empty else PATIENCE
            return self._patience[provider]

    def _absent(
        self, recording: str, began_at: datetime | None, state: CallState, note: Note
    ) -> Verdict:
        """Judge a recording that is not sealed."""
        now = self._work.clock.now()
        if at_work(state, now):
            return Verdict(fate="waiting", reason="it is being archived")
        trouble = state.troubles.get(recording)
        if trouble is not None and (trouble.next_at is None or not promised(state, now)):
            return Verdict(kind=trouble.kind, reason=trouble.reason)
        if promised(state, now):
            why = trouble.reason if trouble else state.reason
            return Verdict(fate="waiting", reason=why or "its job waits in the queue")
        if state.status == "failed":
            return Verdict(kind="failed", reason=state.reason or "its call failed")
        named = recording in note.content.get("unarchived", ())
        seen = parse_time(note.content["seen"]) if named and "seen" in note.content else None
        if seen is not None and now - seen < self._patient(state.provider):
            return Verdict(fate="waiting", reason="its job waits in the queue")
        if seen is None and began_at is not None and now - began_at < YOUNG:
            return Verdict(fate="waiting", reason="it is young")
        if state.status == "archived":
            return Verdict(fate="missing", kind="not archived", reason="the sealed call lacks it")
        if state.status == "empty":
            reason = "the ledger says that nothing was recorded"
            return Verdict(fate="missing", kind="not archived", reason=reason)
        if state.version:
            reason = f"the ledger says {state.status}, and nobody is at work on it"
            return Verdict(fate="missing", kind="stuck", reason=reason)
        if note.version:
            reason = "it was found, but the ledger has no entry of its call"
            return Verdict(fate="missing", kind="stuck", reason=reason)
        return Verdict(fate="missing", kind="never found", reason="nothing is known of its call")


def _sealed(recording: str, trouble: Trouble | None) -> Verdict:
    """Judge a recording that is sealed, and perhaps not whole."""
    if trouble is None:
        return Verdict(fate="archived", recording=recording)
    return Verdict(kind=trouble.kind, reason=trouble.reason, recording=recording)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciling:
    """What a run works with: whole days from `begin` to `end`, in UTC.

    `memory` keeps what an unfinished run knows, under its `name`. Where the `backlogs` of the
    queues are known, what was found and is in none of them is missing at once. Without a
    `catalogue` no call is missed of which nothing is left in the bucket, and nothing in the list.
    With `report_only` nothing is put into the queue.
    """

    name: str
    begin: datetime
    end: datetime
    recorded: Sequence[Recorded]
    jobs: Mapping[str, Jobs]
    ledger: Ledger
    notes: Lists
    memory: Notes
    archive: Archive
    clock: Clock
    sleep: Callable[[float], None]
    settle_seconds: int
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    report_only: bool = False

    @property
    def providers(self) -> tuple[str, ...]:
        """The providers that are asked."""
        return tuple(dict.fromkeys(one.name for one in self.recorded))

    def oldest(self, provider: str) -> datetime:
        """Return since when a provider has all of its recordings."""
        kept = min(one.kept for one in self.recorded if one.name == provider)
        return self.clock.now() - kept


@dataclass(slots=True, kw_only=True)
class Listed:
    """What a provider's list has named: `calls`, and `recordings` with their accounts.

    `days` counts the recordings by account and day. It is `whole` where all of it was read.
    """

    calls: set[CallId] = field(default_factory=set)
    recordings: set[tuple[str, str]] = field(default_factory=set)
    days: Counter[tuple[str, date]] = field(default_factory=Counter)
    whole: bool = True
