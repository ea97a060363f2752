"""The manifest: the sealed description of one revision of an archived call.

Its JSON Schema is docs/manifest.schema.json. Times are ISO 8601 in UTC, lengths in milliseconds,
levels in dBFS, hashes in lower-case hex.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING

from legato import __version__
from legato.archive.document import described
from legato.errors import Failed
from legato.model import (
    MEDIA_TYPES,
    AudioFacts,
    CallId,
    Json,
    Party,
    StoredLeg,
    StoredObject,
    format_time,
    parse_time,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from legato.model import Listing
    from legato.ports import Archive, Levels

JSON = "application/json"

SCHEMA_VERSION = 1
_OF_THE_WHOLE = ("media_type", "codec", "sample_rate", "channels", "duration_ms")
_LEVELS = ("longest_silence_ms", "silent_share", "peak_dbfs", "loudness_dbfs")
_FACTS = tuple(fact.name for fact in fields(AudioFacts) if fact.name != "extension")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The audio of a whole call: the one leg itself (`single`), or what its legs became.

    Legs that are kept `apart` have no object and no audio of their own together.
    """

    object: StoredObject | None
    audio: AudioFacts | None
    how: str
    offsets_ms: tuple[int, ...]
    levels: Levels
    peaks: StoredObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A leg that is not in the recording, why, and what is kept of it."""

    leg: str
    reason: str
    evidence: StoredObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Everything that a manifest says."""

    call: CallId
    number: int
    listing: Listing
    legs: Sequence[StoredLeg]
    recording: Recording
    sealed_at: datetime
    missing: Sequence[Missing] = ()
    supersedes: StoredObject | None = None
    abandoned: Sequence[StoredObject] = field(default=())
    """Objects of an interrupted attempt, never sealed, which this revision explains."""


def to_json(revision: Revision) -> Json:
    listing = revision.listing
    levels = revision.recording.levels
    started_at = min(leg.leg.started_at for leg in revision.legs)
    return {
        "schema_version": SCHEMA_VERSION,
        "legato_version": __version__,
        **revision.call._asdict(),
        "revision": revision.number,
        "sealed_at": format_time(revision.sealed_at),
        "started_at": format_time(listing.started_at or started_at),
        "ended_at": None if listing.ended_at is None else format_time(listing.ended_at),
        "direction": listing.direction,
        "parties": [party.to_json() for party in listing.parties],
        "legs": [
            _leg(leg, offset)
            for leg, offset in zip(revision.legs, revision.recording.offsets_ms, strict=True)
        ],
        "recording": _recording(revision.recording),
        "overlaps": overlaps(revision.legs),
        "levels": {name: getattr(levels, name) for name in _LEVELS},
        "peaks": described(revision.recording.peaks),
        "missing": [
            {
                "leg": missing.leg,
                "reason": missing.reason,
                "evidence": None if missing.evidence is None else described(missing.evidence),
            }
            for missing in revision.missing
        ],
        "abandoned": [described(leftover) for leftover in revision.abandoned],
        "related": [str(call) for call in listing.related],
        "supersedes": None if revision.supersedes is None else described(revision.supersedes),
        "provider_records": list(listing.records),
    }


def remembering(listing: Listing, earlier: Json) -> Listing:
    """Return a listing that also says what an earlier manifest of its call has said.

    Whoever reads the newest revision reads all that was ever said: parties, the direction, the
    latest end, related calls. Who is new comes first.
    """
    known = [Party(**one) for one in earlier["parties"]]
    kept = [one for one in known if not any(new.includes(one) for new in listing.parties)]
    ends = [listing.ended_at, earlier["ended_at"] and parse_time(earlier["ended_at"])]
    return replace(
        listing,
        parties=(*listing.parties, *kept),
        direction=earlier["direction"] or listing.direction,
        ended_at=max(filter(None, ends), default=None),
        related=tuple(sorted({*listing.related, *map(CallId.parse, earlier["related"])})),
    )


def includes(party: Json, other: Json) -> bool:
    """Say whether a party of a manifest says all that another one says, or more."""
    return Party(**party).includes(Party(**other))


def overlaps(legs: Sequence[StoredLeg]) -> list[Json]:
    """Say which legs overlap in time, and by how much. They are joined one after the other."""
    found: list[Json] = []
    for index, earlier in enumerate(legs):
        ends_ms = _epoch_ms(earlier) + earlier.audio.duration_ms
        for later in legs[index + 1 :]:
            shared = min(ends_ms - _epoch_ms(later), later.audio.duration_ms)
            if shared > 0:
                found.append({"legs": [earlier.leg.id, later.leg.id], "overlap_ms": shared})
    return found


def _epoch_ms(leg: StoredLeg) -> int:
    return round(leg.leg.started_at.timestamp() * 1000)


def _leg(leg: StoredLeg, offset_ms: int) -> Json:
    return {
        "id": leg.leg.id,
        "started_at": format_time(leg.leg.started_at),
        "announced_ms": leg.leg.announced_ms,
        "named_only": leg.leg.named_only,
        **described(leg.object),
        **{fact: getattr(leg.audio, fact) for fact in _FACTS},
        "offset_ms": offset_ms,
        "short_ms": leg.short_ms,
        "heard_in": None if leg.heard_in is None else asdict(leg.heard_in),
        "parties": [party.to_json() for party in leg.leg.parties],
        "details": leg.leg.details,
    }


def audio_of(leg: Json) -> AudioFacts:
    """Return what a manifest says of a leg's audio."""
    extension = next(name for name, kind in MEDIA_TYPES.items() if kind == leg["media_type"])
    return AudioFacts(extension=extension, **{fact: leg[fact] for fact in _FACTS})


def played(legs: Sequence[Json]) -> list[Json]:
    """Return the legs of a manifest that are played: each conversation once."""
    return [leg for leg in legs if leg["heard_in"] is None]


def _recording(recording: Recording) -> Json | None:
    if recording.object is None or recording.audio is None:
        return None
    audio = {fact: getattr(recording.audio, fact) for fact in _OF_THE_WHOLE}
    return {**described(recording.object), **audio, "how": recording.how}


def read_manifest(sealed: StoredObject, archive: Archive) -> Json:
    """Read a manifest back. Raises Failed if its bytes are not those that were sealed."""
    with archive.read(sealed.key, version_id=sealed.version_id) as pieces:
        body = b"".join(pieces)
    if hashlib.sha256(body).hexdigest() != sealed.sha256:
        raise Failed(f"{sealed.key} does not hold the bytes that were sealed")
    content: Json = json.loads(body)
    return content
