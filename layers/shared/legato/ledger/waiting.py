"""How long a call may wait before somebody is told: one rule for all that look at it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from legato.model import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import CallState, Note

PROMPT = timedelta(minutes=5)
"""By then a queue has handed out a message, unless others are before it."""
LATE = timedelta(hours=1)
"""A queue is not exact, and may be full."""
PATIENCE = timedelta(hours=12)
"""How long what was found may stand in the queue before it counts as forgotten there."""


def at_work(state: CallState, now: datetime) -> bool:
    """Say whether a worker holds the call."""
    return state.lease_until is not None and now < state.lease_until


def promised(state: CallState, now: datetime) -> bool:
    """Say whether a message waits in the queue for a moment that is to come, or just passed."""
    return state.next_look_at is not None and now < state.next_look_at + LATE


def last_sign(state: CallState, note: Note) -> datetime | None:
    """Return until when somebody was, or is, known to see to a call; None if nobody ever was.

    `note` holds its records. The moment lies in the future while a worker holds the call, or a
    message waits for its time.
    """
    seen = note.content.get("seen")
    signs = (
        state.seen_at,
        state.looked_at,
        state.next_look_at,
        state.lease_until,
        None if seen is None else parse_time(seen),
    )
    return max(filter(None, signs), default=None)
