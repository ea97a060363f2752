"""Read RingCX's interaction metadata: which segments a dialog has, and what is said of each.

One row is one segment: the part of a call that one agent, an IVR or a bot took. No field is marked
as required, so only what is needed is checked, and everything is kept as it came
(https://developers.ringcentral.com/engage/voice/guide/integration/reports).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from legato.model import Job, Json, Leg, Listing, Party, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


def dialog_of(row: Json) -> str | None:
    """Return the id of the row's dialog."""
    return _text(row.get("dialogId"))


def segment_of(row: Json) -> str | None:
    """Return the id of the row's segment; older documentation spells it `segmentID`."""
    return _text(row.get("segmentId")) or _text(row.get("segmentID"))


def is_voice(row: Json) -> bool:
    """Tell whether the row is about a telephone call, and not about a chat or a mail."""
    return (row.get("channelClass") or row.get("channelType") or "VOICE") == "VOICE"


def is_recorded(row: Json) -> bool:
    """Tell whether a recording of the segment can be fetched."""
    return is_voice(row) and row.get("hasRecording") is True


def began_at(rows: Iterable[Json]) -> datetime | None:
    """Return when the first of these segments began."""
    return min(filter(None, (_started(row) for row in rows)), default=None)


def ended_at(rows: Iterable[Json]) -> datetime | None:
    """Return when the last of these segments ended, or the dialog did."""
    times = [
        moment
        for row in rows
        for name in ("segmentEndTimeMs", "dialogEndTimeMs", "segmentStartTimeMs")
        if (moment := _time(row, name)) is not None
    ]
    return max(times, default=None)


def address(sub_account: str, dialog: str, segment: str) -> str:
    """Return what names a recording at RingCX, as one text."""
    return "/".join(quote(part, safe="") for part in (sub_account, dialog, segment))


def listing(job: Job, rows: Sequence[Json], *, retention: timedelta) -> Listing:
    """Return what the rows of one dialog say. `retention` is how long RingCX keeps recordings."""
    first, last = began_at(rows), ended_at(rows)
    legs = [_leg(job, row) for row in rows if is_recorded(row)]
    direction = next(filter(None, (_text(row.get("dialogOrigination")) for row in rows)), None)
    return Listing(
        call=job.call,
        account=job.account,
        legs=tuple(sorted(legs, key=lambda leg: (leg.started_at, leg.id))),
        final=True,
        started_at=first,
        ended_at=last,
        kept_until=last and last + retention,
        direction=direction and direction.lower(),
        parties=tuple(_parties(rows)),
        records=tuple(rows),
    )


def _leg(job: Job, row: Json) -> Leg:
    segment = segment_of(row) or ""
    start, end = _started(row), _time(row, "segmentEndTimeMs")
    length = row.get("segmentDurationMs")
    if not isinstance(length, int) or length < 0:
        # Rows were seen whose segment ends before it begins: such a length is none.
        known = start is not None and end is not None and end >= start
        length = (end - start) // timedelta(milliseconds=1) if known and start and end else None
    return Leg(
        id=segment,
        started_at=start or job.seen_at,
        address=address(job.account, job.call, segment),
        announced_ms=length,
        behind=job.hints.get("behind") is True,
        details={
            "type": _text(row.get("segmentType")),
            "agent": _text(row.get("segmentParticipantId")),
            "extension": _text(row.get("segmentParticipantRcExtensionId")),
            "agent_group": _text(row.get("segmentAgentGroupId")),
            "direction": _text(row.get("dialogOrigination")),
            "channel_address": _text(row.get("channelEndpointAddress")),
            "contact_address": _text(row.get("contactEndpointAddress")),
            "system_disposition": _text(row.get("systemDisposition")),
            "agent_disposition": _text(row.get("agentDisposition")),
            "agent_notes": _text(row.get("agentNotes")),
            "interaction": _text(row.get("interactionId")),
        },
    )


def _parties(rows: Iterable[Json]) -> list[Party]:
    """Return both addresses as they are given, and the agents.

    Which address is the caller's the documentation says in two ways, so nothing is made of it.
    """
    found: dict[Party, None] = {}
    for row in rows:
        if contact := _text(row.get("contactEndpointAddress")):
            found[Party(role="contact", number=contact)] = None
        if channel := _text(row.get("channelEndpointAddress")):
            found[Party(role="channel", number=channel)] = None
        if agent := _text(row.get("segmentParticipantId")):
            extension = _text(row.get("segmentParticipantRcExtensionId"))
            found[Party(role="agent", agent=agent, extension=extension)] = None
    return sorted(found, key=lambda party: ("contact", "channel", "agent").index(party.role))


def _started(row: Json) -> datetime | None:
    return _time(row, "segmentStartTimeMs") or _time(row, "dialogStartTimeMs")


def _time(row: Json, name: str) -> datetime | None:
    """Return a time, which in spite of its name is a text in ISO 8601; None for anything else."""
    try:
        return parse_time(row[name])
    except (KeyError, TypeError, ValueError):
        return None


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str | int) and value not in ("", True, False) else None
