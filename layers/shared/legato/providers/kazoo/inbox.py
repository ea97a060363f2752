"""Take in what Kazoo sends by itself: pushed recordings, and those of a storage plan.

Both end as objects in the inbox. Which recording an object is, its name says or the facts that came
with it; the rest is Kazoo's own document. Then it is a leg like any other, under the recording's
id, so that push, inbox and sweep archive it once.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from legato.errors import NotYet, Wait
from legato.model import Arrival, CallId, Job, Json, Leg, Listing, format_time
from legato.notes import change
from legato.providers.kazoo.documents import (
    ARRIVED_AT,
    address,
    call_of,
    length_of,
    recording_of,
    without_secrets,
)
from legato.providers.kazoo.tail import Account, change_of
from legato.sweep import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.ports import Clock, Jobs, Ledger, Notes
    from legato.providers.kazoo.tail import Documents

log = logging.getLogger(__name__)

CALL = "inbox:"
"""Begins the `call` of a job for an object of the inbox, whose own call is not known yet."""
JOB_SECONDS = 5
"""The interaction's job appears when its records stand in the ledger."""
LOOK_UPS = 2
"""Kazoo writes a document before it sends the audio, so one that is not there will not come."""
LOOK_BACK = timedelta(hours=4)
"""Kazoo gives up to send a recording an hour or two after its document was saved."""
AHEAD = timedelta(hours=1)
"""A clock may be wrong by so much."""
SAME_LENGTH_MS = 1500
PAGE_SIZE = 50
LONGEST_WAIT = timedelta(hours=6)

_RECORDING = re.compile(r"(?<![0-9a-f])\d{6}-[0-9a-f]{32}(?![0-9a-f])")
_DATABASE = re.compile(r"account/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{28})")
_ACCOUNT = re.compile(r"(?<![0-9a-f-])[0-9a-f]{32}(?![0-9a-f])")
_NAME = re.compile(r"call_recording_(.+?)\.+(?:mp3|wav)$")
_AUDIO = re.compile(r"\.(?:mp3|wav)$", re.IGNORECASE)
_NUMBERS = ("start", "duration_ms")


class Objects(Protocol):
    """The inbox."""

    def describe(self, arrival: Arrival) -> Arrival | None:
        """Return the arrival with what came with it, or None if it is gone. Raises Retry."""
        ...

    def open(self, key: str, version_id: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open an object for reading in pieces. Raises NotYet if it is gone, Retry."""
        ...

    def mark_archived(self, arrival: Arrival) -> None:
        """Let the object be removed some day. Raises Retry."""
        ...


class Documented(Protocol):
    """Who knows the documents of recordings."""

    def recording(self, account: str, recording: str) -> Json: ...

    def recordings(
        self,
        account: str,
        *,
        created_from: datetime,
        created_to: datetime,
        filters: Mapping[str, str] = ...,
        page_size: int,
    ) -> Documents: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What an object's name and facts say. `accounts` are those that it may belong to."""

    accounts: tuple[str, ...]
    recording: str | None
    call_id: str | None


def job_of(arrival: Arrival) -> Job | None:
    """Return the job of a new object; None for what is no recording, as the test file of a plan."""
    if not _AUDIO.search(arrival.key):
        return None
    return Job(
        provider="kazoo",
        account="",
        call=f"{CALL}{arrival.key}",
        seen_at=arrival.arrived_at,
        hints={"version": arrival.version_id},
    )


def sighted(arrival: Arrival, known: Sequence[str]) -> Sighting:
    """Read an object's name and facts; `known` are the accounts that are configured.

    A storage plan names objects `<db>/<id>_<attachment>`, or by fields of the operator's choice
    (https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/storage.md).
    """
    name, facts = unquote(arrival.key), arrival.facts
    without_recording = _RECORDING.sub("", name)
    told = [facts.get("account_id"), *("".join(found) for found in _DATABASE.findall(name))]
    named = [found for found in _ACCOUNT.findall(without_recording) if found in known]
    recording = _RECORDING.search(facts.get("recording_id") or name)
    call_id = _NAME.search(facts.get("name") or name)
    return Sighting(
        accounts=tuple(filter(None, told))[:1] or tuple(named)[:1] or tuple(known),
        recording=recording and recording[0],
        call_id=facts.get("call_id") or (call_id and call_id[1]),
    )


class Inbox:
    """Finds out which recordings the objects are, and hands their audio out.

    `accounts` are the configured ones, `length` listens to audio and returns milliseconds (it may
    raise NotAudio or DamagedAudio).
    """

    def __init__(
        self,
        objects: Objects,
        api: Documented,
        jobs: Jobs,
        ledger: Ledger,
        notes: Notes,
        clock: Clock,
        *,
        accounts: Sequence[str],
        length: Callable[[Iterator[bytes]], int],
    ) -> None:
        self._objects = objects
        self._api = api
        self._jobs = jobs
        self._ledger = ledger
        self._notes = notes
        self._clock = clock
        self._accounts = accounts
        self._length = length

    def take_in(self, job: Job) -> Listing:
        """Bring an object to its call, and wait until it is archived there.

        The answer has no legs: the call has a job of its own. Raises NotYet while Kazoo has no
        document, Wait, Barred, Retry.
        """
        nothing = Listing(call=job.call, account=job.account, final=True)
        arrival = self._objects.describe(
            Arrival(
                key=job.call.removeprefix(CALL),
                version_id=str(job.hints.get("version", "")),
                arrived_at=job.seen_at,
            )
        )
        if arrival is None:
            log.warning("gone from the inbox", extra={"call": job.call})
            return nothing
        place = self._notes.read(f"arrived#{arrival.key}").content
        if place.get("version") != arrival.version_id:
            place = self._placed(arrival, job)
        state = self._ledger.load(CallId("kazoo", place["account"], place["call"]))
        if place["recording"] in state.legs:
            self._objects.mark_archived(arrival)
            return nothing
        age = self._clock.now() - arrival.arrived_at
        seconds = min(max(age, timedelta(seconds=2 * JOB_SECONDS)), LONGEST_WAIT).total_seconds()
        raise Wait(f"{place['call']} is not archived yet", seconds=seconds)

    def addressed(self, leg: Leg) -> Leg:
        """Return the leg with the address of its copy in the inbox, if there is one."""
        account, recording = map(unquote, leg.address.split("/"))
        copy = self._notes.read(_copy_key(account, recording)).content
        if not copy:
            return leg
        return replace(leg, address=address(account, recording, copy["key"], copy["version"]))

    def open(self, key: str, version_id: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open a copy for reading in pieces. Raises NotYet if it is gone, Retry."""
        return self._objects.open(key, version_id)

    def _placed(self, arrival: Arrival, job: Job) -> Json:
        """Find the recording's document, and make a job of its call."""
        account, document = self._documented(arrival, sighted(arrival, self._accounts), job)
        recording = recording_of(document) or ""
        call = call_of(document) or recording
        self._write(
            _copy_key(account, recording), {"key": arrival.key, "version": arrival.version_id}
        )
        kept = {**without_secrets(document), "id": recording}
        found = change_of(account, call, {recording: kept}, latest=self._clock.now())
        sent = take(found, Account(account), self._jobs, self._notes, self._clock, JOB_SECONDS)
        if not sent:
            # Its call is known, and may be waiting long for the audio that is here.
            hints: Json = {"recordingIds": [recording], "listed": [recording], "retry": True}
            now = self._clock.now()
            known = Job(provider="kazoo", account=account, call=call, seen_at=now, hints=hints)
            self._jobs.send(known, delay=JOB_SECONDS)
        place = {
            "version": arrival.version_id,
            "account": account,
            "call": call,
            "recording": recording,
        }
        self._write(f"arrived#{arrival.key}", place)
        log.info("arrived in the inbox", extra={"key": arrival.key, **place})
        return place

    def _documented(self, arrival: Arrival, sighting: Sighting, job: Job) -> tuple[str, Json]:
        """Return the account and document of a recording, of our own making if Kazoo has none."""
        for account in sighting.accounts:
            document = self._by_id(account, sighting) or self._by_call(account, arrival, sighting)
            if document is not None:
                return account, document
        if job.looks < LOOK_UPS:
            raise NotYet(f"Kazoo has no document of {arrival.key} yet")
        digest = hashlib.sha256(arrival.key.encode()).hexdigest()
        recording = sighting.recording or f"arrived-{digest[:32]}"
        account = sighting.accounts[0] if sighting.accounts else "unknown"
        return account, _own_document(arrival, recording, sighting)

    def _by_id(self, account: str, sighting: Sighting) -> Json | None:
        if sighting.recording is None:
            return None
        try:
            return self._api.recording(account, sighting.recording)
        except NotYet:
            return None

    def _by_call(self, account: str, arrival: Arrival, sighting: Sighting) -> Json | None:
        """Look for the document of a recording whose id is not known, or that is listed only."""
        if sighting.call_id is None:
            return None
        page = self._api.recordings(
            account,
            created_from=arrival.arrived_at - LOOK_BACK,
            created_to=min(arrival.arrived_at + AHEAD, self._clock.now()),
            filters={"filter_call_id": sighting.call_id},
            page_size=PAGE_SIZE,
        )
        found = {
            recording: document
            for document in page.documents
            if isinstance(document, dict) and (recording := recording_of(document))
        }
        if sighting.recording is not None:
            return found.get(sighting.recording)
        if len(found) > 1:
            return self._as_long(account, arrival, found)
        return next(iter(found.values()), None)

    def _as_long(self, account: str, arrival: Arrival, found: Mapping[str, Json]) -> Json | None:
        """Return the recording that is as long as this audio and has not arrived, if it is one.

        One leg of a call may be recorded twice, for the account and for a device.
        """
        with self._objects.open(arrival.key, arrival.version_id) as pieces:
            length = self._length(pieces)
        distances = {
            recording: abs((length_of(document) or 0) - length)
            for recording, document in found.items()
            if self._notes.read(_copy_key(account, recording)).content.get("key")
            in (None, arrival.key)
        }
        nearest = min(distances, key=lambda recording: distances[recording], default=None)
        if nearest is None or distances[nearest] > SAME_LENGTH_MS:
            return None
        return found[nearest]

    def _write(self, key: str, content: Json) -> None:
        change(key, lambda note: replace(note, content=content), self._notes)


def _own_document(arrival: Arrival, recording: str, sighting: Sighting) -> Json:
    """Return what came with the audio as a document, marked as ours by the time of arrival."""
    facts = {name: value for name, value in arrival.facts.items() if name != "name"}
    numbers = {name: int(facts[name]) for name in _NUMBERS if facts.get(name, "").isdecimal()}
    return {
        **facts,
        **numbers,
        **({} if sighting.call_id is None else {"call_id": sighting.call_id}),
        "id": recording,
        ARRIVED_AT: format_time(arrival.arrived_at),
    }


def _copy_key(account: str, recording: str) -> str:
    return f"inbox#{CallId('kazoo', account, recording)}"
