"""`interaction-metadata`: the segments of a window, as rows.

Rules: the official description of getInteractionMetadata. `segmentEndTime` is the beginning of the
window, in spite of its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from zoneinfo import ZoneInfo

from local.simulators.ringcx.calls import Segment
from local.simulators.ringcx.problems import Problem, invalid
from local.simulators.settings import Json
from local.simulators.times import write

_FIELDS = ("segmentEndTime", "timeInterval", "timeZone")
_LONGEST = 10800
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for: [begin, end)."""

    begin: float
    end: float

    @classmethod
    def read(cls, given: Any, now: float, *, too_fresh: float) -> Self:
        """Check a request. Raises Problem 400, also for fields that nobody documents."""
        if not isinstance(given, dict):
            raise Problem(400)
        for name in given:
            if name not in _FIELDS:
                raise invalid(name, given[name], "is not known")
        for name in _FIELDS:
            if given.get(name) is None:
                raise invalid(name, None, "must not be null")
        interval = given["timeInterval"]
        if type(interval) is not int or not 1 <= interval <= _LONGEST:
            raise invalid("timeInterval", interval, f"must be between 1 and {_LONGEST}")
        text = given["segmentEndTime"]
        try:
            zone = ZoneInfo(given["timeZone"])
        except (KeyError, ValueError, TypeError, OSError) as error:
            raise invalid("timeZone", given["timeZone"], "is not a time zone") from error
        try:
            if not _TIME.fullmatch(text):
                raise ValueError
            begin = datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
        except (ValueError, TypeError) as error:
            raise invalid("segmentEndTime", text, "must be YYYY-MM-DD HH:mm:ss") from error
        if too_fresh and begin + interval > now - too_fresh:
            raise Problem(400, "The interval is too close to the current time")
        return cls(begin, begin + interval)


def row(segment: Segment, now: float) -> Json:
    """Return a segment as the platform shows it (`WEMDialogSegmentMetaData`)."""
    dialog, order = segment.dialog, segment.dialog.order
    recorded = segment.audio is not None and segment.recorded_at <= now
    dialog_end = dialog.ends_at(now)
    shown: Json = {
        "subAccountId": dialog.sub_account,
        "dialogId": dialog.id,
        "interactionId": dialog.interaction_id,
        "channelId": order.channel,
        "channelType": order.channel_type or ("VOICE" if dialog.is_voice else "EMAIL"),
        "channelClass": order.channel_class,
        "channelEndpointAddress": order.channel,
        "contactEndpointAddress": order.contact,
        "dialogOrigination": order.origination,
        "dialogStartTimeMs": write(dialog.starts_at),
        "dialogEndTimeMs": write(dialog_end),
        "dialogDurationMs": round((dialog_end - dialog.starts_at) * 1000),
        "segmentId": segment.id,
        "segmentType": segment.type,
    }
    if segment.agent is not None:
        shown |= {
            "segmentParticipantId": segment.agent,
            "segmentParticipantRcExtensionId": f"985{segment.agent}",
            "segmentAgentGroupId": "76873",
            "agentDisposition": "Success",
            "agentNotes": "",
        }
    return shown | {
        "segmentStartTimeMs": write(segment.starts_at),
        "segmentEndTimeMs": write(segment.ends_at),
        "segmentDurationMs": round((segment.ends_at - segment.starts_at) * 1000),
        "systemDisposition": "ANSWER" if dialog.is_voice else None,
        "hasRecording": recorded,
        "hasTranscript": False,
        "segmentEvents": _events(segment) if recorded else None,
    }


def _events(segment: Segment) -> list[Json]:
    return [
        {"eventTimeMs": write(at), "clientEventTimeMs": write(at), "eventType": kind}
        for at, kind in ((segment.starts_at, "REC_START"), (segment.ends_at, "REC_STOP"))
    ]
