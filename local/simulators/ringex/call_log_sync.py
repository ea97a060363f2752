"""What changed in the call log since a time or a token, the oldest change first.

`call-log-extract-sync` returns records by when they were modified, whatever their start: a row that
is rewritten comes again. https://developers.ringcentral.com/guide/voice/call-log/sync.
"""

from __future__ import annotations

import base64
import binascii
import json
from functools import partial

from starlette.datastructures import QueryParams

from local.simulators import times
from local.simulators.ringex.call_log import Entry, Place, read_view, render
from local.simulators.ringex.calls import Calls
from local.simulators.ringex.problems import Problem, bad_parameter
from local.simulators.ringex.raw import RawRecords
from local.simulators.settings import Json

_HOUR = 3600


def extract(
    calls: Calls,
    raw: RawRecords,
    given: QueryParams,
    place: Place,
    now: float,
    *,
    token_seconds: float,
) -> Json:
    """Return the body of `GET …/call-log-extract-sync` (`CallLogExtractSyncResponse`).

    Raises Problem CLG-101 for a token that is older than `token_seconds`, or none of ours.
    """
    detailed = read_view(given)
    sync_type = given.get("syncType", "FSync")
    if sync_type == "FSync":
        since, count = _from(given, now), _count(given)
    elif sync_type == "ISync":
        since, count = _read_token(given.get("syncToken", ""), now - token_seconds), 1000
    else:
        raise bad_parameter("syncType", sync_type)
    changed: list[Entry] = [
        (look[0], row.id, partial(render, row, look, place, detailed=detailed, now=now))
        for row in calls.rows.values()
        if (look := row.seen_at(now)) is not None and look[0] >= since
    ]
    changed += [
        (each.modified_at, each.name or "", partial(getattr, each, "value"))
        for each in raw
        if each.modified_at >= since
    ]
    changed.sort(key=lambda each: each[:2])
    shown = changed[:count]
    # Records of one instant are never torn apart, so a page may be longer than was asked.
    shown += [each for each in changed[count:] if each[0] == shown[-1][0]]
    more = len(shown) < len(changed)
    until = changed[len(shown)][0] if more else now
    return {
        "uri": place.uri("call-log-extract-sync"),
        "records": [record() for _, _, record in shown],
        "syncInfo": {
            "syncType": sync_type,
            "syncToken": _token(until, now),
            "syncTime": times.write(now),
            "newerRecordsExist": more,
        },
    }


def _from(given: QueryParams, now: float) -> float:
    if "dateFrom" not in given:
        return now - _HOUR
    try:
        return times.read(given["dateFrom"])
    except ValueError:
        raise bad_parameter("dateFrom", given["dateFrom"]) from None


def _count(given: QueryParams) -> int:
    text = given.get("recordCount", "250")
    if not text.isdecimal() or int(text) < 1:
        raise bad_parameter("recordCount", text)
    return min(1000, int(text))


def _token(since: float, now: float) -> str:
    return base64.urlsafe_b64encode(json.dumps([since, now]).encode()).decode()


def _read_token(token: str, oldest: float) -> float:
    try:
        since, issued_at = json.loads(base64.urlsafe_b64decode(token))
        if issued_at >= oldest:
            return float(since)
    except (TypeError, ValueError, binascii.Error):
        raise Problem(400, "CLG-101", "Sync token is invalid") from None
    raise Problem(400, "CLG-101", "Sync token has expired")
