"""A call is held, gains a revision, and is released by two people, through the running system.

All that, and who looks at the call, stands in the access log.
"""

import json

import httpx
import pytest
from botocore.exceptions import ClientError

from legato.aws.ledger import DynamoLedger
from legato.cli.context import Stack
from legato.cli.exit_codes import Exit
from legato.errors import Refused
from local import aws
from tests.e2e.swept import RINGEX_ACCOUNT
from tests.fakes import an_id
from tests.forked import typed
from tests.patience import until

SCHEDULED = ("SweeperFunction",)
PARAMETERS = {
    "AccessReason": "required",
    "RetentionMode": "GOVERNANCE",
    "RingexLockYears": "6",
    "KazooLockYears": "9",
}
CASE = "2026-117"


class Archived:
    """A call of the running system, and what guards it."""

    def __init__(self, system):
        self.system = system
        self.s3 = aws.client("s3", system.endpoints.aws)
        dynamodb = aws.client("dynamodb", system.endpoints.aws)
        self.ledger = DynamoLedger(dynamodb, table=system.endpoints.table)
        self.call = self.place()
        self.wait(revision=1)

    def place(self, **order):
        url = f"{self.system.endpoints.simulators['ringex']}/_sim/calls"
        legs = [{"duration": 1, "format": "mp3"}, {"duration": 1, "format": "mp3"}]
        answer = httpx.post(url, json={"legs": legs, "emit": True, **order})
        return answer.raise_for_status().json()["telephonySessionId"]

    def wait(self, *, revision):
        def archived():
            state = self.ledger.load(an_id(self.call, account=RINGEX_ACCOUNT))
            return (state.status, state.revision) == ("archived", revision)

        until(archived)

    def guards(self, prefix=None):
        """Return mode, years and hold of every version, by key."""
        bucket = self.system.endpoints.bucket
        prefix = prefix or self.ledger.load(an_id(self.call, account=RINGEX_ACCOUNT)).prefix
        found = {}
        for item in self.s3.list_object_versions(Bucket=bucket, Prefix=prefix)["Versions"]:
            version = {"Bucket": bucket, "Key": item["Key"], "VersionId": item["VersionId"]}
            head = self.s3.head_object(**version)
            years = (head["ObjectLockRetainUntilDate"] - item["LastModified"]).days // 365
            held = head.get("ObjectLockLegalHoldStatus") == "ON"
            found[item["Key"]] = (head["ObjectLockMode"], years, held)
            with pytest.raises(ClientError, match="AccessDenied"):
                self.s3.delete_object(**version)
        return found

    def legato(self, *arguments, by="alice"):
        return typed(self.system, *arguments, by=by)


@pytest.fixture(scope="module")
def archived(system):
    return Archived(system)


def all_of(guards, guard):
    return guards == dict.fromkeys(guards, guard)


def test_a_call_is_held_by_one_and_released_by_two(archived):
    """Nothing can be removed all the while; what comes later is held too."""
    assert all_of(archived.guards(), ("GOVERNANCE", 6, False))
    assert len(archived.guards()) == 5

    held = archived.legato("hold", archived.call, "--case", CASE, "--reason", "complaint")
    assert held.returncode == 0, held.stderr
    assert f"held for {CASE}. Objects: 5." in held.stdout
    assert all_of(archived.guards(), ("GOVERNANCE", 6, True))

    archived.place(transferTarget=archived.call)  # which both calls' manifests then name
    archived.wait(revision=2)
    guards = archived.guards()
    assert len(guards) == 8
    assert all_of(guards, ("GOVERNANCE", 6, True))

    release = ("release", archived.call, "--case", CASE)
    assert archived.legato(*release, "--reason", "settled").returncode == 0
    alone = archived.legato(*release, "--confirm")
    assert alone.returncode == 1
    assert "another person must confirm it" in alone.stderr
    assert all_of(archived.guards(), ("GOVERNANCE", 6, True))
    [one] = json.loads(archived.legato("holds", "--json").stdout)
    assert one["release"]["by"] == "arn:aws:iam::123456789012:user/alice"

    free = archived.legato(*release, "--confirm", by="bob")
    assert free.returncode == 0, free.stderr
    assert "free: no case holds it. Objects: 8." in free.stdout
    assert all_of(archived.guards(), ("GOVERNANCE", 6, False))
    assert archived.legato("holds").stdout == "No call is held.\n"
    records = archived.guards("holds/")
    assert all_of(records, ("GOVERNANCE", 9, False))
    assert [key.rpartition("-")[2] for key in sorted(records)] == ["1.json", "2.json", "3.json"]


def test_who_looks_at_a_call_is_written_down_with_every_step_of_its_holds(archived, monkeypatch):
    """As evidence, locked, under the name that AWS knows; and not without a reason."""
    for name, value in aws.environment(archived.system.endpoints.aws).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "carol")
    recorder = Stack(stack="legato").recorder()
    before = json.loads(archived.legato("accesses", archived.call, "--json").stdout)

    call = an_id(archived.call, account=RINGEX_ACCOUNT)
    with pytest.raises(Refused, match="give a --reason"):
        recorder.record("get", [call])
    said = recorder.record("get", [call], reason="subpoena", details={"bytes": 7})

    bucket = archived.system.endpoints.bucket
    record = json.loads(archived.s3.get_object(Bucket=bucket, Key=said["key"])["Body"].read())
    assert record["by"] == "arn:aws:iam::123456789012:user/carol"
    assert record["calls"] == [
        {"provider": "ringex", "account": RINGEX_ACCOUNT, "call": archived.call}
    ]
    assert all_of(archived.guards("access/"), ("GOVERNANCE", 9, False))
    listed = archived.ledger.listed("undigested", until="9999")
    assert f"undigested#{said['key']}" in {note.key for note in listed}

    found = json.loads(archived.legato("accesses", archived.call, "--json").stdout)
    assert found[1:] == before
    assert (found[0]["id"], found[0]["key"]) == (said["id"], said["key"])
    steps = [one["action"] for one in before]
    assert steps == steps_of(archived)[::-1]
    shown = archived.legato("accesses").stdout
    for words in ("carol", "subpoena", CASE, archived.call):
        assert words in shown


def steps_of(archived):
    """Return what was done about holding the call, by its records, in their order."""
    bucket = archived.system.endpoints.bucket
    found = archived.s3.list_objects_v2(
        Bucket=bucket, Prefix=f"holds/ringex/{RINGEX_ACCOUNT}/{archived.call}/"
    )
    bodies = (
        archived.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        for each in found.get("Contents", ())
    )
    return [json.loads(body)["action"] for body in bodies]


@pytest.mark.parametrize("address", ["HoldsUrl", "AccessUrl"])
def test_nobody_gets_in_without_a_signature(archived, address):
    """Not even with a good request."""
    url = archived.system.stack.outputs[address]
    request = {"action": "hold", "call": archived.call, "case": CASE, "reason": "r"}
    answer = httpx.post(url, json=request)
    assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_a_call_that_nobody_knows_is_refused(archived):
    """In one line."""
    ended = archived.legato("hold", "s-nobody", "--case", CASE, "--reason", "complaint")
    assert ended.returncode == Exit.NOT_FOUND
    assert "there is no call s-nobody" in ended.stderr
