"""A warm transfer through the running system: two calls, each naming the other."""

import json
import time

import httpx

from legato.aws.ledger import DynamoLedger
from local import aws

PATIENCE_SECONDS = 60


def test_both_sessions_of_a_warm_transfer_name_each_other(system):
    """The customer's call tells of the consultation; the consultation tells of nothing."""
    ringex = system.endpoints.simulators["ringex"]
    s3 = aws.client("s3", system.endpoints.aws)
    dynamodb = aws.client("dynamodb", system.endpoints.aws)
    ledger = DynamoLedger(dynamodb, table=system.endpoints.table)
    legs = [{"duration": 1, "format": "mp3"}]

    def place(**order):
        answer = httpx.post(f"{ringex}/_sim/calls", json={"legs": legs, "emit": True, **order})
        return answer.raise_for_status().json()["telephonySessionId"]

    def related(call):
        state = ledger.load("ringex", "1", call)
        if state.manifest is None or state.status != "archived":
            return None
        body = s3.get_object(Bucket=system.endpoints.bucket, Key=state.manifest.key)["Body"].read()
        return json.loads(body)["related"]

    consultation = place()
    call = place(transferTarget=consultation)
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        found = related(call), related(consultation)
        if found == ([consultation], [call]):
            break
        time.sleep(0.5)
    assert found == ([consultation], [call])
