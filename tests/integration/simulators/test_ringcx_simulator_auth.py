"""Two tokens for one door: RingCentral's is exchanged for RingCX's, which dies soon."""

import httpx
import pytest

from local.simulators.ringex import Config, create_app
from tests.integration.simulators.ringcx_driver import (
    EXCHANGE,
    MAIN,
    OTHER,
    RC_ACCOUNT,
    SUB,
    driving,
)
from tests.integration.simulators.ringcx_spec import check_component, example, shape
from tests.integration.simulators.ringex_driver import CLIENT, JWT_BEARER

ACCOUNTS = "/voice/api/v1/admin/accounts"
DOCUMENTED = {
    "Metadata": [{"limit": 3, "window": 60}, {"limit": 9, "window": 900}],
    "Recordings": [{"limit": 120, "window": 60}],
    "Exchange": [{"limit": 5, "window": 60}],
}


@pytest.fixture
def ringcx():
    with driving() as driver:
        yield driver


def test_tokens_come_in_the_shape_of_the_examples(ringcx):
    """Field for field, in the same order, and as the description has them."""
    exchanged = ringcx.exchange(ringcx.mint()).json()
    refreshed = ringcx.refresh(exchanged["refreshToken"]).json()
    assert shape(exchanged) == shape(example("exchange"))
    assert list(exchanged) == list(example("exchange"))
    assert shape(refreshed) == shape(example("refresh"))
    check_component("AccessTokenUserDetails", refreshed)
    assert exchanged["mainAccountId"] == MAIN
    assert [each["accountId"] for each in exchanged["agentDetails"]] == [SUB, OTHER]


def test_a_refresh_token_comes_only_to_who_asks_for_it(ringcx):
    """`includeRefresh=true` is what asks."""
    assert "refreshToken" not in ringcx.exchange(ringcx.mint(), refresh="false").json()


def test_the_token_may_stand_in_the_query(ringcx):
    """The description has it there, every sample in the form."""
    query = {"rcAccessToken": ringcx.mint(), "rcTokenType": "Bearer", "includeRefresh": "true"}
    assert ringcx.http.request("POST", EXCHANGE, params=query).json()["refreshToken"]


def test_a_token_that_ringcentral_does_not_know_is_refused(ringcx):
    """With 401, as a refresh token that was never given out."""
    assert ringcx.exchange("nobody").status_code == 401
    assert ringcx.refresh("nothing").status_code == 401
    assert ringcx.exchange(ringcx.mint(), rcTokenType="Basic").status_code == 400


def test_an_access_token_lives_five_minutes(ringcx):
    """After that the answer is plain text, and the refresh token still works."""
    ringcx.clock.now += 299.9
    assert ringcx.ask(ACCOUNTS).status_code == 200
    ringcx.clock.now += 0.1
    refused = ringcx.ask(ACCOUNTS)
    assert (refused.status_code, refused.text) == (401, "Jwt is expired")
    assert refused.headers["content-type"].startswith("text/plain")

    ringcx.token = ringcx.refresh(ringcx.refresh_token).json()["accessToken"]
    assert ringcx.ask(ACCOUNTS).status_code == 200


def test_a_refresh_token_is_good_once(ringcx):
    """The one that comes with the answer takes its place."""
    second = ringcx.refresh(ringcx.refresh_token).json()["refreshToken"]
    assert ringcx.refresh(ringcx.refresh_token).status_code == 401
    assert ringcx.refresh(second).status_code == 200
    assert ringcx.stats()["exchanges"] == 1
    assert ringcx.stats()["refreshes"] == 2


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer nobody", "Basic eA=="])
def test_nobody_else_gets_in(ringcx, header):
    """No token, an unknown one and RingCentral's own are all an expired one."""
    refused = ringcx.ask(ACCOUNTS, headers={"Authorization": header})
    assert (refused.status_code, refused.text) == (401, "Jwt is expired")
    assert ringcx.ask(ACCOUNTS, headers={"Authorization": f"Bearer {ringcx.mint()}"}).is_error


def test_five_exchanges_a_minute_and_refreshes_count():
    """The sixth is told to come back in a second, which is not true."""
    with driving(limits=DOCUMENTED, log_in=False) as ringcx:
        token = ringcx.mint()
        refresh = ringcx.exchange(token).json()["refreshToken"]
        for _ in range(4):
            refresh = ringcx.refresh(refresh).json()["refreshToken"]
        refused = ringcx.exchange(token)
        assert (refused.status_code, refused.text) == (429, "rate")
        assert refused.headers["Retry-After"] == "1"
        ringcx.clock.now += 59
        assert ringcx.refresh(refresh).status_code == 429
        ringcx.clock.now += 1
        assert ringcx.refresh(refresh).status_code == 200
        assert ringcx.stats()["tooManyRequests"] == {"Exchange": 2}
        assert ringcx.stats()["rulesBroken"]["limit exceeded"] == 2


def test_the_sub_accounts_know_their_ringcentral_account(ringcx):
    """Whose id is not the main account's, and a number at RingCentral itself."""
    ringcx.control("settings", {"audioRetentionDays": 30})
    listed = ringcx.ask(ACCOUNTS).json()
    assert [each["accountId"] for each in listed] == [SUB, OTHER]
    assert {each["mainAccountId"] for each in listed} == {MAIN}
    assert {each["mainAccount"]["rcAccountId"] for each in listed} == {RC_ACCOUNT}
    assert {each["audioRetentionDays"] for each in listed} == {30}
    ringcx.control("settings", {"audioRetentionDays": None})
    assert ringcx.ask(ACCOUNTS).json()[0]["audioRetentionDays"] is None

    bearer = {"Authorization": f"Bearer {ringcx.mint()}"}
    account = ringcx.http.request("GET", "/restapi/v1.0/account/~", headers=bearer).json()
    assert account["id"] == int(RC_ACCOUNT)


def test_another_simulator_can_say_who_is_logged_in():
    """With `platformUrl` only tokens count that were minted there."""
    platform = create_app(Config())
    elsewhere = httpx.ASGITransport(platform)
    url = "http://platform.example.com"
    with driving(platformUrl=url, transport=elsewhere, log_in=False) as ringcx:
        assert ringcx.exchange("nobody").status_code == 401
        minted = platform.state.world.sessions.open("401555101", lifetime=None)
        assert ringcx.exchange(minted["access_token"]).status_code == 200
        platform.state.world.config.scopes = "ReadCallLog"
        blind = platform.state.world.sessions.open("401555101", lifetime=None)
        assert ringcx.exchange(blind["access_token"]).status_code == 401
        form = {"grant_type": JWT_BEARER, "assertion": "legato-local-jwt"}
        here = ringcx.http.request("POST", "/restapi/oauth/token", data=form, auth=CLIENT)
        assert here.status_code == 404


def test_a_platform_in_trouble_is_no_refusal():
    """A client that has good credentials is not told that they are bad."""

    def in_trouble(_request):
        return httpx.Response(503)

    with driving(
        platformUrl="http://platform.example.com",
        transport=httpx.MockTransport(in_trouble),
        log_in=False,
    ) as ringcx:
        form = {"rcAccessToken": "any", "rcTokenType": "Bearer"}
        assert ringcx.http.request("POST", EXCHANGE, data=form).status_code == 500
