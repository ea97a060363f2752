"""Read RingCX's interaction metadata: which segments a dialog has, and what is said of each.

One row is one segment: the part of a call that one agent, an IVR or a bot took. No field is marked
as required, so only what is needed is checked, and everything is kept as it came
(https://developers.ringcentral.com/engage/voice/guide/integration/reports).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from legato.model import Job, Json, Leg, Listing, Party, Unreadable, distinct
from legato.providers.fields import id_of, kept, milliseconds_of, shown, text_of, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

_YES = {"TRUE", "1", "1.0", "YES", "Y", "T", "ON"}
_NO = {"FALSE", "0", "0.0", "NO", "N", "F", "OFF"}
_VOICE = {"VOICE", "TELEPHONY", "PHONE", "CALL", "PSTN", "SIP"}
_DIGITAL = {"DIGITAL", "EMAIL", "ENGAGE_MESSAGING", "MESSENGER", "CHAT", "SMS"}
_URL = re.compile("recording.*(url|uri|link|location)$", re.IGNORECASE)
"""The address of a recording: older documentation has `segmentRecordingURL`, and other names."""


def dialog_of(row: Json) -> str | None:
    return id_of(row.get("dialogId")) or id_of(row.get("dialogID"))


def segment_of(row: Json) -> str | None:
    """Return the id of the row's segment; older documentation spells it `segmentID`."""
    return id_of(row.get("segmentId")) or id_of(row.get("segmentID"))


def is_voice(row: Json) -> bool:
    """Tell whether the row may be about a telephone call: it is about no chat and no mail.

    Of a channel that is not known a recording may be one all the same.
    """
    words = _words(row)
    if words & _VOICE or not words & _DIGITAL:
        return True
    return "DIGITAL" not in words and _said(row) == "yes"


def is_recorded(row: Json) -> bool:
    """Tell whether a recording of the segment can be fetched."""
    return is_voice(row) and _said(row) == "yes"


def is_unclear(row: Json) -> bool:
    """Tell whether the row does not say, in words that we know, if the segment was recorded."""
    return is_voice(row) and _said(row) == "unclear"


def recordings(rows: Iterable[Json]) -> frozenset[str]:
    return frozenset(filter(None, (segment_of(row) for row in rows if is_recorded(row))))


def unreadable(rows: Iterable[Json]) -> tuple[Unreadable, ...]:
    """Return the segments of which nobody knows whether they have a recording."""
    return tuple(
        Unreadable(id=segment_of(row) or "a row without id", reason=_doubt(row))
        for row in rows
        if is_unclear(row)
    )


def clearer(row: Json, other: Json | None) -> Json:
    """Return which of two rows of the same segment counts: one that says of a recording."""
    if other is None or is_recorded(row) or not is_recorded(other):
        return row
    return other


def began_at(rows: Iterable[Json], *, latest: datetime) -> datetime | None:
    """Return when the first of these segments began."""
    return min(filter(None, (_started(row, latest) for row in rows)), default=None)


def ended_at(rows: Iterable[Json], *, latest: datetime) -> datetime | None:
    """Return when the last of these segments ended, or the dialog did."""
    times = [
        moment
        for row in rows
        for name in ("segmentEndTimeMs", "dialogEndTimeMs", "segmentStartTimeMs")
        if (moment := time_of(row.get(name), latest=latest)) is not None
    ]
    return max(times, default=None)


def length_of(row: Json) -> int | None:
    """Return how many milliseconds a segment is long, if it says so."""
    return milliseconds_of(row.get("segmentDurationMs"))


def address(sub_account: str, dialog: str, segment: str) -> str:
    """Return what names a recording at RingCX, as one text."""
    return "/".join(quote(part, safe="") for part in (sub_account, dialog, segment))


def listing(job: Job, rows: Sequence[Json], *, retention: timedelta) -> Listing:
    """Return what the rows of one dialog say. `retention` is how long RingCX keeps recordings."""
    first, last = began_at(rows, latest=job.seen_at), ended_at(rows, latest=job.seen_at)
    legs = [_leg(job, row) for row in rows if is_recorded(row) and segment_of(row)]
    direction = next(filter(None, (text_of(row.get("dialogOrigination")) for row in rows)), None)
    return Listing(
        call=job.call,
        account=job.account,
        legs=tuple(sorted(legs, key=lambda leg: (leg.started_at, leg.id))),
        final=True,
        started_at=first,
        ended_at=last,
        kept_until=last and last + retention,
        direction=direction and direction.lower(),
        parties=tuple(
            sorted(distinct(party for row in rows for party in _parties(row)), key=_by_role)
        ),
        records=tuple(map(kept, rows)),
        unreadable=unreadable(rows),
    )


def _leg(job: Job, row: Json) -> Leg:
    segment = segment_of(row) or ""
    start = _started(row, job.seen_at)
    end = time_of(row.get("segmentEndTimeMs"), latest=job.seen_at)
    length = length_of(row)
    if length is None and start is not None and end is not None:
        # Rows were seen whose segment ends before it begins: such a length is none.
        length = milliseconds_of((end - start) // timedelta(milliseconds=1))
    return Leg(
        id=segment,
        started_at=start or job.seen_at,
        address=address(job.account, job.call, segment),
        announced_ms=length,
        behind=job.hints.get("behind") is True,
        parties=_parties(row),
        details={
            "type": text_of(row.get("segmentType")),
            "agent": text_of(row.get("segmentParticipantId")),
            "extension": text_of(row.get("segmentParticipantRcExtensionId")),
            "agent_group": text_of(row.get("segmentAgentGroupId")),
            "direction": text_of(row.get("dialogOrigination")),
            "channel_address": text_of(row.get("channelEndpointAddress")),
            "contact_address": text_of(row.get("contactEndpointAddress")),
            "system_disposition": text_of(row.get("systemDisposition")),
            "agent_disposition": text_of(row.get("agentDisposition")),
            "agent_notes": text_of(row.get("agentNotes")),
            "interaction": text_of(row.get("interactionId")),
        },
    )


def _parties(row: Json) -> tuple[Party, ...]:
    """Return both addresses as they are given, and the agent.

    Which address is the caller's the documentation says in two ways, so nothing is made of it. The
    agent's name is in rows of version 2 only.
    """
    return distinct(
        [
            Party(role="contact", number=text_of(row.get("contactEndpointAddress"))),
            Party(role="channel", number=text_of(row.get("channelEndpointAddress"))),
            Party(
                role="agent",
                name=text_of(row.get("agentFullName")),
                agent=text_of(row.get("segmentParticipantId")),
                extension=text_of(row.get("segmentParticipantRcExtensionId")),
            ),
        ]
    )


def _by_role(party: Party) -> int:
    return ("contact", "channel", "agent").index(party.role)


def _started(row: Json, latest: datetime) -> datetime | None:
    """Return a segment's beginning; in spite of their names, times are texts in ISO 8601."""
    start = time_of(row.get("segmentStartTimeMs"), latest=latest)
    return start or time_of(row.get("dialogStartTimeMs"), latest=latest)


def _words(row: Json) -> set[str]:
    found = (text_of(row.get(name)) for name in ("channelClass", "channelType"))
    return {word.strip().upper() for word in found if word}


def _said(row: Json) -> Literal["yes", "no", "unclear"]:
    """Return what a row says of a recording. An address of one says more than a flag."""
    flag = row.get("hasRecording")
    word = str(flag).strip().upper() if isinstance(flag, str | bool | int | float) else ""
    if word in _YES or any(text_of(row[name]) for name in filter(_URL.search, row)):
        return "yes"
    return "no" if word in _NO else "unclear"


def _doubt(row: Json) -> str:
    flag = row.get("hasRecording")
    what = "it lacks `hasRecording`" if flag is None else f"its `hasRecording` is {shown(flag)}"
    return f"nobody knows whether the segment was recorded: {what}"
