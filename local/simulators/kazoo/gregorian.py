"""Kazoo's times: whole seconds since the year 0, and the months of its databases.

https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/basics.md#timestamps
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

UNIX = 62_167_219_200
"""The Gregorian seconds of 1970."""
_PREFIX = re.compile(r"(\d{4})(0[1-9]|1[0-2])-.")


def gregorian(moment: float) -> int:
    """Return a moment in Gregorian seconds."""
    return int(moment // 1) + UNIX


def month_of(moment: float) -> int:
    """Return the month of a moment in UTC, counted from the year 0."""
    at = datetime.fromtimestamp(moment, UTC)
    return at.year * 12 + at.month - 1


def prefix_of(month: int) -> str:
    """Return what the ids of a month's documents begin with, as `202611-`."""
    return f"{month // 12:04}{month % 12 + 1:02}-"


def month_named(name: str) -> int | None:
    """Return the month that an id begins with, or None when it begins with none."""
    found = _PREFIX.match(name)
    return int(found[1]) * 12 + int(found[2]) - 1 if found else None
