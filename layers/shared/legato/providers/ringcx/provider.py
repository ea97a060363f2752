"""RingCX as a provider: which segments a dialog has, and their recordings.

What a dialog consists of was found by the sweep and stands in the ledger, so a job asks RingCX for
nothing but the recordings.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.ledger.accounts import siblings
from legato.ledger.listings import as_listed, records_key
from legato.model import Job, Leg, Listing, Priority
from legato.providers.listed import each_by_itself, too_young
from legato.providers.ringcx.retention import known_days
from legato.providers.ringcx.rows import address, ended_at, is_voice, listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from legato.errors import LegatoError, Wait
    from legato.model import CallId, Json
    from legato.ports import Clock, Notes
    from legato.providers.ringcx.api import RingcxApi


class Ringcx:
    """A dialog is left alone for `settle` after its end.

    `otherwise` is the number of days for a sub-account of which RingCX does not say how long it
    keeps recordings.
    """

    name = "ringcx"

    def __init__(
        self,
        api: RingcxApi,
        notes: Notes,
        clock: Clock,
        *,
        settle: timedelta,
        otherwise: float,
    ) -> None:
        self._api = api
        self._notes = notes
        self._clock = clock
        self._settle = settle
        self._otherwise = otherwise

    def resolve(
        self, jobs: Sequence[Job], *, closely: Collection[CallId] = ()
    ) -> Mapping[CallId, Listing | LegatoError]:
        """Answer from the ledger. A dialog that has only just ended is to wait.

        RingCX asks for a quarter of an hour between a call's end and the first look at it
        (https://developers.ringcentral.com/engage/voice/guide/workforce/call-recording).
        """
        del closely  # the ledger knows as much of one as of all
        days = known_days(self._notes)
        return each_by_itself(jobs, lambda job: self._resolved(job, days))

    def _resolved(self, job: Job, days: Json) -> Listing | Wait | None:
        note = self._notes.read(records_key(job.id))
        rows = list(note.content.get("records", {}).values())
        if not rows:
            return None
        # Before its turn: another sub-account's call of the same dialog can then name this one.
        related = siblings(job.id, self._notes)
        kept = timedelta(days=days.get(job.account) or self._otherwise)
        listed = listing(as_listed(job, note), rows, retention=kept)
        return self._young(job, rows) or replace(listed, related=related)

    def named_leg(self, job: Job, recording: str) -> Leg:
        return Leg(
            id=recording,
            started_at=job.seen_at,
            address=address(job.account, job.call, recording),
            named_only=True,
        )

    def open_leg(self, leg: Leg, *, turn: bool = False) -> AbstractContextManager[Iterator[bytes]]:
        sub_account, dialog, segment = map(unquote, leg.address.split("/"))
        priority = Priority.of(turn=turn, behind=leg.behind)
        return self._api.stream(sub_account, dialog, segment, priority=priority)

    def _young(self, job: Job, rows: Sequence[dict[str, object]]) -> Wait | None:
        voice = list(filter(is_voice, rows))
        ended = ended_at(voice, latest=job.seen_at)
        if ended is None and not any(row.get("segmentEndTimeMs") for row in voice):
            return None
        now, reason = self._clock.now(), "the dialog has only just ended"
        return too_young(job, ended or job.seen_at, now=now, quiet=self._settle, reason=reason)
