"""Rows of the metadata that stand there word for word, with their audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from local.simulators import times
from local.simulators.audio import Audio
from local.simulators.raw import Raw, audio_of, identity, seconds_of, text
from local.simulators.ringcx.calls import Calls
from local.simulators.ringcx.config import Config
from local.simulators.settings import Json
from local.simulators.times import Clock


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawRow:
    """A row as it was given. `name` is its segment's id as an address has it."""

    value: Any
    sub_account: str
    identity: str | None
    name: str | None
    starts_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecording:
    """What can be fetched of a segment that only rows name."""

    id: str
    starts_at: float
    ends_at: float
    ready_at: float
    audio: Audio


class RawRows:
    """All of them, in the order given."""

    def __init__(self, config: Config, clock: Clock, calls: Calls) -> None:
        self._config = config
        self._clock = clock
        self._calls = calls
        self._rows: list[RawRow] = []
        self._recordings: dict[str, RawRecording] = {}
        self._given: dict[str, bytes] = {}

    def take(self, sub_account: str, raw: Raw) -> list[str]:
        """List these rows of a sub-account from now on, in place of those with the same segment.

        Returns the segments whose recordings can be fetched.
        """
        taken = [_row(value, sub_account) for value in raw.entries]
        again = {each.identity for each in taken if each.identity}
        self._rows = [
            each
            for each in self._rows
            if each.sub_account != sub_account or each.identity not in again
        ]
        self._rows += taken
        self._given |= raw.audio
        lengths: dict[str, float | None] = dict.fromkeys(raw.audio)
        for row in taken:
            if row.name is not None:
                lengths[row.name] = _length(row.value) or lengths.get(row.name)
                self._calls.unlist(row.name)
        for name, seconds in lengths.items():
            self._record(name, seconds)
        known = self._recordings.keys() | self._calls.segments.keys()
        return [name for name in lengths if name in known]

    def window(self, sub_account: str, begin: float, end: float) -> list[Any]:
        """Return the rows that start in a window, and those of which nobody knows when."""
        return [
            row.value
            for row in self._rows
            if row.sub_account == sub_account
            and (row.starts_at is None or begin <= row.starts_at < end)
        ]

    def find(self, name: str) -> RawRecording | None:
        """Return what can be fetched under a segment's id, whatever dialog it is asked for in."""
        return self._recordings.get(name)

    def forget(self) -> None:
        """Drop everything."""
        self._rows.clear()
        self._recordings.clear()
        self._given.clear()

    def _record(self, name: str, seconds: float | None) -> None:
        placed = self._calls.segments.get(name)
        given = self._given.get(name)
        if placed and given is None:
            return
        audio = audio_of(
            name,
            given,
            seconds,
            audio_format="wav",
            channels=int(self._config.channels),
            rate=int(self._config.sample_rate),
        )
        if audio is None:
            self._recordings.pop(name, None)
            return
        now = self._clock()
        self._recordings[name] = RawRecording(
            id=name, starts_at=now - (seconds or 0), ends_at=now, ready_at=now, audio=audio
        )


def _row(value: Any, sub_account: str) -> RawRow:
    fields = value if isinstance(value, dict) else {}
    return RawRow(
        value=value,
        sub_account=sub_account,
        identity=identity(value, "segmentId"),
        name=text(fields.get("segmentId")),
        starts_at=times.readable(fields.get("segmentStartTimeMs")),
    )


def _length(row: Json) -> float | None:
    said = seconds_of(row.get("segmentDurationMs"), per_second=1000)
    begin = times.readable(row.get("segmentStartTimeMs"))
    end = times.readable(row.get("segmentEndTimeMs"))
    between = None if begin is None or end is None else seconds_of(end - begin)
    return said or between
