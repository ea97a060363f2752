"""A call as a reader of a package wants it: what a line of the list and a part of the page say."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.model import Party, parse_time
from legato.parties import conversation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from legato.model import Json

POINTS = 480
"""So many points of a picture are as wide as the page."""
FLAT = base64.b64encode(bytes(2)).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class LegSummary:
    """A leg, and where it begins in what plays. `gap_ms` is negative where it overlaps.

    `parties` spoke on it, and `who` names them in a line. `heard_in` is the number of another leg
    in which all of it is heard, if there is one.
    """

    id: str
    started_at: datetime
    duration_ms: int
    offset_ms: int
    gap_ms: int | None
    key: str
    sha256: str
    size: int
    parties: Sequence[Json]
    who: str
    heard_in: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSummary:
    """What is said of one call. `file` is what plays, below data/; empty if nothing does.

    `channels` are those of what plays.
    """

    provider: str
    account: str
    call: str
    revision: int
    started_at: datetime
    ended_at: datetime | None
    direction: str | None
    duration_ms: int
    parties: Sequence[Json]
    legs: Sequence[LegSummary]
    missing: Sequence[Json]
    file: str
    sha256: str
    how: str
    channels: int
    peaks: str
    manifest: str
    manifest_sha256: str
    digest: str | None
    cases: Sequence[str]

    @property
    def agents(self) -> list[str]:
        """Return who of the company took part, as far as the provider says."""
        return _each(
            party["name"] or party["agent"] or party["extension"]
            for party in (*self.parties, *(one for leg in self.legs for one in leg.parties))
            if party["role"] == "agent" or party["agent"] or party["extension"]
        )

    @property
    def numbers(self) -> list[str]:
        """Return the telephone numbers."""
        return _each(party["number"] for party in self.parties)

    @property
    def names(self) -> list[str]:
        """Return the names."""
        return _each(party["name"] for party in self.parties)


def call_summary(
    manifest: Json,
    *,
    key: str,
    sha256: str,
    file: str,
    file_sha256: str,
    peaks: bytes,
    digest: str | None,
    cases: Sequence[str],
) -> CallSummary:
    """Return what is said of a call, from its manifest under `key` and what plays of it."""
    recording, ended_at = manifest["recording"], manifest["ended_at"]
    return CallSummary(
        **{
            name: manifest[name]
            for name in ("provider", "account", "call", "revision", "direction", "parties")
        },
        started_at=parse_time(manifest["started_at"]),
        ended_at=None if ended_at is None else parse_time(ended_at),
        duration_ms=duration_ms(manifest),
        legs=_legs(manifest["legs"], manifest["direction"]),
        missing=manifest["missing"],
        file=file,
        sha256=file_sha256,
        how=("apart" if file else "unjoined") if recording is None else recording["how"],
        channels=max((leg["channels"] for leg in manifest["legs"]), default=0),
        peaks=picture(peaks),
        manifest=key,
        manifest_sha256=sha256,
        digest=digest,
        cases=cases,
    )


def duration_ms(manifest: Json) -> int:
    """Return how long a call plays."""
    recording = manifest["recording"]
    if recording is not None:
        return int(recording["duration_ms"])
    return sum(leg["duration_ms"] for leg in manifest["legs"])


def picture(peaks: bytes) -> str:
    """Return a waveform for the page: lowest and highest of each point, a signed byte each, Base64.

    From audiowaveform's JSON format, version 2, of 8 bits:
    https://github.com/bbc/audiowaveform/blob/master/doc/DataFormat.md
    """
    said = json.loads(peaks)
    data, channels = said.get("data", []), said.get("channels", 1)
    pixels = len(data) // (2 * channels)
    if not pixels:
        return FLAT
    points = min(POINTS, pixels)
    coarse = bytearray()
    for point in range(points):
        first, after = (at * pixels // points * 2 * channels for at in (point, point + 1))
        part = data[first:after]
        coarse += bytes((min(part[::2]) & 255, max(part[1::2]) & 255))
    return base64.b64encode(coarse).decode()


def _legs(legs: Sequence[Json], direction: str | None) -> list[LegSummary]:
    made: list[LegSummary] = []
    end: datetime | None = None
    for leg in legs:
        began = parse_time(leg["started_at"])
        other = leg["heard_in"] and leg["heard_in"]["leg"]
        made.append(
            LegSummary(
                id=leg["id"],
                started_at=began,
                duration_ms=leg["duration_ms"],
                offset_ms=leg["offset_ms"],
                gap_ms=None if end is None else round((began - end) / timedelta(milliseconds=1)),
                key=leg["key"],
                sha256=leg["sha256"],
                size=leg["bytes"],
                parties=leg["parties"],
                who=conversation((Party(**one) for one in leg["parties"]), direction),
                heard_in=next((at for at, one in enumerate(legs, 1) if one["id"] == other), None),
            )
        )
        end = began + timedelta(milliseconds=leg["duration_ms"])
    return made


def _each(texts: object) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))  # type: ignore[call-overload]
