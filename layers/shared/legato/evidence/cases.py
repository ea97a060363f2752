"""The names of cases: each is written in one way, so that no hold is missed by its spelling.

A case is known from its first hold on. It stays known when the last call is released, since the
evidence names it for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING

from legato.ledger.notes import change
from legato.model import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.model import Note
    from legato.ports import Clock, Lists, Notes

LIST = "cases"
MOST = 2000
"""Cases among which similar ones are looked for."""
AT_ONCE = 100
"""Cases that come with one request."""
ALIKE = 0.8
"""How much of two names is the same, as difflib measures it, for one to be taken for the other."""
SUGGESTED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellings:
    """What is known of a case's name.

    `known` if calls were held under exactly this name. `same` are other spellings of it: upper and
    lower case, spaces, dashes and dots differ. `near` are names that it may be mistaken for.
    """

    case: str
    known: bool = False
    same: tuple[str, ...] = ()
    near: tuple[str, ...] = ()

    @property
    def doubtful(self) -> tuple[str, ...]:
        """Those of the near ones that are likely meant: other numbers are other cases."""
        return tuple(each for each in self.near if _digits(each) == _digits(self.case))


def remember_case(case: str, at: str, notes: Notes) -> None:
    """Write down that there is such a case since `at`. Raises Retry."""

    def noted(note: Note) -> Note:
        spellings = note.content.get("spellings", [])
        if case in spellings:
            return note
        content = {"spellings": [*spellings, case]}
        return replace(note, content=content, listed=note.listed or (LIST, at))

    change(_key(case), noted, notes)


def spellings(case: str, notes: Lists, clock: Clock) -> Spellings:
    """Return what is known of a name. Raises Retry.

    All others are read only for one that is new.
    """
    found: list[str] = notes.read(_key(case)).content.get("spellings", [])
    if case in found:
        return Spellings(case=case, known=True)
    if found:
        return Spellings(case=case, same=tuple(found))
    listed = islice(notes.listed(LIST, until=format_time(clock.now())), MOST)
    others = [each for note in listed for each in note.content["spellings"]]
    return Spellings(case=case, near=_near(case, others))


def _near(case: str, others: Iterable[str]) -> tuple[str, ...]:
    plain: dict[str, list[str]] = {}
    for other in others:
        plain.setdefault(_plain(other), []).append(other)
    close = get_close_matches(_plain(case), plain, n=SUGGESTED, cutoff=ALIKE)
    return tuple(each for name in close for each in plain[name])


def _plain(case: str) -> str:
    """Return what all spellings of a name have in common."""
    folded = case.casefold()
    return "".join(filter(str.isalnum, folded)) or folded


def _digits(case: str) -> str:
    return "".join(filter(str.isdigit, case))


def _key(case: str) -> str:
    return f"hold#case#{_plain(case)}"
