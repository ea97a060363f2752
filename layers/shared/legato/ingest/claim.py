"""Decide who works on a call. One worker holds it at a time; a job that changes nothing ends here.

Pure decisions on a ledger entry: the ledger only loads and saves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from legato.ledger.troubles import begun_anew
from legato.model import MOST_NAMED

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import CallState, CallStatus, Job

MOST_KNOWN = 1000
"""Recordings of a call that nobody lists and notifications name. More are not believed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a job finds: the call is `taken` by it, or `busy` because another worker holds it.

    Or there is nothing to do now: `covered`, since somebody did it or will, or `ongoing`, since the
    job says that the call goes on. `state` is to be saved unless the call is busy, `job` is the one
    to go on with.
    """

    verdict: Literal["covered", "ongoing", "busy", "taken"]
    state: CallState
    job: Job


def claim(
    state: CallState,
    job: Job,
    *,
    messages: frozenset[str],
    now: datetime,
    until: datetime,
    settle: int,
) -> Claim:
    """Decide about one job, which came in these queue messages.

    A worker that is killed loses its claim at `until`, after the end of its invocation, or as soon
    as one of its messages comes again: the queue delivers none while that invocation is alive.
    """
    status: CallStatus
    held = state.lease_until is not None and now < state.lease_until
    if held and not messages & state.lease_messages:
        return Claim("busy", state, job)
    if job.hints.get("ongoing"):
        status = "ongoing" if state.status == "new" else state.status
        return Claim("ongoing", state.changed(status=status, named=_named(state, job)), job)

    covered = _covered(state, job, now=now, settle=settle)
    seen_at = max(filter(None, (state.seen_at, job.seen_at)))
    named = _named(state, job)
    state = state.changed(seen_at=seen_at, named=named)
    if covered:
        return Claim("covered", state, job)

    # A newer sign of the call starts the ladder anew: its recording may have only just ended.
    looks = job.looks if job.seen_at == seen_at else 0
    if job.hints.get("retry") or state.status == "failed":
        state = state.changed(troubles=begun_anew(state.troubles, now))
    hints = {name: hint for name, hint in job.hints.items() if name not in ("retry", "many")}
    hints["recordingIds"] = sorted(named)[:MOST_NAMED]
    job = replace(job, seen_at=seen_at, looks=looks, hints=hints)
    status = "archived" if state.revision else "working"
    taken = state.changed(status=status, lease_until=until, lease_messages=messages, reason=None)
    return Claim("taken", taken, job)


def _named(state: CallState, job: Job) -> frozenset[str]:
    """Return what the ledger is to know of: what is listed needs no name to be found."""
    room = max(0, MOST_KNOWN - len(state.named))
    return state.named | frozenset(sorted(job.named - state.named)[:room])


def _covered(state: CallState, job: Job, *, now: datetime, settle: int) -> bool:
    if job.hints.get("retry"):
        return False
    if state.status == "archived" and not job.related <= state.related:
        return False
    # A job that waits in the queue will look after us. Once its time has come, this is it, whatever
    # it names: another may have left it what it had come for.
    awaited = state.next_look_at is not None
    if state.next_look_at is not None and now >= state.next_look_at:
        return False
    if job.listed:
        # The provider lists legs: nothing else decides than whether they are in the archive, or
        # tried again by a job that waits. Another may come hours later, and an earlier look did not
        # see them.
        archived = state.status == "archived" and job.named <= state.legs.keys()
        return archived or (awaited and job.named <= state.legs.keys() | state.troubles.keys())
    if awaited:
        return not job.hints.get("many")
    if state.status not in ("archived", "empty") or state.looked_at is None:
        # A job for a call that failed is somebody's retry.
        return False
    looked_late_enough = state.looked_at >= job.seen_at + timedelta(seconds=settle)
    return looked_late_enough and job.named <= state.named
