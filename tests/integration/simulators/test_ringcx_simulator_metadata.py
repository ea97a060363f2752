"""The windows of `interaction-metadata`: which rows they hold, and when they are refused."""

import time

import jsonschema
import pytest

from local.simulators.ringcx.calls import CallOrder, SegmentOrder
from tests.integration.simulators.ringcx_driver import MAIN, OTHER, PREFIX, SUB, driving, wall
from tests.integration.simulators.ringcx_spec import check_component, example, shape


@pytest.fixture
def ringcx():
    with driving(tokenSeconds=7200) as driver:
        yield driver


def segments(rows):
    return [row["segmentId"] for row in rows]


def test_a_row_has_the_shape_of_the_example(ringcx):
    """Field for field, in the same order; ids and times look the same."""
    placed = ringcx.place(7, ago=900)
    [row] = ringcx.rows()
    [voice, digital, *_] = example("metadata")
    assert shape(row) == shape(voice)
    assert sorted(row) == sorted(voice)
    assert (row["dialogId"], row["segmentId"]) == (placed["dialogId"], placed["segmentIds"][0])
    for name in ("dialogId", "segmentId", "interactionId", "segmentEndTimeMs"):
        assert len(row[name]) == len(voice[name])
    assert row["dialogId"].startswith("s-v-")
    assert row["segmentId"].startswith("p-v-" + row["dialogId"].removeprefix("s-v-"))
    assert row["segmentDurationMs"] == 7000
    assert [each["eventType"] for each in row["segmentEvents"]] == ["REC_START", "REC_STOP"]

    ringcx.place(7, ago=800, channelClass="DIGITAL", channelType="ENGAGE_MESSAGING")
    message = ringcx.rows(ago=801, seconds=100)[0]
    assert shape(message) == shape(digital)
    assert message["hasRecording"] is False


def test_a_window_goes_forward_from_its_beginning(ringcx):
    """[begin, begin + interval), by the segments' ends, the earliest first."""
    late = ringcx.place(30, ago=1000)
    early = ringcx.place(30, ago=2000)
    assert segments(ringcx.rows()) == early["segmentIds"] + late["segmentIds"]
    assert segments(ringcx.rows(ago=2000, seconds=1)) == early["segmentIds"]
    assert segments(ringcx.rows(ago=2000, seconds=1000)) == early["segmentIds"]
    assert ringcx.rows(ago=1999, seconds=999) == []
    assert ringcx.rows(ago=1999, seconds=1000) != []
    assert ringcx.rows(sub=OTHER) == []


def test_the_start_of_the_dialog_may_be_what_is_compared(ringcx):
    """The documentation says both, so both can be had; a dialog that goes on keeps its start."""
    placed = ringcx.place(100, 100, ago=1000)
    assert segments(ringcx.rows(ago=1200, seconds=150)) == placed["segmentIds"][:1]
    ringcx.control("settings", {"comparedBy": "dialogStart"})
    assert segments(ringcx.rows(ago=1200, seconds=1)) == placed["segmentIds"]
    assert ringcx.rows(ago=1199, seconds=899) == []

    more = ringcx.place(100, ago=600, dialogId=placed["dialogId"])
    found = segments(ringcx.rows(ago=1200, seconds=1))
    assert found == placed["segmentIds"] + more["segmentIds"]


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "GMT"])
def test_times_are_in_the_zone_that_is_named(ringcx, zone):
    """Wall clock without an offset."""
    ringcx.place(30, ago=1000)
    assert len(ringcx.rows(timeZone=zone)) == 1
    # 2026-10-26 is standard time in Kolkata, 5:30 ahead, as always.
    there = wall(ringcx.clock.now - 3600 + 5.5 * 3600)
    assert len(ringcx.rows(timeZone="Asia/Kolkata", segmentEndTime=there)) == 1
    assert ringcx.rows(timeZone="US/Eastern", ago=8 * 3600) == []


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"timeInterval": 0}, "timeInterval"),
        ({"timeInterval": 10801, "segmentEndTime": "2026-01-01 00:00:00"}, "timeInterval"),
        ({"timeInterval": "60"}, "timeInterval"),
        ({"timeInterval": True}, "timeInterval"),
        ({"timeInterval": None}, "timeInterval"),
        ({"segmentEndTime": "2026-01-01T00:00:00Z"}, "segmentEndTime"),
        ({"segmentEndTime": "2026-02-30 00:00:00"}, "segmentEndTime"),
        ({"segmentEndTime": 5}, "segmentEndTime"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "America"}, "timeZone"),
        ({"timeZone": 0}, "timeZone"),
        ({"agentIds": ["1"]}, "agentIds"),
    ],
)
def test_a_wrong_request_is_refused_and_the_field_named(ringcx, changes, name):
    """In the documented error body."""
    refused = ringcx.metadata(**changes)
    assert refused.status_code == 400
    [wrong] = refused.json()["validationErrors"]
    assert wrong["attributeName"] == name
    assert refused.json()["requestUri"].startswith("/api/cx/integration/v1/accounts/")
    assert refused.json()["requestUri"].endswith("/interaction-metadata - POST")
    assert refused.json()["timestamp"] == round(ringcx.clock.now * 1000)


def test_a_body_that_is_no_object_is_refused(ringcx):
    """As are the whole three hours a second too long, but not the three hours."""
    path = f"{PREFIX}/accounts/401555000/sub-accounts/{SUB}/interaction-metadata"
    assert ringcx.ask(path, "POST", content=b"{").status_code == 400
    assert ringcx.ask(path, "POST", json=[]).status_code == 400
    assert ringcx.metadata(ago=12000, seconds=10800).status_code == 200


def test_a_window_must_have_ended_five_minutes_ago(ringcx):
    """To the second; 0 lets everything pass."""
    assert ringcx.metadata(ago=900, seconds=600).status_code == 200
    assert ringcx.metadata(ago=900, seconds=601).status_code == 400
    ringcx.control("settings", {"tooFreshSeconds": 0})
    assert ringcx.metadata(ago=900, seconds=2000).status_code == 200


def test_an_answer_is_cut_off_without_a_word(ringcx):
    """The earliest 400 rows, and nothing that says that there are more."""
    for at in range(401):
        ringcx.world.calls.place(
            CallOrder(
                segments=(SegmentOrder(seconds=1, starts_at=ringcx.clock.now - 2000 + at),),
            )
        )
    rows = ringcx.rows()
    assert len(rows) == 400
    assert rows == sorted(rows, key=lambda row: row["segmentEndTimeMs"])
    assert rows[-1]["segmentEndTimeMs"] < ringcx.clock.ago(2000 - 401)
    ringcx.control("settings", {"rowCap": 5})
    assert len(ringcx.rows()) == 5


def test_rows_come_late_and_recordings_later(ringcx):
    """`listedAfter` and `recordedAfter` count from the segment's end."""
    ringcx.place(60, listedAfter=900, recordedAfter=1200, ago=0)
    ringcx.clock.now += 899
    assert ringcx.rows() == []
    ringcx.clock.now += 1
    assert [row["hasRecording"] for row in ringcx.rows()] == [False]
    assert ringcx.rows()[0]["segmentEvents"] is None
    ringcx.clock.now += 299
    assert [row["hasRecording"] for row in ringcx.rows()] == [False]
    ringcx.clock.now += 1
    assert [row["hasRecording"] for row in ringcx.rows()] == [True]


def test_the_whole_account_may_be_slow(ringcx):
    """`metadataLag` holds for every call that does not say otherwise, a segment for itself."""
    ringcx.control("settings", {"metadataLag": 2000, "tooFreshSeconds": 0})
    ringcx.place(60, ago=1000)
    order = {"segments": [{"duration": 5, "listedAfter": 0}, {"duration": 5}]}
    quick = ringcx.control("calls", order).json()
    assert segments(ringcx.rows(seconds=4000)) == quick["segmentIds"][:1]


def test_a_dialog_grows(ringcx):
    """Its end is that of the last segment that has ended; a segment still running is not listed."""
    first = ringcx.place(60, ago=1000)
    start = ringcx.rows()[0]["dialogStartTimeMs"]
    ringcx.place(60, ago=700, dialogId=first["dialogId"])
    ringcx.place(60, ago=-40, dialogId=first["dialogId"])
    rows = ringcx.rows()
    assert len(rows) == 2
    assert {row["dialogStartTimeMs"] for row in rows} == {start}
    assert {row["dialogDurationMs"] for row in rows} == {360_000}
    assert {row["interactionId"] for row in rows} == {first["interactionId"]}
    assert len({row["segmentParticipantId"] for row in rows}) == 2


def test_who_is_no_agent_has_no_agents_fields(ringcx):
    """No field of a row is required, and these are missing."""
    segment = {"duration": 5, "type": "IVR", "startTime": ringcx.clock.ago(900), "recorded": False}
    ringcx.control("calls", {"segments": [segment], "origination": "OUTBOUND"})
    [row] = ringcx.rows()
    assert (row["segmentType"], row["hasRecording"]) == ("IVR", False)
    assert row["dialogOrigination"] == "OUTBOUND"
    assert "segmentParticipantId" not in row


def test_a_wrong_account_is_denied(ringcx):
    """RingCX's own main account id in the path is the usual mistake."""
    for refused in (ringcx.metadata(account=MAIN), ringcx.metadata(sub="1")):
        assert refused.status_code == 403
        assert refused.json()["errorCode"] == "access.denied.exception"
    ringcx.control("settings", {"wemAccess": False})
    assert ringcx.metadata().status_code == 403


def test_both_windows_of_the_limit_count():
    """Three a minute and nine in a quarter of an hour, for each sub-account."""
    limits = {"Metadata": [{"limit": 3, "window": 60}, {"limit": 9, "window": 900}]}
    with driving(limits=limits, tokenSeconds=3600) as ringcx:
        statuses = [ringcx.metadata().status_code for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert ringcx.metadata(sub=OTHER).status_code == 200
        for _ in range(2):
            ringcx.clock.now += 60
            assert [ringcx.metadata().status_code for _ in range(3)] == [200] * 3
        ringcx.clock.now += 60
        refused = ringcx.metadata()
        assert (refused.status_code, refused.text) == (429, "rate")
        assert refused.headers["Retry-After"] == "1"
        ringcx.clock.now += 719
        assert ringcx.metadata().status_code == 429
        ringcx.clock.now += 1
        assert ringcx.metadata().status_code == 200
        assert ringcx.stats()["tooManyRequests"] == {"Metadata": 3}
        assert ringcx.stats()["rulesBroken"]["limit exceeded"] == 3
        assert ringcx.stats()["grants"]["Metadata"] == 11


@pytest.mark.parametrize("damage", ["noIds", "segmentID", "digital", "times"])
def test_one_row_can_be_bad(ringcx, damage):
    """The others are good, and so is the next answer."""
    ringcx.place(30, ago=1000)
    ringcx.place(30, ago=900)
    good = ringcx.rows()
    ringcx.break_next(route="metadata", kind="bad-row", damage=damage)
    bad, other = ringcx.rows()
    assert other == good[1]
    if damage == "noIds":
        assert not {"dialogId", "segmentId"} & set(bad)
    elif damage == "segmentID":
        assert bad["segmentID"] == good[0]["segmentId"]
        assert "segmentId" not in bad
    elif damage == "digital":
        assert (bad["channelClass"], bad["hasRecording"]) == ("DIGITAL", True)
    else:
        assert bad["segmentEndTimeMs"] < bad["segmentStartTimeMs"]
    assert ringcx.rows() == good


def test_rows_can_come_twice_and_in_an_object(ringcx):
    """A fault that needs rows waits for them."""
    ringcx.break_next(route="metadata", kind="repeat")
    assert ringcx.rows() == []
    placed = ringcx.place(30, ago=1000)
    assert segments(ringcx.rows()) == placed["segmentIds"] * 2
    good = ringcx.rows()
    ringcx.break_next(route="metadata", kind="object-body")
    answer = ringcx.metadata(check=False)
    assert answer.json() == {"data": good}
    with pytest.raises(jsonschema.ValidationError):
        check_component("WEMInteractionSegmentMetaData2Array", answer.json())
    assert ringcx.stats()["faults"] == {"metadata repeat": 1, "metadata object-body": 1}


def test_five_thousand_segments_are_quick(ringcx):
    """Placed and read in windows between, in far less than the test allows."""
    began = time.process_time()
    now = ringcx.clock.now
    for at in range(5000):
        segment = SegmentOrder(seconds=60, starts_at=now - 80_000 + 10 * at)
        ringcx.world.calls.place(CallOrder(segments=(segment,)))
        if at % 10 == 0:
            ringcx.world.calls.window(SUB, now - 900, now)
    found = [
        len(ringcx.world.calls.window(SUB, now - 80_000 + at, now - 80_000 + at + 900))
        for at in range(0, 80_000, 900)
    ]
    assert sum(found) == 5000
    assert time.process_time() - began < 5
