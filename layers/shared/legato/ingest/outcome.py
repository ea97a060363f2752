"""Bring a claimed call to rest: done, put back to wait, or failed with somebody told.

Always the queue first and the ledger second: a worker that dies in between leaves a job too many,
never one too few.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING

from legato.ledger import failures, removals, troubles, unarchived
from legato.ledger.listings import records_key
from legato.tuning import QUEUE_DELAY_LIMIT

if TYPE_CHECKING:
    from datetime import datetime

    from legato.ingest.ports import Ports
    from legato.model import CallState, CallStatus, Job
    from legato.ports import Jobs

log = logging.getLogger(__name__)


@dataclass(slots=True)
class BatchReport:
    """What became of a batch, by the names of the metrics that count it."""

    counts: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def count(self, name: str) -> None:
        """Count one more; calls come to rest in several threads."""
        with self._lock:
            self.counts[name] += 1


@dataclass(slots=True)
class CallWork:
    """A call that this worker holds until `until`, with the messages that asked for it.

    `state` is always the entry as the ledger has it, so that any step may be the last.
    """

    job: Job
    state: CallState
    messages: tuple[str, ...]
    until: datetime
    was_troubled: bool = False
    """Whether the call was in somebody's list when it was claimed."""
    is_suspect: bool = False
    """Whether a worker that had it before ended without a word."""


def done(work: CallWork, status: CallStatus, ports: Ports, report: BatchReport) -> None:
    """Let go of a call that is archived, or was never recorded."""
    key = records_key(work.job.id)
    unarchived.archived(key, None if status == "empty" else work.state.legs, ports.notes)
    if status == "archived" and ports.policy.delete_at_source and not work.state.troubles:
        removals.archived(work.state, ports.notes, ports.clock)
    _tell_troubles(work, work.job, ports, report)
    work.state = ports.ledger.save(_released(work.state, status=status))
    report.count(f"Call{status.capitalize()}")
    log.info("call %s", status, extra={"call": work.job.call, "revision": work.state.revision})


def postpone(
    work: CallWork, job: Job, seconds: float, reason: str, ports: Ports, report: BatchReport
) -> None:
    """Let go of a call that is not ready: `job` comes back after so many seconds."""
    wait = timedelta(seconds=max(1, math.ceil(seconds)))
    due = ports.clock.now() + wait
    send_back(replace(job, not_before=due, crashes=0), wait, ports.jobs)
    status: CallStatus = "archived" if work.state.revision else "waiting"
    _tell_troubles(work, job, ports, report)
    work.state = ports.ledger.save(
        _released(work.state, status=status, next_look_at=due, reason=reason)
    )
    report.count("CallWaiting")
    extra = {"call": job.call, "seconds": wait.total_seconds(), "reason": reason}
    log.info("call waiting", extra=extra)


def fail(work: CallWork, reason: str, ports: Ports, report: BatchReport) -> None:
    """Give up a call that cannot be archived, or not whole: its job goes to the dead letters.

    Its counters are set back, so that whoever moves it into the queue again begins anew.
    """
    fresh = work.job.anew()
    ports.jobs.bury(fresh.to_message(), reason=reason)
    failures.noted(fresh, reason, ports.notes, ports.clock)
    work.state = ports.ledger.save(_released(work.state, status="failed", reason=reason))
    report.count("CallFailed")
    log.error("call failed", extra={"call": work.job.call, "reason": reason})


def _tell_troubles(work: CallWork, job: Job, ports: Ports, report: BatchReport) -> None:
    """List a call with a recording that a person is to know of; take one without off the list."""
    told = {leg: one for leg, one in work.state.troubles.items() if troubles.is_told(one)}
    if told:
        failures.noted(job.anew(), troubles.described(told), ports.notes, ports.clock)
        for one in told.values():
            report.count(f"Recording{one.kind.capitalize()}")
    elif work.was_troubled:
        failures.settled(job, ports.notes)


def send_back(job: Job, wait: timedelta, jobs: Jobs) -> None:
    """Put a job back in the queue, for as much of the wait as a queue can delay."""
    seconds = max(1, math.ceil(wait.total_seconds()))
    jobs.send(job, delay=min(seconds, QUEUE_DELAY_LIMIT))


def _released(state: CallState, **changes: object) -> CallState:
    cleared: dict[str, object] = {
        "lease_until": None,
        "lease_messages": frozenset(),
        "next_look_at": None,
        "reason": None,
    }
    return state.changed(**cleared | changes)
