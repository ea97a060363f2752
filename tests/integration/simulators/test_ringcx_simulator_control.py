"""The side that is not RingCentral's: orders, faults, settings, and what makes no sense."""

import pytest

from local.simulators.ringcx import Config
from local.simulators.settings import BadInput, load
from tests.integration.simulators.ringcx_driver import OTHER, SUB, driving
from tests.integration.simulators.ringcx_spec import check_component


@pytest.fixture
def ringcx():
    with driving() as driver:
        yield driver


def test_ids_can_be_chosen_and_are_answered(ringcx):
    """A known dialog gets more segments, and stays in its sub-account."""
    order = {
        "dialogId": "s-v-1",
        "subAccountId": OTHER,
        "interactionId": "9",
        "contact": "+14155550100",
        "channel": "+16505550199",
        "segments": [{"segmentId": "p-1", "duration": 5, "agentId": "77"}, {"duration": 5}],
    }
    placed = ringcx.control("calls", order).json()
    assert (placed["dialogId"], placed["subAccountId"]) == ("s-v-1", OTHER)
    assert (placed["interactionId"], placed["segmentIds"][0]) == ("9", "p-1")
    assert len(placed["segmentIds"]) == 2
    more = ringcx.place(5, dialogId="s-v-1")
    assert (more["subAccountId"], more["interactionId"]) == (OTHER, "9")

    ringcx.control("settings", {"tooFreshSeconds": 0})
    row = ringcx.rows(sub=OTHER, seconds=3700)[0]
    assert row["segmentParticipantId"] == "77"
    assert row["contactEndpointAddress"] == "+14155550100"
    assert row["channelEndpointAddress"] == "+16505550199"


def test_segments_follow_each_other_and_end_now(ringcx):
    """A call without segments is one that was not recorded."""
    ringcx.control("settings", {"tooFreshSeconds": 0})
    ringcx.place(10, 20)
    rows = ringcx.rows(seconds=3700)
    assert rows[0]["segmentEndTimeMs"] == rows[1]["segmentStartTimeMs"] == ringcx.clock.ago(20)
    assert rows[1]["segmentEndTimeMs"] == ringcx.clock.ago(0)
    ringcx.control("reset")
    ringcx.control("calls", {"duration": 45})
    [row] = ringcx.rows(seconds=3700)
    assert (row["hasRecording"], row["segmentDurationMs"]) == (False, 45_000)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "the body: must be a JSON object"),
        ({"segments": {}}, "segments: {} is not a list"),
        ({"segments": [{}]}, "segments[0].duration: is missing"),
        ({"segments": [{"duration": -1}]}, "segments[0].duration: -1 is not a number, 0 or more"),
        ({"segments": [{"duration": 1, "type": "CAT"}]}, "'CAT' is not one of AGENT, IVR, BOT"),
        ({"segments": [{"duration": 1, "audio": "*"}]}, "segments[0].audio: '…' is not base64"),
        ({"segments": [{"duration": 1e6}]}, "a WAV file holds at most"),
        ({"segments": [{"duration": 1, "sampleRate": 5}]}, "2 channels of 5 Hz are not made"),
        ({"segments": [{"duration": 1, "channels": 99}]}, "99 channels of 8000 Hz are not made"),
        ({"segments": [{"duration": 1, "segmentId": "a"}] * 2}, "a is there already"),
        ({"subAccountId": "5"}, "subAccountId: '5' is no sub-account"),
        ({"dialogId": "known", "subAccountId": OTHER}, "dialogId: known belongs to " + SUB),
        ({"segments": [{"duration": 1, "segmentId": "known"}]}, "known is there already"),
        ({"channelClass": "PIGEON"}, "'PIGEON' is not one of VOICE, DIGITAL"),
        ({"readyAfter": True}, "readyAfter: True is not a number"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(ringcx, order, message):
    """And nothing of it happens."""
    known = {"dialogId": "known", "segments": [{"segmentId": "known", "duration": 1}]}
    ringcx.control("calls", known)
    refused = ringcx.control("calls", order)
    assert refused.status_code == 400
    assert message in refused.json()["error"]
    assert (ringcx.stats()["calls"], ringcx.stats()["segments"]) == (1, 1)


def test_unknown_fields_are_named(ringcx):
    """So that a slip of the pen does not pass for a slow provider."""
    order = {"readyafter": 5, "segments": [{"duration": 1, "speed": 2}]}
    answer = ringcx.control("calls", order)
    assert answer.status_code == 201
    assert answer.json()["ignored"] == ["readyafter", "segments[0].speed"]


def test_a_status_comes_as_often_as_asked_in_the_providers_words(ringcx):
    """Plain text for 401 and 429, JSON for the rest; only for the segment that is named."""
    placed = ringcx.place(5, 5)
    only = placed["segmentIds"][1]
    fault = {"route": "recording", "kind": "status", "segmentId": only}
    ringcx.break_next(**fault, times=2, retryAfter=7)
    ringcx.break_next(**fault, status=429)
    ringcx.break_next(**fault, status=401)
    assert ringcx.recording(placed, 0).status_code == 200
    answers = [ringcx.recording(placed, 1, check=False) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503, 503, 429, 401, 200]
    assert answers[0].headers["Retry-After"] == "7"
    check_component("Errors", answers[0].json())
    assert (answers[2].text, answers[2].headers["Retry-After"]) == ("rate", "1")
    assert answers[3].text == "Jwt is expired"
    assert ringcx.stats()["faults"] == {"recording status": 4}
    assert ringcx.stats()["requests"]["recording"] == {"200": 2, "503": 2, "429": 1, "401": 1}


def test_pages_and_objects_hide_behind_a_200(ringcx):
    """Where audio was expected."""
    placed = ringcx.place(5)
    ringcx.break_next(route="recording", kind="html")
    ringcx.break_next(route="recording", kind="json")
    page, thing = (ringcx.recording(placed, check=False) for _ in range(2))
    assert page.headers["content-type"].startswith("text/html")
    assert thing.headers["content-type"] == "application/json"
    assert (page.status_code, thing.status_code) == (200, 200)


@pytest.mark.parametrize("announced", [True, False])
def test_a_stalled_body_goes_on_at_last(ringcx, announced):
    """And waits for a recording that is there."""
    ringcx.control("settings", {"contentLength": announced})
    placed = ringcx.place(5, readyAfter=10)
    ringcx.break_next(route="recording", kind="stall", seconds=99)
    assert ringcx.recording(placed).status_code == 404
    assert ringcx.pauses == []
    ringcx.clock.now += 10
    served = ringcx.recording(placed).content
    assert ringcx.pauses == [99]
    assert ringcx.recording(placed).content == served


def test_tokens_die_now_or_before_a_request(ringcx):
    """All of them: RingCentral's, the refresh token, and the one in use."""
    refresh, platform = ringcx.refresh_token, ringcx.mint()
    ringcx.break_next(kind="evict")
    assert ringcx.metadata().status_code == 401
    assert ringcx.refresh(refresh).status_code == 401
    assert ringcx.exchange(platform).status_code == 401

    ringcx.log_in()
    ringcx.break_next(kind="evict", route="recording")
    assert ringcx.metadata().status_code == 200
    assert ringcx.recording(ringcx.place(5)).status_code == 401


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({}, "kind: is missing"),
        ({"kind": "explode"}, "kind: 'explode' is not one of"),
        ({"kind": "status"}, "route: is missing"),
        ({"kind": "bad-row", "route": "recording"}, "route: 'recording' is not one of"),
        ({"kind": "short-riff", "route": "metadata"}, "route: 'metadata' is not one of"),
        ({"kind": "bad-row", "route": "metadata", "damage": "x"}, "damage: 'x' is not one of"),
        ({"kind": "truncate", "route": "any", "share": 2}, "out of range"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(ringcx, fault, message):
    """And nothing breaks."""
    refused = ringcx.control("faults", fault)
    assert refused.status_code == 400
    assert message in refused.json()["error"]
    assert ringcx.metadata().status_code == 200


def test_faults_can_be_taken_back_and_everything_begin_anew(ringcx):
    """Tokens stay; calls, counts and windows go."""
    ringcx.break_next(route="any", kind="status")
    assert ringcx.control("faults", method="DELETE").status_code == 204
    ringcx.place(5)
    ringcx.control("settings", {"limits": {"Metadata": [{"limit": 1, "window": 60}]}})
    assert ringcx.metadata().status_code == 200
    assert ringcx.metadata().status_code == 429
    ringcx.control("stats", method="DELETE")
    assert (ringcx.stats()["requests"], ringcx.stats()["calls"]) == ({}, 1)
    ringcx.control("reset")
    assert ringcx.stats()["calls"] == 0
    assert ringcx.metadata().status_code == 200
    assert set(ringcx.stats()["rulesBroken"].values()) == {0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": "red"}, "colour: unknown setting"),
        ({"comparedBy": "mood"}, "comparedBy: 'mood' is not one of segmentEnd, dialogStart"),
        ({"wemAccess": 1}, "wemAccess: 1 does not fit"),
        ({"subAccounts": []}, "subAccounts: must be a list"),
        ({"subAccounts": ["main"]}, "subAccounts: 'main' is not a number"),
        ({"limits": {"Giant": []}}, "limits.Giant: unknown group"),
        ({"limits": {"Metadata": {"limit": 1}}}, "limits.Metadata: needs a list"),
        ({"audioRetentionDays": "long"}, "audioRetentionDays: 'long' does not fit"),
    ],
)
def test_a_wrong_configuration_is_refused(given, message):
    """With the key that is wrong."""
    with pytest.raises(BadInput, match=message):
        Config.from_json(given)


def test_the_paths_can_begin_elsewhere():
    """`prefix` is read at the start, as everything in a configuration file."""
    given = load(Config, '{"prefix": "/cx/v9", "audioRetentionDays": null}')
    assert (given.prefix, given.audio_retention_days) == ("/cx/v9", None)
    with driving(prefix="/cx/v9") as ringcx:
        assert ringcx.metadata(check=False).status_code == 404
        path = f"/cx/v9/accounts/401555000/sub-accounts/{SUB}/interaction-metadata"
        body = {"segmentEndTime": "2026-01-01 00:00:00", "timeInterval": 60, "timeZone": "UTC"}
        assert ringcx.ask(path, "POST", json=body, check=False).json() == []


def test_an_unknown_path_is_refused_in_the_providers_words(ringcx):
    """404, with a body as described."""
    refused = ringcx.http.request("GET", "/voice/api/nowhere")
    assert refused.status_code == 404
    check_component("Errors", refused.json())
