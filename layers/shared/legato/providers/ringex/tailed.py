"""RingCentral as a provider whose calls the tail has already found.

Which recordings a call has stands in the ledger, so a job asks the call log nothing. The recipe of
the call log (provider.py) stays for what the tail cannot know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.errors import Barred, LegatoError, Retry, Wait
from legato.model import Job, Json, Leg, Listing, parse_time
from legato.providers.ringex.call_log import listing
from legato.sweep import records_key, tail_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from legato.model import CallId
    from legato.ports import Clock, Notes
    from legato.providers.ringex.provider import Ringex
    from legato.sweep import SweepReport

BUSY_SECONDS = 3
TROUBLE_SECONDS = 60


class TailedRingex:
    """`sweep` reads the tail to its end, `recipe` asks the call log itself.

    `patience` is how long after its last sign a call is listed if it is recorded. The tail says
    nothing of a call that may have begun `max_call` before it did.
    """

    name = "ringex"

    def __init__(
        self,
        recipe: Ringex,
        notes: Notes,
        clock: Clock,
        *,
        sweep: Callable[[], SweepReport],
        patience: timedelta,
        max_call: timedelta,
    ) -> None:
        self._recipe = recipe
        self._notes = notes
        self._clock = clock
        self._sweep = sweep
        self._patience = patience
        self._max_call = max_call

    def resolve(
        self, jobs: Sequence[Job], *, closely: Collection[CallId] = ()
    ) -> Mapping[CallId, Listing | LegatoError]:
        """Answer from the ledger; where it is too old, have the tail read once for all of them.

        A call that the tail would have shown by now has no recording, and that is final: should
        one appear later, the tail sends a job. Recordings that a notification named and nobody
        lists are looked for `closely` by the recipe, as are calls from before the tail's beginning.
        """
        found = self._known(jobs)
        unknown = [job for job in jobs if job.id not in found]
        if unknown:
            found |= self._settled(unknown)
        recipe = [
            job
            for job in jobs
            if job.id not in found or (job.id in closely and _lacks(job, found[job.id]))
        ]
        if recipe:
            asked = {job.id for job in recipe}
            found = {call: answer for call, answer in found.items() if call not in asked}
            try:
                found |= self._recipe.resolve(recipe, closely=asked & set(closely))
            except LegatoError as error:
                found |= dict.fromkeys(asked, error)
        return found

    def named_leg(self, job: Job, recording: str) -> Leg:
        """Return the leg for a recording that only a notification named."""
        return self._recipe.named_leg(job, recording)

    def open_leg(self, leg: Leg, *, turn: bool = False) -> AbstractContextManager[Iterator[bytes]]:
        """Open a recording's content."""
        return self._recipe.open_leg(leg, turn=turn)

    def _known(self, jobs: Sequence[Job]) -> dict[CallId, Listing | LegatoError]:
        """Return what the ledger has of these calls."""
        found: dict[CallId, Listing | LegatoError] = {}
        for job in jobs:
            records = self._notes.read(records_key(job.id)).content.get("records")
            if records:
                found[job.id] = _listing(job, list(records.values()))
        return found

    def _settled(self, jobs: Sequence[Job]) -> dict[CallId, Listing | LegatoError]:
        """Answer for calls without records; those before the tail's beginning are left out."""
        now, tail = self._clock.now(), self._notes.read(tail_key(self.name)).content
        ripe = [job for job in jobs if self._due(job) <= now and not self._before(tail, job)]
        found: dict[CallId, Listing | LegatoError] = {}
        trouble: LegatoError = Wait("the tail is being read", seconds=BUSY_SECONDS)
        if not all(self._due(job) <= _read_to(tail) for job in ripe):
            report = self._sweep()
            trouble = _trouble(report) or trouble
            found = self._known(ripe)
            tail = self._notes.read(tail_key(self.name)).content
        read_to = _read_to(tail)
        for job in jobs:
            due = self._due(job)
            if job.id in found or self._before(tail, job):
                continue
            if due <= read_to:
                found[job.id] = Listing(call=job.call, account=job.account, final=True)
            elif due > now:
                left = (due - now).total_seconds()
                found[job.id] = Wait("the call log may not list the call yet", seconds=left)
            else:
                found[job.id] = trouble
        return found

    def _due(self, job: Job) -> datetime:
        return job.seen_at + self._patience

    def _before(self, tail: Json, job: Job) -> bool:
        """Say whether the call may have begun before the tail's first read did."""
        first = tail.get("cursor", {}).get("first")
        return first is not None and job.seen_at - self._max_call < parse_time(first)


def _trouble(report: SweepReport) -> LegatoError | None:
    """Return what a job waits for when the tail could not be read to its end.

    It is nothing that the job has done, so it costs no attempt; an alarm watches the tail's age.
    """
    error = report.stopped
    if report.rests:
        left = report.rests.total_seconds()
        return Wait("the tail was read before the call would have been listed", seconds=left)
    if isinstance(error, Barred):
        return error
    if isinstance(error, Wait):
        # The turn was promised to the tail and not to the job.
        return Wait(str(error), seconds=error.seconds)
    return error and Wait(f"the tail cannot be read: {error}", seconds=TROUBLE_SECONDS)


def _listing(job: Job, records: Sequence[Json]) -> Listing | LegatoError:
    try:
        return replace(listing(job, records), final=True)
    except Retry as error:
        return error


def _lacks(job: Job, found: Listing | LegatoError) -> bool:
    """Say whether a notification has named a recording that is not listed."""
    return isinstance(found, Listing) and bool(job.named - {leg.id for leg in found.legs})


def _read_to(tail: Json) -> datetime:
    return parse_time(tail.get("read_to", "1970-01-01T00:00:00Z"))
