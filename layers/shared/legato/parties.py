"""Who spoke with whom, as a line says it: names before extensions, numbers and ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from legato.model import Party

UNREADABLE_ID = 16
"""An id of more characters tells a person nothing beside somebody's name or number."""
_CALLERS = {"inbound": ("from", "contact"), "outbound": ("from", "channel")}
"""By direction. RingCX has a contact and a channel, and leaves it to the direction who called."""
_EITHER = ("from", "contact")


def sides(parties: Iterable[Party], direction: str | None) -> tuple[list[str], list[str]]:
    """Return who called, and with whom they spoke, as far as the provider says.

    Who was called and then called somebody else, as in a transfer, stands on the second side.
    """
    known = list(parties)
    roles = _CALLERS.get(direction or "", _EITHER)
    callers = [party for party in known if party.role in roles]
    others = _labels([party for party in known if party.role not in roles])
    first = _labels(callers)
    return [each for each in first if each not in others] or first[:1], others


def conversation(parties: Iterable[Party], direction: str | None) -> str:
    """Return both sides as one line, such as `Ann → Jane Doe, Bob`; empty if nobody is known."""
    both = (", ".join(side) for side in sides(parties, direction))
    return " \N{RIGHTWARDS ARROW} ".join(filter(None, both))


def _labels(parties: Sequence[Party]) -> list[str]:
    named_first = sorted(parties, key=lambda party: not party.name)
    labels = list(dict.fromkeys(party.label for party in named_first if party.label))
    readable = {
        party.label
        for party in parties
        if party.label != party.agent or len(party.label) <= UNREADABLE_ID
    }
    return [label for label in labels if label in readable] or labels
