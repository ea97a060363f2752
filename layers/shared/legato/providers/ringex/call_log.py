"""Read RingCentral's call log: which recordings a telephony session has.

A recording id stands on the record and again on several of its legs, so it counts once
(https://developers.ringcentral.com/guide/voice/call-log/details). Only the fields that are needed
are looked at; everything else is kept as it came. What nobody understands keeps no other recording
from the archive: it is named, by where it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from legato.model import Job, Json, Leg, Listing, Party, Unreadable, distinct
from legato.providers.fields import id_of, kept, milliseconds_of, shown, text_of, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_ROLES: tuple[Literal["from", "to"], ...] = ("from", "to")
_ADDRESS = re.compile(r"https?://[\x21-\x7e]{1,2000}")


def listing(job: Job, records: Sequence[Json], *, retention: timedelta) -> Listing:
    """Return what the records of one session say; `retention` is how long recordings are kept."""
    entries = list(_entries(records))
    spans = [_span(entry.content, job.seen_at) for entry in entries if entry.leg is None]
    sessions = {*_related(entries), *job.hints.get("peers", ())} - {job.call}
    directions = (text_of(record.get("direction")) for record in records)
    direction = next(filter(None, directions), None)
    ended_at = max((span.ended_at for span in spans if span), default=None)
    legs = _legs(job, entries)
    sides = (party for record in records for party in _sides(record))
    return Listing(
        call=job.call,
        account=job.account,
        legs=tuple(legs),
        ongoing=any(_ongoing(entry.content) for entry in entries),
        short=any(entry.content.get("shortRecording") is True for entry in entries),
        started_at=min((span.started_at for span in spans if span), default=None),
        ended_at=ended_at,
        kept_until=ended_at and ended_at + retention,
        direction=direction and direction.lower(),
        parties=distinct((*sides, *(party for leg in legs for party in leg.parties))),
        related=tuple(job.id._replace(call=session) for session in sorted(sessions)),
        records=tuple(map(kept, records)),
        unreadable=unreadable(records),
    )


def session_of(record: Json) -> str | None:
    """Return the session that a record belongs to.

    `telephonySessionId` is not required, and older records have `sessionId` only, which is 0 for
    every conference.
    """
    session = id_of(record.get("sessionId"))
    return id_of(record.get("telephonySessionId")) or (None if session == "0" else session)


def recording_ids(records: Iterable[Json]) -> frozenset[str]:
    return frozenset(filter(None, map(_recording_of, _entries(records))))


def unreadable(records: Iterable[Json]) -> tuple[Unreadable, ...]:
    """Return the recordings that cannot be fetched, because nobody understands what is said."""
    return tuple(
        Unreadable(id=entry.name, reason=reason)
        for entry in _entries(records)
        if (reason := entry.flaw or _flaw(entry)) is not None
    )


def length_of(entry: Json) -> int | None:
    """Return how many milliseconds a record or a leg was long, if it says so."""
    milliseconds = milliseconds_of(entry.get("durationMs"))
    if milliseconds is not None:
        return milliseconds
    return milliseconds_of(entry.get("duration"), each=1000)


def began_at(record: Json, *, latest: datetime) -> datetime | None:
    """Return when a record's call began, if it says so and that is possible."""
    return time_of(record.get("startTime"), latest=latest)


def address_of(recording: str) -> str:
    """Return the address of a recording that is built from its id.

    https://developers.ringcentral.com/guide/voice/call-log/recordings
    """
    return f"/restapi/v1.0/account/~/recording/{quote(recording, safe='')}/content"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A record, or a leg of it by its number; its name says where it stands.

    One with a `flaw` is a leg, or all the legs of a record, that cannot be read at all.
    """

    name: str
    record: Json
    content: Json
    leg: int | None = None
    flaw: str | None = None


def _entries(records: Iterable[Json]) -> Iterator[_Entry]:
    """Yield the legs of each record and the record itself."""
    for number, record in enumerate(records, 1):
        name = f"record {id_of(record.get('id')) or number}"
        legs = record.get("legs")
        if not isinstance(legs, list | None):
            flaw = f"`legs` is no list, but {shown(legs)}"
            yield _Entry(f"{name}, legs", record, {}, 0, flaw)
            legs = None
        for at, leg in enumerate(legs or (), 1):
            if isinstance(leg, dict):
                yield _Entry(f"{name}, leg {at}", record, leg, at)
            else:
                flaw = f"the leg is no object, but {shown(leg)}"
                yield _Entry(f"{name}, leg {at}", record, {}, at, flaw)
        yield _Entry(name, record, record)


def _recording_of(entry: _Entry) -> str | None:
    recording = entry.content.get("recording")
    return id_of(recording.get("id")) if isinstance(recording, dict) else None


def _flaw(entry: _Entry) -> str | None:
    """Say why a recording cannot be read, if it cannot."""
    recording: Any = entry.content.get("recording")
    if recording is None or _recording_of(entry) is not None:
        return None
    if not isinstance(recording, dict):
        return f"`recording` is no object, but {shown(recording)}"
    if recording.get("id") is None:
        return "a recording without id"
    return f"the recording's id is none: {shown(recording['id'])}"


@dataclass(frozen=True, slots=True)
class _Span:
    started_at: datetime
    duration_ms: int | None

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(milliseconds=self.duration_ms or 0)


def _span(entry: Json, latest: datetime) -> _Span | None:
    started_at = began_at(entry, latest=latest)
    return None if started_at is None else _Span(started_at, length_of(entry))


def _legs(job: Job, entries: Sequence[_Entry]) -> list[Leg]:
    found: dict[str, Leg] = {}
    own_time: set[str] = set()
    spoke = _spoke(entries)
    for entry in entries:
        name = _recording_of(entry)
        if name is None:
            continue
        own = began_at(entry.content, latest=job.seen_at)
        started_at = own or began_at(entry.record, latest=job.seen_at) or job.seen_at
        leg = Leg(
            id=name,
            started_at=started_at,
            address=_address(entry.content["recording"], name),
            announced_ms=length_of(entry.content),
            behind=job.hints.get("behind") is True,
            parties=spoke[name],
        )
        # Legs come before their record: a leg tells better than the whole call when it began.
        known = found.setdefault(name, leg)
        if entry.leg is not None and own and (name not in own_time or own < known.started_at):
            found[name] = leg
            own_time.add(name)
    return sorted(found.values(), key=lambda leg: (leg.started_at, leg.id))


def _address(recording: Json, name: str) -> str:
    """Return the address as it is given, or the one that is built from the id."""
    given = recording.get("contentUri")
    if isinstance(given, str) and _ADDRESS.fullmatch(given):
        return given
    return address_of(name)


def _ongoing(entry: Json) -> bool:
    result = entry.get("result")
    in_progress = isinstance(result, str) and result.lower() == "in progress"
    return in_progress or entry.get("finished") is False


def _related(entries: Iterable[_Entry]) -> Iterator[str]:
    for entry in entries:
        for name in ("transferTarget", "transferee"):
            other = entry.content.get(name)
            session = id_of(other.get("telephonySessionId")) if isinstance(other, dict) else None
            if session:
                yield session


def _spoke(entries: Sequence[_Entry]) -> dict[str, tuple[Party, ...]]:
    """Return who spoke on each recording.

    They are the sides of the legs that have it, all of them: a recording that goes on after a
    transfer stands on the leg of either person. Only one that no leg has is the record's.
    """
    known = _extensions(entries)
    of_legs: dict[str, list[Party]] = {}
    of_records: dict[str, list[Party]] = {}
    for entry in entries:
        if name := _recording_of(entry):
            found = of_records if entry.leg is None else of_legs
            found.setdefault(name, []).extend(_with_extension(entry.content, known))
    return {name: distinct(found) for name, found in (of_records | of_legs).items()}


def _extensions(entries: Iterable[_Entry]) -> dict[str, Party]:
    """Return who has an extension, by its id: what any side of the call says of it."""
    found: dict[str, Party] = {}
    for entry in entries:
        for role in _ROLES:
            side = entry.content.get(role)
            if (
                not isinstance(side, dict)
                or (extension := text_of(side.get("extensionId"))) is None
            ):
                continue
            if extension not in found or not found[extension].name:
                found[extension] = replace(_party(role, side), role="agent", number=None)
    return found


def _with_extension(content: Json, known: Mapping[str, Party]) -> Iterator[Party]:
    """Yield both sides, and the extension whose leg it is if it is neither.

    Of a call to a queue the called side is the queue, and the extension is who answered.
    """
    sides = list(_sides(content))
    yield from sides
    own = content.get("extension")
    extension = text_of(own.get("id")) if isinstance(own, dict) else None
    named = (content.get(role) for role in _ROLES)
    if extension and extension not in (
        text_of(side.get("extensionId")) for side in named if isinstance(side, dict)
    ):
        yield known.get(extension) or Party(role="agent", extension=extension)


def _sides(content: Json) -> Iterator[Party]:
    for role in _ROLES:
        side = content.get(role)
        if isinstance(side, dict):
            yield _party(role, side)


def _party(role: Literal["from", "to"], side: Json) -> Party:
    extension = text_of(side.get("extensionNumber")) or text_of(side.get("extensionId"))
    return Party(
        role=role,
        number=text_of(side.get("phoneNumber")),
        name=text_of(side.get("name")),
        extension=extension,
    )
