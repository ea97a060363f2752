"""How long to wait and how much to take: what an operator may configure of the archiving."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

SHORT_SHARE = 0.02
SHORT_MS = 2000
"""A recording may be shorter by so much, and by this share, than the provider states."""

QUEUE_DELAY_LIMIT = 900
"""Seconds: the longest delay of an SQS message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Times are in seconds.

    `ladder` holds the waits between looks for a call that the provider does not list,
    `named_ladder` those between the tries to fetch a recording that is known to exist. `max_call`
    is how long a call can last: one that is said to go on for longer is over.
    """

    settle: int = 120
    ladder: tuple[int, ...] = (120, 600)
    named_ladder: tuple[int, ...] = (120, 600, 1800, 3600, 10800, 21600, 47880)
    ongoing: int = 300
    max_call: float = 24 * 3600
    max_attempts: int = 5
    retry: int = 60
    max_leg_bytes: int = 2 * 1024**3
    storage_class: str = "GLACIER_IR"
    lengths_stated: bool = False
    """Whether the provider says of each recording, and not only of each call, how long it is."""
    apart: bool = False
    """Whether legs are streamed into the archive and stay apart, because it is cold at once."""
    at_once: int = 1
    """How many calls one worker archives at the same time."""
    delete_at_source: bool = False
    """Whether the provider is to delete its recordings of a call that is archived."""
    reserve: int = 300
    """No call is begun when less than this is left of the invocation."""

    def backoff(self, attempt: int) -> int:
        """Return the wait before the next attempt: doubled each time, an hour at most."""
        return min(self.retry * (1 << attempt), 3600)

    @property
    def usual(self) -> timedelta:
        """How long a call that was found takes at most where nothing is wrong."""
        return timedelta(seconds=self.settle + sum(self.ladder))

    @property
    def longest(self) -> timedelta:
        """How long a call that was found may take until it is archived, or has failed."""
        waits = max(sum(self.ladder), sum(self.named_ladder))
        attempts = sum(self.backoff(attempt) for attempt in range(self.max_attempts - 1))
        return timedelta(seconds=self.settle + waits + attempts)


def tolerance(stated_ms: int) -> float:
    """Return by how many milliseconds a recording may differ from what the provider states."""
    return max(SHORT_MS, SHORT_SHARE * stated_ms)
