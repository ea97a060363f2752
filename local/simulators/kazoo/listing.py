"""The lists of recordings: ranges of time, pages, filters.

Rules: applications/crossbar/src/crossbar_view.erl and doc/filters.md of
https://github.com/2600hz/kazoo. A page after the first begins every database at the same key, so
what one of them has before that key, and no page showed, is not shown at all.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from local.simulators.kazoo.calls import Calls, Key, Recording
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.documents import listed
from local.simulators.kazoo.gregorian import UNIX, gregorian, month_of
from local.simulators.kazoo.problems import faulty, invalid
from local.simulators.kazoo.raw import RawDocument, RawDocuments
from local.simulators.settings import Json

type Entry = Recording | RawDocument

_LAST = "\uffff"
"""Sorts behind every id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked for, in Gregorian seconds. `start` is None for the first page."""

    begin: int
    end: int
    start: Key | None
    size: int | None
    ascending: bool
    filters: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, given: Mapping[str, str], config: Config, now: float) -> Self:
        """Check a request. Raises Problem 400, or 404 as for a page size that is none."""
        end = _seconds(given.get("created_to"), gregorian(now))
        begin = _seconds(given.get("created_from"), end - int(config.maximum_range))
        _check_range(begin, end, int(config.maximum_range))
        ascending = given.get("ascending") == "true" or given.get("descending") == "false"
        start = given.get("start_key")
        return cls(
            begin=begin,
            end=end,
            start=None if start is None else _read_key(start),
            size=None if given.get("paginate") == "false" else _size(given, config),
            ascending=ascending,
            filters=tuple((n, v) for n, v in given.items() if n.startswith("filter_")),
        )

    @property
    def months(self) -> range:
        """Return the months whose databases are opened."""
        return range(month_of(self.begin - UNIX), month_of(self.end - UNIX) + 1)

    @property
    def first(self) -> Key:
        """Return where the page begins."""
        start = (self.begin, "") if self.ascending else (self.end, _LAST)
        return self.start or start

    @property
    def bounds(self) -> tuple[Key, Key]:
        """Return the lowest and the highest key that the page may have."""
        if self.ascending:
            return self.first, (self.end, _LAST)
        return (self.begin, ""), self.first


def read_page(
    query: Query, calls: Calls, raw: RawDocuments, account: str, owner: str | None, now: float
) -> Json:
    """Return `data` and the paging of its envelope."""
    shown: list[Any] = []
    following: Key | None = None
    for recording in _found(query, calls, raw, account):
        if owner is not None and recording.owner != owner:
            continue
        found = recording.value if isinstance(recording, RawDocument) else listed(recording, now)
        if not all(_fits(found, name, value) for name, value in query.filters):
            continue
        if len(shown) == query.size:
            following = recording.key
            break
        shown.append(found)
    paging = {"page_size": len(shown), "start_key": _write_key(query.first)}
    more = {} if following is None else {"next_start_key": _write_key(following)}
    return {"data": shown, **paging, **more}


def page_of(found: list[Json], given: Mapping[str, str], config: Config) -> Json:
    """Return `data` and the paging of a list that is ordered by ids. Raises Problem."""
    size = len(found) if given.get("paginate") == "false" else _size(given, config)
    start = given.get("start_key", "")
    left = sorted((each for each in found if each["id"] >= start), key=lambda each: each["id"])
    following = {"next_start_key": left[size]["id"]} if len(left) > size else {}
    return {"data": left[:size], "page_size": len(left[:size]), "start_key": start, **following}


def key_after(key: str) -> str:
    """Return a key behind this one in a list that shows the newest first."""
    created, name = _read_key(key)
    return _write_key((created - 1, name))


def _found(query: Query, calls: Calls, raw: RawDocuments, account: str) -> Iterator[Entry]:
    """Yield what is saved in the time asked for, one database after the other.

    Each is ordered in itself; together they are not (crossbar_view:get_results).
    """
    low, high = query.bounds
    ascending = query.ascending
    for month in query.months if ascending else reversed(query.months):
        placed: Iterator[Entry] = calls.within(account, month, low, high, ascending=ascending)
        given: Iterator[Entry] = raw.within(account, month, low, high, ascending=ascending)
        yield from heapq.merge(placed, given, key=_key, reverse=not ascending)


def _key(entry: Entry) -> Key:
    return entry.key


def _fits(found: Any, name: str, wanted: str) -> bool:
    path = name.removeprefix("filter_")
    without = path.startswith("not_")
    value: Any = found
    for part in path.removeprefix("not_").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return (value is not None and str(value) == wanted) != without


def _check_range(begin: int, end: int, longest: int) -> None:
    said = f"created_to {end}"
    if end < begin:
        message, cause = f"{said} is prior to created_from {begin}", begin
    elif end - begin > longest:
        message = f"{said} is more than {longest} seconds from created_from {begin}"
        cause = end
    else:
        return
    raise invalid("created_from", "date_range", message, cause)


def _seconds(text: str | None, default: int) -> int:
    # What is no number counts as not given: crossbar_view:get_time_key/4.
    return int(text) if text and text.isdecimal() and int(text) else default


def _size(given: Mapping[str, str], config: Config) -> int:
    text = given.get("page_size")
    if text is None:
        return int(config.page_size)
    if not text.isdecimal() or not int(text):
        raise faulty("invalid page size")
    return int(text)


def _write_key(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).rstrip(b"=").decode()


def _read_key(text: str) -> Key:
    try:
        created, name = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return int(created), str(name)
    except (ValueError, TypeError, binascii.Error) as error:
        raise faulty("invalid start key") from error
