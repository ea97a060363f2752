"""How an export is divided into packages of a size, no call of which is divided."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from legato.errors import Refused

if TYPE_CHECKING:
    from legato.retrieval.export.choose import Chosen

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
LEAST = 10**6
"""Bytes: the page and the lists take some already."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", re.IGNORECASE)


def parsed_size(text: str) -> int:
    """Read a size such as `4GB` or `650 MB`, in bytes. Raises Refused."""
    match = _SIZE.fullmatch(text.strip())
    unit = match[2].upper() if match else None
    unit = f"{unit}B" if unit in ("K", "M", "G", "T") else unit
    if match is None or unit not in UNITS:
        raise Refused(f"{text!r} is not a size: write 650MB or 4GB")
    size = round(float(match[1]) * UNITS[unit])
    if size < LEAST:
        raise Refused(f"{text} is too small for a package: use 1MB or more")
    return size


def split(
    chosen: Sequence[Chosen], limit: int, *, digest_size: Callable[[str], int]
) -> list[list[Chosen]]:
    """Divide the calls, in their order, into parts of at most `limit` bytes.

    A call that is larger by itself is a part of its own. `digest_size` says what a digest takes
    with all that belongs to it: one that calls have in common counts once.
    """
    parts: list[list[Chosen]] = []
    size, digests = 0, set[str]()
    for each in chosen:
        grown = size + each.size + sum(map(digest_size, each.digests - digests))
        if parts and grown <= limit:
            parts[-1].append(each)
            size, digests = grown, digests | each.digests
        else:
            parts.append([each])
            size, digests = each.size + sum(map(digest_size, each.digests)), each.digests
    return parts
