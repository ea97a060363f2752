"""Many sessions, nine notifications each, out of order, a fifth of them twice.

LEGATO_STORM_SESSIONS sets how many.
"""

import json
import os
import time
from collections import Counter

import httpx
import pytest
from boto3.dynamodb.types import TypeDeserializer

from local import aws

SESSIONS = int(os.environ.get("LEGATO_STORM_SESSIONS", "500"))
RECORDED = SESSIONS // 5
PATIENCE_SECONDS = 300
SCHEDULED = ("SweeperFunction",)
SUBSCRIPTIONS = "/restapi/v1.0/subscription"


@pytest.fixture(scope="module")
def stormed(system, warm_webhook):
    """Place the calls and wait until the ledger has all of them at rest."""
    ringex = system.endpoints.simulators["ringex"]
    subscribe_to_everything(system)
    settings = {"shuffle": True, "duplicateShare": 0.2, "seed": 7, "deliveriesAtOnce": 8}
    httpx.post(f"{ringex}/_sim/settings", json=settings).raise_for_status()
    recorded = set()
    with httpx.Client(timeout=60) as client:
        for number in range(SESSIONS):
            legs = [{"duration": 1, "format": "mp3"}] if number < RECORDED else []
            order = {"legs": legs, "duration": 1, "emit": True}
            answer = client.post(f"{ringex}/_sim/calls", json=order).raise_for_status().json()
            if legs:
                recorded.add(answer["telephonySessionId"])
        client.post(f"{ringex}/_sim/drain", timeout=PATIENCE_SECONDS).raise_for_status()
        stats = client.get(f"{ringex}/_sim/stats").json()
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        entries = ledger(system)
        at_rest = [e for e in entries.values() if e["status"] in ("archived", "empty", "failed")]
        if len(at_rest) == SESSIONS:
            break
        time.sleep(1)
    # As they were when all had come to rest: a doubled notification takes one up once more.
    return {"recorded": recorded, "stats": stats, "entries": entries}


def subscribe_to_everything(system):
    """Put a subscription of our own in the place of the keeper's, which asks for ends alone."""
    known = json.loads((system.directory / "ringex.json").read_text())
    with httpx.Client(base_url=system.endpoints.simulators["ringex"]) as client:
        [jwt] = known["jwts"]
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": jwt}
        who = (known["clientId"], known["clientSecret"])
        login = client.post("/restapi/oauth/token", auth=who, data=grant).raise_for_status()
        client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
        for kept in client.get(SUBSCRIPTIONS).raise_for_status().json()["records"]:
            client.delete(f"{SUBSCRIPTIONS}/{kept['id']}").raise_for_status()
        client.post(
            SUBSCRIPTIONS,
            json={
                "eventFilters": ["/restapi/v1.0/account/~/telephony/sessions"],
                "deliveryMode": {
                    "transportType": "WebHook",
                    "address": system.endpoints.webhook,
                    "verificationToken": system.endpoints.webhook_token,
                },
            },
        ).raise_for_status()


def ledger(system):
    dynamodb = aws.client("dynamodb", system.endpoints.aws)
    pages = dynamodb.get_paginator("scan").paginate(TableName=system.endpoints.table)
    items = [item for page in pages for item in page["Items"]]
    plain = [{k: TypeDeserializer().deserialize(v) for k, v in item.items()} for item in items]
    return {entry["call"]: entry for entry in plain if entry["sk"] == "state"}


def test_every_notification_is_answered_200(stormed):
    """All of them and the doubled ones, none refused."""
    told = stormed["stats"]["notifications"]
    assert told["sent"] - told["duplicates"] == SESSIONS * 9
    assert 0.15 < told["duplicates"] / (SESSIONS * 9) < 0.25
    assert told["answers"] == {"200": told["sent"]}


def test_exactly_the_recorded_calls_are_archived(stormed):
    """The others are empty; none is missing, none failed."""
    entries = stormed["entries"]
    assert len(entries) == SESSIONS
    expected = {call: "archived" if call in stormed["recorded"] else "empty" for call in entries}
    wrong = [entry for call, entry in entries.items() if entry["status"] != expected[call]]
    assert wrong == []
    assert Counter(expected.values()) == {"archived": RECORDED, "empty": SESSIONS - RECORDED}


def test_none_is_archived_twice(system, stormed):
    """Every key has one version, every call one revision."""
    s3 = aws.client("s3", system.endpoints.aws)
    pages = s3.get_paginator("list_object_versions").paginate(
        Bucket=system.endpoints.bucket, Prefix="calls/"
    )
    keys = [version["Key"] for page in pages for version in page["Versions"]]
    assert len(keys) == len(set(keys))
    manifests = [key for key in keys if "/manifest-" in key]
    assert len(manifests) == RECORDED
    assert all(key.endswith("/manifest-1.json") for key in manifests)


def test_nothing_is_left_behind(system, stormed):
    """No dead letter, and the provider's rules were kept."""
    sqs = aws.client("sqs", system.endpoints.aws)
    counts = sqs.get_queue_attributes(
        QueueUrl=system.endpoints.dlqs["ringex"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert counts["Attributes"]["ApproximateNumberOfMessages"] == "0"
