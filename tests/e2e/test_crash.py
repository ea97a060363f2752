"""A worker may die at any moment: the redelivered job finishes what it began."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from legato.aws.ledger import DynamoLedger
from legato.model import Job
from local import aws
from local.demo.evidence import gather
from local.worker import environment
from tests.e2e.dying import process
from tests.e2e.swept import RINGEX_ACCOUNT
from tests.fakes import an_id

FUNCTIONS = False
# A job may look at once: the call that was just placed is listed.
PARAMETERS = {"RingexSettleSeconds": "0", "RingexLogLagSeconds": "0", "RingexTailSeconds": "0"}
STEPS_OF_A_CALL = 40


@pytest.fixture(scope="module")
def processor(system):
    """The environment of the processor, and what it is configured to do."""
    [function] = [f for f in system.stack.functions.values() if f.code.name == "processor"]
    return environment(function, system.endpoints.aws), system.stack.configuration


@pytest.fixture
def place(system):
    def place():
        order = {
            "legs": [{"duration": 1, "format": "wav"} for _ in range(3)],
            "listedAfter": 0,
            "emit": False,
        }
        answer = httpx.post(f"{system.endpoints.simulators['ringex']}/_sim/calls", json=order)
        answer.raise_for_status()
        call = answer.json()["telephonySessionId"]
        return Job(provider="ringex", account=RINGEX_ACCOUNT, call=call, seen_at=datetime.now(UTC))

    return place


def steps_of(journal):
    return journal.read_text().split()


def test_a_worker_may_die_after_every_single_step(system, processor, place, tmp_path):
    """Killed after claim, resolve, each fetch, join, each put, seal and index, then redelivered.

    Each time the archive is complete, each key has exactly one version, the ledger says
    `archived`, and every SHA-256 holds.
    """
    whole = tmp_path / "whole"
    assert process(*processor, place().to_message(), journal=whole) == 0
    steps = steps_of(whole)
    assert {"provider.resolve", "stitcher.join", "archive.put_bytes"} < set(steps)
    assert steps.count("provider.open_leg") == 3
    assert steps.count("archive.put_file") == 4, "three legs and the recording"
    assert steps[-1] == "ledger.save"
    assert len(steps) < STEPS_OF_A_CALL

    for number in range(1, len(steps) + 1):
        job, journal = place(), tmp_path / f"died-{number}"
        code = process(*processor, job.to_message(), journal=journal, die_after=number)
        assert code == -9, f"not killed after step {number}"
        assert steps_of(journal) == steps[:number]
        again = tmp_path / f"again-{number}"
        assert process(*processor, job.to_message(), journal=again, receives=2) == 0
        assert_archived_once(system, job.call, died_after=f"step {number}, {steps[number - 1]}")


def assert_archived_once(system, call, *, died_after):
    s3 = aws.client("s3", system.endpoints.aws)
    dynamodb = aws.client("dynamodb", system.endpoints.aws)
    state = DynamoLedger(dynamodb, table=system.endpoints.table).load(
        an_id(call, account=RINGEX_ACCOUNT)
    )
    assert (state.status, state.revision) == ("archived", 1), died_after
    assert state.lease_until is None, died_after
    described = {
        "manifest": {
            "key": state.manifest.key,
            "version_id": state.manifest.version_id,
            "sha256": state.manifest.sha256,
        }
    }
    evidence = gather(s3, system.endpoints.bucket, described)
    assert evidence.wrong == (), died_after
    assert len(evidence.manifest["legs"]) == 3, died_after
    versions = s3.list_object_versions(Bucket=system.endpoints.bucket, Prefix=state.prefix)
    keys = [version["Key"] for version in versions["Versions"]]
    assert len(keys) == len(set(keys)) == 6, (died_after, keys)
    assert "DeleteMarkers" not in versions, died_after
    queue = system.endpoints.dlqs["ringex"]
    sqs = aws.client("sqs", system.endpoints.aws)
    buried = sqs.receive_message(QueueUrl=queue).get("Messages", [])
    assert not buried, (died_after, json.dumps(buried))
