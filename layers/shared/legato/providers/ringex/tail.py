"""RingCentral's call log, followed from its end: every record that was added or rewritten.

`call-log-extract-sync` returns what was modified since a token, whatever its start: one Heavy
request for a thousand records, and a record that is rewritten comes again
(https://developers.ringcentral.com/guide/voice/call-log/sync).
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import Failed, Retry
from legato.model import CallId, Json, format_time, parse_time
from legato.providers.ringex.call_log import recording_ids
from legato.sweep import Change, Page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from legato.ports import Clock
    from legato.providers.ringex.account import RingexAccount
    from legato.providers.ringex.api import RingexApi

log = logging.getLogger(__name__)

EXTRACT_SYNC = "/restapi/v1.0/account/~/call-log-extract-sync"
PAGE_RECORDS = 1000

# A token that has expired, or that the server cannot read any more.
_EXPIRED = re.compile(r"\bCLG-10[1-5]\b")


class RingexTail:
    """`first` is how far back the first read of all begins, `overlap` how far a new start.

    The cursor holds the sync `token`; `since`, from where to start again without one; and `first`,
    the moment before which nothing was ever read.
    """

    name = key = watch = "ringex"
    behind = late = False

    def __init__(
        self,
        api: RingexApi,
        account: RingexAccount,
        clock: Clock,
        *,
        first: timedelta,
        overlap: timedelta,
    ) -> None:
        self._api = api
        self._account = account
        self._clock = clock
        self._first = first
        self._overlap = overlap

    def page(self, cursor: Json, *, turn: bool = False) -> Page:
        """Return up to a thousand changed records. Raises Wait, Barred, Retry, Failed."""
        asked_at = self._clock.now()
        first = cursor.get("first") or format_time(asked_at - self._first)
        since = cursor.get("since") or first
        token = cursor.get("token")
        if token is None:
            how: Json = {"syncType": "FSync", "dateFrom": since, "recordCount": PAGE_RECORDS}
        else:
            how = {"syncType": "ISync", "syncToken": token}
        try:
            answer = self._api.get(EXTRACT_SYNC, {"view": "Detailed", **how}, turn=turn)
        except Failed as error:
            if token is None or not _EXPIRED.search(str(error)):
                raise
            log.warning("the sync token has expired", extra={"since": since, "reason": str(error)})
            again = max(first, format_time(parse_time(since) - self._overlap))
            return Page(changes=(), cursor={"first": first, "since": again}, more=True)

        records, token, more = _read(answer)
        changes, strays = by_session(records, self._account)
        return Page(
            changes=changes,
            cursor={
                "first": first,
                "since": since if more else format_time(asked_at),
                "token": token,
            },
            more=more,
            read_to=None if more else asked_at,
            strays=strays,
        )

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        """Return the ids of the recordings on records and their legs. Raises Retry."""
        return recording_ids(records)


def _read(answer: Json) -> tuple[list[Json], str, bool]:
    records, info = answer.get("records"), answer.get("syncInfo")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Retry("the call log's changes have no list `records`")
    token = info.get("syncToken") if isinstance(info, dict) else None
    if not isinstance(info, dict) or not isinstance(token, str) or not token:
        raise Retry("the call log's changes have no `syncInfo.syncToken`")
    return records, token, info.get("newerRecordsExist") is True


def by_session(
    records: Sequence[Json], account: RingexAccount
) -> tuple[tuple[Change, ...], tuple[Json, ...]]:
    """Gather the records of each session; return them, and those that name no session.

    Raises Wait, Barred, Retry if it is not known whose they are.
    """
    sessions: dict[CallId, dict[str, Json]] = {}
    strays = []
    accounts = account.of_records(records)
    for number, (record, owner) in enumerate(zip(records, accounts, strict=True)):
        session = record.get("telephonySessionId")
        if isinstance(session, str) and session:
            name = record.get("id")
            key = name if isinstance(name, str) and name else f"without id, {number}"
            sessions.setdefault(CallId("ringex", owner, session), {})[key] = record
        elif _is_recorded(record):
            strays.append(record)
    changes = tuple(
        Change(id=call, records=found, began_at=_began_at(found))
        for call, found in sessions.items()
    )
    return changes, tuple(strays)


def _began_at(records: Mapping[str, Json]) -> datetime | None:
    started = []
    for record in records.values():
        with suppress(TypeError, ValueError):
            started.append(parse_time(record.get("startTime", "")))
    return min(started, default=None)


def _is_recorded(record: Json) -> bool:
    try:
        return bool(recording_ids([record]))
    except Retry:
        return True  # what nobody understands is shown to somebody
