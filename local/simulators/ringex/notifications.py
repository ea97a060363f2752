"""What a webhook is told of a call, one party at a time.

Shape and rules: https://developers.ringcentral.com/guide/voice/telephony-session-notifications.
Each notification carries only the party that changed. The customer's party has no extension. In a
transfer one party's `Disconnected` comes in the middle of the call, so it is no sign of its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from local.simulators.ringex.calls import COMPANY, CallSession, Leg, Row
from local.simulators.settings import Json
from local.simulators.times import write


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one party. `last` says that it comes when the call ends."""

    at: float
    party: Json
    last: bool = False


def changes_of(rows: Sequence[Row], account: str, *, hint: bool) -> Iterator[Change]:
    """Yield the changes of a call's parties in order: nine for one leg, five for each more.

    `rows` is what was placed in one go. `hint` says whether the changes name the recordings, which
    the platform does not promise.
    """
    row = rows[0]
    outside = _outside_party(row, account)
    legs = sorted((leg for each in rows for leg in each.legs), key=lambda leg: leg.starts_at)
    start = legs[0].starts_at
    yield Change(start, _with(outside, "Setup"))
    yield Change(start, _with(outside, "Proceeding"))
    for at, leg in enumerate(legs):
        inside = _inside_party(row, leg, account)
        named = inside | _recordings(leg, hint=hint, active=True)
        yield Change(leg.starts_at, _with(inside, "Setup"))
        yield Change(leg.starts_at, _with(inside, "Proceeding"))
        yield Change(leg.starts_at, _with(inside, "Answered"))
        if at == 0:
            yield Change(leg.starts_at, _with(outside, "Answered"))
        yield Change(leg.starts_at, _with(named, "Answered"))
        over = inside | _recordings(leg, hint=hint, active=False)
        if at + 1 < len(legs):
            yield Change(leg.ends_at, _with(over, "Disconnected", "BlindTransfer"))
        else:
            gone = row.order.transfer_target
            status = _moved(gone) if gone else {"code": "Disconnected", "rcc": False}
            yield Change(leg.ends_at, {**over, "status": status}, last=True)
    yield Change(max(leg.ends_at for leg in legs), _with(outside, "Disconnected"), last=True)


def body_of(session: CallSession, change: Change) -> Json:
    """Return a notification's body (`TelephonySessionsEventBody`)."""
    return {
        "sequence": session.next_sequence(),
        "sessionId": session.legacy_id,
        "telephonySessionId": session.id,
        "serverId": "10.0.0.1.TAM",
        "eventTime": write(change.at),
        "parties": [change.party],
        "origin": {"type": "Call"},
    }


def wants(event_filter: str, party: Json) -> bool:
    """Say whether an event filter lets a party's change through.

    Options: https://developers.ringcentral.com/guide/notifications/event-filters. Whether
    `withRecordings` drops the parties that carry no recording is not documented; here it does, as
    the reading that costs a client the most.
    """
    split = urlsplit(event_filter)
    segments = split.path.strip("/").split("/")
    if segments[-2:] != ["telephony", "sessions"]:
        return False
    if "extension" in segments:
        extension = segments[segments.index("extension") + 1]
        if party.get("extensionId") != extension:
            return False
    facts = {
        "statusCode": party["status"]["code"],
        "direction": party["direction"],
        "missedCall": str(party["missedCall"]).lower(),
        "withRecordings": str(bool(party.get("recordings"))).lower(),
    }
    return all(
        any(_matches(facts[name], value) for value in values)
        for name, values in parse_qs(split.query).items()
        if name in facts and not (name == "withRecordings" and values == ["false"])
    )


def session_object(session: CallSession, account: str, now: float) -> Json:
    """Return the body of `GET …/telephony/sessions/{id}` (`CallSessionObject`)."""
    running = now < session.ended_at
    code = "Answered" if running else "Disconnected"
    parties: list[Json] = []
    for row in session.rows:
        if not parties:
            parties.append(_state(_outside_party(row, account), code))
        legs = sorted(row.legs, key=lambda leg: leg.starts_at)
        for leg in legs:
            named = _recordings(leg, hint=True, active=running)
            talking = running and leg is legs[-1]
            party = _inside_party(row, leg, account) | named
            parties.append(_state(party, "Answered" if talking else "Disconnected"))
    return {
        "id": session.id,
        "origin": {"type": "Call"},
        "creationTime": write(min(row.starts_at for row in session.rows)),
        "parties": parties,
    }


def _matches(fact: str, wanted: str) -> bool:
    if wanted.startswith("!"):
        return fact.lower() != wanted[1:].lower()
    return fact.lower() == wanted.lower()


def _outside_party(row: Row, account: str) -> Json:
    # As in real event streams: the PSTN side of an inbound call is an outbound party.
    inbound = row.order.direction == "Inbound"
    return {
        "accountId": account,
        "id": row.session.outside_party,
        "direction": "Outbound" if inbound else "Inbound",
        **_sides(row, row.legs[0]),
        **_STEADY,
    }


def _inside_party(row: Row, leg: Leg, account: str) -> Json:
    return {
        "accountId": account,
        "extensionId": leg.extension.id,
        "id": leg.party,
        "direction": row.order.direction,
        **_sides(row, leg),
        **_STEADY,
    }


_STEADY: Json = {"park": {}, "missedCall": False, "standAlone": False, "muted": False}


def _sides(row: Row, leg: Leg) -> Json:
    person = leg.extension
    inside = {"phoneNumber": COMPANY, "name": person.name, "extensionId": person.id}
    outside = {"phoneNumber": row.order.customer}
    if row.order.direction == "Inbound":
        return {"from": outside, "to": inside}
    return {"from": inside, "to": outside}


def _recordings(leg: Leg, *, hint: bool, active: bool) -> Json:
    if leg.recording is None or not hint:
        return {}
    return {"recordings": [{"id": leg.recording.id, "active": active}]}


def _with(party: Json, code: str, reason: str | None = None) -> Json:
    status: Json = {"code": code, "rcc": False}
    return {**party, "status": status | ({"reason": reason} if reason else {})}


def _moved(target: str) -> Json:
    """Return the status of a warm transfer: the party lives on in another session."""
    peer = {"telephonySessionId": target}
    return {"code": "Gone", "reason": "AttendedTransfer", "peerId": peer, "rcc": False}


def _state(party: Json, code: str) -> Json:
    party = {name: value for name, value in party.items() if name != "missedCall"}
    return _with(party, code)
