"""Records of the call log that stand there word for word."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.simulators.raw_lists import ODD, base64_of, post_raw, same
from tests.integration.simulators.ringex_driver import ACCOUNT, Driver, driving

LOG = f"{ACCOUNT}/call-log"
SYNC = f"{ACCOUNT}/call-log-extract-sync"


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def record(name: str = "r1", **fields: Any) -> dict[str, Any]:
    return {"id": name, "sessionId": "9", "telephonySessionId": "s-1", **fields}


def raw(ringex: Driver, *records: Any, **order: Any) -> dict[str, Any]:
    answer = post_raw(ringex, records=records, **order)
    assert answer.status_code == 201, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def log(ringex: Driver, **query: Any) -> list[Any]:
    answer = ringex.ask(LOG, params={"view": "Detailed"} | query, check=False)
    assert answer.status_code == 200, answer.text
    records: list[Any] = answer.json()["records"]
    return records


def sync(ringex: Driver, token: str | None = None, **query: Any) -> tuple[list[Any], str]:
    kind = {"syncType": "ISync", "syncToken": token} if token else {"syncType": "FSync"}
    answer = ringex.ask(SYNC, params=kind | query, check=False)
    assert answer.status_code == 200, answer.text
    return answer.json()["records"], answer.json()["syncInfo"]["syncToken"]


def test_a_record_is_listed_word_for_word(ringex: Driver) -> None:
    """In the log, by its id, and in both kinds of synchronization."""
    _, token = sync(ringex)
    ringex.clock.now += 60
    given = record(startTime=ringex.clock.ago(30), legs=[{"recording": {}}], surplus={"a": None})

    assert raw(ringex, given)["records"] == [given]

    assert log(ringex) == [given]
    assert ringex.ask(f"{LOG}/r1", check=False).json() == given
    assert sync(ringex, token)[0] == [given]
    assert sync(ringex, dateFrom=ringex.clock.ago(5))[0] == [given]


def test_a_change_is_told_once(ringex: Driver) -> None:
    """A token that is younger than a record does not bring it again, until it is rewritten."""
    raw(ringex, record())
    ringex.clock.now += 1
    _, token = sync(ringex)
    assert sync(ringex, token)[0] == []

    ringex.clock.now += 1
    raw(ringex, record(result="Accepted"))

    assert sync(ringex, token)[0] == [record(result="Accepted")]
    assert log(ringex) == [record(result="Accepted")]


def test_records_of_one_order_may_have_the_same_id(ringex: Driver) -> None:
    """They stand in the list as given; both go when that id is given again."""
    raw(ringex, record(a=1), record(a=2))
    assert [each["a"] for each in log(ringex)] == [1, 2]

    raw(ringex, record(a=3))

    assert [each["a"] for each in log(ringex)] == [3]


def test_a_placed_record_can_be_rewritten(ringex: Driver) -> None:
    placed = ringex.place(legs=[{"duration": 60, "recordingId": "11"}])
    before = ringex.content("11").content

    raw(ringex, record(placed["recordIds"][0], recording={"id": "11"}, duration=5))

    assert [each["sessionId"] for each in log(ringex)] == ["9"]
    assert log(ringex, telephonySessionId=placed["telephonySessionId"]) == []
    session = ringex.ask(f"{ACCOUNT}/telephony/sessions/{placed['telephonySessionId']}")
    assert session.status_code == 200
    assert ringex.content("11").content == before


def test_the_log_filters_by_start_and_session(ringex: Driver) -> None:
    """A record whose start nobody can read is in every list of its session."""
    now, old = ringex.clock.ago(10), ringex.clock.ago(90_000)
    raw(
        ringex,
        record("new", startTime=now),
        record("old", startTime=old, telephonySessionId="s-2", sessionId=8),
        record("never", startTime="soon", telephonySessionId=None),
        record("none", sessionId=None),
    )

    def ids(**query: Any) -> set[str]:
        return {each["id"] for each in log(ringex, **query)}

    assert ids() == {"new", "never", "none"}
    assert ids(dateFrom=ringex.clock.ago(99_999)) == {"new", "old", "never", "none"}
    assert ids(dateTo=ringex.clock.ago(60)) == {"never", "none"}
    assert ids(telephonySessionId="s-1") == {"new", "none"}
    assert ids(sessionId="9") == {"new", "never"}
    assert ids(sessionId="8") == {"old"}
    assert ids(recordingType="All") == {"new", "never", "none"}


def test_times_can_be_so_long_ago(ringex: Driver) -> None:
    """At any depth; a text that is not quite that stays."""
    order = record(startTime="now-30", legs=[{"startTime": "now-0.5"}], note="now-", other="now-1s")

    [taken] = raw(ringex, order)["records"]

    assert taken["startTime"] == ringex.clock.ago(30)
    assert taken["legs"][0]["startTime"] == ringex.clock.ago(0.5)
    assert (taken["note"], taken["other"]) == ("now-", "now-1s")


def test_audio_is_given_made_or_missing(ringex: Driver) -> None:
    """Bytes as given, else a sound of the recording's length, else nothing; in any account."""
    legs = [
        {"recording": {"id": "given"}, "duration": 5},
        {"recording": {"id": "made"}, "duration": 5},
        {"recording": {"id": 77}, "durationMs": 5000},
        {"recording": {"id": "none"}},
        {"recording": {"id": "odd"}, "duration": "long", "durationMs": -1},
    ]
    whole = {"given": base64_of(b"RIFF-not"), "alone": base64_of(b"x")}

    taken = raw(ringex, record(legs=legs), audio=whole)

    assert set(taken["recordingIds"]) == {"given", "alone", "made", "77"}
    given = ringex.content("given", check=False)
    assert (given.content, given.headers["content-type"]) == (b"RIFF-not", "audio/wav")
    made = ringex.content("made")
    assert made.content == ringex.ask("/restapi/v1.0/account/1/recording/made/content").content
    assert ringex.ask(f"{ACCOUNT}/recording/made").json()["duration"] == 5
    assert len(made.content) == round(5 / 0.036) * 144
    assert len(ringex.content("77").content) == len(made.content)
    assert ringex.content("alone").content == b"x"
    assert ringex.content("none").status_code == 404
    assert ringex.content("odd").status_code == 404


def test_audio_stays_when_its_record_is_rewritten(ringex: Driver) -> None:
    """Bytes stay; a sound that was made follows the length."""
    leg = {"recording": {"id": "1"}, "duration": 5}
    raw(ringex, record(legs=[leg]), audio={"1": base64_of(b"bytes")})
    raw(ringex, record(legs=[leg | {"duration": 50}, {"recording": {"id": "2"}, "duration": 5}]))
    assert ringex.content("1").content == b"bytes"

    raw(ringex, record(legs=[{"recording": {"id": "2"}, "duration": 50}]))

    assert len(ringex.content("2").content) == round(50 / 0.036) * 144


@pytest.mark.parametrize(
    "odd",
    [
        *ODD,
        {"legs": 5},
        {"legs": [None, 5, [], {"recording": 5}, {"recording": {"id": []}}]},
        {"recording": {"id": "1"}, "duration": float("inf")},
        {"recording": {"id": "1"}, "durationMs": 10**400},
        {"recording": {"id": "\ud800"}, "duration": 1},
        {"startTime": 1e300},
        {"telephonySessionId": {"a": 1}, "sessionId": ["9"]},
    ],
    ids=lambda odd: repr(odd)[:40],
)
def test_an_odd_record_costs_no_other_and_nothing_else(ringex: Driver, odd: Any) -> None:
    """Whatever it is, it is listed, and so are the record beside it and the placed call."""
    placed = ringex.place(legs=[{"duration": 60}])
    session = placed["telephonySessionId"]

    raw(ringex, odd, record())

    for listed in (log(ringex), sync(ringex)[0]):
        assert sum(same(each, odd) for each in listed) == 1
        others = [each for each in listed if not same(each, odd)]
        assert {each["telephonySessionId"] for each in others} == {"s-1", session}
    assert [e["id"] for e in log(ringex, telephonySessionId=session)] == placed["recordIds"]
    for damage in ("startTime", "legs", "records"):
        fault = {"kind": "bad-page", "damage": damage, "route": "call-log"}
        assert ringex.control("faults", fault).status_code == 201
        log(ringex)
    assert "500" not in str(ringex.stats()["requests"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "records: is missing"),
        ('{"records": {}}', "records: {} is not a list"),
        ('{"records": [], "audio": {"1": "*"}}', "audio.1: '…' is not base64"),
        ('{"records": [], "audio": []}', "audio: must be a JSON object"),
        ('{"records": ' + "[" * 2000 + "]" * 2000 + "}", "records: is nested too deeply"),
        ("[" * 200_000, "the body is not JSON"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    ringex: Driver, content: str, message: str
) -> None:
    refused = ringex.http.request("POST", "/_sim/raw", content=content)

    assert refused.status_code == 400
    assert message in refused.json()["error"]


def test_reset_forgets_them(ringex: Driver) -> None:
    raw(ringex, record(), audio={"1": base64_of(b"x")})

    ringex.control("reset")

    assert log(ringex) == []
    assert ringex.content("1").status_code == 404
