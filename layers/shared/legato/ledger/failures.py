"""The list of calls that failed. The ledger's entry of a call stays the truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import CallId, Job, Note, format_time

if TYPE_CHECKING:
    from legato.ports import Clock, Notes


def noted(job: Job, reason: str, notes: Notes, clock: Clock) -> None:
    """List a call that fails, or of which a recording cannot be had, with the job that tries again.

    Raises Retry.
    """

    def listed(note: Note) -> Note:
        since = note.listed[1] if note.listed else format_time(clock.now())
        content = {"job": job.to_message(), "reason": reason, "failed_at": since}
        return replace(note, content=content, listed=(failures_list(job.provider), since))

    change(failure_key(job.id), listed, notes)


def settled(job: Job, notes: Notes) -> None:
    """Take a call off the list: nothing is wrong with it any more. Raises Retry."""
    change(failure_key(job.id), lambda note: replace(note, listed=None), notes)


def failure_key(call: CallId) -> str:
    return f"failed#{call}"


def failures_list(provider: str) -> str:
    return f"failed#{provider}"
