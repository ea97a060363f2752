"""The subscription through everything that happens to one, with the real keeper and webhook."""

import json
import threading
import time

import httpx
import pytest

from local import aws, custom
from tests.patience import PATIENCE_SECONDS, until

KEEPER = "KeeperFunction"
SCHEDULED = ()
"""The keeper would find another one at work."""
DAY = 24 * 60 * 60


@pytest.fixture(scope="module")
def ringex(system):
    with httpx.Client(base_url=system.endpoints.simulators["ringex"], timeout=30) as client:
        yield client


@pytest.fixture
def keep(system):
    """Run the keeper once."""
    return lambda event=None: system.invoke(KEEPER, event or {})


def only(ringex):
    [one] = subscriptions(ringex)
    return one


def subscriptions(ringex):
    return ringex.get("/_sim/subscriptions").json()


def happens(ringex, **what):
    """Let something happen to the subscription; return its id."""
    name = only(ringex)["id"]
    ringex.post("/_sim/subscriptions", json={"id": name, **what}).raise_for_status()
    return name


def test_a_fresh_account_is_subscribed_when_the_stack_stands(system, ringex):
    """To what is needed and no more, for ten years, with the token of the secret."""
    one = only(ringex)
    assert one["deliveryMode"]["address"] == system.endpoints.webhook
    assert one["verificationToken"] == system.endpoints.webhook_token
    assert one["status"] == "Active"
    assert 315360000 - 60 < one["expiresIn"] <= 315360000
    sessions = "/restapi/v1.0/account/401555000/telephony/sessions"
    assert set(one["eventFilters"]) == {
        f"{sessions}?statusCode=Disconnected",
        f"{sessions}?statusCode=Gone",
        f"{sessions}?withRecordings=true",
        "/restapi/v1.0/subscription/~?threshold=259200&interval=43200",
    }


def test_a_blacklisted_one_is_replaced_within_one_run(ringex, keep):
    """And the old one is gone."""
    old = happens(ringex, status="Blacklisted", reason="Webhook responses with code: [404]")
    keep()
    new = only(ringex)
    assert new["id"] != old
    assert new["status"] == "Active"


def test_one_that_lost_a_permission_is_replaced(ringex, keep):
    """RingCentral lists the filter as disabled."""
    old = happens(ringex, disabled=only(ringex)["eventFilters"][0])
    keep()
    assert only(ringex)["id"] != old
    assert only(ringex)["disabledFilters"] == []


def test_one_that_ends_soon_is_renewed(ringex, keep):
    """It is still the same one."""
    name = happens(ringex, expiresIn=6 * DAY)
    keep()
    assert only(ringex)["id"] == name
    assert only(ringex)["expiresIn"] > 3000 * DAY


def test_one_that_was_deleted_by_hand_is_made_again(ringex, keep):
    """Within one run."""
    old = happens(ringex, status="Deleted")
    assert keep()["healthy"]
    assert only(ringex)["id"] != old


def test_the_token_rotates_while_notifications_arrive(system, ringex, keep, warm_webhook):
    """Not one of them is refused, before, in between, or after."""
    ringex.delete("/_sim/stats").raise_for_status()
    before = only(ringex)
    enough = threading.Event()

    def told():
        return ringex.get("/_sim/stats").json()["notifications"]

    def let_some_arrive():
        sent = told()["sent"]
        until(lambda: told()["sent"] > sent + 100)

    def call_all_the_time():
        with httpx.Client(base_url=str(ringex.base_url), timeout=30) as client:
            while not enough.wait(0.02):
                client.post("/_sim/calls", json={"legs": [], "duration": 1}).raise_for_status()

    callers = threading.Thread(target=call_all_the_time)
    callers.start()
    try:
        let_some_arrive()  # the worst moment: every webhook has just read the secret
        keep({"rotate": True})
        # For a while there are two.
        until(lambda: keep() and before["id"] not in {one["id"] for one in subscriptions(ringex)})
        after = only(ringex)
        let_some_arrive()
    finally:
        enough.set()
        callers.join()
    ringex.post("/_sim/drain").raise_for_status()
    assert after["id"] != before["id"]
    assert after["verificationToken"] != before["verificationToken"]
    notifications = told()
    assert notifications["answers"] == {"200": notifications["sent"]}
    assert notifications["sent"] > 200


def test_the_other_tokens_stay_as_they_are(system):
    """Kazoo's push key stands beside RingCentral's tokens, and no credential does."""
    secrets = aws.client("secretsmanager", system.endpoints.aws)
    arn = system.stack.outputs["InboundTokensArn"]
    content = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    names = {"ringexVerificationToken", "ringexPreviousVerificationToken", "kazooPushKey"}
    assert content.keys() == names
    assert content["ringexPreviousVerificationToken"] == system.endpoints.webhook_token


@pytest.mark.parametrize("answered", [True, False])
def test_a_stack_that_is_deleted_unsubscribes(system, ringex, keep, answered):
    """No schedule that fires once more subscribes again; a stack that comes back does.

    CloudFormation invents an id for a resource whose creation was never answered.
    """
    [resource] = [each for each in system.stack.customs if each.logical == "RingexSubscription"]
    with custom.sink() as (url, answers):
        physical = system.endpoints.webhook if answered else "legato-RingexSubscription-1A2B"
        system.invoke(KEEPER, custom.event("Delete", resource, url, physical))
        told = answers.get(timeout=PATIENCE_SECONDS)
        assert (told["Status"], told["PhysicalResourceId"]) == ("SUCCESS", physical)
        assert subscriptions(ringex) == []
        assert keep()["healthy"] is None
        assert subscriptions(ringex) == []
        system.invoke(KEEPER, custom.event("Create", resource, url))
        told = answers.get(timeout=PATIENCE_SECONDS)
        assert told["Status"] == "SUCCESS"
        assert told["PhysicalResourceId"] == system.endpoints.webhook
    assert only(ringex)["status"] == "Active"


def test_a_deployment_before_the_credentials_are_there_succeeds(system, ringex):
    """What lacks is said, and the schedule comes back to it."""
    secrets = aws.client("secretsmanager", system.endpoints.aws)
    arn = system.stack.outputs["CredentialsArn"]
    filled = secrets.get_secret_value(SecretId=arn)["SecretString"]
    empty = '{"ringex": {"clientId": "", "clientSecret": "", "jwt": ""}}'
    secrets.put_secret_value(SecretId=arn, SecretString=empty)
    time.sleep(5.5)  # a cached secret is five seconds old at most
    try:
        [resource] = [each for each in system.stack.customs if each.logical == "RingexSubscription"]
        with custom.sink() as (url, answers):
            answer = system.invoke(KEEPER, custom.event("Create", resource, url))
            told = answers.get(timeout=PATIENCE_SECONDS)
    finally:
        secrets.put_secret_value(SecretId=arn, SecretString=filled)
    assert told["Status"] == "SUCCESS"
    assert "the secret has no RingCentral clientId, clientSecret, jwt" in told["Reason"]
    assert answer["counts"] == {"KeeperFailed": 1}
    assert only(ringex)["status"] == "Active"
