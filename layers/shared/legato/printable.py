"""Texts of others, made harmless where they are shown: in a line, a log, a page, a table.

Callers choose their names, and providers word their reasons. Whatever leaves Legato for the eyes of
a person goes through here; documents of evidence keep what was said, character by character.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_ASCII = re.compile(r"[^\x20-\x7e]")
_NOT_ASCII_IN_JSON = re.compile(r"[^\n\x20-\x7e]")
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
    "\U000e0100-\U000e01ef]"
)
"""Letters and marks that show nothing, and are no control characters to Unicode:
fillers, blank Braille, variation selectors."""
_SIGN = r"(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u2212])"
_FORMULA = re.compile(rf"(^|;){_SIGN}")
_APOSTROPHE = re.compile(rf"(^|;)'{_SIGN}")
_NUMBERS = re.compile(r"\+?\d{3,}(?:[,;] \+?\d{3,})*", re.ASCII)


def printable(text: str) -> str:
    """Return a text as one line that shows itself and does nothing else.

    A space of any kind, a tab and a line break become a space. What commands a terminal, changes
    the direction of writing or is not seen becomes a replacement character: control and format
    characters, surrogates, and what Unicode has not assigned.
    """
    if text.isascii() and text.isprintable():
        return text
    return _NOT_ASCII.sub(_shown, text)


def printable_lines(text: str) -> str:
    """Return a text whose line breaks are our own, each line printable."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(said: Any, *, default: Callable[[Any], Any] | None = None, **how: Any) -> str:
    """Write JSON that loses nothing: what is not printable stands escaped in it."""
    text = json.dumps(said, ensure_ascii=False, default=default, **how)
    return _NOT_ASCII_IN_JSON.sub(_escaped, text)


def log_line(record: Any) -> str:
    """Write a line of a function's log: Powertools' `json_serializer`."""
    return printable_json(record, default=str, separators=(",", ":"))


def html_text(said: object) -> str:
    """Return a text for HTML, between tags or in a quoted attribute."""
    from html import escape  # with thousands of entities, which a webhook need not wait for

    return escape(printable(str(said)))


def html_address(path: str) -> str:
    """Return the address of a file below the page itself, for an attribute of HTML.

    Whatever the path is, it names no scheme and no host.
    """
    return f"./{quote(path, errors='replace')}"


def spreadsheet_cell(text: str) -> str:
    """Return a text for a cell of CSV that no spreadsheet takes for a formula.

    An apostrophe stands before the sign that would make it one, also behind a semicolon, at which
    many a spreadsheet splits. Telephone numbers stay as they are.
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    shown = printable(text)
    return shown if _NUMBERS.fullmatch(shown) else _FORMULA.sub(r"\1'", shown)


def spreadsheet_text(cell: str) -> str:
    """Return the text of which spreadsheet_cell made a cell."""
    return _APOSTROPHE.sub(r"\1", cell)


def _shown(found: re.Match[str]) -> str:
    each = found[0]
    if each.isspace():
        return " "
    return each if _seen(each) else "\N{REPLACEMENT CHARACTER}"


def _escaped(found: re.Match[str]) -> str:
    return found[0] if _seen(found[0]) else json.dumps(found[0])[1:-1]


def _seen(each: str) -> bool:
    return each.isprintable() and not _UNSEEN.match(each)
