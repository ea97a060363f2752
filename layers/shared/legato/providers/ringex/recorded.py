"""What RingCentral's call log says was recorded in a stretch of the past.

The sync cannot look back, so it is the log itself, by start time: one Heavy request for a thousand
calls with a recording (https://developers.ringcentral.com/api-reference/Call-Log/readCompanyCallLog).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.model import Json, format_time, parse_time
from legato.providers.ringex.call_log import RETENTION, recording_ids
from legato.providers.ringex.provider import CALL_LOG, PAGE_RECORDS, has_more, records_of
from legato.providers.ringex.tail import by_session
from legato.sweep import Page

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from legato.providers.ringex.api import RingexApi


class RingexRecorded:
    """The recordings of the calls that began from `begin` to `end`. The cursor holds the `page`."""

    name = watch = "ringex"
    key = "ringex#recorded"
    behind = late = False
    kept = RETENTION

    def __init__(self, api: RingexApi, *, begin: datetime, end: datetime) -> None:
        self._api = api
        self._begin = begin
        self._end = end

    def page(self, cursor: Json, *, turn: bool = False) -> Page:
        """Return up to a thousand records, the newest first. Raises Wait, Barred, Retry, Failed.

        What is logged meanwhile moves others to the next page, so they come twice. One whose
        recording is deleted meanwhile lets another slip through, until the stretch is read again.
        """
        number = cursor.get("page", 1)
        answer = self._api.get(
            CALL_LOG,
            {
                "view": "Detailed",
                "recordingType": "All",
                "dateFrom": format_time(self._begin),
                "dateTo": format_time(self._end),
                "perPage": PAGE_RECORDS,
                "page": number,
            },
            turn=turn,
        )
        changes, strays = by_session(records_of(answer))
        more = has_more(answer)
        return Page(
            changes=changes,
            cursor={"page": number + 1},
            more=more,
            read_to=None if more else self._end,
            strays=strays,
        )

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        """Return the ids of the recordings on records and their legs. Raises Retry."""
        return recording_ids(records)

    def began_at(self, record: Json) -> datetime | None:
        """Return when the record's call began."""
        try:
            return parse_time(record["startTime"])
        except (KeyError, TypeError, ValueError):
            return None
