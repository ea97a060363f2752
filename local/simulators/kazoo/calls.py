"""Placing calls: what was ordered becomes recordings in the databases of months.

Which database a recording is in depends on the version. 4.3 takes the month in which it started,
though the lists are ordered by when its document was saved, after it stopped
(kzc_recording:initialize_state); master takes the month in which it stopped, while the id still
begins with the other one (media_recording:maybe_save_recording). A list opens the databases of the
months that it asks for, a single read the one that the id begins with. So 4.3 hides what was saved
in the next month from a list of that month, and master lists what cannot be read.
"""

from __future__ import annotations

import math
import secrets
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from local.simulators.audio import Audio, Given, melody
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.gregorian import gregorian, month_named, month_of, prefix_of
from local.simulators.kazoo.tokens import user_of
from local.simulators.settings import BadInput, Json
from local.simulators.times import Clock

CALLER = "+14155550142"
CALLEE = "+16505550100"
_WAV = {"channels": 2, "rate": 16000}
"""RECORD_STEREO and its sample rate (ecallmgr_call_command:record_call_vars)."""

type Key = tuple[int, str]
"""Where a recording is in a list: when its document was saved, in Gregorian seconds, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOrder:
    """The `url` that a recording is sent to. Unless Kazoo `keeps` it too, it is only there."""

    url: str
    method: Literal["put", "post"] = "put"
    keeps: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOrder:
    """The bucket of a storage plan, which is the only place for a recording, and its keys."""

    endpoint: str
    bucket: str
    keys: Literal["default", "by-fields"] = "default"
    keeps: ClassVar[bool] = False


type StorageOrder = PushOrder | PlanOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOrder:
    """One recording, as the control side asks for it. `omit` are fields its document lacks."""

    id: str | None = None
    starts_at: float | None = None
    seconds: float
    format: Literal["mp3", "wav"] = "mp3"
    audio: bytes | None = None
    user: str | None = None
    direction: Literal["inbound", "outbound"] = "inbound"
    caller: str = CALLER
    callee: str = CALLEE
    has_interaction: bool = True
    omit: tuple[str, ...] = ()
    saved_after: float | None = None
    ready_after: float | None = None
    storage: StorageOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """A call, as the control side asks for it. What is None is as the configuration says."""

    account: str | None = None
    interaction_id: str | None = None
    recordings: tuple[RecordingOrder, ...] = ()
    ready_after: float = 0
    storage: StorageOrder | None = None


@dataclass(slots=True, kw_only=True)
class Recording:
    """A document and its audio. Times are of this simulator's clock; `month` is the database.

    `storage` says where it goes outside of Kazoo, `place` under which address or key it is there.
    """

    id: str
    account: str
    interaction_id: str
    call_id: str
    order: RecordingOrder
    version: str
    owner: str
    month: int
    starts_at: float
    ends_at: float
    saved_at: float
    ready_at: float
    audio: Audio
    storage: StorageOrder | None
    place: str | None = None
    deleted: bool = False

    @property
    def key(self) -> Key:
        """Return where it is in a list."""
        return gregorian(self.saved_at), self.id

    def is_stored(self, now: float) -> bool:
        """Say whether the document has its audio."""
        if self.storage is None or self.storage.keeps:
            return now >= self.ready_at
        return self.place is not None


class Calls:
    """Every recording of every account."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self.recordings: dict[str, Recording] = {}
        self.interactions: dict[tuple[str, str], list[Recording]] = {}
        self._databases: defaultdict[tuple[str, int], list[Key]] = defaultdict(list)

    def place(self, order: CallOrder) -> tuple[str, str, list[Recording]]:
        """Let a call have happened. Raises BadInput, and changes nothing, when it cannot.

        Returns its account, its interaction id, and those of its recordings that are new.
        """
        account = self._account(order)
        # To the millisecond below, so that what ends now has ended.
        at = math.floor(self._clock() * 1000) / 1000 - sum(
            each.seconds for each in order.recordings
        )
        first = order.recordings[0].starts_at if order.recordings else None
        begin = gregorian(at if first is None else first)
        interaction = order.interaction_id or f"{begin}-{secrets.token_hex(4)}"
        placed: list[Recording] = []
        for each in order.recordings:
            starts_at = at if each.starts_at is None else each.starts_at
            placed.append(self._recording(order, each, account, interaction, starts_at))
            at = starts_at + each.seconds
        names = [each.id for each in placed]
        for name in names:
            if name in self.recordings or names.count(name) > 1:
                raise BadInput(f"recordings: {name} is there already")
        self.interactions.setdefault((account, interaction), []).extend(placed)
        for recording in placed:
            self.recordings[recording.id] = recording
            insort(self._databases[account, recording.month], recording.key)
        return account, interaction, placed

    def within(
        self, account: str, month: int, begin: Key, end: Key, *, ascending: bool
    ) -> Iterator[Recording]:
        """Yield what the database of a month has saved from `begin` to `end`, in order."""
        now = self._clock()
        keys = self._databases.get((account, month), []) if self._is_active(month, now) else []
        found = keys[bisect_left(keys, begin) : bisect_right(keys, end)]
        for _, name in found if ascending else reversed(found):
            recording = self.recordings[name]
            if recording.saved_at <= now and not recording.deleted:
                yield recording

    def unlist(self, account: str, name: str | None) -> None:
        """Take a recording out of its database: a raw document is there instead."""
        recording = self.recordings.get(name or "")
        if recording and recording.account == account:
            recording.deleted = True

    def find(self, account: str, name: str) -> Recording | None:
        """Return what the database holds that the id begins with, its audio stored or not."""
        now = self._clock()
        recording = self.recordings.get(name)
        if recording is None or recording.deleted or recording.account != account:
            return None
        here = recording.month == month_named(name) and self._is_active(recording.month, now)
        return recording if here and recording.saved_at <= now else None

    def forget(self) -> None:
        """Drop every call."""
        self.recordings.clear()
        self.interactions.clear()
        self._databases.clear()

    def _is_active(self, month: int, now: float) -> bool:
        return month_of(now) - month <= self._config.active_months

    def _account(self, order: CallOrder) -> str:
        accounts = self._config.accounts
        if order.account is None:
            known = (a for a in accounts if (a, order.interaction_id) in self.interactions)
            return next(known, accounts[0])
        if order.account not in accounts:
            raise BadInput(f"accountId: {order.account!r} is no account")
        return order.account

    def _recording(
        self,
        call: CallOrder,
        order: RecordingOrder,
        account: str,
        interaction: str,
        starts_at: float,
    ) -> Recording:
        config, ends_at = self._config, round(starts_at + order.seconds, 3)
        started, stopped = month_of(starts_at), month_of(ends_at)
        name = _name(order.id, started)
        saved_after = config.save_lag if order.saved_after is None else order.saved_after
        ready_after = call.ready_after if order.ready_after is None else order.ready_after
        saved_at = ends_at + saved_after
        return Recording(
            id=name,
            account=account,
            interaction_id=interaction,
            call_id=f"{secrets.token_hex(16)}@198.51.100.7",
            order=order,
            version=config.version,
            owner=order.user or user_of(account),
            month=started if config.version == "4.3" else stopped,
            starts_at=starts_at,
            ends_at=ends_at,
            saved_at=saved_at,
            ready_at=max(self._clock(), saved_at) + ready_after,
            audio=_audio(order, name),
            storage=order.storage or call.storage,
        )


def _name(given: str | None, month: int) -> str:
    prefix = prefix_of(month)
    if given is None:
        return prefix + secrets.token_hex(16)
    named = month_named(given)
    if named is None:
        return prefix + given
    if named != month:
        raise BadInput(f"recordings: the id {given} does not begin with its month, {prefix}")
    return given


def _audio(order: RecordingOrder, name: str) -> Audio:
    if order.audio is not None:
        return Given(order.audio)
    shape = _WAV if order.format == "wav" else {}
    try:
        return melody(name, audio_format=order.format, seconds=order.seconds, **shape)
    except ValueError as error:
        raise BadInput(f"recordings: {error}") from error


def placed(account: str, interaction: str, recordings: list[Recording]) -> Json:
    """Return the ids of what was placed."""
    return {
        "accountId": account,
        "interactionId": interaction,
        "recordingIds": [recording.id for recording in recordings],
    }
