"""Read Kazoo's recording documents: which call a recording belongs to, and what is said of it.

No field of a document is required. Times are Gregorian seconds, so the year zero is where they
begin: https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/basics.md
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from legato.model import Job, Json, Leg, Listing, Party, distinct
from legato.providers.fields import believed, id_of, kept, milliseconds_of, text_of, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNIX_EPOCH = 62_167_219_200
WITHHELD = "withheld: it may carry a secret"
ARRIVED_AT = "legato_arrived_at"
UNVERIFIED = "legato_unverified"
"""Our own fields, of a document that Kazoo did not write (legato/providers/kazoo/inbox.py)."""

_INTERACTION = re.compile(r"(\d{11,12})-[0-9a-fA-F]+")


def to_gregorian(moment: datetime) -> int:
    """Return a time in Gregorian seconds."""
    return int(moment.timestamp()) + UNIX_EPOCH


def recording_of(document: Json) -> str | None:
    return id_of(document.get("id"))


def call_of(document: Json) -> str | None:
    """Return the interaction; a recording without one is a call of its own, and names it."""
    return id_of(document.get("interaction_id")) or recording_of(document)


def without_secrets(document: Json) -> Json:
    """Return the document as it may be kept: where Kazoo pushed it to may hold our own token."""
    found: Json = kept(document)
    return found | ({"url": WITHHELD} if found.get("url") else {})


def began_at(document: Json, *, latest: datetime) -> datetime | None:
    """Return when the recording began; without that, when its interaction did.

    Of a document of our own it is when the audio arrived: what came with it is not believed. Nor is
    what lies more than a day after `latest`.
    """
    if ARRIVED_AT in document:
        return time_of(document[ARRIVED_AT], latest=latest)
    interaction = _INTERACTION.fullmatch(text_of(document.get("interaction_id")) or "")
    for seconds in (document.get("start"), interaction and interaction[1]):
        moment = believed(_from_gregorian(seconds), latest=latest)
        if moment is not None:
            return moment
    return None


def ended_at(documents: Iterable[Json], *, latest: datetime) -> datetime | None:
    """Return when the last of these recordings ended, as far as they say."""
    ends = [
        start + timedelta(milliseconds=length_of(document) or 0)
        for document in documents
        if (start := began_at(document, latest=latest)) is not None
    ]
    return max(ends, default=None)


def address(account: str, recording: str, *copy: str) -> str:
    """Return what names a recording at Kazoo, and its copy in the inbox, as one text."""
    return "/".join(quote(name, safe="") for name in (account, recording, *copy))


def listing(job: Job, documents: Sequence[Json]) -> Listing:
    """Return what the documents of one account's interaction say."""
    legs = [_leg(job, document) for document in documents if recording_of(document)]
    starts = [began_at(document, latest=job.seen_at) for document in documents]
    directions = (text_of(document.get("direction")) for document in documents)
    direction = next(filter(None, directions), None)
    return Listing(
        call=job.call,
        account=job.account,
        legs=tuple(sorted(legs, key=lambda leg: (leg.started_at, leg.id))),
        final=True,
        started_at=min(filter(None, starts), default=None),
        ended_at=ended_at(documents, latest=job.seen_at),
        direction=direction and direction.lower(),
        parties=distinct(party for document in documents for party in _parties(document)),
        records=tuple(map(kept, documents)),
    )


def _leg(job: Job, document: Json) -> Leg:
    recording = recording_of(document) or ""
    return Leg(
        id=recording,
        started_at=began_at(document, latest=job.seen_at) or job.seen_at,
        address=address(job.account, recording),
        announced_ms=length_of(document),
        behind=job.hints.get("behind") is True,
        unverified=text_of(document.get(UNVERIFIED)),
        parties=_parties(document),
        details={
            name: text_of(document.get(name))
            for name in ("call_id", "cdr_id", "owner_id", "endpoint_id", "direction", "origin")
        },
    )


def _parties(document: Json) -> tuple[Party, ...]:
    """Return caller, callee and owner: no field says which of the two sides the owner is."""
    return distinct(
        [
            _side("from", document, "caller"),
            _side("to", document, "callee"),
            Party(role="agent", agent=text_of(document.get("owner_id"))),
        ]
    )


def _side(role: Literal["from", "to"], document: Json, side: str) -> Party:
    user, _, _realm = (text_of(document.get(role)) or "").partition("@")
    return Party(
        role=role,
        number=text_of(document.get(f"{side}_id_number")) or user or None,
        name=text_of(document.get(f"{side}_id_name")),
    )


def length_of(document: Json) -> int | None:
    """Return how many milliseconds a recording is long, if Kazoo says so."""
    if ARRIVED_AT in document:
        return None
    milliseconds = milliseconds_of(document.get("duration_ms"))
    if milliseconds is not None:
        return milliseconds
    return milliseconds_of(document.get("duration"), each=1000)


def _from_gregorian(seconds: object) -> datetime | None:
    """Return the time of Gregorian seconds, a number or its digits."""
    if isinstance(seconds, bool) or not isinstance(seconds, str | int | float):
        return None
    try:
        return datetime.fromtimestamp(float(seconds) - UNIX_EPOCH, UTC)
    except (OverflowError, OSError, ValueError):
        return None
