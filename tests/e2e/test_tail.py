"""Calls are found by following the call log; notifications only make it faster."""

import json

import httpx
import pytest

from legato.aws.ledger import DynamoLedger
from local import aws
from tests.e2e.swept import RINGEX_ACCOUNT
from tests.fakes import an_id
from tests.patience import until

SCHEDULED = ("SweeperFunction",)
"""The auditor would ask what was recorded in the last days, and here requests are counted."""
LOOKS = {"call-log", "call-log-record", "recording"}
"""Requests that ask about a single call or a batch of them."""
TWO_LEGS = [{"duration": 1, "format": "mp3"}] * 2


@pytest.fixture(scope="module")
def ledger(system):
    return DynamoLedger(aws.client("dynamodb", system.endpoints.aws), table=system.endpoints.table)


@pytest.fixture(scope="module")
def ringex(system):
    with httpx.Client(base_url=f"{system.endpoints.simulators['ringex']}/_sim") as client:
        yield client


@pytest.fixture
def place(ringex):
    def place(**order):
        answer = ringex.post("/calls", json=order).raise_for_status().json()
        return answer["telephonySessionId"]

    return place


@pytest.fixture
def at_rest(ledger):
    """Return a function that waits until a call is as it should be, and returns its entry."""

    def wait(call, status, revision=0):
        def rests():
            state = ledger.load(an_id(call, account=RINGEX_ACCOUNT))
            found = (state.status, state.revision, state.lease_until)
            return found == (status, revision, None) and state

        return until(rests)

    return wait


def objects(system, state):
    """Return every version of every object of a call, with its bytes' tag."""
    s3 = aws.client("s3", system.endpoints.aws)
    listed = s3.list_object_versions(Bucket=system.endpoints.bucket, Prefix=state.prefix)
    assert "DeleteMarkers" not in listed
    return {(item["Key"], item["VersionId"]): item["ETag"] for item in listed["Versions"]}


def read(system, stored):
    s3 = aws.client("s3", system.endpoints.aws)
    answer = s3.get_object(
        Bucket=system.endpoints.bucket, Key=stored.key, VersionId=stored.version_id
    )
    return json.loads(answer["Body"].read())


def test_a_call_of_which_no_notification_came_is_archived_all_the_same(ringex, place, at_rest):
    """With no request of the call log beside the sweeps."""
    ringex.delete("/stats").raise_for_status()
    state = at_rest(place(legs=TWO_LEGS, emit=False), "archived", 1)
    assert len(state.legs) == 2
    requests = ringex.get("/stats").json()["requests"]
    assert not LOOKS & set(requests)
    assert requests["content"] == {"200": 2}


def test_a_record_that_is_rewritten_later_makes_a_revision_of_all_legs(system, place, at_rest):
    """By itself, hours after the call or seconds as here; the first revision is not touched."""
    legs = [{"duration": 1, "format": "mp3"}] * 3
    call = place(legs=legs, legsAtFirst=2, rewrittenAfter=8, emit=False)
    first = at_rest(call, "archived", 1)
    before = objects(system, first)
    sealed = read(system, first.manifest)
    assert len(sealed["legs"]) == 2

    second = at_rest(call, "archived", 2)

    manifest = read(system, second.manifest)
    assert len(manifest["legs"]) == 3
    assert manifest["supersedes"]["key"] == first.manifest.key
    assert before.items() <= objects(system, second).items()
    assert read(system, first.manifest) == sealed


def test_a_call_that_was_never_recorded_is_empty_without_a_request(ringex, place, at_rest):
    """Its notifications cost messages and reads of the ledger, and nothing at RingCentral."""
    ringex.delete("/stats").raise_for_status()
    calls = [place(legs=[], duration=5, emit=True) for _ in range(5)]
    for call in calls:
        assert at_rest(call, "empty").reason is None
    stats = ringex.get("/stats").json()
    assert stats["notifications"]["sent"] > len(calls)
    assert not (LOOKS | {"content"}) & set(stats["requests"])


def test_a_token_that_has_expired_loses_nothing(ringex, place, at_rest):
    """The sweep begins anew, from before the last time that it came to an end."""
    ringex.post("/settings", json={"syncTokenSeconds": 0}).raise_for_status()
    ringex.delete("/stats").raise_for_status()
    at_rest(place(legs=TWO_LEGS, emit=False), "archived", 1)
    assert ringex.get("/stats").json()["requests"]["call-log-extract-sync"]["400"] >= 1
    ringex.post("/settings", json={"syncTokenSeconds": 3600}).raise_for_status()


def test_both_sessions_of_a_warm_transfer_name_each_other(system, ledger, place):
    """The customer's call tells of the consultation; the consultation tells of nothing."""
    s3 = aws.client("s3", system.endpoints.aws)

    def related(call):
        state = ledger.load(an_id(call, account=RINGEX_ACCOUNT))
        if state.manifest is None or state.status != "archived":
            return None
        body = s3.get_object(Bucket=system.endpoints.bucket, Key=state.manifest.key)["Body"].read()
        return json.loads(body)["related"]

    def addresses(call):
        return [str(an_id(call, account=RINGEX_ACCOUNT))]

    consultation = place(legs=TWO_LEGS[:1], emit=True)
    call = place(legs=TWO_LEGS[:1], emit=True, transferTarget=consultation)
    expected = (addresses(consultation), addresses(call))
    until(lambda: (related(call), related(consultation)) == expected)
