"""The side that is not Kazoo's: orders, faults, settings, and what makes no sense."""

import pytest

from local.simulators.kazoo import Config
from local.simulators.settings import BadInput, load
from tests.integration.simulators.kazoo_driver import FIRST, SECOND, driving


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


def test_ids_can_be_chosen_and_are_answered(kazoo):
    """A known interaction gets more recordings, and stays in its account."""
    order = {
        "accountId": SECOND,
        "interactionId": "63967000000-abcdef01",
        "recordings": [{"id": "202610-one", "duration": 5, "from": "1", "to": "2"}],
    }
    placed = kazoo.place(**order)
    assert placed == {
        "accountId": SECOND,
        "interactionId": "63967000000-abcdef01",
        "recordingIds": ["202610-one"],
    }
    more = kazoo.place(5, interactionId="63967000000-abcdef01")
    assert more["accountId"] == SECOND
    [named] = kazoo.place(recordings=[{"id": "two", "duration": 5}])["recordingIds"]
    assert named == "202610-two"
    found = kazoo.page(account=SECOND)["data"]
    assert {each["interaction_id"] for each in found} == {"63967000000-abcdef01"}
    [one] = [each for each in found if each["id"] == "202610-one"]
    assert (one["caller_id_number"], one["callee_id_number"]) == ("1", "2")
    assert kazoo.stats()["calls"] == 2


def test_an_interaction_may_be_of_two_accounts(kazoo):
    """They are two calls."""
    for account in (FIRST, SECOND):
        kazoo.place(5, accountId=account, interactionId="same")
    assert (kazoo.stats()["calls"], kazoo.stats()["recordings"]) == (2, 2)


def test_recordings_follow_each_other_and_end_now(kazoo):
    """Unless they say when they start."""
    kazoo.place(10, 20)
    first, second = kazoo.page(ascending="true")["data"]
    assert second["start"] - first["start"] == 10


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "the body: must be a JSON object"),
        ({"recordings": {}}, "recordings: {} is not a list"),
        ({"recordings": [{}]}, "recordings[0].duration: is missing"),
        ({"recordings": [{"duration": 1, "format": "ogg"}]}, "'ogg' is not one of mp3, wav"),
        ({"recordings": [{"duration": 1, "omit": "start"}]}, "is not a list of strings"),
        ({"recordings": [{"duration": 1, "omit": [1]}]}, "is not a list of strings"),
        ({"recordings": [{"duration": 1, "id": "a"}] * 2}, "202610-a is there already"),
        ({"recordings": [{"duration": 1, "id": "202610-known"}]}, "is there already"),
        ({"recordings": [{"duration": 1, "id": "202609-a"}]}, "does not begin with its month"),
        ({"recordings": [{"duration": 1e6, "format": "wav"}]}, "a WAV file holds at most"),
        ({"accountId": "5"}, "accountId: '5' is no account"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(kazoo, order, message):
    """And nothing of it happens."""
    kazoo.place(recordings=[{"id": "known", "duration": 1}])
    refused = kazoo.control("calls", order)
    assert refused.status_code == 400
    assert message in refused.json()["error"]
    assert (kazoo.stats()["calls"], kazoo.stats()["recordings"]) == (1, 1)


def test_unknown_fields_are_named(kazoo):
    """So that a slip of the pen does not pass for a slow provider."""
    order = {"readyafter": 5, "recordings": [{"duration": 1, "speed": 2}]}
    answer = kazoo.control("calls", order)
    assert (answer.status_code, answer.json()["ignored"]) == (
        201,
        ["readyafter", "recordings[0].speed"],
    )


def test_a_status_comes_as_often_as_asked_in_an_envelope(kazoo):
    """Only for the recording that is named."""
    name, other = kazoo.place(5, 5)["recordingIds"]
    fault = {"route": "recording", "kind": "status", "recordingId": name}
    kazoo.break_next(**fault, times=2, retryAfter=7)
    kazoo.break_next(**fault, status=401)
    kazoo.break_next(**fault, status=429, errorCode="slow_down")
    assert kazoo.audio(other).status_code == 200
    answers = [kazoo.audio(name, check=False) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503, 503, 401, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert (answers[0].json()["status"], answers[0].json()["error"]) == ("fatal", "503")
    assert answers[2].json()["message"] == "invalid_credentials"
    assert answers[3].json()["message"] == "slow_down"
    assert "Retry-After" not in answers[3].headers
    assert kazoo.stats()["faults"] == {"recording status": 4}
    assert kazoo.stats()["requests"]["recording"] == {"200": 2, "503": 2, "401": 1, "429": 1}


def test_pages_objects_and_nothing_hide_behind_a_200(kazoo):
    """Where audio was expected."""
    name = kazoo.one()
    for kind in ("html", "json", "empty"):
        kazoo.break_next(route="recording", kind=kind)
    page, thing, nothing = (kazoo.audio(name, check=False) for _ in range(3))
    assert {each.status_code for each in (page, thing, nothing)} == {200}
    assert page.headers["content-type"].startswith("text/html")
    assert thing.headers["content-type"] == "application/json"
    assert nothing.content == b""


def test_a_stalled_body_goes_on_at_last(kazoo):
    """And waits for a recording that is there."""
    [name] = kazoo.place(5, readyAfter=10)["recordingIds"]
    kazoo.break_next(route="recording", kind="stall", seconds=99)
    assert kazoo.audio(name).status_code == 404
    assert kazoo.pauses == []
    kazoo.clock.now += 10
    served = kazoo.audio(name).content
    assert kazoo.pauses == [99]
    assert kazoo.audio(name).content == served


def test_tokens_die_now_or_before_a_request(kazoo):
    """All of them."""
    kazoo.break_next(kind="evict")
    assert kazoo.ask("recordings").status_code == 401
    kazoo.log_in()
    kazoo.break_next(kind="evict", route="recording")
    assert kazoo.ask("recordings").status_code == 200
    assert kazoo.audio(kazoo.one()).status_code == 401


def test_a_page_may_lead_to_itself(kazoo):
    """Once, or for ever to who believes it."""
    kazoo.place(*[5] * 3)
    first = kazoo.page(page_size=1)
    kazoo.break_next(route="recordings", kind="repeat-key")
    page = kazoo.page(page_size=1, start_key=first["next_start_key"])
    assert page["next_start_key"] == page["start_key"] == first["next_start_key"]
    again = kazoo.page(page_size=1, start_key=page["next_start_key"])
    assert again["data"] == page["data"]
    assert again["next_start_key"] != again["start_key"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({}, "kind: is missing"),
        ({"kind": "explode"}, "kind: 'explode' is not one of"),
        ({"kind": "status"}, "route: is missing"),
        ({"kind": "repeat-key", "route": "recording"}, "route: 'recording' is not one of"),
        ({"kind": "truncate", "route": "any", "share": 2}, "out of range"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(kazoo, fault, message):
    """And nothing breaks."""
    refused = kazoo.control("faults", fault)
    assert refused.status_code == 400
    assert message in refused.json()["error"]
    assert kazoo.ask("recordings").status_code == 200


def test_faults_can_be_taken_back_and_everything_begin_anew(kazoo):
    """Tokens stay; calls, counts and buckets go."""
    kazoo.break_next(route="any", kind="status")
    assert kazoo.control("faults", method="DELETE").status_code == 204
    kazoo.place(5)
    kazoo.control("settings", {"bucketTokens": 1})
    assert [kazoo.ask("recordings").status_code for _ in range(2)] == [200, 429]
    kazoo.control("stats", method="DELETE")
    assert (kazoo.stats()["requests"], kazoo.stats()["calls"]) == ({}, 1)
    kazoo.control("reset")
    assert (kazoo.stats()["calls"], kazoo.listed()) == (0, [])
    assert set(kazoo.stats()["rulesBroken"].values()) == {0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": "red"}, "colour: unknown setting"),
        ({"version": "5.0"}, "version: '5.0' is not one of 4.3, master"),
        ({"notStored": "perhaps"}, "notStored: 'perhaps' is not one of 404, empty"),
        ({"accounts": []}, "accounts: must be a list"),
        ({"accounts": ["main"]}, "accounts: 'main' is not an id"),
        ({"resellers": "all"}, "resellers: must be a list"),
        ({"apiKeys": {"short": FIRST}}, "apiKeys: a key has 64 characters"),
        ({"apiKeys": [FIRST]}, "apiKeys: must map each to an account"),
        ({"tokenSeconds": "long"}, "tokenSeconds: 'long' does not fit"),
    ],
)
def test_a_wrong_configuration_is_refused(given, message):
    """With the key that is wrong."""
    with pytest.raises(BadInput, match=message):
        Config.from_json(given)


def test_a_configuration_is_read_from_json():
    """As a file has it."""
    given = load(Config, '{"version": "master", "resellers": [], "saveLag": 1}')
    assert (given.version, given.resellers, given.save_lag) == ("master", [], 1)


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("DELETE", 405)])
def test_an_unknown_path_is_refused_in_an_envelope(kazoo, method, status):
    """As everything is."""
    path = "/v2/nowhere" if status == 404 else f"/v2/accounts/{FIRST}/recordings"
    refused = kazoo.http.request(method, path)
    assert refused.status_code == status
    assert refused.json()["error"] == str(status)
