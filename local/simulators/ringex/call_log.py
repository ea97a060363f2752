"""The call log: rows as they look at this moment, filtered, newest first, page by page.

Rules: https://developers.ringcentral.com/api-reference/Call-Log/readCompanyCallLog and
https://developers.ringcentral.com/guide/voice/call-log/details: the same recording id appears on
the record and on several of its legs, and legs exist in the Detailed view only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from local.simulators import times
from local.simulators.ringex.calls import COMPANY, Calls, Leg, Phase, Row
from local.simulators.ringex.problems import Problem, bad_parameter, not_found
from local.simulators.ringex.raw import RawRecord, RawRecords
from local.simulators.ringex.recordings import Recording
from local.simulators.settings import Json

type Entry = tuple[float, str, Callable[[], Any]]
"""When something began or changed, its id, and what is shown of it."""

_DAY = 24 * 3600
_ALONE = ("extensionNumber", "phoneNumber", "direction", "type", "dateFrom", "dateTo")
"""What `sessionId` does not go together with (CLG-110)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the log lives: every address in an answer begins with what the client called us."""

    base: str
    account: str

    def uri(self, path: str) -> str:
        """Return the address of something in this account."""
        return f"{self.base}/restapi/v1.0/account/{self.account}/{path}"

    def content(self, recording: str) -> str:
        """Return the address of a recording's audio."""
        return self.uri(f"recording/{recording}/content")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The parameters of a log request, checked."""

    detailed: bool
    recording_type: str | None
    starts_from: float
    starts_to: float
    page: int
    per_page: int
    equals: dict[str, str]
    directions: list[str]

    @classmethod
    def read(cls, given: QueryParams, now: float) -> Query:
        """Check the parameters. Raises Problem CMN-101 or CLG-110."""
        if "sessionId" in given:
            for other in (*_ALONE, "telephonySessionId"):
                if other in given:
                    raise Problem(
                        400,
                        "CLG-110",
                        "Parameter [sessionId] is not allowed for usage along with parameter "
                        f"[{other}]",
                        parameterName="sessionId",
                    )
        starts_to = _time(given, "dateTo", now)
        starts_from = _time(given, "dateFrom", starts_to - _DAY)
        if "sessionId" in given:
            starts_from = 0.0
        if starts_from > starts_to:
            raise bad_parameter("dateFrom", given.get("dateFrom", ""))
        recording_type = _choice(given, "recordingType", ("Automatic", "OnDemand", "All"))
        with_recording = _choice(given, "withRecording", ("true", "false"))
        if recording_type is None and with_recording == "true":
            recording_type = "All"
        for kind in given.getlist("type"):
            if kind not in ("Voice", "Fax"):
                raise bad_parameter("type", kind)
        for direction in given.getlist("direction"):
            if direction not in ("Inbound", "Outbound"):
                raise bad_parameter("direction", direction)
        equal = ("telephonySessionId", "sessionId", "phoneNumber", "extensionNumber")
        return cls(
            detailed=read_view(given),
            recording_type=recording_type,
            starts_from=starts_from,
            starts_to=starts_to,
            page=_number(given, "page", 1),
            # Larger ones are clamped, not refused.
            per_page=1000
            if given.get("perPage") == "max"
            else min(1000, _number(given, "perPage", 100)),
            equals={name: given[name] for name in equal if name in given},
            directions=given.getlist("direction"),
        )

    def lets_through(self, row: Row) -> bool:
        """Say whether a row is asked for."""
        if not self.starts_from <= row.starts_at <= self.starts_to:
            return False
        facts: dict[str, set[str]] = {
            "telephonySessionId": {row.session.id},
            "sessionId": {row.session.legacy_id},
            "phoneNumber": {row.order.customer.lstrip("+"), COMPANY.lstrip("+")},
            "extensionNumber": {leg.extension.number for leg in row.legs},
        }
        if any(value.lstrip("+ ") not in facts[name] for name, value in self.equals.items()):
            return False
        if self.directions and row.order.direction not in self.directions:
            return False
        if self.recording_type is None:
            return True
        types = {kept.type for leg in row.legs if (kept := _kept(leg))}
        return bool(types) if self.recording_type == "All" else self.recording_type in types

    def lets_through_raw(self, raw: RawRecord) -> bool:
        """Say the same of a raw record: only its time and its session count."""
        starts_at = self.starts_from if raw.starts_at is None else raw.starts_at
        sessions = ("telephonySessionId", "sessionId")
        return self.starts_from <= starts_at <= self.starts_to and all(
            raw.says(name, self.equals[name]) for name in sessions if name in self.equals
        )


def read_call_log(
    calls: Calls, raw: RawRecords, given: QueryParams, place: Place, now: float
) -> Json:
    """Return one page of the log (`CallLogResponse`), and in it the raw records."""
    query = Query.read(given, now)
    rows = _candidates(calls, query)
    looks = [(row, look) for row in rows if (look := row.seen_at(now)) and query.lets_through(row)]
    if query.recording_type:
        looks = [(row, look) for row, look in looks if _shows_recordings(row, look[1])]
    found: list[Entry] = [
        (row.starts_at, row.id, partial(render, row, look, place, detailed=query.detailed, now=now))
        for row, look in looks
    ]
    found += [_entry(each) for each in raw if query.lets_through_raw(each)]
    found.sort(key=lambda each: each[:2], reverse=True)
    first = (query.page - 1) * query.per_page
    shown = found[first : first + query.per_page]
    pages = max(1, -(-len(found) // query.per_page))
    paging: Json = {"page": query.page, "perPage": query.per_page}
    if shown:
        paging |= {"pageStart": first, "pageEnd": first + len(shown) - 1}
    return {
        "uri": _page_uri(given, query, place, query.page),
        "records": [record() for _, _, record in shown],
        "paging": paging,
        "navigation": {
            name: {"uri": _page_uri(given, query, place, page)}
            for name, page in _neighbours(query.page, pages)
        },
    }


def _entry(raw: RawRecord) -> Entry:
    starts_at = raw.modified_at if raw.starts_at is None else raw.starts_at
    return starts_at, raw.name or "", lambda: raw.value


def read_record(
    calls: Calls, raw: RawRecords, row_id: str, place: Place, now: float, *, detailed: bool
) -> Any:
    """Return one record of the log (`CallLogRecord`)."""
    if (given := raw.find(row_id)) is not None:
        return given.value
    row = calls.rows.get(row_id)
    look = row.seen_at(now) if row else None
    if row is None or look is None:
        raise not_found("callRecordId")
    return render(row, look, place, detailed=detailed, now=now)


def render(
    row: Row, look: tuple[float, Phase], place: Place, *, detailed: bool, now: float
) -> Json:
    """Return a row as it looks now."""
    since, phase = look
    legs = row.legs if phase in ("stuck", "final") else row.legs[: row.order.legs_at_first or 1]
    first = legs[0]
    record = {
        "uri": place.uri(f"call-log/{row.id}?view={'Detailed' if detailed else 'Simple'}"),
        "id": row.id,
        "sessionId": row.session.legacy_id,
        **_base(row, first, phase, place),
        "action": "Phone Call",
        "startTime": times.write(row.starts_at),
        **_length(now - row.starts_at if phase == "running" else row.seconds),
        "internalType": "Local",
    }
    if detailed:
        record["legs"] = [each for leg in legs for each in _legs(row, leg, phase, place)]
        record["lastModifiedTime"] = times.write(since)
        record["billing"] = {"costIncluded": 0.0, "costPurchased": 0.0}
    return record


def read_view(given: QueryParams) -> bool:
    """Return whether the Detailed view is asked for."""
    return _choice(given, "view", ("Simple", "Detailed")) == "Detailed"


def _legs(row: Row, leg: Leg, phase: Phase, place: Place) -> Iterable[Json]:
    """Yield two legs for one conversation, the way in and the person, with the same recording."""
    base = _base(row, leg, phase, place) | {
        "startTime": times.write(leg.starts_at),
        **_length(leg.seconds),
        "internalType": "Local",
    }
    if leg is row.legs[0]:
        way_in = "PstnToSip" if row.order.direction == "Inbound" else "SipToPstnMetered"
        yield base | {"action": "Phone Call", "legType": way_in, "master": True}
    else:
        yield base | {"action": "Transfer", "legType": "TransferCall"}
    yield base | {"action": "Phone Call", "legType": "Accept"}


def _base(row: Row, leg: Leg, phase: Phase, place: Place) -> Json:
    """Return what record and leg have in common (`BaseCallLogRecord`)."""
    order = row.order
    person = leg.extension
    inside = {"phoneNumber": COMPANY, "extensionId": person.id, "name": person.name}
    outside = {"phoneNumber": order.customer, "location": "San Francisco, CA"}
    inbound = order.direction == "Inbound"
    base: Json = {
        "telephonySessionId": row.session.id,
        "partyId": leg.party,
        "type": "Voice",
        "direction": order.direction,
        "transport": "PSTN",
        "from": outside if inbound else inside,
        "to": inside if inbound else outside,
        "extension": {"id": int(person.id), "uri": place.uri(f"extension/{person.id}")},
        "result": _result(phase, inbound=inbound),
        "finished": phase not in ("running", "stuck"),
    }
    if order.transfer_target:
        base["transferTarget"] = {"telephonySessionId": order.transfer_target}
    if order.transferee:
        base["transferee"] = {"telephonySessionId": order.transferee}
    shown = _shows_recordings(row, phase)
    if shown and leg.too_short:
        base["shortRecording"] = True
    recording = _kept(leg)
    if shown and recording:
        base["recording"] = {
            "id": recording.id,
            "uri": place.uri(f"recording/{recording.id}"),
            "type": recording.type,
            "contentUri": place.content(recording.id),
        }
    return base


def _shows_recordings(row: Row, phase: Phase) -> bool:
    """While a call runs, its row shows no recording, nor does a snapshot unless it was ordered."""
    return phase in ("stuck", "final") or (phase == "snapshot" and row.order.legs_at_first > 0)


def _result(phase: Phase, *, inbound: bool) -> str:
    if phase in ("running", "stuck"):
        return "In Progress"
    if phase == "snapshot":
        return "Stopped"
    return "Accepted" if inbound else "Call connected"


def _length(seconds: float) -> Json:
    return {"duration": round(seconds), "durationMs": round(seconds * 1000)}


def _kept(leg: Leg) -> Recording | None:
    return leg.recording if leg.recording and not leg.recording.deleted_at else None


def _candidates(calls: Calls, query: Query) -> Iterable[Row]:
    wanted = query.equals.get("telephonySessionId")
    if wanted is None:
        return calls.rows.values()
    session = calls.sessions.get(wanted)
    return [row for row in session.rows if row.id in calls.rows] if session else ()


def _neighbours(page: int, pages: int) -> Iterable[tuple[str, int]]:
    yield "firstPage", 1
    if page < pages:
        yield "nextPage", page + 1
    if page > 1:
        yield "previousPage", page - 1
    yield "lastPage", pages


def _page_uri(given: QueryParams, query: Query, place: Place, page: int) -> str:
    # With the dates that were meant, so that a later page does not slide along with "now".
    kept = [(k, v) for k, v in given.multi_items() if k not in ("page", "perPage")]
    if "sessionId" not in given:
        kept = [(k, v) for k, v in kept if k not in ("dateFrom", "dateTo")]
        kept.append(("dateFrom", times.write(query.starts_from)))
        kept.append(("dateTo", times.write(query.starts_to)))
    kept += [("page", str(page)), ("perPage", str(query.per_page))]
    return place.uri(f"call-log?{urlencode(kept)}")


def _time(given: QueryParams, name: str, default: float) -> float:
    if name not in given:
        return default
    try:
        return times.read(given[name])
    except ValueError:
        raise bad_parameter(name, given[name]) from None


def _number(given: QueryParams, name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise bad_parameter(name, text)
    return int(text)


def _choice(given: QueryParams, name: str, known: tuple[str, ...]) -> str | None:
    text = given.get(name)
    if text is not None and text not in known:
        raise bad_parameter(name, text)
    return text
