"""A subpoena is answered: from a telephone number to a package that proves itself.

The running system archives calls of all providers; everything else is what a person types.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from legato.app.root import App
from legato.audio.stitch import FfmpegStitcher
from legato.cli.exit_codes import Exit
from local import aws
from tests.audio import local_tools
from tests.fakes import FakeClock
from tests.forked import typed
from tests.patience import until

CUSTOMER = "+15551230000"
CASE = "2026-117"
WHY = ("--reason", "subpoena 4711")


class Officer:
    """Who has to find the calls, with nothing but the command and a folder."""

    def __init__(self, system, folder):
        self.system = system
        self.folder = folder
        self.s3 = aws.client("s3", system.endpoints.aws)
        self.later = 0

    def types(self, *words, by="carol", ends=0):
        ended = typed(self.system, *words, by=by, later=self.later)
        assert ended.returncode == ends, ended.stdout + ended.stderr
        return ended

    def reads(self, *words, **more):
        return json.loads(self.types(*words, "--json", **more).stdout)

    def place(self, provider, order):
        url = f"{self.system.endpoints.simulators[provider]}/_sim/calls"
        return httpx.post(url, json=order).raise_for_status().json()

    def chain(self):
        """Let the present hour go by, and the auditor write its digest.

        And some minutes: no hour is digested before the clocks of all say that it is over.
        """
        work = App(self.system.stack.configuration).digest_chain()
        today = datetime.now(UTC)
        now = (today + timedelta(hours=1)).replace(minute=5)
        work = replace(work, clock=FakeClock(now))
        written = []

        def chained():
            """The schedule's own auditor may be at the same digest: one of the two goes first."""
            report = work.write(until=now + timedelta(minutes=10))
            written.extend(report.digests)
            return report.stopped is None

        until(chained)
        self.later = (now - today).total_seconds()
        return written


@pytest.fixture(scope="module")
def officer(system, tmp_path_factory):
    """Let a customer call three times: transferred at RingEX, two agents at RingCX, and Kazoo."""
    officer = Officer(system, tmp_path_factory.mktemp("subpoena"))
    began = datetime.now(UTC) - timedelta(hours=2)

    def at(minutes):
        return (began + timedelta(minutes=minutes)).isoformat()

    legs = [
        {"duration": 2, "startTime": at(0), "format": "mp3"},
        {"duration": 3, "startTime": at(1), "format": "mp3"},
    ]
    officer.ringex = officer.place("ringex", {"legs": legs, "from": CUSTOMER, "emit": True})[
        "telephonySessionId"
    ]
    segments = [{"duration": 3, "startTime": at(10)}, {"duration": 2, "startTime": at(10.5)}]
    officer.ringcx = officer.place("ringcx", {"segments": segments, "contact": CUSTOMER[2:]})[
        "dialogId"
    ]
    recording = {"duration": 2, "start": at(20), "format": "mp3", "from": CUSTOMER}
    officer.kazoo = officer.place("kazoo", {"recordings": [recording]})["interactionId"]
    officer.place("ringex", {"legs": [{"duration": 1}], "from": "+15559999999", "emit": True})
    until(lambda: len(officer.reads("find")["calls"]) == 4)
    return officer


def test_status_says_that_all_is_well(officer):
    assert "All is well." in officer.types("status").stdout


def test_a_subpoena_is_answered(officer, monkeypatch):
    """Found by number, restored, heard, proven, held and handed over; and all of it on the log."""
    for name, value in aws.environment(officer.system.endpoints.aws).items():
        monkeypatch.setenv(name, value)
    calls = [officer.kazoo, officer.ringcx, officer.ringex]
    found = officer.reads("find", "--number", "+1 (555) 123-0000")["calls"]
    assert [row["call"] for row in found] == calls, "the newest first, and nobody else's"
    assert [row["storage_class"] for row in found] == ["GLACIER_IR", "GLACIER", "GLACIER_IR"]
    shown = officer.types("show", officer.ringcx, *WHY).stdout
    assert "no recording for 0:27" in shown
    assert "GLACIER, cold: run `legato restore`" in shown

    cold = officer.types("get", *calls, "--out", officer.folder, *WHY, ends=Exit.COLD)
    assert f"legato restore ringcx/21550001/{officer.ringcx}" in cold.stderr
    assert list(officer.folder.iterdir()) == [], "what is cold is told before anything is fetched"
    priced = officer.types("restore", officer.ringcx, *WHY, ends=2)
    assert "Standard" in priced.stdout
    assert "3 to 5 h" in priced.stdout
    hurry = ("--tier", "Expedited", "--yes")
    assert "--yes-expedited" in officer.types("restore", officer.ringcx, *hurry, ends=2).stderr
    officer.types("restore", officer.ringcx, "--tier", "Standard", "--yes", "--wait", *WHY)
    [restored] = officer.reads("restore", "--list")
    assert restored["call"] == officer.ringcx

    officer.types("get", *calls, "--out", officer.folder, *WHY)
    stitcher = FfmpegStitcher(local_tools())
    [joined] = officer.folder.glob("*.wav")
    assert stitcher.inspect(joined)[0].duration_ms == pytest.approx(5000, abs=50), "two segments"
    assert len(list(officer.folder.glob("*inbound*.mp3"))) == 2

    officer.types("hold", "--number", CUSTOMER, "--case", CASE, *WHY)
    assert len(officer.reads("find", "--case", CASE)["calls"]) == 3
    assert officer.chain()
    officer.types("export", "--case", CASE, "--name", CASE, "--out", officer.folder, *WHY)
    [package] = officer.folder.glob(f"{CASE}-*")
    assert_proven(package)
    assert "--key" in officer.types("verify", package).stdout
    key = next((package / "data/digests/keys").glob("*.pem"))
    proof = officer.types("verify", package, "--deep", "--key", key).stdout
    assert "not proven yet" not in proof

    log = officer.reads("accesses")
    did = {one["action"] for one in log}
    assert did >= {"show", "get", "restore", "hold", "export", "exported"}
    assert {one["by"].rpartition("/")[2] for one in log} == {"carol"}
    asked = [one for one in log if one["action"] != "exported"]
    assert {one["reason"] for one in asked} == {"subpoena 4711"}
    shown = officer.reads("show", officer.ringcx, *WHY)
    assert [one["action"] for one in shown["accesses"]][::-1][:3] == ["show", "get", "restore"]


def test_a_link_opens_one_object_and_stands_in_the_log(officer):
    address = officer.types("link", officer.ringex, *WHY).stdout.strip()
    [fetched] = officer.folder.glob(f"*{officer.ringex}*.mp3")
    assert httpx.get(address).raise_for_status().content == fetched.read_bytes()
    officer.types("link", officer.ringex, "--minutes", "61", *WHY, ends=2)
    [last, *_] = officer.reads("accesses", officer.ringex)
    assert last["action"] == "link"


def test_the_catalogue_is_made_anew_from_the_bucket(officer):
    """And is the same; with the log, and the cases."""
    before = officer.reads("find")
    log = officer.reads("accesses")
    table = {"TableName": officer.system.endpoints.table}
    dynamodb = aws.client("dynamodb", officer.system.endpoints.aws)
    for page in dynamodb.get_paginator("scan").paginate(**table):
        for item in page["Items"]:
            if item["pk"]["S"].startswith(("find#", "access#")) or item["sk"]["S"] == "catalogue":
                dynamodb.delete_item(**table, Key={"pk": item["pk"], "sk": item["sk"]})
    assert officer.reads("find")["calls"] == []
    assert officer.reads("index", "rebuild")["calls"] == 4
    assert officer.reads("find") == before
    assert officer.reads("accesses") == log


def test_bytes_that_were_exchanged_are_caught_everywhere(officer):
    """By get, which leaves nothing behind; by verify; and by everything in a package."""
    [row] = officer.reads("find", "--id", officer.kazoo)["calls"]
    bucket = officer.system.endpoints.bucket
    prefix = row["manifest"]["key"].rpartition("/")[0] + "/legs/"
    [leg] = officer.s3.list_object_versions(Bucket=bucket, Prefix=prefix)["Versions"]
    body = officer.s3.get_object(Bucket=bucket, Key=leg["Key"])["Body"].read()
    officer.s3.put_object_legal_hold(
        Bucket=bucket, Key=leg["Key"], VersionId=leg["VersionId"], LegalHold={"Status": "OFF"}
    )
    officer.s3.delete_object(Bucket=bucket, Key=leg["Key"], VersionId=leg["VersionId"])
    officer.s3.put_object(Bucket=bucket, Key=leg["Key"], Body=flipped(body))

    target = officer.folder / "tampered"
    ended = officer.types("get", officer.kazoo, "--out", target, *WHY, ends=Exit.TAMPERED)
    assert "legato verify" in ended.stderr
    assert not target.exists() or list(target.iterdir()) == []
    assert leg["Key"] in officer.types("verify", "--deep", ends=Exit.TAMPERED).stdout
    named = ("--name", CASE, "--out", target)
    officer.types("export", officer.kazoo, *named, *WHY, ends=Exit.TAMPERED)
    assert list(target.glob(f"{CASE}-*/bagit.txt")) == []

    [package] = officer.folder.glob(f"{CASE}-*")
    copy = officer.folder / "copy"
    shutil.copytree(package, copy)
    [audio] = (copy / "data" / prefix).iterdir()
    audio.write_bytes(flipped(audio.read_bytes()))
    assert not bag_is_valid(copy)
    assert not sums_are_right(copy)
    assert (
        str(audio.relative_to(copy / "data"))
        in officer.types("verify", copy, "--deep", ends=Exit.TAMPERED).stdout
    )


def assert_proven(package):
    """Check a package with what anybody has."""
    assert bag_is_valid(package)
    assert sums_are_right(package)
    page = (package / "data" / "index.html").read_text()
    assert CASE in page


def bag_is_valid(package):
    bagit = [sys.executable, "-W", "ignore", "-m", "bagit", "--quiet", "--validate", str(package)]
    return subprocess.run(bagit, capture_output=True, check=False).returncode == 0


def sums_are_right(package):
    command = ["sha256sum", "--check", "--quiet", "manifest-sha256.txt"]
    return subprocess.run(command, cwd=package, capture_output=True, check=False).returncode == 0


def flipped(body):
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
