"""Records of the call log that stand there word for word, with their audio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.simulators import times
from local.simulators.audio import Given
from local.simulators.raw import Raw, audio_of, content_type, identity, seconds_of, text
from local.simulators.ringex.calls import Calls
from local.simulators.ringex.recordings import RAW, Recording, Recordings
from local.simulators.settings import Json
from local.simulators.times import Clock


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawRecord:
    """A record as it was given, and when that was. `name` is its id as an address has it."""

    value: Any
    identity: str | None
    name: str | None
    starts_at: float | None
    modified_at: float

    def says(self, field: str, wanted: str) -> bool:
        """Say whether a field has this text."""
        return isinstance(self.value, dict) and text(self.value.get(field)) == wanted


class RawRecords:
    """All of them, in the order given."""

    def __init__(self, clock: Clock, calls: Calls, recordings: Recordings) -> None:
        self._clock = clock
        self._calls = calls
        self._recordings = recordings
        self._records: list[RawRecord] = []

    def __iter__(self) -> Iterator[RawRecord]:
        return iter(self._records)

    def take(self, raw: Raw) -> list[str]:
        """List these records from now on; an id that is known is rewritten.

        Returns the recordings that can be fetched.
        """
        now = self._clock()
        taken = [_record(value, now) for value in raw.entries]
        rewritten = {each.identity for each in taken if each.identity}
        self._records = [each for each in self._records if each.identity not in rewritten]
        self._records += taken
        for record in taken:
            self._calls.drop(record.name)
        lengths: dict[str, float | None] = dict.fromkeys(raw.audio)
        for name, seconds in _recordings(raw.entries):
            lengths[name] = seconds or lengths.get(name)
        for name, seconds in lengths.items():
            self._record(name, raw.audio.get(name), seconds, now)
        return [name for name in lengths if self._recordings.known(name)]

    def find(self, name: str) -> RawRecord | None:
        """Return the record with this id."""
        return next((each for each in self._records if each.name == name), None)

    def forget(self) -> None:
        """Drop everything."""
        self._records.clear()

    def _record(self, name: str, given: bytes | None, seconds: float | None, now: float) -> None:
        known = self._recordings.known(name)
        if given is None and known and (known.session != RAW or isinstance(known.audio, Given)):
            return
        audio = audio_of(name, given, seconds, audio_format="mp3")
        if audio is None:
            return
        self._recordings.add(
            Recording(
                id=name,
                session=known.session if known else RAW,
                type="Automatic",
                content_type=content_type(audio),
                seconds=seconds or 0,
                audio=audio,
                ready_at=now,
            )
        )


def _record(value: Any, now: float) -> RawRecord:
    fields = value if isinstance(value, dict) else {}
    return RawRecord(
        value=value,
        identity=identity(value, "id"),
        name=text(fields.get("id")),
        starts_at=times.readable(fields.get("startTime")),
        modified_at=now,
    )


def _recordings(records: list[Any]) -> Iterator[tuple[str, float | None]]:
    """Yield each recording and its length; of two the last counts, which is a leg's."""
    for record in records:
        legs = record.get("legs") if isinstance(record, dict) else None
        for entry in [record, *(legs if isinstance(legs, list) else [])]:
            recording = entry.get("recording") if isinstance(entry, dict) else None
            if not isinstance(recording, dict):
                continue
            if (name := text(recording.get("id"))) is not None:
                yield name, _length(entry, recording)


def _length(entry: Json, recording: Json) -> float | None:
    return (
        seconds_of(recording.get("duration"))
        or seconds_of(entry.get("duration"))
        or seconds_of(entry.get("durationMs"), per_second=1000)
    )
