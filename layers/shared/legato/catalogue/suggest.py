"""What somebody may have meant who finds nothing: names and numbers that are like it."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from legato.catalogue.index import Query
from legato.catalogue.numbers import FEW, number_of
from legato.catalogue.words import asked_words, folded, is_whole, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from legato.catalogue.index import Catalogue, Row

LOOKED_AT = 100
"""Of the newest calls that begin alike, and of the newest at all: the search stays bounded."""
SUGGESTED = 3
ALIKE = 0.7
"""The ratio of difflib for words of a name: one wrong letter of four, two exchanged of five."""


def did_you_mean(query: Query, catalogue: Catalogue) -> list[str]:
    """Return names or numbers of calls that are like those that were looked for. Raises Retry."""
    if query.person:
        return list(_names(query.person, catalogue))[:SUGGESTED]
    if query.number:
        return list(_numbers(query.number, catalogue))[:SUGGESTED]
    return []


def _names(asked: str, catalogue: Catalogue) -> Iterator[str]:
    """Yield names whose words are like those that were asked for, the likest first."""
    letters = [word for word in asked_words(asked) if not is_whole(word)]
    if not letters:
        return
    first = max(letters, key=len)[:2]
    for query in (Query(person=first), Query()):
        names = _people(catalogue.find(query, limit=LOOKED_AT).rows)
        rated = [(_alike(letters, name), name) for name in names]
        close = sorted((-rate, name) for rate, name in rated if rate >= ALIKE)
        if close:
            yield from (name for _, name in close)
            return


def _numbers(asked: str, catalogue: Catalogue) -> Iterator[str]:
    """Yield numbers with the same last digits, or nearly all the same digits."""
    wanted = number_of(asked)
    if len(wanted.last) <= FEW and not wanted.extension and not wanted.first:
        return
    rows = catalogue.find(Query(number=wanted.last[-FEW:]), limit=LOOKED_AT).rows
    last = number_of(wanted.last[-FEW:])
    yield from dict.fromkeys(each for row in rows for each in row.numbers if last.is_in(each))


def _people(rows: Iterable[Row]) -> Iterator[str]:
    """Yield each name once, however it is written: the newest first."""
    known = {folded(name): name for row in rows for name in row.people if not is_whole(name)}
    yield from known.values()


def _alike(asked: Iterable[str], name: str) -> float:
    """Return how like a name is: of the word that is least like any of it."""
    return min(max((_ratio(word, each) for each in words(name)), default=0.0) for word in asked)


def _ratio(word: str, other: str) -> float:
    return SequenceMatcher(None, word, other, autojunk=False).ratio()
