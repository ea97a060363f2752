"""What the last sweep of many lists has left: which have gaps, and where calls are to be archived.

A reseller has hundreds of accounts, and few of them have either at any time. The sweeper sees it in
passing; whoever only looks at the state need not ask for each account again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.model import Note
    from legato.ports import Clock, Notes

FRESH = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Remains:
    """Which tails have gaps, and under which watches something is not archived."""

    gaps: frozenset[str]
    unarchived: frozenset[str]


def note_remains(
    provider: str, *, gaps: Iterable[str], unarchived: Iterable[str], notes: Notes, clock: Clock
) -> None:
    """Write down what a sweep of all of a provider's lists has left. Raises Retry.

    The same is not written again as long as it is believed for some sweeps more.
    """
    now = clock.now()
    left = {"gaps": sorted(gaps), "unarchived": sorted(unarchived)}

    def becomes(note: Note) -> Note:
        at = note.content.get("at")
        if at and now - parse_time(at) < FRESH / 3 and note.content == {"at": at, **left}:
            return note
        return replace(note, content={"at": format_time(now), **left})

    change(_key(provider), becomes, notes)


def last_remains(provider: str, notes: Notes, clock: Clock) -> Remains | None:
    """Return what the last sweep has left; None if none has said so a while ago. Raises Retry."""
    content = notes.read(_key(provider)).content
    if not content or clock.now() - parse_time(content["at"]) > FRESH:
        return None
    return Remains(frozenset(content["gaps"]), frozenset(content["unarchived"]))


def _key(provider: str) -> str:
    return f"swept#{provider}"
