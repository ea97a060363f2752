"""RingCentral's call log, read leniently and never guessed at."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.model import Party, parse_time
from legato.providers.fields import DEEPEST
from legato.providers.ringex import call_log
from legato.providers.ringex.call_log import address_of, recording_ids, unreadable
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


def listing(job, records):
    return call_log.listing(job, records, retention=timedelta(days=90))


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


ADA = Party(role="from", number="+14155550100", name="Ada")
JANE = Party(role="to", number="+16505550101", name="Jane Doe", extension="101")
BOB = Party(role="to", number="+16505550102", name="Bob", extension="102")


def spoken(extension, to, **fields):
    """Return a leg of an extension, with its own sides."""
    side = {
        "phoneNumber": to.number,
        "name": to.name,
        "extensionId": extension,
        "extensionNumber": to.extension,
    }
    caller = {"phoneNumber": ADA.number, "name": ADA.name}
    return leg(**{"extension": {"id": extension}, "from": caller, "to": side, **fields})


def test_a_transferred_call_says_on_each_leg_who_spoke_on_it():
    """Its record names the first of them only. Who was rung and did not answer is nobody."""
    first = spoken(1, JANE, recording=recording("a"))
    second = spoken(2, BOB, recording=recording("b"), startTime="2026-11-20T11:01:00Z")
    rung = spoken(3, replace(BOB, name="Eve", extension="103"))
    found = listing(a_job(), [record(legs=[first, second, rung])])
    assert [one.parties for one in found.legs] == [(ADA, JANE), (ADA, BOB)]
    names = [party.name for party in found.parties]
    assert names == ["Ada", None, "Jane Doe", "Bob"]


def test_a_recording_that_goes_on_after_a_transfer_names_both_who_were_recorded():
    """It stands on the leg of either."""
    legs = [spoken(1, JANE, recording=recording("a")), spoken(2, BOB, recording=recording("a"))]
    [one] = listing(a_job(), [record(recording=recording("a"), legs=legs)]).legs
    assert one.parties == (ADA, JANE, BOB)


def test_the_extension_that_answered_for_a_queue_is_named():
    """By its name, where any side of the call has it; else by its id."""
    queue = {"phoneNumber": "+16505550100", "name": "Sales", "extensionId": 9}
    known = spoken(2, BOB)
    first = spoken(2, BOB, recording=recording("a")) | {"to": queue}
    second = spoken(7, BOB, recording=recording("b")) | {"to": queue}
    legs = listing(a_job(), [record(legs=[known, first, second])]).legs
    assert [one.parties[-1] for one in legs] == [
        Party(role="agent", name="Bob", extension="102"),
        Party(role="agent", extension="7"),
    ]


def test_a_recording_that_stands_on_the_record_only_is_of_its_sides():
    [one] = listing(a_job(), [record(recording=recording("a"), legs=[spoken(2, BOB)])]).legs
    assert [party.label for party in one.parties] == ["Ada", "101"]


def test_records_are_kept_verbatim():
    """With every field that we do not know."""
    odd = record(future={"field": [1, None]})
    assert listing(a_job(), [odd]).records == (odd,)


GOOD = leg(recording=recording("good"))
ABSURD = [10**300, -1, True, "60", float("nan"), float("inf"), [], {}, None]


@pytest.mark.parametrize(
    ("odd", "where", "reason"),
    [
        ({"legs": [GOOD, leg(recording={})]}, "record rec, leg 2", "without id"),
        ({"legs": [GOOD], "recording": {"contentUri": "x"}}, "record rec", "without id"),
        ({"legs": [GOOD, leg(recording="odd")]}, "record rec, leg 2", "no object, but 'odd'"),
        ({"legs": [GOOD, leg(recording=[])]}, "record rec, leg 2", "no object, but a list"),
        ({"legs": [GOOD, leg(recording={"id": "7" * 129})]}, "record rec, leg 2", "id is none"),
        ({"legs": [GOOD, leg(recording={"id": "a\nb"})]}, "record rec, leg 2", r"'a\nb'"),
        ({"legs": [GOOD, leg(recording={"id": ".."})]}, "record rec, leg 2", "id is none"),
        ({"legs": [GOOD, leg(recording={"id": "\ud800"})]}, "record rec, leg 2", "id is none"),
        ({"legs": [GOOD, leg(recording={"id": True})]}, "record rec, leg 2", "id is none"),
        ({"legs": [GOOD, "odd"]}, "record rec, leg 2", "the leg is no object"),
        ({"legs": [GOOD, None]}, "record rec, leg 2", "the leg is no object, but None"),
        ({"legs": "odd", "recording": recording("good")}, "record rec, legs", "no list"),
        ({"id": None, "legs": [GOOD, leg(recording={})]}, "record 1, leg 2", "without id"),
    ],
)
def test_what_nobody_understands_is_named_and_keeps_no_other_from_the_archive(odd, where, reason):
    """By where it stands, with what is odd; the good recording beside it is a leg."""
    found = listing(a_job(), [record(**odd)])
    assert [one.id for one in found.legs] == ["good"]
    [one] = found.unreadable
    assert one.id == where
    assert reason in one.reason
    assert recording_ids([record(**odd)]) == {"good"}
    assert unreadable([record(**odd)]) == found.unreadable


@pytest.mark.parametrize("legs", [None, []])
def test_a_record_without_legs_is_nothing_odd(legs):
    """No field is required."""
    found = listing(a_job(), [record(legs=legs, recording=recording("7"))])
    assert ([one.id for one in found.legs], found.unreadable) == (["7"], ())


def test_an_id_may_be_a_number_or_hold_odd_characters():
    """A printable text is one, and a number is read as its text."""
    legs = [leg(recording=recording(name)) for name in (7, "a b/ü%2e")]
    assert {one.id for one in listing(a_job(), [record(legs=legs)]).legs} == {"7", "a b/ü%2e"}


@pytest.mark.parametrize(
    "address",
    [None, 7, "", "x", "/path", "https://", "https://a b/", "\ud800"],
)
def test_without_a_usable_address_it_is_built_from_the_id(address):
    """As RingCentral documents it."""
    odd = {"id": "a/b", "contentUri": address}
    [one] = listing(a_job(), [record(recording=odd)]).legs
    assert one.address == address_of("a/b") == "/restapi/v1.0/account/~/recording/a%2Fb/content"


def test_an_address_on_another_domain_of_ringcentral_is_kept():
    """AT&T's and Verizon's; whether it gets a token is decided where it is asked."""
    given = "https://media.ringcentral.biz/restapi/v1.0/account/1/recording/1/content"
    [one] = listing(a_job(), [record(recording={"id": "1", "contentUri": given})]).legs
    assert one.address == given


@pytest.mark.parametrize("length", ABSURD)
def test_an_absurd_length_is_none(length):
    """Nor does it end the call in another age."""
    odd = record(duration=length, recording=recording("7"), durationMs=length)
    found = listing(a_job(), [odd])
    assert found.legs[0].announced_ms is None
    assert found.ended_at == found.started_at
    assert listing(a_job(), [odd | {"duration": 90}]).legs[0].announced_ms == 90_000


@pytest.mark.parametrize(
    "time",
    [
        None,
        "soon",
        7,
        [],
        True,
        float("nan"),
        "0001-01-01T00:00:00+05:00",
        "1999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-05:00",
        "2026-11-21T12:00:01Z",
        "9" * 400,
    ],
)
def test_a_time_that_cannot_be_is_not_believed(time):
    """A leg began with its record then, or else when it was seen; nothing is missing for that."""
    eleven = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
    found = listing(a_job(), [record(legs=[leg(time, recording=recording("7"))])])
    assert found.legs[0].started_at == eleven
    odd = record(time, recording=recording("7"))
    found = listing(a_job(), [odd])
    assert found.legs[0].started_at == a_job().seen_at
    assert (found.started_at, found.ended_at) == (None, None)
    assert (found.kept_until, found.unreadable) == (None, ())
    assert listing(a_job(), [odd, record()]).ended_at == eleven + timedelta(seconds=90)


def test_a_time_may_be_milliseconds():
    """As a number, or as its digits."""
    at = datetime(2026, 11, 20, 11, 0, 0, 500_000, tzinfo=UTC)
    milliseconds = round(at.timestamp() * 1000)
    for time in (milliseconds, float(milliseconds), str(milliseconds)):
        assert listing(a_job(), [record(time, recording=recording("7"))]).legs[0].started_at == at


def test_what_a_leg_says_of_its_beginning_goes_over_what_stands_in_for_it():
    """Of two legs of one recording, the one without a time comes first."""
    said = "2026-11-20T11:00:30Z"
    legs = [leg(None, recording=recording("7")), leg(said, recording=recording("7"))]
    [one] = listing(a_job(), [record(legs=legs)]).legs
    assert one.started_at == parse_time(said)


def test_what_json_or_utf8_cannot_write_is_replaced():
    """Half of a character, numbers without digits, what is nested without an end."""
    deep = []
    for _ in range(5000):
        deep = [deep]
    names = {"name": "A\ud800a", "phoneNumber": "+1"}
    odd = record(**{"from": names}, deep=deep, nan=float("nan"), huge=10**2000, big=10**300)
    found = listing(a_job(), [odd])
    assert found.parties[0].name == "A\ufffda"
    text = json.dumps(found.records, ensure_ascii=False, allow_nan=False, indent=2)
    assert text.encode()
    assert f"nested deeper than {DEEPEST} levels" in text
    assert found.records[0]["big"] == 10**300


def test_sides_that_are_odd_are_no_parties():
    """And what is odd of a side is as if it were not there; texts are of a bearable length."""
    odd = record(**{"from": "odd", "to": {"phoneNumber": ["x"], "name": "n" * 10**6}})
    [one] = listing(a_job(), [odd]).parties
    assert (one.role, one.number, len(one.name)) == ("to", None, 1000)
    related = [leg(transferTarget=[], transferee={"telephonySessionId": {"a": 1}})]
    assert listing(a_job(), [record(legs=related, direction=[])]).related == ()


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**300, -(10**300), float("inf"), "\ud800", "9999-12-31T23:59:59Z"])
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OF_RECORD = [*record(), "durationMs", "recording", "uri", "transferTarget", "finished", "result"]
OF_LEG = ["recording", "startTime", "duration", "legType"]
OF_RECORDING = ["id", "contentUri", "type"]


@settings(max_examples=300, deadline=None)
@given(
    of_record=st.dictionaries(st.sampled_from(OF_RECORD), ANYTHING),
    of_leg=st.dictionaries(st.sampled_from(OF_LEG), ANYTHING),
    of_recording=st.dictionaries(st.sampled_from(OF_RECORDING), ANYTHING),
)
def test_whatever_stands_in_a_field_the_good_recording_is_found(of_record, of_leg, of_recording):
    """And what is beside it is a leg, is named, or is no recording."""
    odd_leg = leg(recording={**recording("odd"), **of_recording})
    odd = record(**{"legs": [odd_leg, {**odd_leg, **of_leg}], **of_record})
    found = listing(a_job(), [odd, record(id="good", recording=recording("good"))])
    assert "good" in {one.id for one in found.legs}
    assert found.started_at is not None
    for one in found.legs:
        assert 2000 <= one.started_at.year <= 2026
        assert one.announced_ms is None or one.started_at + timedelta(milliseconds=one.announced_ms)
        assert len(one.id.encode()) <= 128
    written = [found.records, [party.to_json() for party in found.parties]]
    assert json.dumps(written, ensure_ascii=False, allow_nan=False).encode()
    without_id = isinstance(of_recording.get("id", ""), list | dict | bool | None)
    assert found.unreadable or not without_id or "legs" in of_record
