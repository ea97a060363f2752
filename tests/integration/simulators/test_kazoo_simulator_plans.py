"""Storage plans: recordings in a bucket, from where Kazoo hands them out."""

import uuid

import pytest

from tests.integration.simulators.kazoo_driver import FIRST, SECOND, at, driving

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


@pytest.fixture
def s3(aws_client):
    return aws_client("s3")


@pytest.fixture
def bucket(s3):
    name = f"inbox-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def plan(aws_endpoint, bucket):
    return {"endpoint": aws_endpoint, "bucket": bucket}


def keys(s3, bucket):
    """Return the keys of a bucket."""
    return [each["Key"] for each in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def place(kazoo, plan, **order):
    """Place a call whose only recording is stored by a plan; return its id."""
    order = {"recordings": [{"duration": 10}]} | order
    [name] = kazoo.place(plan=plan, **order)["recordingIds"]
    return name


def drain(kazoo, seconds=0):
    """Let time pass, and all that is due happen."""
    kazoo.clock.now += seconds
    assert kazoo.control("drain").status_code == 204


def test_audio_is_stored_under_the_database_and_the_name(kazoo, s3, bucket, plan):
    """Both encoded; Kazoo reads it back from there, whatever it is by then."""
    name = place(kazoo, plan)
    drain(kazoo)
    call_id = kazoo.ask(f"recordings/{name}").json()["data"]["call_id"].replace("@", "%40")
    database = f"account%2F{FIRST[:2]}%2F{FIRST[2:4]}%2F{FIRST[4:]}-202610"
    key = f"{database}/{name}_call_recording_{call_id}.mp3"
    assert keys(s3, bucket) == [key]
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == kazoo.audio(name).content
    s3.put_object(Bucket=bucket, Key=key, Body=b"0123456789")
    assert kazoo.audio(name, headers={"Range": "bytes=2-4"}).content == b"234"
    assert kazoo.stats()["plans"] == {"answers": {"200": 1}, "retried": 0, "givenUp": 0}


def test_the_database_is_of_the_month_in_which_the_document_is(s3, bucket, plan):
    """4.3 takes that of the start, master that of the end."""
    for version, month in (("4.3", "202610"), ("master", "202611")):
        with driving(version=version, now=at("2026-11-01T00:00:05")) as kazoo:
            place(kazoo, plan, accountId=SECOND)
            drain(kazoo)
            [key] = keys(s3, bucket)
            assert key.partition("/")[0].endswith(f"{SECOND[4:]}-{month}")
            s3.delete_object(Bucket=bucket, Key=key)


@pytest.mark.parametrize("omit", [[], ["owner_id"]])
def test_keys_may_be_made_of_fields(kazoo, s3, bucket, plan, omit):
    """One that the document lacks leaves no gap."""
    recordings = [{"duration": 1, "format": "wav", "userId": "the user", "omit": omit}]
    name = place(kazoo, {**plan, "keys": "by-fields"}, recordings=recordings)
    drain(kazoo)
    [key] = keys(s3, bucket)
    owner = [] if omit else ["the%20user"]
    assert key.split("/")[:-1] == [FIRST, *owner, name]
    assert key.endswith("%40198.51.100.7.wav")


def test_nothing_is_stored_before_it_is_ready(kazoo, s3, bucket, plan):
    """Until then Kazoo does not find it."""
    name = place(kazoo, plan, readyAfter=60)
    drain(kazoo)
    assert keys(s3, bucket) == []
    assert kazoo.audio(name).status_code == 404
    drain(kazoo, 60)
    assert len(keys(s3, bucket)) == 1


def test_what_cannot_be_stored_is_tried_again(kazoo, s3, plan):
    """As pushes are, and may be handed out only then."""
    late = f"late-{uuid.uuid4()}"
    name = place(kazoo, {**plan, "bucket": late})
    drain(kazoo)
    drain(kazoo, 5)
    assert kazoo.audio(name).status_code == 404
    s3.create_bucket(Bucket=late)
    drain(kazoo, 5)
    assert kazoo.stats()["plans"] == {
        "answers": {"404": 2, "200": 1},
        "retried": 2,
        "givenUp": 0,
    }
    assert kazoo.audio(name).status_code == 200


def test_it_is_given_up_at_last(kazoo, plan):
    """And the recording can never be had."""
    kazoo.control("settings", {"pushRetrySeconds": 0, "pushOuterRetrySeconds": 0})
    name = place(kazoo, {**plan, "endpoint": NOBODY})
    while kazoo.stats()["pendingStores"]:
        drain(kazoo)
    assert kazoo.stats()["plans"] == {
        "answers": {"unreachable": 30},
        "retried": 29,
        "givenUp": 1,
    }
    assert kazoo.audio(name).status_code == 404


def test_what_is_gone_from_the_bucket_is_an_error(kazoo, s3, bucket, plan):
    """Of Kazoo's own."""
    name = place(kazoo, plan)
    drain(kazoo)
    [key] = keys(s3, bucket)
    s3.delete_object(Bucket=bucket, Key=key)
    assert kazoo.audio(name).json()["message"] == "datastore_fault"


def test_a_push_goes_before_a_plan(kazoo, s3, bucket, plan):
    """As in Kazoo."""
    place(kazoo, plan, push={"url": "https://push.example.com"})
    drain(kazoo)
    assert (len(kazoo.receiver.requests), keys(s3, bucket)) == (1, [])


def test_a_plan_is_checked_with_a_small_file(kazoo, s3, bucket, plan):
    """In the month's database, or under the account."""
    for choice, begin in (("default", "account%2F"), ("by-fields", f"{FIRST}/")):
        answer = kazoo.control("plans", {**plan, "keys": choice})
        assert answer.status_code == 200
        told = answer.json()
        assert (told["written"], told["readBack"]) == ("200", True)
        assert told["key"] in keys(s3, bucket)
        assert told["key"].startswith(begin)
        mark = told["key"].removesuffix("_test_credentials_file.txt")[-32:]
        body = s3.get_object(Bucket=bucket, Key=told["key"])["Body"].read()
        assert body.decode() == f"some random content: {mark}"
    assert kazoo.stats()["plans"]["answers"] == {}


@pytest.mark.parametrize(
    ("change", "written"),
    [({"bucket": "no-such-bucket"}, "404"), ({"endpoint": NOBODY}, "unreachable")],
)
def test_a_plan_that_does_not_work_is_told(kazoo, plan, change, written):
    """With what was answered."""
    told = kazoo.control("plans", plan | change).json()
    assert (told["written"], told["readBack"]) == (written, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"endpoint": None}, "endpoint: is missing"),
        ({"endpoint": "s3"}, "endpoint: 's3' is not an http or https address"),
        ({"bucket": None}, "bucket: is missing"),
        ({"bucket": ""}, "bucket: '' is not a string"),
        ({"keys": "random"}, "keys: 'random' is not one of default, by-fields"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(kazoo, plan, change, message):
    """Wherever it stands, with the field that is wrong."""
    recording = {"duration": 1}
    for path, order, where in (
        ("plans", plan | change, ""),
        ("calls", {"plan": plan | change, "recordings": [recording]}, "plan."),
        ("calls", {"recordings": [recording | {"plan": plan | change}]}, "recordings[0].plan."),
    ):
        refused = kazoo.control(path, order)
        assert refused.status_code == 400
        assert where + message in refused.json()["error"]
    assert kazoo.stats()["calls"] == 0


def test_a_plan_of_an_unknown_account_is_refused(kazoo, plan):
    """It has no database."""
    refused = kazoo.control("plans", {**plan, "accountId": "5"})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "accountId: '5' is no account",
    )
    assert kazoo.control("plans", {**plan, "colour": 1}).json()["ignored"] == ["colour"]
