"""Subscribing: the handshake, what can go wrong in it, and how long it lasts."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.integration.simulators.ringex_driver import FILTER, HOOK, Driver, Webhook, driving

SUBSCRIPTION = "/restapi/v1.0/subscription"
WEEK = 7 * 24 * 3600


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def mode(**changes: Any) -> dict[str, Any]:
    return {"transportType": "WebHook", "address": HOOK} | changes


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["errorCode"]


def test_subscribing_shakes_hands_first(ringex: Driver) -> None:
    made = ringex.subscribe().json()

    [handshake] = ringex.webhook.handshakes
    assert handshake.method == "POST"
    assert handshake.headers["Content-Length"] == "0"
    assert handshake.headers["Validation-Token"]
    assert handshake.headers["Verification-Token"] == "a1" * 16
    assert made["status"] == "Active"
    assert made["eventFilters"] == ["/restapi/v1.0/account/401555000/telephony/sessions"]
    assert made["expiresIn"] == WEEK
    assert "verificationToken" not in made["deliveryMode"]
    assert ringex.ask(SUBSCRIPTION).json()["records"] == [made]
    assert ringex.ask(f"{SUBSCRIPTION}/{made['id']}").json() == made


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("Connection refused", request=request)


def silent(request: httpx.Request) -> httpx.Response:
    assert request.extensions["timeout"]["read"] == 3
    raise httpx.ReadTimeout("", request=request)


def uncertified(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("certificate verify failed", request=request)


def with_echo(status: int = 200, content: bytes = b"") -> Callable[[httpx.Request], httpx.Response]:
    def reply(request: httpx.Request) -> httpx.Response:
        echo = Webhook.echo(request)
        return httpx.Response(status, headers=echo.headers, content=content)

    return reply


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (lambda _: httpx.Response(200), "SUB-520"),
        (lambda _: httpx.Response(200, headers={"Validation-Token": "x"}), "SUB-520"),
        (unreachable, "SUB-521"),
        (silent, "SUB-521"),
        (with_echo(500), "SUB-522"),
        (with_echo(204), "SUB-522"),
        (uncertified, "SUB-524"),
        (with_echo(content=b"x" * 1000), "SUB-525"),
    ],
)
def test_a_failed_handshake_makes_no_subscription(
    ringex: Driver, reply: Callable[[httpx.Request], httpx.Response], expected: str
) -> None:
    ringex.webhook.reply = reply

    assert code(ringex.subscribe()) == (400, expected)
    assert ringex.ask(SUBSCRIPTION).json()["records"] == []


def test_a_handshake_without_a_content_type_is_noted(ringex: Driver) -> None:
    ringex.webhook.reply = lambda request: httpx.Response(
        200, headers={"Validation-Token": request.headers["Validation-Token"]}
    )

    assert ringex.subscribe().status_code == 200
    rule = "handshake answered without content type application/json"
    assert ringex.stats()["rulesBroken"][rule] == 1


@pytest.mark.parametrize("token", ["f" * 64, "with-dashes_and", "", 5])
def test_a_token_may_have_32_letters_and_digits_at_most(ringex: Driver, token: Any) -> None:
    refused = ringex.subscribe(deliveryMode=mode(verificationToken=token))

    assert code(refused) == (400, "CMN-101")
    assert refused.json()["parameterName"] == "deliveryMode.verificationToken"
    assert ringex.webhook.handshakes == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"deliveryMode": mode(address="http://hooks.example.com/")}, "SUB-523"),
        ({"deliveryMode": mode(address="nowhere")}, "CMN-101"),
        ({"deliveryMode": mode(transportType="Pigeon")}, "CMN-101"),
        ({"deliveryMode": None}, "CMN-101"),
        ({"eventFilters": []}, "CMN-101"),
        ({"eventFilters": ["/telephony"]}, "SUB-508"),
        ({"eventFilters": [f"{SUBSCRIPTION}/~?threshold=60&interval=30"]}, "SUB-515"),
        ({"eventFilters": [FILTER, f"{SUBSCRIPTION}/~?threshold=60&interval=31"]}, "SUB-516"),
        ({"eventFilters": [FILTER, f"{SUBSCRIPTION}/~"]}, "SUB-516"),
        ({"expiresIn": 0}, "CMN-101"),
        ({"expiresIn": 630720000}, "CMN-101"),
        ({"expiresIn": "long"}, "CMN-101"),
    ],
)
def test_a_wrong_subscription_is_refused(
    ringex: Driver, changes: dict[str, Any], expected: str
) -> None:
    assert code(ringex.subscribe(**changes)) == (400, expected)


def test_plain_http_is_for_this_machine_alone(ringex: Driver) -> None:
    local = mode(address="http://127.0.0.1:4600/webhook")
    assert ringex.subscribe(deliveryMode=local).status_code == 200

    ringex.control("settings", {"allowLoopbackHttp": False})
    assert code(ringex.subscribe(deliveryMode=local)) == (400, "SUB-523")


def test_thirty_are_the_limit(ringex: Driver) -> None:
    for _ in range(30):
        assert ringex.subscribe().status_code == 200

    assert code(ringex.subscribe()) == (403, "SUB-505")


def test_without_the_permission_nothing_is_subscribed() -> None:
    with driving(scopes="CallControl") as ringex:
        assert code(ringex.subscribe()) == (403, "CMN-401")


def test_a_renewal_keeps_the_lifetime_that_was_chosen(ringex: Driver) -> None:
    made = ringex.subscribe(expiresIn=1000).json()
    ringex.clock.now += 900

    renewed = ringex.ask(f"{SUBSCRIPTION}/{made['id']}/renew", "POST").json()

    assert renewed["expiresIn"] == 1000
    assert renewed["expirationTime"] > made["expirationTime"]


def test_an_update_changes_filters_and_expiry_but_never_the_token(ringex: Driver) -> None:
    made = ringex.subscribe(deliveryMode=mode(), expiresIn=1000).json()
    path = f"{SUBSCRIPTION}/{made['id']}"
    change = {
        "eventFilters": ["/restapi/v1.0/account/~/extension/~/telephony/sessions"],
        "expiresIn": 2000,
        "deliveryMode": mode(verificationToken="b2" * 16),
    }

    updated = ringex.ask(path, "PUT", json=change).json()

    filters = ["/restapi/v1.0/account/401555000/extension/401555101/telephony/sessions"]
    assert updated["eventFilters"] == filters
    assert updated["expiresIn"] == 2000
    ringex.place(legs=[{"duration": 1, "extensionId": "401555101"}])
    assert ringex.webhook.deliveries
    assert all("Verification-Token" not in sent.headers for sent in ringex.webhook.deliveries)
    assert ringex.ask(path, "PUT").json()["expiresIn"] == WEEK


def test_an_expired_subscription_is_gone(ringex: Driver) -> None:
    made = ringex.subscribe(expiresIn=100).json()
    ringex.clock.now += 100

    assert code(ringex.ask(f"{SUBSCRIPTION}/{made['id']}")) == (404, "CMN-102")
    ringex.place()
    assert ringex.webhook.deliveries == []


def test_a_deleted_subscription_is_gone(ringex: Driver) -> None:
    path = f"{SUBSCRIPTION}/{ringex.subscribe().json()['id']}"

    assert ringex.ask(path, "DELETE").status_code == 204
    assert ringex.ask(path, "DELETE").status_code == 404
    assert ringex.ask(f"{path}/renew", "POST").status_code == 404
    assert ringex.ask(path, "PUT", json={}).status_code == 404


def test_a_client_sees_only_its_own_user(ringex: Driver) -> None:
    ringex.control("settings", {"jwts": {"other-jwt": "401555102"}})
    made = ringex.subscribe().json()
    ringex.token = ringex.mint(assertion="other-jwt").json()["access_token"]

    assert ringex.ask(SUBSCRIPTION).json()["records"] == []
    assert ringex.ask(f"{SUBSCRIPTION}/{made['id']}").status_code == 404
