"""RingCentral as a provider: which recordings its calls have, and their audio."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.errors import LegatoError, Retry, Wait
from legato.model import Job, Json, Leg, Listing, Priority, format_time
from legato.providers.fields import id_of, kept
from legato.providers.ringex.call_log import address_of, listing, session_of
from legato.providers.ringex.retention import known_retention

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from legato.model import CallId
    from legato.ports import Notes, SourceRecording
    from legato.providers.ringex.api import RingexApi

log = logging.getLogger(__name__)

CALL_LOG = "/restapi/v1.0/account/~/call-log"
PAGE_RECORDS = 1000
FEW_SESSIONS = 2
MOST_PAGES = 100
"""A hundred thousand calls are more than a company has in the hours that are asked for."""
MOST_FAILURES = 3
"""After so many it is none of the calls that is bad."""
_TELEPHONY = "s-"
"""Begins a `telephonySessionId`; the log can be asked for no other id of a session and a time."""


class Ringex:
    """`max_call_hours` is how long before its first sign a call may have begun."""

    name = "ringex"

    def __init__(self, api: RingexApi, notes: Notes, *, max_call_hours: float) -> None:
        self._api = api
        self._notes = notes
        self._look_back = timedelta(hours=max_call_hours)

    def resolve(
        self, jobs: Sequence[Job], *, closely: Collection[CallId] = ()
    ) -> Mapping[CallId, Listing | LegatoError]:
        """Read the company's call log: one or two sessions by name, more of them all at once.

        The recipe is RingCentral's own: every recorded call since the oldest, told apart by
        `telephonySessionId`
        (https://developers.ringcentral.com/guide/voice/call-log/recordings). The query by session
        also shows what was not recorded: a call in progress, a recording too short to be kept.
        """
        alone = {job.id for job in jobs if job.id in closely}
        if len(jobs) - len(alone) <= FEW_SESSIONS:
            alone = {job.id for job in jobs}
        alone = {call for call in alone if call.call.startswith(_TELEPHONY)}
        together = [job for job in jobs if job.id not in alone]

        asked = [(together, {"recordingType": "All"})] if together else []
        asked += [([job], {"telephonySessionId": job.call}) for job in jobs if job.id in alone]
        retention = known_retention(self._notes)
        found: dict[CallId, Listing | LegatoError] = {}
        failures = 0
        for some, filters in asked:
            try:
                records = self._records(some, **filters)
            except LegatoError as error:
                found |= {job.id: error for job in some}
                if isinstance(error, Wait):
                    continue
                failures += 1
                if failures == MOST_FAILURES:
                    return dict.fromkeys((job.id for job in jobs), error) | found
                if len(some) > 1:
                    # What is bad about the list may be one of these calls, or none of them.
                    named = [job for job in some if job.call.startswith(_TELEPHONY)]
                    asked += [([job], {"telephonySessionId": job.call}) for job in named]
                continue
            found |= {
                job.id: listing(job, records[job.call], retention=retention)
                for job in some
                if job.call in records
            }
        return found

    def named_leg(self, job: Job, recording: str) -> Leg:
        """Return a leg by the address that is built from its id, for want of a call-log entry."""
        return Leg(
            id=recording,
            started_at=job.seen_at,
            address=address_of(recording),
            named_only=True,
        )

    def open_leg(self, leg: Leg, *, turn: bool = False) -> AbstractContextManager[Iterator[bytes]]:
        """Open a recording's content.

        What is said to lie on another host is asked of ours, by its id: no token goes there.
        """
        priority = Priority.of(turn=turn, behind=leg.behind)
        host = self._api.other_host(leg.address)
        if host is None:
            return self._api.stream(leg.address, priority=priority)
        extra = {"leg": leg.id, "host": host}
        log.warning("an address is on a host that RingexUrl does not name", extra=extra)
        return self._api.stream(address_of(leg.id), priority=priority)

    def _records(self, jobs: Sequence[Job], **filters: str) -> dict[str, list[Json]]:
        calls = {job.call for job in jobs}
        found: dict[str, list[Json]] = {}
        for record in self._pages(jobs, **filters):
            session = session_of(record)
            if session in calls:
                found.setdefault(session, []).append(kept(record))
        return found

    def _pages(self, jobs: Sequence[Job], **filters: str) -> Iterator[Json]:
        """Yield every record of every page, each once. Raises Retry for pages without end."""
        since = min(job.seen_at for job in jobs) - self._look_back
        seen: set[str] = set()
        for page in range(1, MOST_PAGES + 1):
            answer = self._api.get(
                CALL_LOG,
                {
                    "view": "Detailed",
                    "dateFrom": format_time(since),
                    "perPage": PAGE_RECORDS,
                    "page": page,
                    **filters,
                },
                priority=Priority.of(turn=any(job.turn for job in jobs), behind=False),
            )
            records, new = records_of(answer), False
            for record in records:
                # A call that is logged between two requests moves others to the next page.
                name = id_of(record.get("id")) if isinstance(record, dict) else None
                if not isinstance(record, dict) or name in seen:
                    continue
                if name is not None:
                    seen.add(name)
                new = True
                yield record
            if not has_more(answer):
                return
            if not new:
                raise Retry(f"the call log has no end: nothing is new on its page {page}")
        raise Retry(f"the call log has no end after {MOST_PAGES} pages")


class RingexSource:
    """Where recordings are removed, a hundred a request. The rows of the call log stay."""

    name = "ringex"
    at_once = 100

    def __init__(self, api: RingexApi) -> None:
        self._api = api

    def removable(self, account: str, leg: Json) -> bool:
        """Say yes: what was archived came from RingCentral by its id."""
        del account, leg
        return True

    def remove(self, recordings: Sequence[SourceRecording]) -> None:
        """Delete recordings, behind all other requests. NotYet: one of them is not there."""
        self._api.delete_recordings([recording.id for recording in recordings])


def records_of(answer: Json) -> list[object]:
    """Return what a page of the call log lists. Raises Retry if it lists nothing at all."""
    records = answer.get("records")
    if not isinstance(records, list):
        raise Retry("the call log's page has no list `records`")
    return records


def has_more(answer: Json) -> bool:
    navigation = answer.get("navigation")
    return isinstance(navigation, dict) and bool(navigation.get("nextPage"))
