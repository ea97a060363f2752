"""Notifications: what a webhook is told of a call, how often, and in which order."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.simulators.ringex_driver import FILTER, Driver, driving
from tests.integration.simulators.ringex_spec import check_component

SUBSCRIPTION = "/restapi/v1.0/subscription"


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving() as driver:
        driver.subscribe()
        yield driver


def legs(*durations: float) -> list[dict[str, Any]]:
    return [
        {"duration": duration, "extensionId": f"40155510{n}"}
        for n, duration in enumerate(durations, start=1)
    ]


def story(ringex: Driver) -> list[tuple[str, str, bool]]:
    told = []
    for event in ringex.webhook.events:
        [party] = event["body"]["parties"]
        who = party["id"].rsplit("-", 1)[1]
        told.append((who, party["status"]["code"], "recordings" in party))
    return told


def test_a_call_is_told_party_by_party(ringex: Driver) -> None:
    placed = ringex.place(legs=legs(60))

    for event in ringex.webhook.events:
        check_component("AccountTelephonySessionsEvent", event)
    assert story(ringex) == [
        ("1", "Setup", False),
        ("1", "Proceeding", False),
        ("2", "Setup", False),
        ("2", "Proceeding", False),
        ("2", "Answered", False),
        ("1", "Answered", False),
        ("2", "Answered", True),
        ("2", "Disconnected", True),
        ("1", "Disconnected", False),
    ]
    assert placed["notifications"] == 9
    bodies = [event["body"] for event in ringex.webhook.events]
    assert [body["sequence"] for body in bodies] == list(range(1, 10))
    assert {body["telephonySessionId"] for body in bodies} == {placed["telephonySessionId"]}
    [recorded] = bodies[7]["parties"][0]["recordings"]
    assert recorded == {"id": placed["recordingIds"][0], "active": False}
    assert "extensionId" not in bodies[8]["parties"][0]
    assert bodies[7]["parties"][0]["extensionId"] == "401555101"


def test_the_envelope_is_the_real_one(ringex: Driver) -> None:
    ringex.place()

    event, request = ringex.webhook.events[0], ringex.webhook.deliveries[0]
    assert set(event) == {"uuid", "event", "timestamp", "subscriptionId", "ownerId", "body"}
    assert event["event"] == "/restapi/v1.0/account/401555000/telephony/sessions"
    assert request.headers["User-Agent"] == "RingCentral-Webhook/8.3"
    assert request.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert request.headers["Verification-Token"] == "a1" * 16
    assert "Validation-Token" not in request.headers
    assert len({each["uuid"] for each in ringex.webhook.events}) == 9


def test_a_transfer_disconnects_one_party_in_the_middle(ringex: Driver) -> None:
    ringex.place(legs=legs(60, 90))

    events = ringex.webhook.events
    assert len(events) == 14
    reasons = [event["body"]["parties"][0]["status"].get("reason") for event in events]
    assert reasons.count("BlindTransfer") == 1
    assert story(ringex)[reasons.index("BlindTransfer")] == ("2", "Disconnected", True)
    assert story(ringex)[-2:] == [("3", "Disconnected", True), ("1", "Disconnected", False)]


def test_a_warm_transfer_names_where_the_party_went(ringex: Driver) -> None:
    ringex.place(legs=legs(60), transferTarget="s-consult")

    status = ringex.webhook.events[-2]["body"]["parties"][0]["status"]
    assert (status["code"], status["reason"]) == ("Gone", "AttendedTransfer")
    assert status["peerId"] == {"telephonySessionId": "s-consult"}


def test_a_call_that_was_not_recorded_names_no_recording(ringex: Driver) -> None:
    ringex.place()
    ringex.place(legs=legs(60), hintRecordings=False)

    assert len(ringex.webhook.events) == 18
    assert not any(recorded for _, _, recorded in story(ringex))


def test_nothing_is_sent_when_asked_not_to(ringex: Driver) -> None:
    assert ringex.place(legs=legs(60), emit=False)["notifications"] == 0
    assert ringex.webhook.deliveries == []


def test_a_running_call_ends_when_its_time_is_over(ringex: Driver) -> None:
    ringex.place(legs=legs(60), inProgress=30)
    assert len(story(ringex)) == 7
    assert ringex.stats()["pendingNotifications"] == 2

    ringex.clock.now += 30
    ringex.control("drain")

    assert [code for _, code, _ in story(ringex)[7:]] == ["Disconnected", "Disconnected"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("?statusCode=Disconnected", {"Disconnected": 2}),
        ("?statusCode=disconnected&withRecordings=true", {"Disconnected": 1}),
        ("?statusCode=!Disconnected", {"Setup": 2, "Proceeding": 2, "Answered": 3}),
        ("?statusCode=Setup&statusCode=Proceeding", {"Setup": 2, "Proceeding": 2}),
        ("?direction=Inbound&statusCode=Setup", {"Setup": 1}),
        ("?withRecordings=false&statusCode=Setup", {"Setup": 2}),
        ("?missedCall=true", {}),
    ],
)
def test_event_filters_are_honoured(options: str, expected: dict[str, int]) -> None:
    with driving() as ringex:
        ringex.subscribe(eventFilters=[FILTER + options])
        ringex.place(legs=legs(60))

        assert Counter(code for _, code, _ in story(ringex)) == expected


def test_an_extension_filter_hears_of_that_extension_alone() -> None:
    path = "/restapi/v1.0/account/401555000/extension/401555102/telephony/sessions"
    with driving() as ringex:
        ringex.subscribe(eventFilters=[path, FILTER + "?missedCall=true"])
        ringex.place(legs=legs(60, 90))

        assert {who for who, _, _ in story(ringex)} == {"3"}
        assert {event["event"] for event in ringex.webhook.events} == {path}


def test_order_and_duplicates_can_be_unpleasant() -> None:
    with driving(shuffle=True, duplicateShare=0.5, seed=7) as ringex:
        ringex.subscribe()
        placed = ringex.place(legs=legs(60, 90))

        sequences = [event["body"]["sequence"] for event in ringex.webhook.events]
        by_uuid = Counter(event["uuid"] for event in ringex.webhook.events)
        assert sequences != sorted(sequences)
        assert set(sequences) == set(range(1, 15))
        assert len(by_uuid) == 14
        assert set(by_uuid.values()) == {1, 2}
        assert placed["notifications"] == len(sequences)
        assert ringex.stats()["notifications"]["duplicates"] == len(sequences) - 14


def test_every_notification_can_come_twice() -> None:
    with driving(duplicateShare=1) as ringex:
        ringex.subscribe()
        ringex.place()

        by_uuid = Counter(event["uuid"] for event in ringex.webhook.events)
        assert list(by_uuid.values()) == [2] * 9


@pytest.mark.parametrize(
    ("answer", "counted", "reason"),
    [
        (
            httpx.Response(404),
            "404",
            "Webhook responses with code: [404], reason: [Not Found]",
        ),
        (
            httpx.Response(200, content=b"x" * 1025),
            "oversize",
            "Webhook response exceeds max size. Read bytes count: [1024]",
        ),
        (None, "unreachable", "I/O operation is failed. Details: [Read timed out]"),
    ],
)
def test_a_webhook_that_keeps_failing_is_blacklisted(
    ringex: Driver, answer: httpx.Response | None, counted: str, reason: str
) -> None:
    def failing(request: httpx.Request) -> httpx.Response:
        if answer is None:
            raise httpx.ReadTimeout("", request=request)
        return answer

    ringex.webhook.reply = failing
    ringex.place()
    [subscription] = ringex.ask(SUBSCRIPTION).json()["records"]
    assert subscription["status"] == "Active"

    ringex.clock.now += 600
    ringex.place()

    [subscription] = ringex.ask(SUBSCRIPTION).json()["records"]
    assert subscription["status"] == "Blacklisted"
    assert subscription["blacklistedData"]["reason"] == reason
    told = ringex.stats()["notifications"]
    assert told["answers"][counted] >= 10
    assert told["answers"][counted] + told["dropped"] == 18
    ringex.ask(f"{SUBSCRIPTION}/{subscription['id']}/renew", "POST")
    assert ringex.ask(SUBSCRIPTION).json()["records"][0]["status"] == "Blacklisted"


def test_one_success_forgives_the_failures_before_it(ringex: Driver) -> None:
    ringex.webhook.reply = lambda _: httpx.Response(500)
    ringex.place()
    ringex.webhook.reply = ringex.webhook.echo
    ringex.place()
    ringex.clock.now += 600
    ringex.webhook.reply = lambda _: httpx.Response(500)
    ringex.place()

    assert ringex.ask(SUBSCRIPTION).json()["records"][0]["status"] == "Active"


def test_every_subscription_hears_of_a_call(ringex: Driver) -> None:
    ringex.subscribe(eventFilters=[FILTER + "?statusCode=Disconnected"])

    assert ringex.place(legs=legs(60))["notifications"] == 11
