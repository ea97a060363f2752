"""Remove recordings at their provider: only those that are proven to be in the archive.

A call is listed when it comes to rest as archived, until all of its legs are settled: removed, or
never to be. What is removed is written down when the provider has confirmed it. A run that dies in
between is made up for by the next one, which finds the recording gone. So runs may also overlap.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

from legato.archive.manifest import read_manifest
from legato.errors import Barred, Conflict, Denied, Failed, LegatoError, NotYet, Retry, Stale, Wait
from legato.evidence.legal_hold import held
from legato.ledger.notes import change
from legato.ledger.removals import (
    _PREFIX,
    removal_key,
    removals_list,
    removed_key,
    remover_key,
    with_list,
)
from legato.ledger.troubles import described
from legato.model import CallId, format_time
from legato.ports import RecordingRemover, SourceRecording

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from legato.model import Json, Note, StoredObject
    from legato.ports import Archive, Clock, Ledger, Lists

log = logging.getLogger(__name__)

RESERVE = timedelta(seconds=60)
"""What is left of a run is for asking the provider, and for writing down what it confirmed."""
PUT_OFF = timedelta(hours=23)
"""So that it is proven again within the day."""
PUT_OFF_BRIEFLY = timedelta(hours=1)
PATIENCE = 10.0
"""Seconds: no longer than Kazoo's window. Who has to wait for longer leaves it to the next run."""
MAX_FAULTS = 3
"""So many calls may meet a passing fault before it counts as everybody's."""

type Proof = Literal["read-back", "checksum"]


@dataclass(slots=True, kw_only=True)
class RemovalReport:
    """What a run did, by the names of its metrics.

    `stopped` is what ended it early. `faults` are those of our own store: somebody must be told.
    """

    counts: Counter[str] = field(
        default_factory=lambda: Counter(RecordingRemoved=0, RemovalUnproven=0)
    )
    stopped: LegatoError | None = None
    faults: list[LegatoError] = field(default_factory=list)


class _Unproven(Exception):
    """A leg is not, or not only, what the manifest says. Names its key."""


class _Later(Exception):
    """Nothing is wrong, but the call is not to be removed now."""


class _Stop(Exception):
    """The provider does not go on."""

    def __init__(self, error: LegatoError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proven:
    call: CallId
    recording: SourceRecording
    leg: Json
    proof: Proof
    proved_at: datetime


@dataclass(slots=True, kw_only=True)
class Removal:
    """The removal of what is archived at one provider. `report` tells what the last run did."""

    source: RecordingRemover
    archive: Archive
    ledger: Ledger
    notes: Lists
    clock: Clock
    sleep: Callable[[float], None]
    report: RemovalReport = field(init=False)
    _until: datetime = field(init=False)
    _waiting: deque[_Proven] = field(init=False)
    _memory: Json = field(init=False)
    _at_once: int = field(init=False)
    """A request that fails as a whole does not say why, so the next ones are smaller."""

    def run(self, *, until: datetime) -> RemovalReport:
        """Prove and remove what is due, the oldest first, until shortly before `until`.

        Whatever ends a run early, the next one goes on. Raises only what the ledger itself does.
        """
        self.report, self._until, self._waiting = RemovalReport(), until, deque()
        self._memory = self.notes.read(remover_key(self.source.name)).content
        self._at_once = min(self._memory.get("at_once", self.source.at_once), self.source.at_once)
        try:
            self._prove()
            self._send(least=1)
        except _Stop as stop:
            self.report.stopped = stop.error
        self._remember_run()
        if isinstance(self.report.stopped, Barred):
            extra = {"provider": self.source.name, "reason": str(self.report.stopped)}
            log.error("provider refuses to remove", extra=extra)
        return self.report

    def _prove(self) -> None:
        """Take the listed calls one by one, and send as soon as there is a request full."""
        due = format_time(self.clock.now())
        try:
            for note in self.notes.listed(removals_list(self.source.name), until=due):
                self._in_time()
                self._take(note)
                self._send(least=self._at_once)
        except Wait as error:
            self.report.stopped = error

    def _send(self, *, least: int) -> None:
        """Have the provider remove what is proven, while there is at least so much of it."""
        while len(self._waiting) >= least and self._waiting:
            batch = list(islice(self._waiting, self._at_once))
            alone, gone = len(batch) == 1, False
            try:
                self._patiently(partial(self.source.remove, [one.recording for one in batch]))
            except NotYet as error:
                if not alone:
                    self._halve(batch, error)
                    continue
                gone = True
            except (Failed, Retry) as error:
                if not alone:
                    self._halve(batch, error)
                    if isinstance(error, Retry):
                        raise _Stop(error) from error
                else:
                    self._waiting.popleft()
                    self._refused(batch[0], error)
                continue
            for one in batch:
                self._waiting.popleft()
                self._write_down(one, gone=gone)
            if not gone:
                self._at_once = min(2 * self._at_once, self.source.at_once)

    def _remember_run(self) -> None:
        """Let the next run begin with requests of the size that this one came to.

        And let `legato status` know whether the provider refuses us, and since when.
        """
        stopped, now = self.report.stopped, format_time(self.clock.now())

        def becomes(content: Json) -> Json:
            refused = content.get("refused")
            if isinstance(stopped, Barred):
                since = refused["since"] if refused else now
                refused = {"since": since, "reason": str(stopped)}
            elif stopped is None or self.report.counts["RecordingRemoved"]:
                refused = None
            return content | {"at_once": self._at_once, "refused": refused}

        before = {"at_once": self.source.at_once, "refused": None} | self._memory
        if becomes(before) != before:
            self._remember(becomes)

    def _remember(self, becomes: Callable[[Json], Json]) -> None:
        def changed(note: Note) -> Note:
            content = {name: value for name, value in becomes(note.content).items() if value}
            return replace(note, content=content)

        self._memory = change(remover_key(self.source.name), changed, self.notes).content

    def _take(self, note: Note) -> None:
        """Prove a call, all of it or nothing: its legs are evidence of each other."""
        call = CallId.parse(note.key.removeprefix(_PREFIX))
        try:
            self._waiting += self._proven(call, note)
        except _Unproven as error:
            self._not_removed(call, str(error))
        except _Later as reason:
            self._put_off(call, PUT_OFF)
            self.report.counts["RemovalPutOff"] += 1
            extra = {"call": str(call), "reason": str(reason)}
            log.info("removal put off", extra=extra)
        except Retry as error:
            log.error(
                "the archive cannot be asked", extra={"call": str(call), "reason": str(error)}
            )
            self.report.faults.append(error)
            self._put_off(call, PUT_OFF_BRIEFLY)
            if len(self.report.faults) >= MAX_FAULTS:
                raise _Stop(error) from error

    def _proven(self, call: CallId, note: Note) -> list[_Proven]:
        """Return what may be removed of a call. Raises _Unproven, _Later, Retry, and Wait."""
        state = self.ledger.load(call)
        if state.status != "archived" or state.manifest is None or state.prefix is None:
            raise _Later(f"the ledger says {state.status}")
        if state.troubles:
            raise _Later(f"not all of it is archived as it should be: {described(state.troubles)}")
        # The ledger knows of a hold before its objects do.
        if held(call, self.notes):
            raise _Later("it is under legal hold")
        present = self.archive.find(state.prefix)
        _check_version(state.manifest.key, state.manifest.version_id, present)
        try:
            manifest = read_manifest(state.manifest, self.archive)
        except Failed as error:
            raise _Unproven(str(error)) from error
        settled = note.content["settled"]
        legs = [leg for leg in manifest["legs"] if leg["id"] not in settled]
        left = [leg["id"] for leg in legs if not self._removable(call, leg)]
        legs = [leg for leg in legs if leg["id"] not in left]
        for leg in legs:
            _check_version(leg["key"], leg["version_id"], present)
            if self.archive.held(leg["key"], version_id=leg["version_id"]):
                raise _Later(f"{leg['key']} is under legal hold")
        proven = [
            _Proven(
                call=call,
                recording=SourceRecording(call.account, leg["id"]),
                leg=leg,
                proof=self._proof(leg, present[leg["key"]]),
                proved_at=self.clock.now(),
            )
            for leg in legs
        ]
        unknown = set(note.content["legs"]) - {leg["id"] for leg in manifest["legs"]}
        if left or unknown:
            self._settle(call, [*left, *unknown])
        return proven

    def _removable(self, call: CallId, leg: Json) -> bool:
        """Ask the source. Raises _Unproven, _Later, _Stop."""
        try:
            return self._patiently(partial(self.source.removable, call.account, leg))
        except (Failed, Denied) as error:
            raise _Unproven(f"{leg['key']} is not removed: {error}") from error
        except Retry as error:
            raise _Later(f"the provider cannot be asked for {leg['key']}: {error}") from error

    def _proof(self, leg: Json, stored: StoredObject) -> Proof:
        """Read a leg back. Where it cannot be read at once, S3's word for it must do."""
        key, digest, size = leg["key"], hashlib.sha256(), 0
        try:
            with self.archive.read(key, version_id=leg["version_id"]) as pieces:
                for piece in pieces:
                    self._in_time()
                    digest.update(piece)
                    size += len(piece)
        except Conflict as error:
            raise _Unproven(str(error)) from error
        except Failed:  # it is cold
            wanted = leg["sha256"]
            whole = base64.b64encode(bytes.fromhex(wanted)).decode()
            known = stored.sha256 == wanted or stored.checksum == whole
            if stored.size != leg["bytes"] or not known:
                raise _Unproven(f"{key} is cold, and S3 keeps another checksum of it") from None
            return "checksum"
        if (size, digest.hexdigest()) != (leg["bytes"], leg["sha256"]):
            raise _Unproven(f"{key} does not hold the bytes that the manifest names")
        return "read-back"

    def _patiently[T](self, ask: Callable[[], T]) -> T:
        """Ask the provider, and sleep while it is a matter of moments."""
        while True:
            try:
                return ask()
            except Wait as error:
                end = self.clock.now() + timedelta(seconds=error.seconds)
                brief = error.seconds <= PATIENCE and end < self._until - RESERVE / 2
                if isinstance(error, Barred) or not brief:
                    raise _Stop(error) from error
                self.sleep(error.seconds)

    def _halve(self, batch: Sequence[_Proven], error: LegatoError) -> None:
        self._at_once = len(batch) // 2
        extra = {"provider": self.source.name, "recordings": len(batch), "reason": str(error)}
        log.info("refused together: fewer at once", extra=extra)

    def _refused(self, one: _Proven, error: Failed | Retry) -> None:
        """Leave a recording where it is that the provider does not remove."""
        if isinstance(error, Failed):
            self._not_removed(one.call, f"{one.leg['key']} is proven, but {error}")
            return
        self._put_off(one.call, PUT_OFF_BRIEFLY)
        self.report.counts["RemovalRetried"] += 1
        if self.report.counts["RemovalRetried"] >= MAX_FAULTS:
            raise _Stop(error) from error

    def _write_down(self, one: _Proven, *, gone: bool) -> None:
        """Keep what was removed, when, and by which proof, for as long as the ledger."""
        leg, recording = one.leg, one.recording.id
        facts = {
            "call": str(one.call),
            **{name: leg[name] for name in ("key", "version_id", "bytes", "sha256")},
            "proof": one.proof,
            "proved_at": format_time(one.proved_at),
            "removed_at": format_time(self.clock.now()),
            **({"already_gone": True} if gone else {}),
        }
        note = self.notes.read(removed_key(one.call, recording))
        if not note.version:
            with suppress(Stale):  # another run has written the same
                self.notes.write(replace(note, content=facts))
        self._settle(one.call, [recording])
        self.report.counts["RecordingGone" if gone else "RecordingRemoved"] += 1
        extra = {"provider": self.source.name, "recording": recording, **facts}
        log.info("removed at the source", extra=extra)

    def _not_removed(self, call: CallId, reason: str) -> None:
        """Tell somebody, and let the call be proven anew when that is forgotten."""
        self.report.counts["RemovalUnproven"] += 1
        extra = {"call": str(call), "reason": reason}
        log.error("not removed", extra=extra)
        self._note_unproven(call, reason)
        self._put_off(call, PUT_OFF)

    def _note_unproven(self, call: CallId, reason: str | None) -> None:
        """Let `legato status` know why a call is not removed, until all of it is settled."""
        name, now = str(call), format_time(self.clock.now())

        def becomes(content: Json) -> Json:
            unproven = dict(content.get("unproven", {}))
            known = unproven.pop(name, None)
            if reason is not None:
                unproven[name] = {"since": known["since"] if known else now, "reason": reason}
            return content | {"unproven": unproven}

        if reason is not None or name in self._memory.get("unproven", {}):
            self._remember(becomes)

    def _put_off(self, call: CallId, wait: timedelta) -> None:
        order = format_time(self.clock.now() + wait)

        def later(note: Note) -> Note:
            return with_list(note, note.content, (removals_list(self.source.name), order))

        change(removal_key(call), later, self.notes)

    def _settle(self, call: CallId, legs: Iterable[str]) -> None:
        """Take legs off the list, and the call with the last of them."""

        def settled(note: Note) -> Note:
            done = sorted({*note.content["settled"], *legs})
            return with_list(note, note.content | {"settled": done}, note.listed)

        if change(removal_key(call), settled, self.notes).listed is None:
            self._note_unproven(call, None)

    def _in_time(self) -> None:
        if self.clock.now() >= self._until - RESERVE:
            raise Wait("this run has no time left", seconds=1)


def _check_version(key: str, version: str, present: Mapping[str, StoredObject]) -> None:
    """Raise _Unproven unless the key shows the sealed version to everybody."""
    if key not in present:
        raise _Unproven(f"{key} is not in the archive, or a delete marker lies over it")
    if present[key].version_id != version:
        raise _Unproven(f"another version lies over the one of {key} that was sealed")
