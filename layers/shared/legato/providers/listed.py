"""Answer for calls whose records a sweep has written into the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import LegatoError, Wait
from legato.ledger.listings import AHEAD

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from legato.model import CallId, Job, Listing

type Answer = Listing | LegatoError


def each_by_itself(
    jobs: Sequence[Job], answer: Callable[[Job], Answer | None]
) -> dict[CallId, Answer]:
    """Return the answer to each job, or the error that it raises; None is left out."""
    found: dict[CallId, Answer] = {}
    for job in jobs:
        try:
            one = answer(job)
        except LegatoError as error:
            one = error
        if one is not None:
            found[job.id] = one
    return found


def too_young(
    job: Job, ended: datetime, *, now: datetime, quiet: timedelta, reason: str
) -> Wait | None:
    """Return what a call waits for that has ended less than `quiet` ago.

    It was listed when it was seen, so a later end is a clock that is wrong; and one that has seen
    it in the future was wrong, too.
    """
    last = min(ended, job.seen_at)
    left = (last + quiet - now).total_seconds()
    return None if left <= 0 or last > now + AHEAD else Wait(reason, seconds=left)
