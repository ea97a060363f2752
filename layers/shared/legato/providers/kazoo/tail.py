"""Kazoo's recordings, followed by the time at which they were saved.

A month's recordings lie in a database of their own, and a recording that goes on over the end of a
month is filed by its beginning or by its end, whichever the version. So windows reach back by as
long as a recording can be, which opens both databases. And each page begins in both of them at the
same moment, which may pass over recordings of the later month: what a window has of that is read
once more by itself
(https://github.com/2600hz/kazoo/blob/master/applications/crossbar/src/crossbar_view.erl).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.errors import Retry
from legato.ledger.gaps import SEAM
from legato.model import CallId, Json, Priority, Unreadable, format_time, parse_time
from legato.ports import Beyond, Change, TailPage
from legato.providers.fields import kept
from legato.providers.kazoo.documents import began_at, call_of, recording_of, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from legato.ports import Clock
    from legato.providers.kazoo.api import KazooApi

LONGEST = timedelta(days=31)
"""`crossbar.maximum_range`, which is an hour longer."""
OVERLAP = timedelta(hours=3)
"""`max_recording_time_limit`: the longest that a recording can be."""
PAGE_SIZE = 200
MOST_PAGES = 1000
"""Of a window; after so many, each with a key of the next one, somebody is told."""


def change_of(
    account: str, call: str, documents: Mapping[str, Json], *, latest: datetime
) -> Change:
    """Return recordings of one call as the sweep takes them in."""
    starts = (began_at(document, latest=latest) for document in documents.values())
    began = min(filter(None, starts), default=None)
    return Change(id=CallId(Account.name, account, call), records=documents, began_at=began)


class Account:
    """Whose recordings they are."""

    name = "kazoo"
    behind = False

    def __init__(self, account: str) -> None:
        self.watch = f"kazoo#{account}"

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        return frozenset(filter(None, map(recording_of, records)))

    def unreadable(self, records: Iterable[Json]) -> tuple[Unreadable, ...]:
        """Return none: a document without an id belongs to no call."""
        del records
        return ()


class KazooTail(Account):
    """Follows one account's recordings, or those of one `user`, from `first` on, or to an `end`.

    `filters` are Kazoo's own, by their full names. The cursor holds the window's `begin` and
    `until`, the `key` of its next page, and how many `pages` of it came; and the `floor` that no
    window reaches back over, because what is before it was stepped over.
    """

    late = False

    def __init__(
        self,
        api: KazooApi,
        clock: Clock,
        *,
        account: str,
        first: datetime,
        end: datetime | None = None,
        user: str | None = None,
        filters: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(account)
        self.key = key or (f"{self.watch}#{user}" if user else self.watch)
        self._api = api
        self._clock = clock
        self._account = account
        self._first = first
        self._end = end
        self._user = user
        self._filters = dict(filters or {})

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return the next page of a window. Raises Wait, Barred, Retry, Failed."""
        now = self._now()
        begin, until = self._window(cursor, now)
        answer = self._api.recordings(
            self._account,
            created_from=begin,
            created_to=until,
            start_key=cursor.get("key"),
            user=self._user,
            filters=self._filters,
            page_size=PAGE_SIZE,
            priority=Priority.of(turn=turn, behind=self.behind),
        )
        changes, strays = self._by_call(answer.documents, now)
        endless = None
        begins, floor = format_time(until - OVERLAP), cursor.get("floor", "")
        place: Json = {"begin": max(begins, floor)}
        more = until < now - timedelta(seconds=1)
        later_month = month_of(until)
        if answer.next_start_key is not None:
            place = {
                "begin": format_time(begin),
                "until": format_time(until),
                "key": answer.next_start_key,
                "pages": cursor.get("pages", 0) + 1,
            }
            more = True
            if answer.next_start_key == cursor.get("key"):
                endless = Retry("Kazoo's list goes on, but the key of its next page stays the same")
            elif place["pages"] == MOST_PAGES:
                endless = Retry(f"Kazoo's list has no end after {MOST_PAGES} pages")
                del place["pages"]
        elif begin < later_month:
            place = {"begin": format_time(later_month), "until": format_time(until)}
            more = True
        if floor > begins:
            place["floor"] = floor
        return TailPage(
            changes=changes,
            cursor=place,
            more=more,
            read_to=None if more else until,
            strays=strays,
            fault=endless,
        )

    def beyond(self, cursor: Json) -> Beyond | None:
        """Return how to step over a window. None: its month is younger than a recording is long.

        What began before that month may lie in the older database, which only a window opens that
        reaches back over its end.
        """
        now = self._now()
        begin, until = self._window(cursor, now)
        end = max(until, month_of(until) + OVERLAP)
        if end > now:
            return None
        place = format_time(end)
        cursor = {"begin": place, "floor": place}
        return Beyond(begin=begin, end=end, cursor=cursor, again_after=OVERLAP)

    def stretch(self, begin: datetime, end: datetime, *, key: str) -> KazooTail:
        """Return who reads what was saved from `begin` to `end`, of both databases."""
        month = month_of(begin)
        return KazooTail(
            self._api,
            self._clock,
            account=self._account,
            first=month - SEAM if begin - month < OVERLAP else begin,
            end=end,
            user=self._user,
            filters=self._filters,
            key=key,
        )

    def _now(self) -> datetime:
        return min(filter(None, (self._clock.now(), self._end)))

    def _window(self, cursor: Json, now: datetime) -> tuple[datetime, datetime]:
        begin = parse_time(cursor["begin"]) if "begin" in cursor else self._first
        end = min(self.window_end(begin), now)
        return begin, parse_time(cursor["until"]) if "until" in cursor else end

    def window_end(self, begin: datetime) -> datetime:
        """Return the end of the longest window from `begin` on that lies in two months at most."""
        after_two_months = month_of(month_of(begin) + timedelta(days=62))
        return min(begin + LONGEST, after_two_months)

    def _by_call(
        self, documents: Iterable[object], now: datetime
    ) -> tuple[tuple[Change, ...], tuple[Json, ...]]:
        """Gather the recordings of each call; return them, and those without an id."""
        calls: dict[str, dict[str, Json]] = {}
        strays: list[Json] = []
        for document in documents:
            if not isinstance(document, dict):
                strays.append({"document": kept(document)})
                continue
            clean = without_secrets(document)
            call, recording = call_of(clean), recording_of(clean)
            if call and recording:
                calls.setdefault(call, {})[recording] = clean
            else:
                strays.append(clean)
        changes = tuple(
            change_of(self._account, call, found, latest=now) for call, found in calls.items()
        )
        return changes, tuple(strays)


def month_of(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
