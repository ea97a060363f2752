"""The limits, and the penalty that a request inside it restarts."""

from collections.abc import Iterator

import pytest

from tests.integration.simulators.ringex_driver import ACCOUNT, Driver, driving

LOG = f"{ACCOUNT}/call-log"


@pytest.fixture
def ringex() -> Iterator[Driver]:
    with driving(limits={"Heavy": {"limit": 3, "window": 60, "penalty": 60}}) as driver:
        yield driver


def test_answers_say_what_is_left(ringex: Driver) -> None:
    first, second = ringex.ask(LOG), ringex.ask(LOG)

    assert first.headers["X-Rate-Limit-Group"] == "heavy"
    assert first.headers["X-Rate-Limit-Limit"] == "3"
    assert first.headers["X-Rate-Limit-Window"] == "60"
    assert first.headers["X-Rate-Limit-Remaining"] == "2"
    assert second.headers["X-Rate-Limit-Remaining"] == "1"


def test_one_too_many_is_told_when_to_come_back(ringex: Driver) -> None:
    for _ in range(3):
        ringex.ask(LOG)

    refused = ringex.ask(LOG)

    assert refused.status_code == 429
    assert refused.json()["errors"][0]["errorCode"] == "CMN-301"
    assert refused.headers["Retry-After"] == "60"
    assert refused.headers["X-Rate-Limit-Remaining"] == "0"
    assert ringex.stats()["tooManyRequests"] == {"Heavy": 1}
    assert ringex.stats()["rulesBroken"]["limit exceeded"] == 1


def test_a_request_inside_the_penalty_restarts_it(ringex: Driver) -> None:
    for _ in range(4):
        ringex.ask(LOG)
    ringex.clock.now += 59
    assert ringex.ask(LOG).status_code == 429
    ringex.clock.now += 59
    assert ringex.ask(LOG).status_code == 429
    ringex.clock.now += 60
    assert ringex.ask(LOG).status_code == 200

    assert ringex.stats()["rulesBroken"]["penalty restarted"] == 2


def test_the_window_slides(ringex: Driver) -> None:
    for _ in range(3):
        ringex.ask(LOG)
        ringex.clock.now += 20

    granted = ringex.ask(LOG)

    assert granted.status_code == 200
    assert granted.headers["X-Rate-Limit-Remaining"] == "0"


def test_audio_and_the_log_share_one_bucket(ringex: Driver) -> None:
    ringex.ask(LOG)
    ringex.content("1")
    ringex.ask(f"{ACCOUNT}/recording/1")

    assert ringex.content("1").status_code == 429
    assert ringex.stats()["grants"]["Heavy"] == 3


def test_groups_do_not_touch_each_other(ringex: Driver) -> None:
    for _ in range(4):
        ringex.ask(LOG)

    assert ringex.ask("/restapi/v1.0/subscription").status_code == 200


def test_users_have_a_bucket_each_and_all_tokens_of_one_user_the_same() -> None:
    users = {"legato-local-jwt": "401555101", "other-jwt": "401555102"}
    with driving(limits={"Heavy": {"limit": 1}}, jwts=users) as ringex:
        ringex.ask(LOG)
        ringex.log_in()
        assert ringex.ask(LOG).status_code == 429
        ringex.token = ringex.mint(assertion="other-jwt").json()["access_token"]
        assert ringex.ask(LOG).status_code == 200


def test_logging_in_is_limited_to_five_a_minute() -> None:
    with driving(limits={"Auth": {"limit": 5}}, log_in=False) as ringex:
        statuses = [ringex.mint().status_code for _ in range(6)]

    assert statuses == [200] * 5 + [429]
