"""How long RingCentral keeps recordings, as the account is configured there.

https://developers.ringcentral.com/guide/voice/call-log/archival
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

if TYPE_CHECKING:
    from collections.abc import Collection

    from legato.ports import Clock, Notes
    from legato.providers.ringex.api import RingexApi

log = logging.getLogger(__name__)

SETTINGS = "/restapi/v1.0/account/~/call-recording"
"""Group Light; the app scope ReadAccounts and the user permission ReadCompanyInfo."""
NOTE = "retention#ringex#~"
ASKED_EVERY = timedelta(hours=6)
USUAL_DAYS = 90
"""Of an account that does not say it, or not to us. An account may have less, none has more."""


def known_retention(notes: Notes) -> timedelta:
    """Return how long recordings are kept, as far as RingCentral last said it. Raises Retry."""
    days = days_of(notes.read(NOTE).content.get("days"))
    return timedelta(days=USUAL_DAYS if days is None else days)


class RingexRetention:
    """Asks RingCentral a few times a day."""

    def __init__(self, api: RingexApi, notes: Notes, clock: Clock) -> None:
        self._api = api
        self._notes = notes
        self._clock = clock

    def __call__(self, watches: Collection[str]) -> dict[str, float]:
        """Return the days, which are the same for all.

        While RingCentral does not say it, what it last said counts.
        """
        note, now = self._notes.read(NOTE), self._clock.now()
        content, asked_at = dict(note.content), note.content.get("asked_at")
        if asked_at is None or abs(now - parse_time(asked_at)) >= ASKED_EVERY:
            try:
                content["days"] = _days(self._api.get(SETTINGS, {}))
            except LegatoError as error:
                reason = f"RingCentral does not say how long it keeps recordings: {error}"
                log.warning(reason, extra={"days": content.get("days") or USUAL_DAYS})
            # Who lacks the permission is not asked more often than who has it.
            content["asked_at"] = format_time(now)
            with suppress(Stale):
                self._notes.write(replace(note, content=content))
        return dict.fromkeys(watches, days_of(content.get("days")) or USUAL_DAYS)


def _days(settings: Json) -> float | None:
    """Return the shorter of what is said of automatic recordings and of those on demand."""
    kinds = (settings.get(kind) for kind in ("automatic", "onDemand"))
    said = (days_of(kind.get("retentionPeriod")) for kind in kinds if isinstance(kind, dict))
    return min((days for days in said if days is not None), default=None)
