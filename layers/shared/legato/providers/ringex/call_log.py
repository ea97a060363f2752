"""Read RingCentral's call log: which recordings a telephony session has.

A recording id stands on the record and again on several of its legs, so it counts once
(https://developers.ringcentral.com/guide/voice/call-log/details). Only the fields that are needed
are checked; everything else is kept as it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from legato.errors import Retry
from legato.model import Job, Json, Leg, Listing, Party, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# https://developers.ringcentral.com/guide/voice/call-log/archival; an account may have it shorter,
# none has it longer.
RETENTION = timedelta(days=90)


def listing(job: Job, records: Sequence[Json]) -> Listing:
    """Return what the records of one session say. Raises Retry, naming the field that lacks."""
    spans = [_span(record, "record") for record in records]
    sessions = {*_related(records), *job.hints.get("peers", ())} - {job.call}
    direction = records[0].get("direction")
    ended_at = max(span.ended_at for span in spans)
    return Listing(
        call=job.call,
        account=job.account,
        legs=tuple(_legs(records, behind=job.hints.get("behind") is True)),
        ongoing=any(_ongoing(entry) for entry in _entries(records)),
        short=any(entry.get("shortRecording") is True for entry in _entries(records)),
        started_at=min(span.started_at for span in spans),
        ended_at=ended_at,
        kept_until=ended_at + RETENTION,
        direction=direction.lower() if isinstance(direction, str) else None,
        parties=tuple(_parties(records)),
        related=tuple(job.id._replace(call=session) for session in sorted(sessions)),
        records=tuple(records),
    )


def recording_ids(records: Iterable[Json]) -> frozenset[str]:
    """Return the ids of all recordings that records and their legs name. Raises Retry."""
    found = set()
    for entry in _entries(records):
        recording = entry.get("recording")
        if recording is not None:
            name = recording.get("id") if isinstance(recording, dict) else None
            if not isinstance(name, str) or not name:
                raise Retry(f"the call log's {_name(entry)} has a recording without id")
            found.add(name)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class _Span:
    started_at: datetime
    duration_ms: int | None

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(milliseconds=self.duration_ms or 0)


def _span(entry: Json, what: str) -> _Span:
    start = entry.get("startTime")
    try:
        started_at = parse_time(start)  # type: ignore[arg-type]  # anything else raises TypeError
    except (TypeError, ValueError) as error:
        raise Retry(f"the call log's {what} {_name(entry)} has no valid startTime") from error
    return _Span(started_at, length_of(entry))


def length_of(entry: Json) -> int | None:
    """Return how many milliseconds a record or a leg was long, if it says so."""
    milliseconds, seconds = entry.get("durationMs"), entry.get("duration")
    if isinstance(milliseconds, int):
        return milliseconds
    return seconds * 1000 if isinstance(seconds, int) else None


def _name(entry: Json) -> str:
    return str(entry.get("id") or entry.get("legType") or "without id")


def _entries(records: Iterable[Json]) -> Iterator[Json]:
    """Yield the legs of each record and the record itself."""
    for record in records:
        legs = record.get("legs", [])
        if not isinstance(legs, list) or not all(isinstance(leg, dict) for leg in legs):
            raise Retry(f"the call log's record {_name(record)} has legs that are no list")
        yield from legs
        yield record


def _legs(records: Iterable[Json], *, behind: bool) -> list[Leg]:
    found: dict[str, Leg] = {}
    for entry in _entries(records):
        recording = entry.get("recording")
        if recording is None:
            continue
        name = recording.get("id") if isinstance(recording, dict) else None
        address = recording.get("contentUri") if isinstance(recording, dict) else None
        if not isinstance(name, str) or not name:
            raise Retry(f"the call log's {_name(entry)} has a recording without id")
        if not isinstance(address, str) or not address:
            raise Retry(f"the call log's recording {name} has no contentUri")
        span = _span(entry, "entry")
        leg = Leg(
            id=name,
            started_at=span.started_at,
            address=address,
            announced_ms=span.duration_ms,
            behind=behind,
        )
        # Legs come before their record: a leg tells better than the whole call when it began.
        known = found.setdefault(name, leg)
        if "legType" in entry and leg.started_at < known.started_at:
            found[name] = leg
    return sorted(found.values(), key=lambda leg: (leg.started_at, leg.id))


def _ongoing(entry: Json) -> bool:
    result = entry.get("result")
    in_progress = isinstance(result, str) and result.lower() == "in progress"
    return in_progress or entry.get("finished") is False


def _related(records: Iterable[Json]) -> Iterator[str]:
    for entry in _entries(records):
        for name in ("transferTarget", "transferee"):
            other = entry.get(name)
            session = other.get("telephonySessionId") if isinstance(other, dict) else None
            if isinstance(session, str) and session:
                yield session


def _parties(records: Iterable[Json]) -> list[Party]:
    found: dict[Party, None] = {}
    for record in records:
        roles: tuple[Literal["from", "to"], ...] = ("from", "to")
        for role in roles:
            side = record.get(role)
            if isinstance(side, dict):
                found[_party(role, side)] = None
    return list(found)


def _party(role: Literal["from", "to"], side: Json) -> Party:
    extension = side.get("extensionNumber") or side.get("extensionId")
    return Party(
        role=role,
        number=_text(side.get("phoneNumber")),
        name=_text(side.get("name")),
        extension=_text(extension),
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and value != "" else None
