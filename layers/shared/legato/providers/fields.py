"""Read single fields of a provider's record, of which any may be missing, or be something else.

Nothing here raises: a field that makes no sense is as one that is not there. So one odd record is
never the error of the records next to it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from legato.model import is_name, parse_time

LONGEST_TEXT = 1000
LONGEST_LENGTH = timedelta(days=7)
"""No recording is longer, and no sum of a time and a length leaves the calendar."""
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
"""A provider's clock, or a time zone that it leaves out, may be wrong by so much."""
DEEPEST = 100
"""Levels of lists and objects, of which providers use six. Python follows a thousand calls."""
LONGEST_INTEGER = 10**1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND_DIGITS = 11
"""Fewer are no milliseconds of this century; ISO 8601 writes a day with eight."""


def id_of(value: object) -> str | None:
    """Return an id (legato.model.is_name), or a number as its text; None for anything else."""
    text = _plain(value)
    return text if is_name(text) else None


def text_of(value: object) -> str | None:
    """Return a text or a number as text of at most 1,000 characters, that UTF-8 can write."""
    text = _plain(value)
    return None if text is None else _writable(text[:LONGEST_TEXT])


def time_of(value: object, *, latest: datetime) -> datetime | None:
    """Return a time from 2000 on, and at most a day after `latest`.

    It is a text in ISO 8601, or milliseconds since 1970 as a number or as its digits.
    """
    try:
        if isinstance(value, str) and not (value.isdecimal() and len(value) >= _MILLISECOND_DIGITS):
            moment = parse_time(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            moment = _EPOCH + timedelta(milliseconds=float(value))
        else:
            return None
    except (ValueError, OverflowError):
        return None
    return believed(moment, latest=latest)


def believed(moment: datetime | None, *, latest: datetime) -> datetime | None:
    """Return the moment unless it is before 2000, or more than a day after `latest`."""
    if moment is None or not EARLIEST <= moment <= latest + AHEAD:
        return None
    return moment


def milliseconds_of(value: object, *, each: int = 1) -> int | None:
    """Return a length in milliseconds: a number of `each` so many, from nothing to seven days."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= LONGEST_LENGTH / timedelta(milliseconds=each):
        return None  # nor is NaN between any two numbers
    return round(value * each)


def days_of(value: object) -> float | None:
    """Return a number of days for which recordings are kept, from more than none to 100 years."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= 36_525 else None


def kept(value: object, *, depth: int = 0) -> Any:
    """Return a record as JSON in UTF-8 can keep it; what can, is kept as it came.

    Lone surrogates become U+FFFD, numbers that JSON has no digits for their names, and what is
    nested deeper than a hundred levels a text that says so.
    """
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < LONGEST_INTEGER else "a number of more than 1,000 digits"
    if isinstance(value, dict | list) and depth == DEEPEST:
        return f"nested deeper than {DEEPEST} levels"
    if isinstance(value, dict):
        return {_writable(str(k)): kept(each, depth=depth + 1) for k, each in value.items()}
    if isinstance(value, list):
        return [kept(each, depth=depth + 1) for each in value]
    return value


def shown(value: object) -> str:
    """Return what stands in a field as a sentence may show it; of what is no text only its kind."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return ascii(kept(value))[:60]


def _plain(value: object) -> str | None:
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < LONGEST_INTEGER:
        return str(value)
    return None


def _writable(text: str) -> str:
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
