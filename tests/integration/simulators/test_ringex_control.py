"""The side that is not RingCentral's: faults, statistics, and orders that make no sense."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import uvicorn

from local.simulators.ringex import Config, create_app
from local.simulators.settings import BadInput, load
from tests.integration.simulators.ringex_driver import ACCOUNT, CLIENT, JWT_BEARER, Driver, driving
from tests.integration.simulators.ringex_spec import check_component

LOG = f"{ACCOUNT}/call-log"


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def place_one(ringex: Driver) -> str:
    name: str
    [name] = ringex.place(legs=[{"duration": 60}])["recordingIds"]
    return name


def break_next(ringex: Driver, **fault: Any) -> None:
    assert ringex.control("faults", fault).status_code == 201


def test_ids_can_be_chosen_and_are_answered(ringex: Driver) -> None:
    answer = ringex.place(
        telephonySessionId="s-1",
        sessionId="400000000001",
        legs=[{"recordingId": "11", "duration": 5}, {"recordingId": "12", "duration": 5}],
    )

    assert answer["telephonySessionId"] == "s-1"
    assert answer["sessionId"] == "400000000001"
    assert answer["recordingIds"] == ["11", "12"]
    assert len(answer["recordIds"]) == 1


def test_a_recording_id_may_repeat_within_its_session_only(ringex: Driver) -> None:
    leg = {"recordingId": "11", "duration": 5}
    assert ringex.place(telephonySessionId="s-1", legs=[leg, leg])["recordingIds"] == ["11"]
    assert ringex.place(telephonySessionId="s-1", legs=[leg])["recordingIds"] == ["11"]

    refused = ringex.control("calls", {"legs": [leg]})

    assert refused.status_code == 400
    assert refused.json()["error"] == "legs[0].recordingId: 11 belongs to s-1"


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ([], "the body: must be a JSON object"),
        ({"legs": {}}, "legs: {} is not a list"),
        ({"legs": [5]}, "legs[0]: must be a JSON object"),
        ({"legs": [{}]}, "legs[0].duration: is missing"),
        ({"legs": [{"duration": -1}]}, "legs[0].duration: -1 is not a number, 0 or more"),
        ({"legs": [{"duration": 1, "format": "ogg"}]}, "'ogg' is not one of mp3, wav"),
        ({"legs": [{"duration": 1, "startTime": "noon"}]}, "'noon' is not an ISO 8601 time"),
        ({"legs": [{"duration": 1, "audio": "*"}]}, "legs[0].audio: '…' is not base64"),
        ({"legs": [{"duration": 1, "extensionId": "me"}]}, "legs[0].extensionId: 'me' is not"),
        ({"legs": [{"duration": 1e6, "format": "wav"}]}, "a WAV file holds at most"),
        ({"readyAfter": True}, "readyAfter: True is not a number"),
        ({"emit": "no"}, "emit: 'no' is not true or false"),
        ({"telephonySessionId": ""}, "telephonySessionId: '' is not a string"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(ringex: Driver, order: Any, message: str) -> None:
    refused = ringex.control("calls", order)

    assert refused.status_code == 400
    assert message in refused.json()["error"]
    assert ringex.stats()["calls"] == 0


def test_unknown_fields_are_named(ringex: Driver) -> None:
    order = {"readyafter": 5, "legs": [{"duration": 1, "speed": 2}]}

    answer = ringex.control("calls", order)

    assert answer.status_code == 201
    assert answer.json()["ignored"] == ["readyafter", "legs[0].speed"]


def test_a_status_comes_as_often_as_asked(ringex: Driver) -> None:
    name = place_one(ringex)
    break_next(ringex, route="content", kind="status", status=503, times=2, retryAfter=7)

    answers = [ringex.content(name, check=False) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert ringex.stats()["faults"] == {"content status": 2}
    assert ringex.stats()["requests"]["content"] == {"503": 2, "200": 1}


def test_a_fault_can_wait_for_one_recording(ringex: Driver) -> None:
    first, second = place_one(ringex), place_one(ringex)
    break_next(ringex, route="content", kind="status", recordingId=second)

    assert ringex.content(first).status_code == 200
    assert ringex.content(second, check=False).status_code == 503


def test_a_log_in_can_fail(ringex: Driver) -> None:
    break_next(ringex, route="token", kind="status", status=500)

    form = {"grant_type": JWT_BEARER, "assertion": "legato-local-jwt"}
    statuses = [
        ringex.http.request("POST", "/restapi/oauth/token", data=form, auth=CLIENT).status_code
        for _ in range(2)
    ]
    assert statuses == [500, 200]


def test_html_hides_behind_a_200(ringex: Driver) -> None:
    break_next(ringex, route="content", kind="html")

    answer = ringex.content(place_one(ringex), check=False)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


def test_a_redirect_leads_elsewhere(ringex: Driver) -> None:
    break_next(ringex, route="content", kind="redirect", location="https://media.example.com/1")

    answer = ringex.content(place_one(ringex), check=False)

    assert answer.status_code == 302
    assert answer.headers["Location"] == "https://media.example.com/1"


def test_a_stalled_body_goes_on_at_last(ringex: Driver) -> None:
    name = place_one(ringex)
    whole = ringex.content(name).content
    break_next(ringex, route="content", kind="stall", seconds=99)

    assert ringex.content(name).content == whole
    assert ringex.pauses == [99]


def test_a_fault_waits_until_there_is_an_answer_to_spoil(ringex: Driver) -> None:
    [name] = ringex.place(legs=[{"duration": 60}], readyAfter=5)["recordingIds"]
    break_next(ringex, route="content", kind="stall", seconds=99)

    assert ringex.content(name).status_code == 404
    assert ringex.pauses == []
    ringex.clock.now += 5
    assert ringex.content(name).status_code == 200
    assert ringex.pauses == [99]


def test_sessions_are_evicted_now_or_before_a_request(ringex: Driver) -> None:
    break_next(ringex, kind="evict")
    assert ringex.ask(LOG).json()["errorCode"] == "OAU-213"

    ringex.log_in()
    break_next(ringex, kind="evict", route="content")
    assert ringex.ask(LOG).status_code == 200
    assert ringex.content("1").json()["errorCode"] == "OAU-213"


@pytest.mark.parametrize("damage", ["startTime", "legs", "records"])
def test_a_bad_page_breaks_the_description(ringex: Driver, damage: str) -> None:
    place_one(ringex)
    break_next(ringex, route="call-log", kind="bad-page", damage=damage)

    page = ringex.ask(LOG, params={"view": "Detailed"}, check=False)

    assert page.status_code == 200
    with pytest.raises(jsonschema.ValidationError):
        check_component("CallLogResponse", page.json())
    assert ringex.ask(LOG).status_code == 200


def test_faults_can_be_taken_back(ringex: Driver) -> None:
    break_next(ringex, route="any", kind="status")

    assert ringex.control("faults", method="DELETE").status_code == 204
    assert ringex.ask(LOG).status_code == 200


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({}, "kind: is missing"),
        ({"kind": "explode"}, "kind: 'explode' is not one of"),
        ({"kind": "status"}, "route: is missing"),
        ({"kind": "status", "route": "nowhere"}, "route: 'nowhere' is not one of"),
        ({"kind": "bad-page", "route": "content"}, "route: 'content' is not one of"),
        ({"kind": "redirect", "route": "content"}, "location: is missing"),
        ({"kind": "status", "route": "any", "times": 0}, "out of range"),
        ([{"kind": "evict"}, {"kind": "explode"}], "[1].kind: 'explode' is not one of"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(ringex: Driver, fault: Any, message: str) -> None:
    refused = ringex.control("faults", fault)

    assert refused.status_code == 400
    assert message in refused.json()["error"]
    assert ringex.ask(LOG).status_code == 200


def test_statistics_count_and_begin_anew(ringex: Driver) -> None:
    ringex.subscribe()
    name = place_one(ringex)
    ringex.content(name)
    ringex.content("unknown")

    stats = ringex.stats()
    assert stats["requests"]["content"] == {"200": 1, "404": 1}
    assert stats["grants"] == {"Auth": 1, "Medium": 1, "Heavy": 2}
    assert stats["tooManyRequests"] == {}
    assert stats["tokensMinted"] == 1
    assert stats["notifications"]["sent"] == 9
    assert stats["notifications"]["answers"] == {"200": 9}
    assert stats["notifications"]["handshakes"] == {"200": 1}
    assert set(stats["rulesBroken"].values()) == {0}
    assert (stats["calls"], stats["recordings"], stats["subscriptions"]) == (1, 1, 1)

    ringex.control("stats", method="DELETE")
    assert ringex.stats()["requests"] == {}
    ringex.control("reset")
    assert ringex.stats()["calls"] == 0
    assert ringex.ask("/restapi/v1.0/subscription").json()["records"]


def test_what_happens_to_a_subscription_can_be_ordered(ringex: Driver) -> None:
    made = ringex.subscribe().json()
    place_one(ringex)
    assert ringex.stats()["notifications"]["sent"] == 9

    def change(**what: Any) -> dict[str, Any]:
        assert ringex.control("subscriptions", {"id": made["id"], **what}).status_code == 204
        shown: dict[str, Any] = ringex.ask(f"/restapi/v1.0/subscription/{made['id']}").json()
        check_component("SubscriptionInfo", shown)
        return shown

    shown = change(disabled=made["eventFilters"][0])
    assert [each["filter"] for each in shown["disabledFilters"]] == made["eventFilters"]
    place_one(ringex)
    shown = change(status="Blacklisted", reason="Webhook responses with code: [404]")
    assert shown["status"] == "Blacklisted"
    assert shown["blacklistedData"]["reason"] == "Webhook responses with code: [404]"
    place_one(ringex)
    assert ringex.stats()["notifications"]["sent"] == 9

    assert change(expiresIn=100)["expiresIn"] == 100
    [listed] = ringex.control("subscriptions", method="GET").json()
    assert (listed["status"], listed["verificationToken"]) == ("Active", "a1" * 16)
    ringex.control("subscriptions", {"id": made["id"], "status": "Deleted"})
    assert ringex.control("subscriptions", method="GET").json() == []
    refused = ringex.control("subscriptions", {"id": made["id"]})
    assert (refused.status_code, "is no subscription" in refused.text) == (400, True)


def test_settings_are_checked(ringex: Driver) -> None:
    refused = ringex.control("settings", {"logLag": 5, "colour": "red"})

    assert refused.status_code == 400
    assert "colour: unknown setting" in refused.json()["error"]
    assert ringex.world.config.log_lag == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"logLag": "soon"}, "logLag: 'soon' does not fit"),
        ({"shuffle": 1}, "shuffle: 1 does not fit"),
        ({"limits": {"Giant": {"limit": 1}}}, "limits.Giant: unknown group"),
        ({"limits": {"Heavy": {}}}, "limits.Heavy: needs limit"),
        ({"jwts": ["a"]}, "jwts: must map"),
        ({"accountId": "main"}, "accountId: 'main' is not a number"),
    ],
)
def test_a_wrong_configuration_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Config.from_json(given)


def test_a_configuration_is_json_or_a_file_of_it(tmp_path: Any) -> None:
    file = tmp_path / "ringex.json"
    file.write_text('{"limits": {"Heavy": {"limit": 3, "window": 6, "penalty": 9}}}')

    assert load(Config, str(file)).limits["Heavy"].penalty == 9
    assert load(Config, str(file)).limits["Light"].limit == 50
    assert load(Config, '{"blacklistSeconds": null}').blacklist_seconds is None
    assert load(Config, None) == Config()
    with pytest.raises(BadInput, match="not JSON"):
        load(Config, "{")


def test_an_unknown_path_is_refused_in_the_platforms_words(ringex: Driver) -> None:
    refused = ringex.http.request("GET", "/restapi/v1.0/nowhere")

    assert refused.status_code == 404
    check_component("ApiErrorResponseModel", refused.json())


def test_a_truncated_body_breaks_the_connection() -> None:
    """The one fault that needs a real server: what counts is what arrives on the wire."""
    server = uvicorn.Server(uvicorn.Config(create_app(), port=0, log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            form = {"grant_type": JWT_BEARER, "assertion": "legato-local-jwt"}
            token = http.post("/restapi/oauth/token", data=form, auth=CLIENT).json()
            placed = http.post("/_sim/calls", json={"legs": [{"duration": 60}]}).json()
            http.post("/_sim/faults", json={"route": "content", "kind": "truncate"})
            path = f"{ACCOUNT}/recording/{placed['recordingIds'][0]}/content"
            bearer = {"Authorization": f"Bearer {token['access_token']}"}
            with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending"):
                http.get(path, headers=bearer)
            assert http.get(path, headers=bearer).status_code == 200
    finally:
        server.should_exit = True
        thread.join(10)
