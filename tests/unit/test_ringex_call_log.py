"""RingCentral's call log, read leniently and never guessed at."""

from datetime import UTC, datetime

import pytest

from legato.errors import Retry
from legato.providers.ringex.call_log import listing
from tests.fakes import a_job, an_id

CONTENT = "https://media.ringcentral.com:443/restapi/v1.0/account/1/recording/{}/content"


def recording(name):
    return {"id": name, "type": "Automatic", "uri": "…", "contentUri": CONTENT.format(name)}


def record(start="2026-11-20T11:00:00.000Z", **fields):
    return {
        "id": "rec",
        "sessionId": "4000",
        "telephonySessionId": "s-1",
        "startTime": start,
        "duration": 90,
        "direction": "Inbound",
        "result": "Accepted",
        "from": {"phoneNumber": "+14155550100", "name": "Ada"},
        "to": {"phoneNumber": "+16505550100", "extensionNumber": "101"},
        "legs": [],
        **fields,
    }


def leg(start="2026-11-20T11:00:00.000Z", **fields):
    return {"legType": "Accept", "startTime": start, "duration": 60, **fields}


def test_a_recording_that_is_named_thrice_is_one_leg():
    """RingCentral's own sample has the same id on the record and on two legs."""
    found = listing(
        a_job(),
        [record(recording=recording("7"), legs=[leg(recording=recording("7"))] * 2)],
    )
    assert [one.id for one in found.legs] == ["7"]
    assert found.legs[0].address == CONTENT.format("7")


def test_legs_come_in_the_order_of_their_start():
    """Whatever the order of records and legs; a leg's own start is better than its record's."""
    later = leg("2026-11-20T11:01:00.000Z", recording=recording("b"), durationMs=61500)
    earlier = leg("2026-11-20T11:00:20.000Z", recording=recording("a"))
    last = record("2026-11-20T11:05:00Z", id="other", recording=recording("c"))
    found = listing(a_job(), [last, record(recording=recording("b"), legs=[later, earlier])])
    assert [one.id for one in found.legs] == ["a", "b", "c"]
    assert found.legs[1].started_at == datetime(2026, 11, 20, 11, 1, tzinfo=UTC)
    assert [one.announced_ms for one in found.legs] == [60000, 61500, 90000]
    assert found.started_at == datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
    assert found.ended_at == datetime(2026, 11, 20, 11, 6, 30, tzinfo=UTC)


def test_recordings_are_kept_for_ninety_days():
    """After the call; then RingCentral deletes them."""
    found = listing(a_job(), [record(), record("2026-11-20T11:05:00Z")])
    assert found.kept_until == datetime(2027, 2, 18, 11, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "sign",
    [
        {"result": "In Progress"},
        {"result": "in progress"},
        {"finished": False},
        {"legs": [leg(finished=False)]},
        {"legs": [leg(result="In Progress")]},
    ],
)
def test_a_call_that_goes_on_is_told_by_any_of_its_entries(sign):
    """`finished` is new and optional; `result` may be spelled otherwise."""
    assert listing(a_job(), [record(), record(**sign)]).ongoing


def test_a_finished_call_is_over():
    """Absent and true mean the same."""
    assert not listing(a_job(), [record(), record(finished=True)]).ongoing


def test_a_recording_too_short_to_be_kept_is_told():
    """On the record or on a leg."""
    assert listing(a_job(), [record(legs=[leg(shortRecording=True)])]).short
    assert not listing(a_job(), [record(shortRecording=False)]).short


def test_parties_and_related_calls():
    """Both sides once each; the consult call of a warm transfer by either field or by a hint."""
    consult = leg(transferTarget={"telephonySessionId": "s-2"})
    twice = [record(legs=[consult], transferee={"telephonySessionId": "s-1"}), record()]
    found = listing(a_job(hints={"peers": ["s-3"]}), twice)
    assert [(party.role, party.number, party.extension) for party in found.parties] == [
        ("from", "+14155550100", None),
        ("to", "+16505550100", "101"),
    ]
    assert found.related == (an_id("s-2"), an_id("s-3"))
    assert found.direction == "inbound"


def test_records_are_kept_verbatim():
    """With every field that we do not know."""
    odd = record(future={"field": [1, None]})
    assert listing(a_job(), [odd]).records == (odd,)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"startTime": None}, "startTime"),
        ({"startTime": "soon"}, "startTime"),
        ({"legs": "none"}, "legs"),
        ({"legs": ["odd"]}, "legs"),
        ({"recording": "odd"}, "without id"),
        ({"recording": {"contentUri": "x"}}, "without id"),
        ({"recording": {"id": "7"}}, "recording 7 has no contentUri"),
        ({"legs": [leg(None, recording=recording("7"))]}, "startTime"),
    ],
)
def test_a_field_that_lacks_is_named(broken, named):
    """So that the failure says what RingCentral sent."""
    with pytest.raises(Retry, match=named):
        listing(a_job(), [record(**broken)])
