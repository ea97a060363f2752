"""What has become of a recording that its provider names, and what is done if it is missing."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato import unarchived
from legato.errors import Failed, Retry, Stale
from legato.model import Job, format_time, parse_time
from legato.notes import change
from legato.seal import read_manifest
from legato.sweep import records_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from legato.model import CallId, CallState, Json, Note
    from legato.reconcile import Reconciling
    from legato.report.reconciliation import Fate

log = logging.getLogger(__name__)

YOUNG = timedelta(hours=4)
"""What began so lately may not have been found, or be on its way; RingCX's second look is then."""
PATIENCE = timedelta(hours=12)
"""How long what was found may stand in the queue before it counts as forgotten there."""
LATE = timedelta(hours=1)
"""A queue is not exact, and may be full."""
WRITE_TRIES = 10
FOLDERS = 4
"""How many days' listings of the bucket are held at the same time."""

type Verdict = tuple[Fate, str]


class Judge:
    """Says of recordings what has become of them, and sees to those that are missing."""

    def __init__(self, work: Reconciling) -> None:
        self._work = work
        self._folders: OrderedDict[str, dict[str, int]] = OrderedDict()

    def verdicts(self, call: CallId, wanted: Mapping[str, datetime | None]) -> dict[str, Verdict]:
        """Return the fate of each recording of a call, with its reason. Raises Retry."""
        if not wanted:
            return {}
        state = self._work.ledger.load(call)
        gone = self._gone(state, wanted)
        if all(recording in state.legs and recording not in gone for recording in wanted):
            return dict.fromkeys(wanted, ("archived", ""))
        note = self._work.notes.read(records_key(call))
        found: dict[str, Verdict] = {}
        for recording, began_at in wanted.items():
            if recording in gone:
                found[recording] = gone[recording]
            elif recording in state.legs:
                found[recording] = ("archived", "")
            else:
                found[recording] = self._absent(recording, began_at, state, note)
        return found

    def again(
        self,
        call: CallId,
        recordings: set[str],
        *,
        began_at: datetime | None,
        records: Mapping[str, Json],
    ) -> int:
        """Queue a job for what is missing, as the sweep does; return for how much. Raises Retry.

        First the ledger forgets what it wrongly says is archived, so that the job finds something
        to do. Nothing that was sealed is touched: what is fetched anew makes another revision.
        """
        if not self._put_right(call, recordings):
            return 0
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
            if state.lease_until is not None and self._work.clock.now() < state.lease_until:
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

    def _gone(self, state: CallState, wanted: Iterable[str]) -> dict[str, Verdict]:
        """Return what the bucket lacks of that which the ledger says is sealed."""
        sealed = [recording for recording in wanted if recording in state.legs]
        if not sealed or state.prefix is None:
            return {}
        gone = self._unlike(state, sealed, self._folder(state.prefix))
        if gone:
            # The listing may be older than the entry.
            fresh = self._work.archive.sizes(state.prefix)
            gone = self._unlike(state, sealed, fresh)
        return gone

    def _unlike(
        self, state: CallState, sealed: Sequence[str], sizes: Mapping[str, int]
    ) -> dict[str, Verdict]:
        if state.manifest is None or state.manifest.key not in sizes:
            key = state.manifest.key if state.manifest else f"a manifest of {state.id}"
            return dict.fromkeys(sealed, ("missing", f"{key} is gone from the archive"))
        try:
            content = read_manifest(state.manifest, self._work.archive)
        except (Failed, Retry) as error:
            # One manifest that cannot be read must not keep all the others from being compared.
            return dict.fromkeys(sealed, ("failed", str(error)))
        legs = {leg["id"]: leg for leg in content["legs"]}
        found: dict[str, Verdict] = {}
        for recording in sealed:
            leg = legs.get(recording)
            if leg is None:
                reason = f"{state.manifest.key} does not name it, though the ledger says so"
                found[recording] = ("missing", reason)
            elif leg["key"] not in sizes:
                found[recording] = ("missing", f"{leg['key']} is gone from the archive")
            elif sizes[leg["key"]] != leg["bytes"]:
                reason = (
                    f"{leg['key']} has {sizes[leg['key']]} bytes, and {leg['bytes']} were sealed: "
                    "run `legato verify`"
                )
                found[recording] = ("failed", reason)
        return found

    def _folder(self, prefix: str) -> dict[str, int]:
        """Return the sizes of all objects of a day, which is a request for a thousand of them."""
        day = prefix[: prefix.rstrip("/").rfind("/") + 1]
        if day not in self._folders:
            self._folders[day] = self._work.archive.sizes(day)
            if len(self._folders) > FOLDERS:
                self._folders.popitem(last=False)
        return self._folders[day]

    def _absent(
        self, recording: str, began_at: datetime | None, state: CallState, note: Note
    ) -> Verdict:
        """Judge a recording that no manifest names."""
        now = self._work.clock.now()
        if state.lease_until is not None and now < state.lease_until:
            return ("waiting", "it is being archived")
        if state.next_look_at is not None and now < state.next_look_at + LATE:
            return ("waiting", state.reason or "its job waits in the queue")
        if state.status == "failed":
            return ("failed", state.reason or "its call failed")
        if began_at is not None and now - began_at < YOUNG:
            return ("waiting", "it is young")
        seen = note.content.get("seen")
        named = recording in note.content.get("unarchived", ())
        if named and seen is not None and now - parse_time(seen) < PATIENCE:
            return ("waiting", "its job waits in the queue")
        if state.status == "archived":
            return ("missing", "the sealed call lacks it")
        if state.status == "empty":
            return ("missing", "the ledger says that nothing was recorded")
        if state.version:
            return ("missing", f"the ledger says {state.status}, and nobody is at work on it")
        if note.version:
            return ("missing", "it was found, but the ledger has no entry of its call")
        return ("missing", "nothing is known of its call")
