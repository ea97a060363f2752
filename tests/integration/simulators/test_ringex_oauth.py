"""Logging in, and being logged out."""

from collections.abc import Iterator

import pytest

from tests.integration.simulators.ringex_driver import ACCOUNT, CLIENT, Driver, driving

LOG = f"{ACCOUNT}/call-log"


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving(tokenSeconds=900) as driver:
        yield driver


def test_a_jwt_becomes_a_token_that_opens_the_call_log(ringex: Driver) -> None:
    token = ringex.mint().json()

    assert token["token_type"] == "bearer"
    assert token["expires_in"] == 900
    assert token["owner_id"] == "401555101"
    assert "ReadCallRecording" in token["scope"].split()
    assert ringex.ask(LOG).status_code == 200


def test_a_lifetime_can_be_asked_for_within_limits(ringex: Driver) -> None:
    assert ringex.mint(access_token_ttl="600").json()["expires_in"] == 600
    assert ringex.mint(access_token_ttl="599").status_code == 400


@pytest.mark.parametrize(
    ("change", "error", "code"),
    [
        ({"assertion": "someone-else"}, "invalid_grant", "OAU-331"),
        ({"grant_type": "password"}, "unsupported_grant_type", "OAU-251"),
    ],
)
def test_a_wrong_jwt_is_refused_for_good(
    ringex: Driver, change: dict[str, str], error: str, code: str
) -> None:
    refused = ringex.mint(**change)

    assert refused.status_code == 400
    assert refused.json()["error"] == error
    assert refused.json()["errors"][0]["errorCode"] == code


@pytest.mark.parametrize(
    ("auth", "status", "code"),
    [
        (("nobody", "legato-local-secret"), 400, "OAU-153"),
        (("legato-local-client", "wrong"), 401, "OAU-146"),
        (None, 400, "OAU-153"),
    ],
)
def test_a_wrong_client_is_refused(
    ringex: Driver, auth: tuple[str, str] | None, status: int, code: str
) -> None:
    refused = ringex.authenticate("token", {"grant_type": "x"}, auth)

    assert (refused.status_code, refused.json()["errorCode"]) == (status, code)
    assert refused.json()["error"] == "invalid_client"


def test_the_token_endpoint_takes_a_form_only(ringex: Driver) -> None:
    sent = ringex.http.request("POST", "/restapi/oauth/token", json={}, auth=CLIENT)
    assert sent.status_code == 415


def test_a_token_expires(ringex: Driver) -> None:
    ringex.clock.now += 900

    refused = ringex.ask(LOG)

    assert (refused.status_code, refused.json()["errorCode"]) == (401, "OAU-128")


def test_the_sixth_session_evicts_the_oldest(ringex: Driver) -> None:
    for _ in range(4):
        ringex.mint()
    assert ringex.ask(LOG).status_code == 200

    ringex.mint()

    refused = ringex.ask(LOG)
    assert (refused.status_code, refused.json()["errorCode"]) == (401, "OAU-213")
    assert ringex.stats()["rulesBroken"]["session evicted"] == 1
    assert ringex.stats()["tokensMinted"] == 6


def test_expired_sessions_do_not_count_among_the_five(ringex: Driver) -> None:
    for _ in range(4):
        ringex.mint()
    ringex.clock.now += 900
    kept = ringex.log_in()
    for _ in range(4):
        ringex.mint()

    assert ringex.token == kept
    assert ringex.ask(LOG).status_code == 200


def test_a_revoked_token_is_gone(ringex: Driver) -> None:
    assert ringex.authenticate("revoke", {"token": ringex.token}).status_code == 200
    assert ringex.ask(LOG).json()["errorCode"] == "OAU-213"


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, "OAU-123"), ({"Authorization": "Basic eA=="}, "OAU-134")],
)
def test_a_request_without_a_bearer_token_is_refused(
    ringex: Driver, headers: dict[str, str], code: str
) -> None:
    refused = ringex.http.request("GET", LOG, headers=headers)

    assert (refused.status_code, refused.json()["errorCode"]) == (401, code)


def test_a_missing_permission_is_named() -> None:
    with driving(scopes="ReadCallLog") as ringex:
        refused = ringex.content("1")

    assert refused.status_code == 403
    assert refused.json()["errors"][0]["permissionName"] == "ReadCallRecording"


def test_the_account_says_its_number(ringex: Driver) -> None:
    """A number and no text, unlike in every path."""
    answer = ringex.ask(ACCOUNT)

    assert answer.status_code == 200
    assert answer.json() == {
        "uri": "http://ringex.example.com/restapi/v1.0/account/401555000",
        "id": 401555000,
    }
    assert ringex.stats()["grants"]["Light"] == 1


def test_another_account_is_not_found(ringex: Driver) -> None:
    assert ringex.ask("/restapi/v1.0/account/401555000/call-log").status_code == 200
    assert ringex.ask("/restapi/v1.0/account/999/call-log").json()["errorCode"] == "CMN-102"
