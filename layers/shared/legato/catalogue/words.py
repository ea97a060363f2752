"""The words of a name, as the catalogue keeps them and as they are looked for.

A name is found by the beginning of any of its words, in any order and case, with or without
diacritics. Scripts that put no space between words are found by any part. A word with a digit is an
extension or an id, and only found whole: 101 is not 1015.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHORT, LONG = 2, 4
"""Letters: a word is in the list of its first two and in that of its first four."""
LONGEST_WORD = 64
MOST_WORDS = 16
"""Of one name. Callers choose their names, and each word is written into lists of its own."""
_DENSE = (
    "\u0e00-\u0edf\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, Han and Hangul."""
_WORD = re.compile(rf"[{_DENSE}]+|[^\W_{_DENSE}]+")
_APOSTROPHES = re.compile(r"(?<=\w)['`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\uff07](?=\w)")
_UNSEEN = {"Mn", "Mc", "Me", "Cf", "Cs"}
"""Categories of Unicode: marks, and what commands how text is shown."""
_NOT_DECOMPOSED = str.maketrans(
    {
        "ø": "o",
        "ł": "l",
        "đ": "d",
        "ð": "d",
        "æ": "ae",
        "œ": "oe",
        "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    }
)
"""Letters that Unicode does not take for one with a diacritic."""


def folded(text: str) -> str:
    """Return a text without case, diacritics, and what is not seen."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    seen = (each for each in plain if unicodedata.category(each) not in _UNSEEN)
    return unicodedata.normalize("NFC", "".join(seen)).translate(_NOT_DECOMPOSED)


@lru_cache(maxsize=4096)
def asked_words(name: str) -> tuple[str, ...]:
    """Return the words that are looked for. `O'Brien` is one."""
    plain = folded(name)
    found = _WORD.findall(_APOSTROPHES.sub("", plain)) or plain.split()
    return tuple(dict.fromkeys(word[:LONGEST_WORD] for word in found[:MOST_WORDS]))


@lru_cache(maxsize=4096)
def words(name: str) -> frozenset[str]:
    """Return the words that a name is found by, of which each also has its beginnings.

    `O'Brien` is `obrien` and `brien`.
    """
    parts = [part for part in _WORD.findall(folded(name)) if len(part) > 1]
    found = dict.fromkeys([*asked_words(name), *parts][:MOST_WORDS])
    ends = (word[at:] for word in found if _is_dense(word) for at in range(1, len(word)))
    return frozenset([*found, *list(ends)[:MOST_WORDS]])


def answers(asked: Iterable[str], name: str) -> bool:
    """Say whether a name has all words that are looked for."""
    known = words(name)
    return all(word in known or any(_begins(each, word) for each in known) for word in asked)


def is_whole(word: str) -> bool:
    """Say whether a word is found as a whole only."""
    return any(each.isdigit() for each in word)


def lists(word: str) -> set[str]:
    """Return the lists that a word of a name is in."""
    if is_whole(word):
        return {word}
    if _is_dense(word):
        return {word[:1], word[:2]}
    return {word[:SHORT], word[:LONG]} if len(word) >= LONG else {word[:SHORT]}


def list_of(word: str) -> str | None:
    """Return the one list in which a word is looked for; of one letter there is none."""
    if is_whole(word) or (_is_dense(word) and len(word) == 1):
        return word
    if _is_dense(word) or SHORT <= len(word) < LONG:
        return word[:SHORT]
    return word[:LONG] if len(word) >= LONG else None


def _begins(known: str, word: str) -> bool:
    return known.startswith(word) and not is_whole(word) and not is_whole(known)


def _is_dense(word: str) -> bool:
    """Say whether it has no words within it; so has nothing that consists of symbols."""
    return re.match(f"[{_DENSE}]", word) is not None or not word[0].isalnum()
