"""Take in what Kazoo sends by itself: pushed recordings, and those of a storage plan.

Both end as objects in the inbox, each in the part of its account: a push below `push/<account>/`, a
plan's object below the account or its database. Which recording an object is, only its sender says,
and whoever has an account's push address or the key of a plan is such a sender. So what was said is
compared with Kazoo's own document, and with the audio. Then it is a leg like any other, under the
recording's id, so that push, inbox and sweep archive it once.

What does not fit is never that recording: it is archived as a call of its own, `unverified`, with
what was said of it and why that is not believed, and the recording is asked of Kazoo.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from legato.errors import DamagedAudio, Failed, NotAudio, NotYet, Wait
from legato.ledger.listings import take
from legato.ledger.notes import change
from legato.model import Arrival, CallId, Job, Json, Leg, Listing, format_time, is_id
from legato.providers.kazoo.documents import (
    ARRIVED_AT,
    UNVERIFIED,
    address,
    call_of,
    length_of,
    recording_of,
    without_secrets,
)
from legato.providers.kazoo.tail import Account, change_of
from legato.tuning import tolerance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from legato.ports import Clock, Jobs, Ledger, Notes
    from legato.providers.kazoo.api import KazooApi

log = logging.getLogger(__name__)

CALL = "inbox-"
"""Begins the `call` of a job for an object of the inbox, whose own call is not known yet."""
JOB_SECONDS = 5
"""The interaction's job appears when its records stand in the ledger."""
LOOK_UPS = 2
"""Kazoo writes a document before it sends the audio, so one that is not there will not come."""
LOOK_BACK = timedelta(hours=4)
"""Kazoo gives up to send a recording an hour or two after its document was saved."""
AHEAD = timedelta(hours=1)
"""A clock may be wrong by so much."""
PAGE_SIZE = 50
LONGEST_WAIT = timedelta(hours=6)
LISTEN = timedelta(seconds=60)
"""So long objects are looked at in one batch of jobs; the others come again at once."""
INBOX_KEY = "inbox_key"
"""Says in a leg's details which object of the inbox was taken for it."""
UNKNOWN = "unknown"
"""The account of what lies in nobody's part of the inbox."""

_RECORDING = re.compile(r"(?<![0-9a-f])\d{6}-[0-9a-f]{32}(?![0-9a-f])")
_DATABASE = re.compile(r"account/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{28})(?:-\d{6})?/")
_ACCOUNT = re.compile(r"([0-9a-f]{32})/")
_PUSHED = re.compile(r"push/([0-9A-Za-z]{1,100})/")
_NAME = re.compile(r"call_recording_(.+?)\.+(?:mp3|mp4|wav)$")
_AUDIO = re.compile(r"\.(?:mp3|mp4|wav)$", re.IGNORECASE)
_COMPARED = ("call_id", "interaction_id", "cdr_id")
_OWNERS = ("account_id", "pvt_account_id")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What an object's key and facts say. `facts` are those of a push; a plan's writer has none.

    Without an `account` the object lies in nobody's part of the inbox.
    """

    account: str | None
    recording: str | None
    call_id: str | None
    facts: Mapping[str, str]


def job_of(arrival: Arrival) -> Job | None:
    """Return the job of a new object; None for what is no recording, as the test file of a plan.

    Each version has a job of its own, since a storage plan may write a key again.
    """
    if not _AUDIO.search(arrival.key):
        return None
    return Job(
        provider="kazoo",
        account="",
        call=f"{CALL}{_named(arrival)}",
        seen_at=arrival.arrived_at,
        hints={"key": arrival.key, "version": arrival.version_id},
    )


def sighted(arrival: Arrival, known: Sequence[str]) -> Sighting:
    """Read an object's key and facts; `known` are the accounts that are followed.

    A storage plan names objects `<db>/<id>_<attachment>`, or by fields of the operator's choice
    (https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/storage.md). Whose object
    it is, the beginning of its key says and nothing else: there no other account may write.
    """
    if pushed := _PUSHED.match(arrival.key):
        facts = {name: str(value) for name, value in arrival.facts.items()}
        recording = _RECORDING.fullmatch(facts.get("recording_id", ""))
        return Sighting(
            account=pushed[1],
            recording=recording and recording[0],
            call_id=facts.get("call_id"),
            facts=facts,
        )
    name = unquote(arrival.key)
    found = _DATABASE.match(name) or _ACCOUNT.match(name)
    account = "".join(found.groups()) if found else None
    if found is None and len(known) == 1:
        account = known[0]
    named, call = _RECORDING.search(name), _NAME.search(name)
    return Sighting(
        account=account if account in known else None,
        recording=named and named[0],
        call_id=call[1] if call and is_id(call[1]) else None,
        facts={},
    )


class _Unverified(Exception):
    """An object is not the recording that it is said to be, or nobody can tell. Says why."""


class Inbox:
    """Finds out which recordings the objects are, and hands their audio out.

    `accounts` returns those that are followed, `length` listens to audio and returns milliseconds
    (it may raise NotAudio, DamagedAudio or Failed). What has more than `max_bytes` is not listened
    to.
    """

    def __init__(
        self,
        objects: Objects,
        api: KazooApi,
        jobs: Jobs,
        ledger: Ledger,
        notes: Notes,
        clock: Clock,
        *,
        accounts: Callable[[], Sequence[str]],
        length: Callable[[Iterator[bytes]], int],
        max_bytes: int,
    ) -> None:
        self._objects = objects
        self._api = api
        self._jobs = jobs
        self._ledger = ledger
        self._notes = notes
        self._clock = clock
        self._accounts = accounts
        self._length = length
        self._max_bytes = max_bytes

    def take_in(self, job: Job) -> Listing:
        """Bring an object to its call, and wait until it is archived there.

        The answer has no legs: the call has a job of its own. Raises NotYet while Kazoo has no
        document, Wait, Barred, Retry.
        """
        nothing = Listing(call=job.call, account=job.account, final=True)
        arrival = self._objects.describe(
            Arrival(
                key=job.hints.get("key", ""),
                version_id=job.hints.get("version", ""),
                arrived_at=job.seen_at,
            )
        )
        if arrival is None:
            log.warning("gone from the inbox", extra={"call": job.call})
            return nothing
        place = self._notes.read(_place_key(arrival)).content or self._placed(arrival, job)
        sealed = self._archived(place)
        if sealed is not None and place.get("sha256", sealed) != sealed:
            # Another audio was sealed, and this one must not go without a word.
            reason = f"recording {place['recording']} is archived, and has other bytes"
            place = self._unverified(arrival, place["account"], reason)
            sealed = self._archived(place)
        if sealed is not None:
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
        return replace(
            leg,
            address=address(account, recording, copy["key"], copy["version"]),
            details={**(leg.details or {}), INBOX_KEY: copy["key"]},
        )

    def open(self, key: str, version_id: str) -> AbstractContextManager[Iterator[bytes]]:
        return self._objects.open(key, version_id)

    def _archived(self, place: Json) -> str | None:
        """Return the SHA-256 of the recording in its sealed call, or None while it is in none."""
        state = self._ledger.load(CallId("kazoo", place["account"], place["call"]))
        return state.legs.get(place["recording"])

    def _placed(self, arrival: Arrival, job: Job) -> Json:
        """Find the recording that an object is, and make a job of its call."""
        sighting = sighted(arrival, self._accounts())
        account = sighting.account
        try:
            if account is None:
                raise _Unverified("its key begins with no account of ours")
            documents = self._documented(account, arrival, sighting, job)
            sha256, document = self._fitting(account, arrival, documents)
        except _Unverified as error:
            return self._unverified(arrival, account or UNKNOWN, str(error))
        place = _place(account, document) | {"sha256": sha256}
        return self._found(arrival, place, without_secrets(document))

    def _found(self, arrival: Arrival, place: Json, document: Json) -> Json:
        """Enter a document as the sweep does, send its call's job, and write the place down."""
        account, call, recording = place["account"], place["call"], place["recording"]
        found = change_of(
            account, call, {recording: {**document, "id": recording}}, latest=self._clock.now()
        )
        sent = take(found, Account(account), self._jobs, self._notes, self._clock, JOB_SECONDS)
        if not sent:
            # Its call is known, and may be waiting long for the audio that is here.
            hints: Json = {"recordingIds": [recording], "listed": [recording], "retry": True}
            now = self._clock.now()
            known = Job(provider="kazoo", account=account, call=call, seen_at=now, hints=hints)
            self._jobs.send(known, delay=JOB_SECONDS)
        change(_place_key(arrival), lambda note: replace(note, content=place), self._notes)
        log.info("arrived in the inbox", extra={"key": arrival.key, **place})
        return place

    def _unverified(self, arrival: Arrival, account: str, reason: str) -> Json:
        """Keep an object as a call of its own, with what was said of it and why it is not that."""
        recording = f"arrived-{_named(arrival)}"
        log.warning("unverified", extra={"key": arrival.key, "call": recording, "reason": reason})
        place: Json = {"account": account, "call": recording, "recording": recording}
        self._bind(account, recording, arrival, "")
        return self._found(arrival, place, _own_document(arrival, self._accounts(), reason))

    def _documented(
        self, account: str, arrival: Arrival, sighting: Sighting, job: Job
    ) -> list[Json]:
        """Return the documents of which this may be the audio. Raises _Unverified, NotYet."""
        found = self._by_id(account, sighting) or self._by_call(account, arrival, sighting)
        if not found and job.looks < LOOK_UPS:
            raise NotYet(f"Kazoo has no document of {arrival.key} yet")
        if not found:
            raise _Unverified("Kazoo has no document of it")
        fitting = [one for one in found if _misfit(one, account, sighting) is None]
        if not fitting:
            raise _Unverified(_misfit(found[0], account, sighting) or "")
        return fitting

    def _by_id(self, account: str, sighting: Sighting) -> list[Json]:
        if sighting.recording is None:
            return []
        try:
            return [self._api.recording(account, sighting.recording)]
        except NotYet:
            return []

    def _by_call(self, account: str, arrival: Arrival, sighting: Sighting) -> list[Json]:
        """Look for the document of a recording whose id is not known, or that is listed only."""
        if sighting.call_id is None:
            return []
        page = self._api.recordings(
            account,
            created_from=arrival.arrived_at - LOOK_BACK,
            created_to=min(arrival.arrived_at + AHEAD, self._clock.now()),
            filters={"filter_call_id": sighting.call_id},
            page_size=PAGE_SIZE,
        )
        return [
            document
            for document in page.documents
            if isinstance(document, dict)
            and (recording := recording_of(document))
            and document.get("call_id") == sighting.call_id
            and sighting.recording in (None, recording)
        ]

    def _fitting(
        self, account: str, arrival: Arrival, documents: Sequence[Json]
    ) -> tuple[str, Json]:
        """Return the audio's SHA-256, and the document that is as long and has no other audio.

        One leg of a call may be recorded twice, for the account and for a device. Raises
        _Unverified.
        """
        sha256, length = self._heard(arrival)
        near = sorted(documents, key=lambda one: _distance(one, length))
        reason = ""
        for document in near:
            recording, stated = recording_of(document) or "", length_of(document)
            if stated is not None and _distance(document, length) > tolerance(stated):
                reason = reason or (
                    f"it lasts {length / 1000:.3f} s, and Kazoo says that recording {recording} "
                    f"lasts {stated / 1000:.3f} s"
                )
            elif (self._archived(_place(account, document)) or sha256) != sha256:
                reason = reason or f"recording {recording} is archived, and has other bytes"
            elif not self._bind(account, recording, arrival, sha256):
                reason = reason or f"another audio has arrived as recording {recording} before"
            else:
                return sha256, document
        raise _Unverified(reason)

    def _heard(self, arrival: Arrival) -> tuple[str, int]:
        """Return the audio's SHA-256, and how long it is. Raises _Unverified, Retry."""
        if arrival.size > self._max_bytes:
            raise _Unverified(f"it has {arrival.size} bytes, more than {self._max_bytes}")
        digest = hashlib.sha256()

        def hashed(pieces: Iterator[bytes]) -> Iterator[bytes]:
            for piece in pieces:
                digest.update(piece)
                yield piece

        try:
            with self._objects.open(arrival.key, arrival.version_id) as pieces:
                length = self._length(heard := hashed(pieces))
                deque(heard, maxlen=0)  # whatever stands behind the audio
        except (NotAudio, DamagedAudio, Failed) as error:
            raise _Unverified(f"nobody can tell how long it is: {error}") from error
        return digest.hexdigest(), length

    def _bind(self, account: str, recording: str, arrival: Arrival, sha256: str) -> bool:
        """Take an object for the audio of a recording; False if another audio was taken before."""
        copy = {"key": arrival.key, "version": arrival.version_id, "sha256": sha256}
        bound = change(
            _copy_key(account, recording),
            lambda note: note if note.content else replace(note, content=copy),
            self._notes,
        )
        return bool(bound.content["sha256"] == sha256)


def _place(account: str, document: Json) -> Json:
    """Return which leg of which call a document of Kazoo's makes a recording."""
    recording = recording_of(document)
    return {"account": account, "call": call_of(document), "recording": recording}


def _misfit(document: Json, account: str, sighting: Sighting) -> str | None:
    """Say in which way a document of Kazoo's contradicts what came with the audio, if it does."""
    recording = recording_of(document)
    if recording is None or sighting.recording not in (None, recording):
        return f"Kazoo's document is that of another recording than {sighting.recording}"
    variables = document.get("custom_channel_vars")
    owners = [document.get(name) for name in _OWNERS]
    owners += [variables.get("Account-ID")] if isinstance(variables, dict) else []
    if any(owner is not None and owner != account for owner in owners):
        return f"Kazoo's document of recording {recording} is of another account"
    for name in _COMPARED:
        said, known = sighting.facts.get(name), document.get(name)
        if said and known and said != known:
            return f"Kazoo's document of recording {recording} has another {name}"
    return None


def _distance(document: Json, length: int) -> int:
    """Return by how many milliseconds audio is longer or shorter than Kazoo states."""
    return abs((length_of(document) or 0) - length)


def _own_document(arrival: Arrival, known: Sequence[str], reason: str) -> Json:
    """Return what was said of the audio as a document, marked as ours by the time of arrival."""
    sighting = sighted(arrival, known)
    said = {"recording_id": sighting.recording, "call_id": sighting.call_id}
    return {
        **{name: value for name, value in said.items() if value is not None},
        **sighting.facts,
        INBOX_KEY: arrival.key,
        ARRIVED_AT: format_time(arrival.arrived_at),
        UNVERIFIED: reason,
    }


def _named(arrival: Arrival) -> str:
    """Return what names a version of an object, whatever its key is."""
    name = f"{arrival.key}\n{arrival.version_id}"
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def _place_key(arrival: Arrival) -> str:
    return f"arrived#{_named(arrival)}"


def _copy_key(account: str, recording: str) -> str:
    return f"inbox#{CallId('kazoo', account, recording)}"
