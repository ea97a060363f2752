"""Kazoo as a provider: which recordings an interaction has, and their audio."""

from __future__ import annotations

import hashlib
import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.errors import Failed, NotYet, Wait
from legato.ledger.accounts import siblings
from legato.ledger.listings import as_listed, records_key
from legato.model import Leg, Listing, Priority
from legato.providers.kazoo.documents import address, ended_at, listing
from legato.providers.kazoo.inbox import CALL, INBOX_KEY, LISTEN
from legato.providers.listed import each_by_itself, too_young

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.errors import LegatoError
    from legato.model import CallId, Job, Json
    from legato.ports import Clock, Notes, SourceRecording
    from legato.providers.kazoo.api import KazooApi
    from legato.providers.kazoo.inbox import Inbox

RECORDING_ID = re.compile(r"\d{6}-[0-9a-f]{32}")
"""https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/recordings.md"""


class Kazoo:
    """An interaction is complete when nothing of it was recorded for `quiet`.

    Kazoo never says that one is over. What is recorded later makes another revision. Audio that
    Kazoo sent by itself is in the `inbox`, and is not asked for.
    """

    name = "kazoo"

    def __init__(
        self,
        api: KazooApi,
        notes: Notes,
        clock: Clock,
        *,
        quiet: timedelta,
        inbox: Inbox,
    ) -> None:
        self._api = api
        self._notes = notes
        self._clock = clock
        self._quiet = quiet
        self._inbox = inbox

    def resolve(
        self, jobs: Sequence[Job], *, closely: Collection[CallId] = ()
    ) -> Mapping[CallId, Listing | LegatoError]:
        """Answer from the ledger; what only the inbox has is looked up."""
        del closely  # the ledger knows as much of one as of all
        until = self._clock.now() + LISTEN
        return each_by_itself(jobs, lambda job: self._resolved(job, until))

    def _resolved(self, job: Job, until: datetime) -> Listing | LegatoError | None:
        if job.call.startswith(CALL) and not job.account:
            if self._clock.now() > until:
                return Wait("other objects of the inbox come first", seconds=1)
            return self._inbox.take_in(job)
        note = self._notes.read(records_key(job.id))
        documents = list(note.content.get("records", {}).values())
        if not documents:
            return None
        # Before its turn: another account's call of the same interaction can then name this one.
        related = siblings(job.id, self._notes)
        young = self._young(job, documents)
        return young or self._listed(as_listed(job, note), documents, related)

    def _listed(self, job: Job, documents: Sequence[Json], related: tuple[CallId, ...]) -> Listing:
        """Return the listing, with the copies that the inbox has."""
        found = listing(job, documents)
        legs = tuple(map(self._inbox.addressed, found.legs))
        return replace(found, legs=legs, related=related)

    def named_leg(self, job: Job, recording: str) -> Leg:
        return Leg(
            id=recording,
            started_at=job.seen_at,
            address=address(job.account, recording),
            named_only=True,
        )

    @contextmanager
    def open_leg(self, leg: Leg, *, turn: bool = False) -> Iterator[Iterator[bytes]]:
        """Open a recording's audio. NotYet: its document was saved, and its audio is not there.

        Every other try asks Kazoo for what the inbox has, too, unless it is known to it by no id.
        """
        account, recording, *copy = map(unquote, leg.address.split("/"))
        if leg.tries % 2 and leg.unverified is None:
            copy = []
        try:
            with ExitStack() as opened:
                try:
                    pieces = opened.enter_context(self._inbox.open(*copy)) if copy else None
                except NotYet:
                    if leg.unverified is not None:
                        raise
                    pieces = None
                if pieces is None:
                    asked = self._api.stream(
                        account, recording, priority=Priority.of(turn=turn, behind=leg.behind)
                    )
                    pieces = opened.enter_context(asked)
                yield pieces
        except NotYet as error:
            ended_at = leg.started_at + timedelta(milliseconds=leg.announced_ms or 0)
            if (ended_at.year, ended_at.month) == (leg.started_at.year, leg.started_at.month):
                raise
            # Filed in the month in which it stopped, looked for in the one that its id begins with.
            raise NotYet(
                f"{error}: it goes on over the end of a month, and some versions of Kazoo list "
                "such a recording but cannot hand it out"
            ) from error

    def _young(self, job: Job, documents: Sequence[Json]) -> Wait | None:
        ended = ended_at(documents, latest=job.seen_at)
        if ended is None:
            return None
        now, reason = self._clock.now(), "the interaction may go on"
        return too_young(job, ended, now=now, quiet=self._quiet, reason=reason)


class KazooSource:
    """Where recordings are removed, one a request. Kazoo marks them, and cleans up in its own time.

    https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/recordings.md

    What came by itself is removed only if Kazoo hands out the same bytes: who sent it may have been
    somebody else, and the true recording be the one that Kazoo has, or is about to store.
    """

    name = "kazoo"
    at_once = 1

    def __init__(self, api: KazooApi) -> None:
        self._api = api

    def removable(self, account: str, leg: Json) -> bool:
        """Say whether Kazoo listed the leg, by an id of its own making, and has no other audio.

        Raises Failed if it has, and as KazooApi.stream does.
        """
        if leg["named_only"] or RECORDING_ID.fullmatch(leg["id"]) is None:
            return False
        if not (leg["details"] or {}).get(INBOX_KEY):
            return True
        digest = hashlib.sha256()
        try:
            with self._api.stream(account, leg["id"], priority=Priority.BACKFILL) as pieces:
                for piece in pieces:
                    digest.update(piece)
        except NotYet:
            return False
        if digest.hexdigest() != leg["sha256"]:
            raise Failed(f"Kazoo has other audio of {leg['id']} than the one that came by itself")
        return True

    def remove(self, recordings: Sequence[SourceRecording]) -> None:
        """Delete recordings, behind all other requests. NotYet: Kazoo does not find one."""
        for recording in recordings:
            self._api.delete(recording.account, recording.id, priority=Priority.BACKFILL)
