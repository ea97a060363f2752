"""What Kazoo's list says was recorded in a stretch of the past."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.model import format_time, parse_time
from legato.ports import TailPage
from legato.providers.kazoo.documents import began_at, length_of
from legato.providers.kazoo.provider import RECORDING_ID
from legato.providers.kazoo.tail import OVERLAP, KazooTail, month_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock
    from legato.providers.kazoo.api import KazooApi


class KazooRecorded(KazooTail):
    """The recordings that began from `begin` to `end`, which Kazoo keeps for `kept`.

    They are listed by the time at which they were saved, which is after their end. And one that
    goes on over the end of a month may lie in the database of either, so the window reaches back.

    `key` tells this reader from others. Its cursor also holds the moment that was `reached`, and
    up to where all was `read`.
    """

    behind = True

    def __init__(
        self,
        api: KazooApi,
        clock: Clock,
        *,
        account: str,
        begin: datetime,
        end: datetime,
        kept: timedelta,
        user: str | None = None,
        filters: Mapping[str, str] | None = None,
        key: str = "#recorded",
    ) -> None:
        super().__init__(
            api,
            clock,
            account=account,
            first=begin - OVERLAP,
            end=end + OVERLAP,
            user=user,
            filters=filters,
        )
        self.key = f"{self.key}{key}"
        self.source = f"{account}/{user}" if user else account
        self.begin = begin
        self.end = end
        self.kept = kept

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return the next page; nothing is asked if all is read. Raises as the tail's does."""
        if self._is_read(cursor):
            read_to = self.end
            return TailPage(changes=(), cursor=cursor, more=False, read_to=read_to, answered=False)
        page = super().page(cursor, turn=turn)
        reached = max(self._reached(cursor), self._reached_by(page))
        place = page.cursor | {"reached": format_time(reached)}
        if not page.more:
            place["read"] = format_time(self.end)
        return replace(page, cursor=place)

    def window_end(self, begin: datetime) -> datetime:
        """Return a moment soon after the month's end: little of the next one is read twice."""
        next_month = month_of(month_of(begin) + timedelta(days=32))
        return min(super().window_end(begin), next_month + OVERLAP)

    def began_at(self, record: Json) -> datetime | None:
        return began_at(record, latest=self.end)

    def covers(self, account: str, recording: str) -> bool:
        """Say whether a recording has to be in this list: not what was pushed without a document.

        Nor is it known whether a list of one user, or of some kinds, would name it.
        """
        ours = account == self._account and not self._user and not self._filters
        return ours and RECORDING_ID.fullmatch(recording) is not None

    def share(self, cursor: Json) -> float:
        if self._is_read(cursor):
            return 1.0
        return min(1.0, (self._reached(cursor) - self.begin) / (self.end - self.begin))

    def requests(self, cursor: Json) -> int:
        """Return how many requests are left if each window is one page, and its months apart."""
        if self._is_read(cursor):
            return 0
        begin = parse_time(cursor["begin"]) if "begin" in cursor else self.begin - OVERLAP
        end, count = min(self.end + OVERLAP, self._clock.now()), 0
        while True:
            until = min(self.window_end(begin), end)
            count += 2 if begin < month_of(until) else 1
            if until >= end:
                return count
            begin = until - OVERLAP

    def length(self, record: Json) -> timedelta:
        return timedelta(milliseconds=length_of(record) or 0)

    def _is_read(self, cursor: Json) -> bool:
        return "read" in cursor and parse_time(cursor["read"]) >= self.end

    def _reached(self, cursor: Json) -> datetime:
        return max(self.begin, parse_time(cursor["reached"])) if "reached" in cursor else self.begin

    def _reached_by(self, page: TailPage) -> datetime:
        """Return about where a page ends: Kazoo's key of the next one says it to nobody else."""
        place = page.cursor
        if "key" not in place:
            return parse_time(place["until"] if "until" in place else place["begin"])
        records = (record for change in page.changes for record in change.records.values())
        return max(filter(None, map(self.began_at, records)), default=parse_time(place["begin"]))
