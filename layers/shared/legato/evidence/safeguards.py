"""Compare what guards the archive with what was deployed, once a day.

Who administers the account can change a policy, the encryption or a rule that removes, and nothing
keeps such a person from it. So it is told: each difference is a sentence of `legato status` until
it is gone, or deployed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from legato.model import Json
    from legato.ports import Clock, Notes

NOTE = "safeguards"
EVERY = timedelta(days=1)
AGAIN = timedelta(hours=1)
"""While something differs: whoever mends it wants to see that."""


class Stack(Protocol):
    """The stack's safeguards, by what they are called; each part of one by its own name."""

    def deployed(self) -> Mapping[str, Mapping[str, Json]]:
        """Return them as the template has them. Raises Retry."""
        ...

    def present(self) -> Mapping[str, Mapping[str, Json]]:
        """Return them as they are now. Raises Retry."""
        ...


def compare(*, stack: Stack, notes: Notes, clock: Clock) -> list[str] | None:
    """Note the differences and return them; None if it is not time to look. Raises Retry."""
    note, now = notes.read(NOTE), clock.now()
    if note.content:
        rest = AGAIN if note.content["differences"] else EVERY
        if now - parse_time(note.content["at"]) < rest:
            return None
    found = list(_differences(stack.deployed(), stack.present()))
    content = {"at": format_time(now), "differences": found}
    notes.write(replace(note, content=content))
    return found


def _differences(
    deployed: Mapping[str, Mapping[str, Json]], present: Mapping[str, Mapping[str, Json]]
) -> Iterator[str]:
    for name, wanted in deployed.items():
        there = present.get(name, {})
        for part in sorted(wanted.keys() | there.keys()):
            if part not in there:
                yield f"{name}: {part} is missing"
            elif part not in wanted:
                yield f"{name}: {part} was added"
            elif wanted[part] != there[part]:
                yield f"{name}: {part} was changed"
