"""RingCX's interaction metadata, followed window by window.

There is no list of changes: a window of time is asked for, of three hours at most, and its rows may
still change while recordings are being processed. So windows overlap, none is newer than `lag`,
and a second tail with a longer lag looks at the same time again: a row that came late, or a
recording that was not there at first, is found then. Rows that are known cost nothing.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.ledger.gaps import SEAM
from legato.model import CallId, Json, Priority, format_time, parse_time
from legato.ports import Beyond, Change, TailPage
from legato.providers.fields import kept
from legato.providers.ringcx import rows
from legato.providers.ringcx.rows import (
    began_at,
    clearer,
    dialog_of,
    is_recorded,
    is_unclear,
    is_voice,
    segment_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.ports import Clock
    from legato.providers.ringcx.api import RingcxApi

log = logging.getLogger(__name__)

LONGEST = timedelta(hours=3)
"""https://developers.ringcentral.com/engage/voice/guide/workforce/call-recording"""
PAST_OVERLAP = timedelta(minutes=10)
SHORTEST = timedelta(seconds=2)
LAST = timedelta(minutes=1)
FULL = 400
"""Rows at which an answer was seen to be cut off, without a word of it."""


class RingcxTail:
    """Follows one sub-account at a distance of `lag`, from `first` on, or for `end` to its end.

    `key` tells this tail from others of the sub-account. What is new is asked for with an `overlap`
    over what was read before, and nothing while less than `least` is new; windows of the past
    overlap by ten minutes at most. The cursor holds `begin`, from where to ask next; `read`, up to
    where everything was read; `until`, the end of a window that is read in pieces; `span`, the
    seconds of a piece that was not cut off; and `floor`, over which no window reaches back because
    what is before it was stepped over.
    """

    name = "ringcx"
    recordings = staticmethod(rows.recordings)
    unreadable = staticmethod(rows.unreadable)

    def __init__(
        self,
        api: RingcxApi,
        clock: Clock,
        *,
        sub_account: str,
        key: str,
        first: datetime,
        lag: timedelta,
        overlap: timedelta,
        end: datetime | None = None,
        least: timedelta = SEAM,
        behind: bool = False,
        late: bool = False,
    ) -> None:
        self.sub_account = sub_account
        self.watch = watch_name(sub_account)
        self.key = f"{self.watch}{key}"
        self.behind = behind
        self.late = late
        self._api = api
        self._clock = clock
        self._first = first
        self._lag = lag
        self._overlap = overlap
        self._end = end
        self._least = least

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return the segments of one window. Raises Wait, Barred, Retry, Failed."""
        now = self._clock.now()
        begin, until, horizon = self._window(cursor, now)
        new = until - parse_time(cursor.get("read", format_time(begin)))
        if "until" not in cursor and new < self._least:
            cursor = {"begin": format_time(begin), **cursor}
            return TailPage(changes=(), cursor=cursor, more=False, read_to=now, answered=False)

        span = timedelta(seconds=cursor.get("span", LONGEST.total_seconds()))
        length = min(span, until - begin)
        found = self._api.interactions(
            self.sub_account,
            begin=begin,
            seconds=int(length.total_seconds()),
            priority=Priority.of(turn=turn, behind=self.behind),
        )
        changes, strays = self._by_dialog(found, now)
        place: Json = {"begin": begin, "until": until, "span": length.total_seconds()}
        more = True
        if len(found) >= FULL and length > SHORTEST:
            place["span"] = max(SHORTEST, _second_of(length / 2)).total_seconds()
        else:
            if len(found) >= FULL:
                log.error("a window is full", extra={"tail": self.key, "begin": str(begin)})
            if len(found) < FULL // 2:
                place["span"] = min(LONGEST, max(span, 2 * length)).total_seconds()
            place["begin"] = begin + length - SEAM
            if begin + length >= until:
                more = until < horizon
                overlap = min(self._overlap, PAST_OVERLAP) if more else self._overlap
                place = {"begin": until - overlap, "read": until, "span": place["span"]}
        if "floor" in cursor:
            floor = parse_time(cursor["floor"])
            place["begin"] = max(place["begin"], floor)
            if "read" not in place or until - self._overlap < floor:
                place["floor"] = floor
        return TailPage(
            changes=changes,
            cursor={k: format_time(v) if isinstance(v, datetime) else v for k, v in place.items()},
            more=more,
            read_to=None if more else now,
            strays=strays,
        )

    def beyond(self, cursor: Json) -> Beyond | None:
        """Return how to step over a window, or over what is left of it.

        Its last minute is asked for at once: that shows whether anything can be read. Second looks
        find what is listed late.
        """
        begin, until, _ = self._window(cursor, self._clock.now())
        end = until - LAST if until - begin > 2 * LAST else until
        place = format_time(end - SEAM)
        cursor = {"begin": place, "floor": place, "read": format_time(end)}
        return Beyond(begin=begin, end=end, cursor=cursor)

    def stretch(self, begin: datetime, end: datetime, *, key: str) -> RingcxTail:
        """Return who reads the segments from `begin` to `end`."""
        return RingcxTail(
            self._api,
            self._clock,
            sub_account=self.sub_account,
            key=key.removeprefix(self.watch),
            first=begin,
            lag=timedelta(),
            overlap=timedelta(),
            end=end,
            behind=self.behind,
            late=self.late,
        )

    def _window(self, cursor: Json, now: datetime) -> tuple[datetime, datetime, datetime]:
        """Return where a window begins and ends, and where the last of them ends for now."""
        horizon = _second(now - self._lag)
        if self._end is not None:
            horizon = min(horizon, _second(self._end))
        begin = parse_time(cursor["begin"]) if "begin" in cursor else _second(self._first)
        until = parse_time(cursor["until"]) if "until" in cursor else min(begin + LONGEST, horizon)
        return begin, until, horizon

    def _by_dialog(
        self, listed: Iterable[object], now: datetime
    ) -> tuple[tuple[Change, ...], tuple[Json, ...]]:
        """Gather the telephone segments of each dialog; return them, and those without ids."""
        dialogs: dict[str, dict[str, Json]] = {}
        strays: list[Json] = []
        for each in listed:
            if not isinstance(each, dict):
                strays.append({"row": kept(each)})
                continue
            row: Json = kept(each)
            dialog, segment = dialog_of(row), segment_of(row)
            if dialog and segment and is_voice(row):
                segments = dialogs.setdefault(dialog, {})
                segments[segment] = clearer(row, segments.get(segment))
            elif is_recorded(row) or is_unclear(row):
                strays.append(row)
        changes = tuple(
            Change(
                id=CallId(self.name, self.sub_account, dialog),
                records=found,
                began_at=began_at(filter(is_recorded, found.values()), latest=now),
            )
            for dialog, found in dialogs.items()
        )
        return changes, tuple(strays)


def watch_name(sub_account: str) -> str:
    """Return the name under which a sub-account's calls are listed until they are archived."""
    return f"ringcx#{sub_account}"


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _second_of(length: timedelta) -> timedelta:
    return timedelta(seconds=int(length.total_seconds()))
