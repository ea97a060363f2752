"""What the files of a call are called: names that sort by time, and that are never two calls'."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from legato.model import encoded

if TYPE_CHECKING:
    from legato.catalogue.index import Row

LONGEST_ID = 80
"""Characters of an id in a file's name, of which file systems take 255 bytes."""
_OTHER_SIDE = {"inbound": ("from", "contact"), "outbound": ("to", "contact")}


def stem(row: Row) -> str:
    """Return what the files of a call are called: its time, direction, number, account and id.

    The number is that of the other side, as far as the provider tells which one that is. No two
    calls of a provider have the same name: the parts stand between underscores and have none
    themselves. An id that is long, or has capitals, which not every file system tells from small
    letters, ends with some of its SHA-256.
    """
    direction = _safe(row.direction or "unknown")
    began = f"{row.started_at:%Y%m%dT%H%M%SZ}"
    return "_".join((began, direction, _number(row), _id(row.account), _id(row.call)))


def leg_stem(row: Row, number: int, leg: str) -> str:
    """Return what the file of a leg is called; the first one has the number 1."""
    return f"{stem(row)}_leg-{number}_{_id(leg)}"


def _number(row: Row) -> str:
    roles = _OTHER_SIDE.get(row.direction or "", ("contact", "from", "to"))
    given = (party.number for role in roles for party in row.parties if party.role == role)
    plain = (re.sub(r"[^0-9A-Za-z+]", "", number.partition("@")[0]) for number in given if number)
    return next(filter(None, plain), "unknown")[:32]


def _id(name: str) -> str:
    safe = _safe(name)
    if len(safe) <= LONGEST_ID and name == name.lower():
        return safe
    return f"{safe[:LONGEST_ID]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _safe(name: str) -> str:
    return encoded(name).replace("_", "%5F").replace("~", "%7E")
