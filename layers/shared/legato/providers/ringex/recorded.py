"""What RingCentral's call log says was recorded in a stretch of the past.

The sync cannot look back, so it is the log itself, by start time: one Heavy request for a thousand
calls with a recording (https://developers.ringcentral.com/api-reference/Call-Log/readCompanyCallLog).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import Retry
from legato.model import Json, Priority, format_time, parse_time
from legato.ports import TailPage
from legato.providers.ringex import call_log
from legato.providers.ringex.call_log import began_at, length_of
from legato.providers.ringex.provider import CALL_LOG, PAGE_RECORDS, has_more, records_of
from legato.providers.ringex.sessions import by_session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from legato.providers.ringex.account import RingexAccount
    from legato.providers.ringex.api import RingexApi

SEAM = timedelta(seconds=1)
"""Whether a range's bounds belong to it is not documented."""
MOST_PAGES = 100
"""More have no calls that begin in the same second, nor a log that is out of order."""


class RingexRecorded:
    """The recordings of the calls that began from `begin` to `end`, the newest first.

    RingCentral keeps them for `kept`.
    `key` tells this reader from others. The cursor holds `to`, from where to go further back; the
    number of the `page`, where that is not enough; and `top`, where it all began. When all is read
    that is `read`: should the end have moved on by the next time, what is new is asked for, with an
    `overlap` over what was read before.
    """

    name = watch = "ringex"
    source = "company"
    late = False
    recordings = staticmethod(call_log.recording_ids)
    unreadable = staticmethod(call_log.unreadable)

    def __init__(
        self,
        api: RingexApi,
        account: RingexAccount,
        *,
        begin: datetime,
        end: datetime,
        kept: timedelta,
        key: str = "#recorded",
        overlap: timedelta = timedelta(),
        behind: bool = False,
    ) -> None:
        self.key = f"{self.watch}{key}"
        self.behind = behind
        self.begin = begin
        self.end = end
        self.kept = kept
        self._api = api
        self._account = account
        self._overlap = overlap

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return up to a thousand records. Raises Wait, Barred, Retry, Failed.

        The next page ends where this one did: by its number, calls would slip through whose
        neighbours' recordings are removed meanwhile. A hundred numbered pages without an end are
        taken for none: Retry.
        """
        floor, top = self._span(cursor)
        if floor >= top:
            read_to = self.end
            return TailPage(changes=(), cursor=cursor, more=False, read_to=read_to, answered=False)
        to, number = _time(cursor, "to") or top, cursor.get("page", 1)
        answer = self._api.get(
            CALL_LOG,
            {
                "view": "Detailed",
                "recordingType": "All",
                "dateFrom": format_time(floor),
                "dateTo": format_time(to),
                "perPage": PAGE_RECORDS,
                "page": number,
            },
            priority=Priority.of(turn=turn, behind=self.behind),
        )
        records = records_of(answer)
        changes, strays = by_session(records, self._account, latest=self.end)
        if not has_more(answer):
            more = top < self.end
            return TailPage(
                changes=changes,
                cursor={"read": format_time(top)},
                more=more,
                read_to=None if more else self.end,
                strays=strays,
            )
        if number == MOST_PAGES:
            raise Retry(f"the call log has no end after {number} pages up to {format_time(to)}")
        further = self._further_back(records)
        place: Json = {"to": format_time(to), "page": number + 1}
        if further is not None and further < to:
            place = {"to": format_time(further)}
        read = {"read": cursor["read"]} if "read" in cursor else {}
        return TailPage(
            changes=changes,
            cursor={**read, "top": format_time(top), **place},
            more=True,
            strays=strays,
        )

    def began_at(self, record: Json) -> datetime | None:
        return began_at(record, latest=self.end)

    def covers(self, account: str, recording: str) -> bool:
        """Say yes: the company has one account."""
        del account, recording
        return True

    def share(self, cursor: Json) -> float:
        floor, top = self._span(cursor)
        if floor >= top:
            return 1.0
        left = (_time(cursor, "to") or top) - floor
        return 1 - left / (self.end - self.begin)

    def requests(self, cursor: Json) -> int:
        floor, top = self._span(cursor)
        return int(floor < top)

    def length(self, record: Json) -> timedelta:
        """Return how long the call was: its recordings play one after the other."""
        return timedelta(milliseconds=length_of(record) or 0)

    def _span(self, cursor: Json) -> tuple[datetime, datetime]:
        """Return from where to where is left to read, of which `to` may have been reached."""
        read, top = _time(cursor, "read"), _time(cursor, "top") or self.end
        if read is None:
            return self.begin, top
        return (top, top) if read >= top else (max(self.begin, read - self._overlap), top)

    def _further_back(self, records: Sequence[object]) -> datetime | None:
        """Return where the next page ends, if the newest come first, as they do."""
        known = [record for record in records if isinstance(record, dict)]
        moments = [moment for record in known if (moment := self.began_at(record)) is not None]
        in_order = len(moments) == len(records) and moments == sorted(moments, reverse=True)
        return moments[-1] + SEAM if moments and in_order else None


def _time(cursor: Json, name: str) -> datetime | None:
    return parse_time(cursor[name]) if name in cursor else None
