"""The call log: views, filters, pages, and rows that change."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.simulators.ringex_driver import ACCOUNT, Driver, driving

LOG = f"{ACCOUNT}/call-log"


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def legs(*durations: float, **more: Any) -> list[dict[str, Any]]:
    return [{"duration": duration, **more} for duration in durations]


def test_a_recording_id_repeats_on_the_record_and_on_several_legs(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60, 90))

    [record] = ringex.log(telephonySessionId=placed["telephonySessionId"])

    first, second = placed["recordingIds"]
    assert record["recording"]["id"] == first
    assert [leg["recording"]["id"] for leg in record["legs"]] == [first, first, second, second]
    assert [leg["legType"] for leg in record["legs"]] == [
        "PstnToSip",
        "Accept",
        "TransferCall",
        "Accept",
    ]
    assert record["result"] == "Accepted"
    assert record["finished"] is True
    assert record["duration"] == 150
    assert record["sessionId"] == placed["sessionId"]
    assert record["id"] == placed["recordIds"][0]


def test_only_the_detailed_view_has_legs(ringex: Driver) -> None:
    ringex.place(legs=legs(60, 90))

    [record] = ringex.log(view="Simple")

    assert "legs" not in record
    assert "lastModifiedTime" not in record
    assert "recording" in record


def test_addresses_begin_with_the_name_that_the_client_used(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60))
    path = f"/restapi/v1.0/account/401555000/recording/{placed['recordingIds'][0]}/content"

    [record] = ringex.log()
    other = ringex.ask(LOG, headers={"Host": "media.example.com:8443"}).json()["records"][0]

    assert record["recording"]["contentUri"] == f"http://ringex.example.com{path}"
    assert other["recording"]["contentUri"] == f"http://media.example.com:8443{path}"


def test_pages_are_newest_first_and_linked(ringex: Driver) -> None:
    placed = [ringex.place(startTime=ringex.clock.ago(1000 - n))["recordIds"][0] for n in range(5)]

    pages = [ringex.ask(LOG, params={"perPage": 2}).json()]
    # Calls that come meanwhile do not shift the pages that follow.
    ringex.clock.now += 600
    while following := pages[-1]["navigation"].get("nextPage"):
        pages.append(ringex.ask(following["uri"]).json())

    ids = [[record["id"] for record in page["records"]] for page in pages]
    assert ids == [[placed[4], placed[3]], [placed[2], placed[1]], [placed[0]]]
    assert pages[1]["paging"] == {"page": 2, "perPage": 2, "pageStart": 2, "pageEnd": 3}
    assert set(pages[0]["navigation"]) == {"firstPage", "nextPage", "lastPage"}
    assert set(pages[2]["navigation"]) == {"firstPage", "previousPage", "lastPage"}
    assert ringex.ask(pages[2]["navigation"]["lastPage"]["uri"]).json()["paging"]["page"] == 3


def test_a_page_holds_a_thousand_at_most_and_a_hundred_by_default(ringex: Driver) -> None:
    def per_page(**query: str) -> int:
        size: int = ringex.ask(LOG, params=query).json()["paging"]["perPage"]
        return size

    assert per_page() == 100
    assert per_page(perPage="5000") == 1000
    assert per_page(perPage="max") == 1000


def test_the_log_shows_one_day_by_default_and_filters_on_the_start(ringex: Driver) -> None:
    day, hour = 24 * 3600, 3600
    old = ringex.place(startTime=ringex.clock.ago(day + 60), duration=hour)["recordIds"]
    new = ringex.place(startTime=ringex.clock.ago(day - 60))["recordIds"]

    assert [record["id"] for record in ringex.log()] == new
    window = {"dateFrom": ringex.clock.ago(2 * day), "dateTo": ringex.clock.ago(day)}
    assert [record["id"] for record in ringex.log(**window)] == old


def test_filters_choose_calls(ringex: Driver) -> None:
    plain = ringex.place()
    automatic = ringex.place(legs=legs(60), **{"from": "+14155550199"})
    on_demand = ringex.place(legs=legs(60, type="OnDemand", extensionId="401555102"))
    outbound = ringex.place(legs=legs(60), direction="Outbound")

    def found(**query: Any) -> set[str]:
        return {record["id"] for record in ringex.log(**query)}

    def ids(*calls: dict[str, Any]) -> set[str]:
        return {each for call in calls for each in call["recordIds"]}

    assert found() == ids(plain, automatic, on_demand, outbound)
    assert found(recordingType="All") == ids(automatic, on_demand, outbound)
    assert found(recordingType="OnDemand") == ids(on_demand)
    assert found(withRecording="true") == ids(automatic, on_demand, outbound)
    assert found(withRecording="true", recordingType="OnDemand") == ids(on_demand)
    assert found(direction="Outbound") == ids(outbound)
    assert found(direction=["Inbound", "Outbound"]) == found()
    assert found(phoneNumber="14155550199") == ids(automatic)
    assert found(extensionNumber="102") == ids(on_demand)
    assert found(sessionId=plain["sessionId"]) == ids(plain)
    assert found(telephonySessionId=outbound["telephonySessionId"]) == ids(outbound)
    assert found(telephonySessionId="s-unknown") == set()


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"view": "Full"}, "view"),
        ({"perPage": "0"}, "perPage"),
        ({"perPage": "many"}, "perPage"),
        ({"page": "0"}, "page"),
        ({"dateFrom": "yesterday"}, "dateFrom"),
        ({"dateFrom": "2099-01-01T00:00:00Z"}, "dateFrom"),
        ({"recordingType": "Any"}, "recordingType"),
        ({"direction": "Sideways"}, "direction"),
        ({"type": "Telex"}, "type"),
        ({"withRecording": "maybe"}, "withRecording"),
    ],
)
def test_a_wrong_parameter_is_named(ringex: Driver, query: dict[str, str], parameter: str) -> None:
    refused = ringex.ask(LOG, params=query)

    assert refused.status_code == 400
    [error] = refused.json()["errors"]
    assert (error["errorCode"], error["parameterName"]) == ("CMN-101", parameter)


def test_the_legacy_session_id_goes_with_no_other_filter(ringex: Driver) -> None:
    refused = ringex.ask(LOG, params={"sessionId": "1", "dateFrom": ringex.clock.ago(60)})

    assert (refused.status_code, refused.json()["errorCode"]) == (400, "CLG-110")


def test_a_call_is_listed_only_some_time_after_its_end(ringex: Driver) -> None:
    ringex.control("settings", {"logLag": 20})
    ringex.place(legs=legs(60), listedAfter=None)
    hidden = ringex.place(legs=legs(60), listed=False)

    assert ringex.log() == []
    ringex.clock.now += 20
    [record] = ringex.log()
    assert record["id"] not in hidden["recordIds"]


def test_a_running_call_is_in_progress_without_its_recording(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60), inProgress=30)
    [running] = ringex.log()
    session = f"{ACCOUNT}/telephony/sessions/{placed['telephonySessionId']}"
    talking = ringex.ask(session).json()

    ringex.clock.now += 30
    [ended] = ringex.log()
    over = ringex.ask(session).json()

    assert (running["result"], running["finished"]) == ("In Progress", False)
    assert "recording" not in running
    assert (ended["result"], ended["finished"]) == ("Accepted", True)
    assert ended["recording"]["id"] == placed["recordingIds"][0]
    assert {party["status"]["code"] for party in talking["parties"]} == {"Answered"}
    assert {party["status"]["code"] for party in over["parties"]} == {"Disconnected"}
    ringex.clock.now += 30
    assert ringex.ask(session).status_code == 404


def test_a_record_can_be_in_progress_for_ever(ringex: Driver) -> None:
    """Though its call is over, and its recordings are there."""
    placed = ringex.place(legs=legs(60), inProgress=True, overAfter=30)
    session = f"{ACCOUNT}/telephony/sessions/{placed['telephonySessionId']}"
    assert "recording" not in ringex.log()[0]
    assert ringex.content(placed["recordingIds"][0]).status_code == 404

    ringex.clock.now += 3000
    [record] = ringex.log()

    assert (record["result"], record["finished"]) == ("In Progress", False)
    assert record["recording"]["id"] == placed["recordingIds"][0]
    assert ringex.content(placed["recordingIds"][0]).status_code == 200
    assert ringex.ask(session).status_code == 404


def test_a_call_can_run_for_ever(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60), inProgress=True)
    session = f"{ACCOUNT}/telephony/sessions/{placed['telephonySessionId']}"
    assert ringex.stats()["pendingNotifications"] == 0

    ringex.clock.now += 3000

    assert ringex.log()[0]["result"] == "In Progress"
    assert {party["status"]["code"] for party in ringex.ask(session).json()["parties"]} == {
        "Answered"
    }


def test_a_row_is_rewritten_under_its_id(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60, 90), rewrittenAfter=120)
    [snapshot] = ringex.log()
    ringex.clock.now += 120
    [final] = ringex.log()

    assert snapshot["id"] == final["id"] == placed["recordIds"][0]
    assert snapshot["result"] == "Stopped"
    assert "recording" not in snapshot
    assert len(final["legs"]) == 4
    assert final["lastModifiedTime"] > snapshot["lastModifiedTime"]


def test_a_session_can_have_several_records(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60, 90), recordPerLeg=True)
    session = placed["telephonySessionId"]
    again = ringex.place(telephonySessionId=session, legs=legs(30))

    records = ringex.log(telephonySessionId=session)

    assert {record["id"] for record in records} == {*placed["recordIds"], *again["recordIds"]}
    assert len(records) == 3
    assert again["sessionId"] == placed["sessionId"]


def test_a_recording_too_short_to_be_kept_is_said_to_be() -> None:
    with driving(minRecordingSeconds=30) as ringex:
        placed = ringex.place(legs=legs(29))
        [record] = ringex.log()

    assert placed["recordingIds"] == []
    assert record["shortRecording"] is True
    assert "recording" not in record


def test_a_warm_transfer_names_the_other_session(ringex: Driver) -> None:
    ringex.place(legs=legs(60), transferTarget="s-2", transferee="s-3")

    [record] = ringex.log()

    assert record["transferTarget"] == {"telephonySessionId": "s-2"}
    assert record["transferee"] == {"telephonySessionId": "s-3"}


def test_one_record_can_be_read_by_its_id(ringex: Driver) -> None:
    [name] = ringex.place(legs=legs(60))["recordIds"]

    assert ringex.ask(f"{LOG}/{name}").json()["id"] == name
    assert len(ringex.ask(f"{LOG}/{name}?view=Detailed").json()["legs"]) == 2
    assert ringex.ask(f"{LOG}/unknown").json()["errorCode"] == "CMN-102"


def test_changes_since_a_time_come_oldest_first_and_go_on_from_a_token(ringex: Driver) -> None:
    sync = f"{ACCOUNT}/call-log-extract-sync"
    placed = []
    for _ in range(3):
        placed += ringex.place(startTime=ringex.clock.ago(40 * 3600))["recordIds"]
        ringex.clock.now += 10

    def ask(**query: Any) -> tuple[list[str], dict[str, Any]]:
        answer = ringex.ask(sync, params=query).json()
        return [record["id"] for record in answer["records"]], answer["syncInfo"]

    ids, info = ask(recordCount=2)
    assert (ids, info["newerRecordsExist"]) == (placed[:2], True)
    ids, info = ask(syncType="ISync", syncToken=info["syncToken"])
    assert (ids, info["newerRecordsExist"]) == (placed[2:], False)
    late = ringex.place()["recordIds"]
    assert ask(syncType="ISync", syncToken=info["syncToken"])[0] == late
    ringex.clock.now += 3600
    ringex.log_in()
    assert ask()[0] == late
    assert ringex.ask(sync, params={"syncType": "ISync", "syncToken": "x"}).status_code == 400


def test_a_token_of_the_changes_expires(ringex: Driver) -> None:
    sync = f"{ACCOUNT}/call-log-extract-sync"
    ringex.world.config.sync_token_seconds = 60
    token = ringex.ask(sync).json()["syncInfo"]["syncToken"]
    ringex.clock.now += 60
    assert ringex.ask(sync, params={"syncType": "ISync", "syncToken": token}).status_code == 200
    ringex.clock.now += 1

    refused = ringex.ask(sync, params={"syncType": "ISync", "syncToken": token})

    assert refused.status_code == 400
    assert refused.json()["errors"][0]["errorCode"] == "CLG-101"


def test_a_record_can_gain_a_leg_when_it_is_rewritten(ringex: Driver) -> None:
    """The same record comes again, with another recording."""
    sync = f"{ACCOUNT}/call-log-extract-sync"
    placed = ringex.place(legs=legs(60, 90), legsAtFirst=1, rewrittenAfter=3600, listedAfter=0)
    first = ringex.ask(sync, params={"view": "Detailed"}).json()
    token = first["syncInfo"]["syncToken"]
    ringex.clock.now += 3600
    ringex.log_in()
    second = ringex.ask(
        sync, params={"view": "Detailed", "syncType": "ISync", "syncToken": token}
    ).json()

    for answer, ids in ((first, placed["recordingIds"][:1]), (second, placed["recordingIds"])):
        [record] = answer["records"]
        assert record["id"] == placed["recordIds"][0]
        assert sorted({leg["recording"]["id"] for leg in record["legs"]}) == sorted(ids)


def test_pages_can_go_on_for_ever(ringex: Driver) -> None:
    """Each names a next one, which is another one, long after the last record."""
    ringex.place()
    order = {"kind": "endless", "route": "call-log"}
    assert ringex.control("faults", order).status_code == 201
    address, seen = f"{ACCOUNT}/call-log", []

    for _ in range(5):
        page = ringex.ask(address).json()
        address = page["navigation"]["nextPage"]["uri"]
        seen.append((address, len(page["records"])))

    assert len({address for address, _ in seen}) == 5
    assert [records for _, records in seen] == [1, 0, 0, 0, 0]
    ringex.control("faults", method="DELETE")
    assert "nextPage" not in ringex.ask(address).json()["navigation"]


def test_changes_can_go_on_for_ever(ringex: Driver) -> None:
    order = {"kind": "endless", "route": "call-log-extract-sync"}
    assert ringex.control("faults", order).status_code == 201

    answers = [ringex.ask(f"{ACCOUNT}/call-log-extract-sync").json() for _ in range(3)]

    assert {each["syncInfo"]["newerRecordsExist"] for each in answers} == {True}


def test_a_token_of_the_changes_can_be_refused_with_any_code(ringex: Driver) -> None:
    """Once: the full synchronization after it is answered."""
    path, fault = f"{ACCOUNT}/call-log-extract-sync", {"kind": "status", "status": 400}
    token = ringex.ask(path).json()["syncInfo"]["syncToken"]
    fault |= {"route": "call-log-extract-sync", "errorCode": "XYZ-999"}
    assert ringex.control("faults", fault).status_code == 201

    refused = ringex.ask(path, params={"syncType": "ISync", "syncToken": token})

    assert (refused.status_code, refused.json()["errorCode"]) == (400, "XYZ-999")
    assert ringex.ask(path, params={"syncType": "FSync"}).status_code == 200
