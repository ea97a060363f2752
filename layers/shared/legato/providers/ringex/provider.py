"""RingCentral as a provider: which recordings its calls have, and their audio."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from legato.errors import Retry
from legato.model import Job, Json, Leg, Listing, format_time
from legato.providers.ringex.call_log import listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from legato.model import CallId
    from legato.providers.ringex.api import RingexApi
    from legato.remove import Recording

CALL_LOG = "/restapi/v1.0/account/~/call-log"
PAGE_RECORDS = 1000
FEW_SESSIONS = 2


class Ringex:
    """`max_call_hours` is how long before its first sign a call may have begun."""

    name = "ringex"

    def __init__(self, api: RingexApi, *, max_call_hours: float) -> None:
        self._api = api
        self._look_back = timedelta(hours=max_call_hours)

    def resolve(
        self, jobs: Sequence[Job], *, closely: Collection[CallId] = ()
    ) -> Mapping[CallId, Listing | Retry]:
        """Read the company's call log: one or two sessions by name, more of them all at once.

        The recipe is RingCentral's own: every recorded call since the oldest, told apart by
        `telephonySessionId`
        (https://developers.ringcentral.com/guide/voice/call-log/recordings). The query by session
        also shows what was not recorded: a call in progress, a recording too short to be kept.
        """
        alone = {job.id for job in jobs if job.id in closely}
        if len(jobs) - len(alone) <= FEW_SESSIONS:
            alone = {job.id for job in jobs}
        together = [job for job in jobs if job.id not in alone]

        records: dict[str, list[Json]] = {}
        if together:
            calls = {job.call for job in together}
            for record in self._pages(together, recordingType="All"):
                session = record.get("telephonySessionId")
                if session in calls:
                    records.setdefault(session, []).append(record)
        for job in jobs:
            if job.id in alone:
                found = self._pages([job], telephonySessionId=job.call)
                records[job.call] = [
                    record for record in found if record.get("telephonySessionId") == job.call
                ]
        return {job.id: _listing(job, records[job.call]) for job in jobs if records.get(job.call)}

    def named_leg(self, job: Job, recording: str) -> Leg:
        """Return a leg by the address that is built from its id, for want of a call-log entry.

        https://developers.ringcentral.com/guide/voice/call-log/recordings
        """
        return Leg(
            id=recording,
            started_at=job.seen_at,
            address=f"/restapi/v1.0/account/~/recording/{quote(recording, safe='')}/content",
            named_only=True,
        )

    def open_leg(self, leg: Leg, *, turn: bool = False) -> AbstractContextManager[Iterator[bytes]]:
        """Open a recording's content."""
        return self._api.stream(leg.address, turn=turn, behind=leg.behind)

    def _pages(self, jobs: Sequence[Job], **filters: str) -> Iterator[Json]:
        """Yield every record of every page, each once."""
        since = min(job.seen_at for job in jobs) - self._look_back
        seen: set[str] = set()
        page = 1
        while True:
            answer = self._api.get(
                CALL_LOG,
                {
                    "view": "Detailed",
                    "dateFrom": format_time(since),
                    "perPage": PAGE_RECORDS,
                    "page": page,
                    **filters,
                },
                turn=any(job.turn for job in jobs),
            )
            for record in records_of(answer):
                # A call that is logged between two requests moves others to the next page.
                name = record.get("id")
                if isinstance(name, str) and name in seen:
                    continue
                if isinstance(name, str):
                    seen.add(name)
                yield record
            if not has_more(answer):
                return
            page += 1


class RingexSource:
    """Where recordings are removed, a hundred a request. The rows of the call log stay."""

    name = "ringex"
    at_once = 100

    def __init__(self, api: RingexApi) -> None:
        self._api = api

    def removable(self, leg: Json) -> bool:
        """Say yes: what was archived came from RingCentral by its id."""
        del leg
        return True

    def remove(self, recordings: Sequence[Recording]) -> None:
        """Delete recordings, behind all other requests. NotYet: one of them is not there."""
        self._api.delete_recordings([recording.id for recording in recordings])


def records_of(answer: Json) -> list[Json]:
    """Return the records of a page of the call log. Raises Retry."""
    records = answer.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Retry("the call log's page has no list `records`")
    return records


def has_more(answer: Json) -> bool:
    """Say whether another page of the call log follows."""
    navigation = answer.get("navigation")
    return isinstance(navigation, dict) and bool(navigation.get("nextPage"))


def _listing(job: Job, records: Sequence[Json]) -> Listing | Retry:
    try:
        return listing(job, records)
    except Retry as error:
        return error
