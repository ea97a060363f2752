"""RingCentral as a provider whose calls the tail has already found.

Which recordings a call has stands in the ledger, so a job asks the call log nothing. The recipe of
the call log (provider.py) stays for what the tail cannot know.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.errors import Barred, Failed, LegatoError, Retry, Wait
from legato.ledger.listings import AHEAD, as_listed, records_key, tail_key
from legato.model import Job, Json, Leg, Listing, parse_time
from legato.providers.listed import each_by_itself
from legato.providers.ringex.call_log import listing
from legato.providers.ringex.retention import known_retention

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from legato.model import CallId
    from legato.ports import Clock, Notes, SweepReport
    from legato.providers.ringex.provider import Ringex

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
            try:
                answers = self._recipe.resolve(recipe, closely=asked & set(closely))
            except LegatoError as error:
                answers = dict.fromkeys(asked, error)
            failing = self._notes.read(tail_key(self.name)).content.get("failing")
            for call, answer in answers.items():
                if failing and isinstance(answer, Retry):
                    # It is nothing that the job has done.
                    reason = f"neither tail nor call log can be read: {answer}"
                    answer = Wait(reason, seconds=TROUBLE_SECONDS)
                # What the recipe cannot tell stays as the ledger has it.
                if call not in found or not isinstance(answer, Failed):
                    found[call] = answer
        return found

    def named_leg(self, job: Job, recording: str) -> Leg:
        return self._recipe.named_leg(job, recording)

    def open_leg(self, leg: Leg, *, turn: bool = False) -> AbstractContextManager[Iterator[bytes]]:
        return self._recipe.open_leg(leg, turn=turn)

    def _known(self, jobs: Sequence[Job]) -> dict[CallId, Listing | LegatoError]:
        """Return what the ledger has of these calls."""
        retention = known_retention(self._notes)

        def known(job: Job) -> Listing | None:
            note = self._notes.read(records_key(job.id))
            records = list(note.content.get("records", {}).values())
            if not records:
                return None
            return replace(listing(as_listed(job, note), records, retention=retention), final=True)

        return each_by_itself(jobs, known)

    def _settled(self, jobs: Sequence[Job]) -> dict[CallId, Listing | LegatoError]:
        """Answer for calls without records; those before the tail's beginning are left out."""
        now, tail = self._clock.now(), self._notes.read(tail_key(self.name)).content
        ripe = [job for job in jobs if self._due(job, now) <= now and not self._before(tail, job)]
        found: dict[CallId, Listing | LegatoError] = {}
        trouble: LegatoError = Wait("the tail is being read", seconds=BUSY_SECONDS)
        if "tries" in tail:
            # The sweeper sees to it: a page may end whoever reads it.
            trouble = Wait(f"the tail cannot be read: {tail['failing']}", seconds=TROUBLE_SECONDS)
        elif not all(self._due(job, now) <= _read_to(tail, now) for job in ripe):
            report = self._sweep()
            trouble = _trouble(report) or trouble
            found = self._known(ripe)
            tail = self._notes.read(tail_key(self.name)).content
        read_to = _read_to(tail, self._clock.now())
        for job in jobs:
            due = self._due(job, now)
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

    def _due(self, job: Job, now: datetime) -> datetime:
        """Return when the call is listed; one that a clock saw that was ahead of ours, by now."""
        return now if job.seen_at > now + AHEAD else job.seen_at + self._patience

    def _before(self, tail: Json, job: Job) -> bool:
        """Say whether the call may have begun before the tail's first read did."""
        first = tail.get("cursor", {}).get("first")
        return first is not None and job.seen_at - self._max_call < parse_time(first)


def _trouble(report: SweepReport) -> LegatoError | None:
    """Return what a job waits for when the tail could not be read to its end.

    It is nothing that the job has done, so it costs no attempt; `legato status` says how old
    the tail's knowledge is.
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


def _lacks(job: Job, found: Listing | LegatoError) -> bool:
    """Say whether a notification has named a recording that is not listed."""
    return isinstance(found, Listing) and bool(job.named - {leg.id for leg in found.legs})


def _read_to(tail: Json, now: datetime) -> datetime:
    """Return up to where the tail was read; a clock that was ahead of ours has said nothing."""
    never = parse_time("1970-01-01T00:00:00Z")
    read_to = parse_time(tail["read_to"]) if "read_to" in tail else never
    return never if read_to > now + AHEAD else read_to
