"""RingCentral's call log, followed from its end: every record that was added or rewritten.

`call-log-extract-sync` returns what was modified since a token, whatever its start: one Heavy
request for a thousand records, and a record that is rewritten comes again
(https://developers.ringcentral.com/guide/voice/call-log/sync).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.errors import Barred, Failed, NotYet, Retry
from legato.model import Json, Priority, format_time, parse_time
from legato.ports import Beyond, TailPage
from legato.providers.ringex import call_log
from legato.providers.ringex.api import EXTRACT_SYNC
from legato.providers.ringex.recorded import RingexRecorded
from legato.providers.ringex.sessions import by_session

if TYPE_CHECKING:
    from legato.ports import Clock
    from legato.providers.ringex.account import RingexAccount
    from legato.providers.ringex.api import RingexApi

log = logging.getLogger(__name__)

PAGE_RECORDS = 1000
MOST_PAGES = 200
"""After so many, of which each said that there are more, a reader stops and somebody is told."""


class RingexTail:
    """`first` is how far back the first read of all begins, `overlap` how far a new start.

    The cursor holds the sync `token`; `since`, from where to start again without one; `first`,
    the moment before which nothing was ever read; `pages`, how many of them came without an end;
    and `anew`, whether the last token was refused. `listed_since` is since when the changes are
    refused and the call log is read instead, `list` how far and `list_to` up to where.
    """

    name = key = watch = "ringex"
    behind = late = False
    recordings = staticmethod(call_log.recording_ids)
    unreadable = staticmethod(call_log.unreadable)

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

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return up to a thousand changed records. Raises Wait, Barred, Retry, Failed."""
        asked_at, priority = self._clock.now(), Priority.of(turn=turn, behind=False)
        first = cursor.get("first") or format_time(asked_at - self._first)
        since = min(cursor.get("since") or first, format_time(asked_at))
        token = cursor.get("token")
        if token is None:
            again = max(first, format_time(parse_time(since) - self._overlap))
            start = again if "listed_since" in cursor else since
            how: Json = {"syncType": "FSync", "dateFrom": start, "recordCount": PAGE_RECORDS}
        else:
            how = {"syncType": "ISync", "syncToken": token}
        try:
            answer = self._api.get(EXTRACT_SYNC, {"view": "Detailed", **how}, priority=priority)
        except (Failed, NotYet) as error:
            if token is None:
                raise
            return self._anew(cursor, first, since, error)
        except Barred as refused:
            return self._listed(cursor, first, since, asked_at, refused, turn=turn)
        return self._read(answer, cursor, first, since, asked_at)

    def beyond(self, cursor: Json) -> Beyond | None:
        """Return how to begin anew, from now on: the sync looks back at nothing then.

        What it has not said is read in the call log itself, and once more when all calls are over
        that were going on.
        """
        now = format_time(self._clock.now())
        first = cursor.get("first") or format_time(self._clock.now() - self._first)
        since = parse_time(cursor.get("since") or first)
        return Beyond(
            begin=max(parse_time(first), since - self._overlap),
            end=parse_time(now),
            cursor={"first": now, "since": now},
            again_after=self._overlap,
            elsewhere=True,
        )

    def stretch(self, begin: datetime, end: datetime, *, key: str) -> RingexRecorded:
        """Return who reads in the call log what began from `begin` to `end`."""
        return RingexRecorded(
            self._api,
            self._account,
            begin=begin,
            end=end,
            kept=timedelta(),
            key=key.removeprefix(self.watch),
        )

    def _listed(
        self,
        cursor: Json,
        first: str,
        since: str,
        asked_at: datetime,
        refused: Barred,
        *,
        turn: bool,
    ) -> TailPage:
        """Read the call log itself, for an account that is refused the list of its changes.

        It does not tell what was rewritten, so all is read again that may have been going on.
        Raises Barred for whom the call log is refused too.
        """
        begin = max(parse_time(first), parse_time(since) - self._overlap)
        end = parse_time(cursor["list_to"]) if "list_to" in cursor else asked_at
        page = self.stretch(begin, end, key=self.key).page(cursor.get("list", {}), turn=turn)
        place: Json = {"first": first, "since": since, "listed_since": cursor.get("listed_since")}
        if place["listed_since"] is None:
            log.warning("the list of changes is refused", extra={"reason": str(refused)})
            place["listed_since"] = format_time(asked_at)
        if page.more:
            place |= {"list": page.cursor, "list_to": format_time(end)}
        else:
            place["since"] = format_time(end)
        if "token" in cursor:
            place["token"] = cursor["token"]
        return replace(page, cursor=place)

    def _anew(self, cursor: Json, first: str, since: str, error: Failed | NotYet) -> TailPage:
        """Begin with a full sync: the token has expired, or cannot be read, for whatever reason.

        The codes for it are not all documented; RingCentral's own clients do so after any 400. If
        it was a fresh token, the next one will be no better for now.
        """
        log.warning("the sync token is refused", extra={"since": since, "reason": str(error)})
        again = max(first, format_time(parse_time(since) - self._overlap))
        fault = Retry(f"a fresh sync token is refused: {error}") if cursor.get("anew") else None
        place = {"first": first, "since": again, "anew": True}
        return TailPage(changes=(), cursor=place, more=True, fault=fault, answered=False)

    def _read(
        self, answer: Json, cursor: Json, first: str, since: str, asked_at: datetime
    ) -> TailPage:
        """Return the page that an answer is; what is left of one that is odd counts all the same.

        A list that does not end, by its own word, ends here for now.
        """
        records, info = answer.get("records"), answer.get("syncInfo")
        if not isinstance(records, list):
            raise Retry("the call log's changes have no list `records`")
        changes, strays = by_session(records, self._account, latest=asked_at)
        token = info.get("syncToken") if isinstance(info, dict) else None
        if not isinstance(info, dict) or not isinstance(token, str) or not token:
            fault = Retry("the call log's changes have no `syncInfo.syncToken`")
            return TailPage(changes=changes, cursor=cursor, more=True, strays=strays, fault=fault)
        asked = cursor.get("token")
        place: Json = {"first": first, "since": since, "token": token}
        if cursor.get("anew") and asked is None:
            place["anew"] = True
        if info.get("newerRecordsExist") is not True:
            place["since"] = format_time(asked_at)
            return TailPage(
                changes=changes, cursor=place, more=False, read_to=asked_at, strays=strays
            )
        pages, endless = cursor.get("pages", 0) + 1, None
        if token == asked:
            endless = Retry("the call log's changes go on, but their sync token stays the same")
        elif pages == MOST_PAGES:
            endless = Retry(f"the call log's changes have no end after {pages} pages")
        if endless is None:
            place["pages"] = pages
        return TailPage(changes=changes, cursor=place, more=True, strays=strays, fault=endless)
