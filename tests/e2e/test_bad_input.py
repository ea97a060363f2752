"""Bad input through the running system: a clear reason each time, and nothing is lost."""

import base64
import json
from datetime import UTC, datetime

import httpx
import pytest

from legato.aws.ledger import DynamoLedger
from legato.model import Job
from local import aws
from tests.audio import tone, write_pcm
from tests.e2e.swept import RINGEX_ACCOUNT
from tests.fakes import an_id
from tests.patience import until

SCHEDULED = ("SweeperFunction",)
# As short as it can be, so that five attempts take seconds.
PARAMETERS = {"SettleSeconds": "0", "RetrySeconds": "1", "RingexLadderSeconds": "1,1"}


@pytest.fixture(scope="module")
def ledger(system):
    return DynamoLedger(aws.client("dynamodb", system.endpoints.aws), table=system.endpoints.table)


@pytest.fixture(scope="module")
def bad_calls(system, ledger, tmp_path_factory):
    """Place a call of each bad kind, all at once, and wait until every one is given up."""
    wav = write_pcm(tmp_path_factory.mktemp("audio") / "leg.wav", tone(1.0)).read_bytes()
    kinds = {
        "html": [b"<!DOCTYPE html><html><body>Please log in</body></html>"],
        "json": [b'{"errorCode": "CMN-102"}'],
        "empty": [b""],
        "unknown": [b"OggS" + bytes(200)],
        "truncated": [wav[: len(wav) // 2]],
        "truncated-among-good": [wav, wav[: len(wav) // 2], wav],
    }
    ringex = system.endpoints.simulators["ringex"]
    calls = {}
    for kind, bodies in kinds.items():
        legs = [
            {"duration": 1, "format": "wav", "audio": base64.b64encode(body).decode()}
            for body in bodies
        ]
        answer = httpx.post(f"{ringex}/_sim/calls", json={"legs": legs, "emit": True})
        answer.raise_for_status()
        calls[kind] = answer.json()["telephonySessionId"]

    def given_up():
        states = {
            kind: ledger.load(an_id(call, account=RINGEX_ACCOUNT)) for kind, call in calls.items()
        }
        return {state.status for state in states.values()} == {"failed"} and states

    return until(given_up)


def kept(system, state):
    """Return the keys of all that is kept of a call."""
    s3 = aws.client("s3", system.endpoints.aws)
    listed = s3.list_objects_v2(Bucket=system.endpoints.bucket).get("Contents", [])
    return sorted(item["Key"] for item in listed if f"/{state.call}/" in item["Key"])


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("html", "HTML"), ("json", "JSON"), ("empty", "empty"), ("unknown", "Ogg")],
)
def test_what_is_no_audio_fails_with_its_reason(system, bad_calls, kind, reason):
    """The ledger says what came instead of audio, and nothing is sealed."""
    state = bad_calls[kind]
    assert state.status == "failed"
    assert reason.lower() in state.reason.lower()
    assert all(key.startswith(f"refused/{state.id}/") for key in kept(system, state))
    assert len(kept(system, state)) == (kind != "empty"), "the bytes that came are kept, if any did"


def test_truncated_audio_fails_and_stays_as_evidence(system, bad_calls):
    """Apart from the archived calls, and nothing is sealed."""
    state = bad_calls["truncated"]
    assert state.status == "failed"
    assert all(key.startswith(f"refused/{state.id}/") for key in kept(system, state))
    assert kept(system, state)


def test_good_legs_beside_a_truncated_one_are_sealed(system, bad_calls):
    """The joined file has two seconds, the manifest names the third leg and why."""
    state = bad_calls["truncated-among-good"]
    assert (state.status, state.revision) == ("failed", 1)
    s3 = aws.client("s3", system.endpoints.aws)
    body = s3.get_object(Bucket=system.endpoints.bucket, Key=state.manifest.key)["Body"].read()
    manifest = json.loads(body)
    assert manifest["recording"]["duration_ms"] == 2000
    [missing] = manifest["missing"]
    assert f"refused/{state.id}/{missing['leg']}-1" in kept(system, state)
    assert missing["leg"] in state.reason


def test_every_failed_call_is_a_dead_letter_with_its_reason(system, bad_calls):
    """Somebody is told, and can move it back."""
    letters = dead_letters(system)
    buried = {Job.from_message(letter["Body"]).call for letter in letters}
    assert buried == {state.call for state in bad_calls.values()}
    reasons = [letter["MessageAttributes"]["reason"]["StringValue"] for letter in letters]
    assert all(reasons)


def dead_letters(system):
    """Empty the dead-letter queue; return what was in it."""
    sqs, url = aws.client("sqs", system.endpoints.aws), system.endpoints.dlqs["ringex"]
    found = []
    while some := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in some:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        found += some
    return found


def test_a_message_that_is_no_job_is_buried_and_stops_nothing(system, bad_calls):
    """Each with its own reason."""
    sqs = aws.client("sqs", system.endpoints.aws)
    good = Job(
        provider="ringex", account=RINGEX_ACCOUNT, call="s-unlisted", seen_at=datetime.now(UTC)
    )
    version_9 = good.to_message().replace('"v":1', '"v":9')
    zoom = good.to_message().replace('"ringex"', '"zoom"')
    for body in ("nonsense", version_9, zoom, good.to_message()):
        sqs.send_message(QueueUrl=system.endpoints.queues["ringex"], MessageBody=body)
    letters = {}

    def buried():
        for letter in dead_letters(system):
            letters[letter["Body"]] = letter["MessageAttributes"]["reason"]["StringValue"]
        return len(letters) >= 3

    until(buried)
    assert letters.keys() == {"nonsense", version_9, zoom}
    assert "JSON" in letters["nonsense"]
    assert "version" in letters[version_9]
    assert "zoom" in letters[zoom]


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"Verification-Token": "0" * 32}, b"{}", 401),
        ({}, b"{}", 401),
        (None, b"nonsense", 400),
        (None, b"[]", 400),
        (None, b"x" * 300_000, 413),
        (None, b'{"event": "/restapi/v1.0/account/1/extension/2/presence"}', 200),
        ({"Validation-Token": "a" * 512}, b"", 200),
    ],
)
def test_answers_of_the_webhook_are_short(system, headers, content, status):
    """RingCentral reads 1,024 bytes of headers and body, and blacklists whoever sends more."""
    own = {"Verification-Token": system.endpoints.webhook_token}
    answer = httpx.post(
        system.endpoints.webhook, content=content, headers=own if headers is None else headers
    )
    assert answer.status_code == status
    raw = sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
    assert raw + len(answer.content) <= 1024 - 200, "the gateway adds some of its own"
