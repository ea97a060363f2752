"""One recording that is refused for ever, among many, on the running system."""

import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from local import aws
from local.ringex import OPERATOR_EXTENSION
from local.system import running
from tests.e2e.centre import UNLIMITED
from tests.e2e.conftest import FAST
from tests.forked import legato
from tests.patience import until

CALLS = 240
SCHEDULED = ("SweeperFunction",)
RINGCX = {
    "subAccounts": ["111"],
    **UNLIMITED,
}


class Place:
    """The running system, seen from outside."""

    def __init__(self, system):
        self.system, self.endpoints = system, system.endpoints
        self.s3 = aws.client("s3", system.endpoints.aws)

    def order(self, provider, what, order):
        url = f"{self.endpoints.simulators[provider]}/_sim/{what}"
        answer = httpx.post(url, json=order, timeout=60).raise_for_status()
        assert "ignored" not in answer.json()
        return answer.json()

    def log_in_with(self, users):
        """Let the secret hold so many users of the app."""
        secrets = aws.client("secretsmanager", self.endpoints.aws)
        arn = self.system.stack.outputs["CredentialsArn"]
        content = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
        known = json.loads((self.system.directory / "ringex.json").read_text())
        content["ringex"]["jwt"] = list(known["jwts"])[:users]
        secrets.put_secret_value(SecretId=arn, SecretString=json.dumps(content))

    def sealed(self, provider):
        """Return the keys of the newest manifests, by call."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.endpoints.bucket, Prefix=f"calls/{provider}/"
        )
        keys = sorted(each["Key"] for page in pages for each in page.get("Contents", ()))
        return {key.split("/")[-2]: key for key in keys if re.search(r"/manifest-\d+\.json$", key)}

    def manifest(self, key):
        body = self.s3.get_object(Bucket=self.endpoints.bucket, Key=key)["Body"].read()
        return json.loads(body)

    def archives(self, name, *, refused):
        """Place the calls of a round; return the seconds until all but the refused are sealed."""
        began = datetime.now(UTC) - timedelta(seconds=10)
        calls = [f"s-{name}-{number}" for number in range(CALLS)]
        if refused:
            fault = {"kind": "status", "status": 403, "for": f"{name}0"}
            self.order("ringex", "faults", fault)
        for number, call in enumerate(calls):
            leg = {"recordingId": f"{name}{number}", "duration": 1, "startTime": began.isoformat()}
            self.order("ringex", "calls", {"telephonySessionId": call, "legs": [leg]})
        wanted, began = set(calls[refused:]), datetime.now(UTC)
        until(lambda: wanted <= self.sealed("ringex").keys(), seconds=600)
        return (datetime.now(UTC) - began).total_seconds()

    def status(self):
        return legato(
            "--local",
            "status",
            "--json",
            LEGATO_LOCAL_DIR=str(self.system.directory),
            LEGATO_LOCAL_PERSON="alice",
        )


@contextmanager
def a_place(directory, port, **settings):
    with running(port=port, directory=directory, scheduled=SCHEDULED, **settings) as system:
        yield Place(system)


@pytest.mark.parametrize("users", [1, 4])
def test_all_others_are_archived(tmp_path, free_port, users, record_property):
    """With one user and with four; status names the refused one, and no other.

    Each round has a system of its own: what an archive holds makes the local S3 slower. The
    seconds are shown, not judged: that no other call is late, test_isolation.py says in
    virtual time.
    """
    jwts = {f"local.user-{number}": OPERATOR_EXTENSION for number in range(4)}
    ringex = {"limits": FAST, "logLag": 0.5, "jwts": jwts}
    with a_place(tmp_path / "without", free_port(), ringex_settings=ringex) as place:
        place.log_in_with(users)
        without = place.archives("7", refused=False)
    with a_place(tmp_path / "with", free_port(), ringex_settings=ringex) as place:
        place.log_in_with(users)
        took = place.archives("9", refused=True)
        record_property("seconds", f"{without:.0f} without it, {took:.0f} with it")
        assert "s-9-0" not in place.sealed("ringex")
        needs = until(lambda: json.loads(place.status().stdout)["needs"])
        named = [(need["kind"], need["call"], need["recording"]) for need in needs if need["call"]]
        assert named == [("refused", "s-9-0", "90")]


def test_a_forbidden_segment_keeps_no_other_out_of_glacier(tmp_path, free_port):
    """The dialog is sealed with the other two, and its manifest names the first."""
    with a_place(tmp_path, free_port(), ringcx_settings=RINGCX) as place:
        place.order("ringcx", "faults", {"kind": "status", "status": 403, "for": "p-1"})
        began = datetime.now(UTC) - timedelta(minutes=5)
        segments = [
            {
                "segmentId": f"p-{number}",
                "startTime": (began + timedelta(seconds=10 * number)).isoformat(),
                "duration": 2,
            }
            for number in (1, 2, 3)
        ]
        place.order("ringcx", "calls", {"dialogId": "s-v-1", "segments": segments})
        key = until(lambda: place.sealed("ringcx").get("s-v-1"))
        manifest = place.manifest(key)
        assert [leg["id"] for leg in manifest["legs"]] == ["p-2", "p-3"]
        assert [one["leg"] for one in manifest["missing"]] == ["p-1"]
        for leg in manifest["legs"]:
            head = place.s3.head_object(Bucket=place.endpoints.bucket, Key=leg["key"])
            assert head["StorageClass"] == "GLACIER"
        needs = until(lambda: json.loads(place.status().stdout)["needs"])
        assert ("refused", "s-v-1", "p-1") in [
            (need["kind"], need["call"], need["recording"]) for need in needs
        ]
