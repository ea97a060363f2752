"""Logging in, tokens that end, accounts that are seen, and the buckets that pay for it."""

import base64
import hashlib
import json

import pytest

from tests.integration.simulators.kazoo_driver import FIRST, KEY, SECOND, driving

OWN_KEY = "k" * 64
DOCUMENTED = {"bucketTokens": 100, "tokensPerSecond": 10}


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


def claims_of(token):
    _, claims, _ = token.split(".")
    return json.loads(base64.urlsafe_b64decode(claims + "=="))


def test_an_api_key_buys_a_token_that_says_when_it_ends(kazoo):
    """201, with the token beside the data; it is a JWT, its end in Unix seconds."""
    answer = kazoo.put("api_auth", {"api_key": KEY})
    assert answer.status_code == 201
    claims = claims_of(answer.json()["auth_token"])
    assert claims["account_id"] == answer.json()["data"]["account_id"] == FIRST
    assert claims["exp"] == kazoo.clock.now + 3600


def test_a_token_lives_as_long_as_it_says(kazoo):
    """After that it is refused like one that never was."""
    kazoo.clock.now += 3599
    assert kazoo.ask("recordings").status_code == 200
    kazoo.clock.now += 1
    refused = kazoo.ask("recordings")
    assert refused.status_code == 401
    assert refused.json()["data"] == {"message": "invalid credentials"}
    assert (refused.json()["error"], refused.json()["message"]) == ("401", "invalid_credentials")


@pytest.mark.parametrize(
    ("data", "status"),
    [({"api_key": "x" * 64}, 404), ({"api_key": "short"}, 400), ({}, 400), ("nothing", 400)],
)
def test_an_unknown_key_is_a_bad_identifier(kazoo, data, status):
    """And what the schema does not allow is no key at all."""
    refused = kazoo.put("api_auth", data)
    assert refused.status_code == status
    if status == 404:
        assert refused.json()["message"] == "bad_identifier"
    assert kazoo.stats()["tokensMinted"] == 1


@pytest.mark.parametrize("method", ["md5", "sha"])
@pytest.mark.parametrize("place", ["account_name", "account_realm"])
def test_a_user_logs_in_with_a_hash_and_an_account(kazoo, method, place):
    """Of the name in lower case; without the account nobody knows him."""
    digest = hashlib.md5 if method == "md5" else hashlib.sha1
    named = {"account_name": "company-4c2f7a", "account_realm": "4c2f7a.sip.example.com"}
    data = {"credentials": digest(b"ada@example.com:secret").hexdigest(), "method": method}
    answer = kazoo.put("user_auth", data | {place: named[place]})
    assert answer.status_code == 201
    kazoo.token = answer.json()["auth_token"]
    assert kazoo.ask("recordings").status_code == 200
    assert kazoo.put("user_auth", data).status_code == 401
    assert kazoo.put("user_auth", data | {place: "other", "method": "none"}).status_code == 400
    assert kazoo.put("user_auth", {"credentials": "0", place: named[place]}).status_code == 401


def test_the_token_may_stand_in_the_query(kazoo):
    """As `auth_token`; without either there is no way in."""
    url = f"/v2/accounts/{FIRST}/recordings"
    assert kazoo.http.request("GET", url, params={"auth_token": kazoo.token}).status_code == 200
    assert kazoo.http.request("GET", url).status_code == 401


def test_only_a_reseller_sees_other_accounts():
    """An account that there is not is as forbidden as somebody else's."""
    with driving(apiKeys={KEY: FIRST, OWN_KEY: SECOND}) as kazoo:
        assert kazoo.ask("recordings", account=SECOND).status_code == 200
        assert kazoo.ask("recordings", account="0" * 32).status_code == 403
        kazoo.log_in(OWN_KEY)
        assert kazoo.ask("recordings", account=SECOND).status_code == 200
        refused = kazoo.ask("recordings", account=FIRST)
        assert (refused.status_code, refused.json()["message"]) == (403, "forbidden")


def test_a_bucket_of_a_hundred_gains_ten_each_second_at_once():
    """Nothing comes in between, and what is refused takes nothing."""
    with driving(**DOCUMENTED) as kazoo:
        answers = [kazoo.ask("recordings") for _ in range(101)]
        assert [answer.status_code for answer in answers] == [200] * 100 + [429]
        assert answers[0].json()["tokens"] == {"consumed": 1, "remaining": 99}
        assert answers[100].json()["tokens"] == {"consumed": 0, "remaining": 0}
        assert answers[100].json()["message"] == "too_many_requests"
        assert "retry-after" not in answers[100].headers
        kazoo.clock.now += 0.99
        assert kazoo.ask("recordings").status_code == 429
        kazoo.clock.now += 0.01
        assert [kazoo.ask("recordings").status_code for _ in range(11)] == [200] * 10 + [429]
        kazoo.clock.now += 1000
        assert kazoo.page()["tokens"]["remaining"] == 99
        assert kazoo.stats()["tooManyRequests"] == {FIRST: 3}
        assert kazoo.stats()["rulesBroken"] == {"limit exceeded": 3}
        assert kazoo.stats()["tokensConsumed"] == {"login": 35, FIRST: 111}


def test_each_account_has_a_bucket_and_logging_in_has_one():
    """So what is asked of one leaves the others full; a stranger pays too."""
    with driving(**DOCUMENTED) as kazoo:
        assert kazoo.ask("recordings").json()["tokens"]["remaining"] == 99
        second = kazoo.ask("recordings", account=SECOND, headers={"X-Auth-Token": "nobody"})
        assert second.status_code == 401
        assert second.json()["tokens"] == {"consumed": 1, "remaining": 99}


def test_the_third_log_in_at_once_is_too_many_and_takes_the_rest():
    """35 tokens each; the next second brings too few for another one."""
    with driving(log_in=False, **DOCUMENTED) as kazoo:
        statuses = [kazoo.put("api_auth", {"api_key": KEY}).status_code for _ in range(3)]
        assert statuses == [201, 201, 429]
        kazoo.clock.now += 3
        assert kazoo.put("api_auth", {"api_key": KEY}).status_code == 429
        kazoo.clock.now += 4
        assert kazoo.put("api_auth", {"api_key": KEY}).status_code == 201


def test_an_operator_may_change_what_requests_cost():
    """`tokens` in the answer says so."""
    with driving(**DOCUMENTED, requestCost=40) as kazoo:
        assert kazoo.page()["tokens"] == {"consumed": 40, "remaining": 60}
