"""How long RingCX keeps recordings, as each sub-account is configured there.

https://developers.ringcentral.com/engage/voice/guide/workforce/call-recording
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import LegatoError, Stale
from legato.model import Json, format_time, parse_time
from legato.providers.fields import days_of
from legato.providers.ringcx.tail import watch_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from legato.ports import Clock, Notes
    from legato.providers.ringcx.api import RingcxApi

log = logging.getLogger(__name__)

NOTE = "retention#ringcx"
ASKED_EVERY = timedelta(hours=6)


def known_days(notes: Notes) -> Json:
    """Return the days that RingCX last said, by sub-account; None where it does not say it."""
    days: Json = notes.read(NOTE).content.get("days", {})
    return days


class RingcxRetention:
    """`sub_accounts` returns those that are followed.

    `otherwise` is the number of days for one of which RingCX does not say it.
    """

    def __init__(
        self,
        api: RingcxApi,
        notes: Notes,
        clock: Clock,
        *,
        sub_accounts: Callable[[], Sequence[str]],
        otherwise: float,
    ) -> None:
        self._api = api
        self._notes = notes
        self._clock = clock
        self._sub_accounts = sub_accounts
        self._otherwise = otherwise

    def __call__(self, watches: Collection[str]) -> dict[str, float]:
        """Return the days by the names of watches; RingCX is asked a few times a day.

        While RingCX cannot be asked, what it last said counts.
        """
        note, now = self._notes.read(NOTE), self._clock.now()
        asked_at = note.content.get("asked_at")
        days: Json = note.content.get("days", {})
        if asked_at is None or abs(now - parse_time(asked_at)) >= ASKED_EVERY:
            try:
                days = self._read(self._api.accounts())
            except LegatoError as error:
                log.warning("RingCX does not say how long it keeps", extra={"reason": str(error)})
            else:
                content = {"asked_at": format_time(now), "days": days}
                with suppress(Stale):
                    self._notes.write(replace(note, content=content))
        kept = {watch_name(name): each for name, each in days.items()}
        return {watch: kept.get(watch) or self._otherwise for watch in watches}

    def _read(self, accounts: Iterable[Json]) -> Json:
        days = {
            str(account.get("accountId")): days_of(account.get("audioRetentionDays"))
            for account in accounts
        }
        unknown = sorted(set(self._sub_accounts()) - days.keys())
        if unknown:
            extra = {"configured": unknown, "visible": sorted(days)}
            log.error("RingCX shows us no such sub-account", extra=extra)
        return days
