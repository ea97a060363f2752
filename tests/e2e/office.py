"""Where the examples of the help are typed: a folder, and a running system with all they name."""

import hashlib
import json
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import httpx

from legato.aws.ledger import DynamoLedger
from legato.aws.library import S3Library
from legato.model import CallId
from local import aws
from local.kazoo import ACCOUNTS
from tests.authority import OpensslAuthority
from tests.e2e import cluster
from tests.e2e.centre import LIMITS, UNLIMITED
from tests.e2e.swept import ALWAYS, RINGEX_ACCOUNT
from tests.forked import answering, typed
from tests.patience import until

WRITTEN = date(2026, 11, 24)
"""The day that the examples take for today. On any other one, all their days are moved with it."""
CALLED = date(2026, 11, 19)
"""So long ago that only a backfill finds it: no first sweep, and not the daily reconciliation."""
TIME_OF_A_RUN = timedelta(minutes=4)
NUMBER = "+15551230000"
CASE = "2026-117"
SESSION, DIALOG, INTERACTION = "s-a0b1c2d3e4f5", "s-v-a0b1c2d3", "63962447024-1a2b"
"""The named calls: at RingEX, RingCX and Kazoo."""
OTHER_DIALOG = "s-v-c4d5e6f7"
LEG, SEGMENT, RECORDING = "7001", "p-v-a0b1c2d3", "202611-9f1c"
"""A recording of each, which the provider does not have at first."""
PAST = {"ringex": "s-past", "ringcx": "s-v-past", "kazoo": "63957000000-past"}
"""A call of October at each provider: nobody looks for it but a backfill."""
MINUTES = 5
"""So long is the dialog."""
ACCOUNT = ACCOUNTS[0]
RINGCX_ACCOUNT = "12345"

RINGCX = {
    "subAccounts": [RINGCX_ACCOUNT],
    **UNLIMITED,
}
KAZOO = {
    "accounts": [ACCOUNT],
    "resellers": [ACCOUNT],
    **cluster.KAZOO,
}
# As short as it can be.
PARAMETERS = {
    "RingexSettleSeconds": "1",
    "RetrySeconds": "1",
    "RingexLadderSeconds": "1,1",
    "RingexNamedLadderSeconds": "1,1",
    "RingcxLimits": LIMITS,
    "RingcxLadderSeconds": "1,1",
    "KazooLimits": "Requests=1000/1",
    "KazooLadderSeconds": "1,1",
    "KazooQuietSeconds": "1",
}


@dataclass(frozen=True, kw_only=True)
class Example:
    """An example, how it `ends`, and what it `says`, as patterns.

    `answer` is typed where it asks, `piped` comes through a pipe, `by` is who runs it, and `then`,
    with the office and the ended process, sees what it has done.
    """

    line: str
    says: tuple[str, ...] = ()
    ends: int = 0
    answer: str | None = None
    piped: str | None = None
    by: str = "alice"
    then: Callable | None = None


class Office:
    """Where the examples are typed: a folder, and the running system with what they name."""

    def __init__(self, system, folder):
        self.system = system
        self.folder = folder
        self.endpoints = system.endpoints
        self.today = a_day_with_time_left()
        self.copied_at = ""
        self.s3 = aws.client("s3", system.endpoints.aws)
        self.library = S3Library(self.s3, bucket=system.endpoints.bucket)
        dynamodb = aws.client("dynamodb", system.endpoints.aws)
        self.ledger = DynamoLedger(dynamodb, table=system.endpoints.table)
        self.player = folder / "player"
        self.player.write_text('#!/bin/sh\necho "$@" >> played\n')
        self.player.chmod(0o755)

    # What the examples name

    def open(self):
        """Let calls be made. Of the named ones, something cannot be fetched at first."""
        for provider, fault in (
            ("ringex", {"route": "any", "recordingId": LEG}),
            ("ringcx", {"route": "recording", "segmentId": SEGMENT}),
            ("kazoo", {"route": "recording", "recordingId": self.as_of_today(RECORDING)}),
        ):
            order = {"kind": "status", "status": 404, "times": ALWAYS, **fault}
            self.post(provider, "faults", order)
        self.place_ringex(SESSION, [(CALLED, "09:30:00", LEG), (CALLED, "09:30:05", None)])
        half = MINUTES * 30
        spans = [("09:40:00", half, SEGMENT), ("09:43:00", half, None)]
        self.place_ringcx(DIALOG, CALLED, spans, contact=NUMBER, agent="4711")
        self.place_ringcx(OTHER_DIALOG, CALLED, [("10:00:00", 1, None)])
        self.place_kazoo(INTERACTION, CALLED, id="9f1c", **{"from": NUMBER})
        past = date(2026, 10, 7)
        self.place_ringex(PAST["ringex"], [(past, "09:00:00", None)], emit=False)
        self.place_ringcx(PAST["ringcx"], past, [("09:00:00", 1, None)])
        self.place_kazoo(PAST["kazoo"], past)

    def place_ringex(self, call, legs, **more):
        order = {"telephonySessionId": call, "from": NUMBER, "listedAfter": 0, **more}
        order["legs"] = [
            {"startTime": self.at(day, time), "duration": 2} | ({"recordingId": leg} if leg else {})
            for day, time, leg in legs
        ]
        self.post("ringex", "calls", order)

    def place_ringcx(self, call, day, spans, *, contact="+15550000000", agent="1"):
        small = {"channels": 1, "sampleRate": 2000}
        segments = [
            {"startTime": self.at(day, time), "duration": seconds, "agentId": agent, **small}
            | ({"segmentId": segment} if segment else {})
            for time, seconds, segment in spans
        ]
        self.post("ringcx", "calls", {"dialogId": call, "contact": contact, "segments": segments})

    def place_kazoo(self, call, day, **more):
        recording = {"start": self.at(day, "09:50:00"), "duration": 2, **more}
        order = {"interactionId": call, "accountId": ACCOUNT, "recordings": [recording]}
        self.post("kazoo", "calls", order)

    def post(self, provider, what, order):
        url = f"{self.endpoints.simulators[provider]}/_sim/{what}"
        answer = httpx.post(url, json=order, timeout=30).raise_for_status()
        assert "ignored" not in answer.json()

    def have_failed(self):
        """Wait until the named calls are given up."""
        until(
            lambda: all(
                self.state(call).status == "failed" for call in (SESSION, DIALOG, INTERACTION)
            )
        )

    def mend(self):
        """Let the providers have all recordings again."""
        for url in self.endpoints.simulators.values():
            httpx.delete(f"{url}/_sim/faults").raise_for_status()

    def are_archived(self):
        """Wait until the named calls, and the other one of RingCX, are there and whole."""
        for call in (SESSION, DIALOG, OTHER_DIALOG, INTERACTION):
            self.is_archived(call)

    def copy(self):
        """Copy the bucket to exported/, keep a key and a digest, and have an authority's root."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.endpoints.bucket):
            for each in page["Contents"]:
                target = self.folder / "exported" / each["Key"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.body(each["Key"]))
        self.copied_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
        [key] = (self.folder / "exported" / "digests" / "keys").iterdir()
        (self.folder / "legato.pem").write_bytes(key.read_bytes())
        *_, digest = sorted((self.folder / "exported" / "digests").glob("2*/*/*/*.json"))
        (self.folder / "kept.json").write_bytes(digest.read_bytes())
        (self.folder / "authority.pem").write_bytes(OpensslAuthority(self.folder / "tsa").ca)

    # How they are run

    def run(self, example):
        """Type an example, and see that it does its work."""
        ended = self.typed(example)
        said = ended.stdout + ended.stderr
        assert (ended.returncode, "Traceback" in said) == (example.ends, False), said
        for words in example.says:
            assert re.search(words, said), said
        if example.then is not None:
            example.then(self, ended)

    def typed(self, example):
        words = shlex.split(self.as_of_today(example.line))
        assert words[0] == "legato"
        for name in ("--stack", "--region"):
            if name in words:
                del words[words.index(name) : words.index(name) + 2]
        words = [word for word in words[1:] if word != "--local"]
        here = {"by": example.by, "folder": self.folder, "LEGATO_PLAYER": str(self.player)}
        if example.piped is not None:
            (self.folder / "piped").write_text(example.piped)
            return typed(self.system, *words, stdin=str(self.folder / "piped"), **here)
        if example.answer is None:
            return typed(self.system, *words, **here)
        with answering(example.answer) as terminal:
            return typed(self.system, *words, stdin=terminal, **here)

    def as_of_today(self, line):
        """Return an example with its days moved, and the time of the copy that was made here."""

        def moved(found):
            year, dash, month, day = found.groups()
            return f"{self.moved(date(int(year), int(month), int(day))):%Y{dash}%m{dash}%d}"

        line = re.sub(r"(?<!\d)(20\d\d)(-?)(\d\d)\2(\d\d)(?!\d)", moved, line)
        line = re.sub(r"(?<=--at )\S+", self.copied_at, line)
        return line.replace(RECORDING, f"{self.moved(CALLED):%Y%m}{RECORDING[6:]}")

    def moved(self, day):
        return day + (self.today - WRITTEN)

    def at(self, day, time):
        return f"{self.moved(day)}T{time}Z"

    # What there is to see afterwards

    def state(self, call):
        return self.ledger.load(call_id(call))

    def is_archived(self, call):
        """Wait until a call is there, with all its recordings."""

        def is_whole():
            state = self.state(call)
            return state.status == "archived" and not state.troubles

        until(is_whole)

    def manifest(self, call):
        return json.loads(self.body(self.state(call).manifest.key))

    def body(self, key):
        return self.s3.get_object(Bucket=self.endpoints.bucket, Key=key)["Body"].read()

    def kept(self, call):
        """Return how the first leg of a call is stored."""
        leg = self.manifest(call)["legs"][0]
        return self.library.state(leg["key"], version_id=leg["version_id"])

    def package(self, folder):
        """Return a package of today, whose files are what its own list of them says."""
        package = self.folder / folder / f"{CASE}-{self.today:%Y%m%d}"
        check = ["sha256sum", "--quiet", "-c", "manifest-sha256.txt"]
        subprocess.run(check, cwd=package, check=True, timeout=60)
        return package


def call_id(call):
    if call.startswith("s-v-"):
        return CallId("ringcx", RINGCX_ACCOUNT, call)
    if call.startswith("s-"):
        return CallId("ringex", RINGEX_ACCOUNT, call)
    return CallId("kazoo", ACCOUNT, call)


def a_day_with_time_left():
    """Return today; wait for tomorrow if midnight is near, since packages are named by the day."""
    now = datetime.now(UTC)
    if (now + TIME_OF_A_RUN).date() != now.date():
        time.sleep(TIME_OF_A_RUN.total_seconds())
    return datetime.now(UTC).date()


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def calls_of(ended):
    return {one["call"] for one in json.loads(ended.stdout)["calls"]}
