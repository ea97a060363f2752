"""The ledger is emptied, or set back, while calls come; the bucket makes it anew."""

import json
import re
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from local import aws
from local.kazoo import ACCOUNTS
from tests.e2e import cluster
from tests.e2e.centre import LIMITS, UNLIMITED
from tests.forked import legato
from tests.patience import until

SCHEDULED = ("SweeperFunction",)
RINGCX = {
    "subAccounts": ["111"],
    **UNLIMITED,
}
KAZOO = {
    "accounts": [ACCOUNTS[0]],
    "resellers": [ACCOUNTS[0]],
    **cluster.KAZOO,
}
PARAMETERS = {
    "RingcxLimits": LIMITS,
    "KazooLimits": "Requests=1000/1",
}
CALL = {"ringex": "telephonySessionId", "ringcx": "dialogId", "kazoo": "interactionId"}
LEGS = {"ringex": "legs", "ringcx": "segments", "kazoo": "recordings"}
SECONDS_BETWEEN_CALLS = 1.0


class Place:
    """The running system, and somebody who goes on calling."""

    def __init__(self, system):
        self.system, self.endpoints = system, system.endpoints
        self.s3 = aws.client("s3", system.endpoints.aws)
        self.dynamodb = aws.client("dynamodb", system.endpoints.aws)
        self.placed = set()
        self._hung_up = threading.Event()
        self._caller = threading.Thread(target=self._call)

    def __enter__(self):
        self._caller.start()
        return self

    def __exit__(self, *_):
        self.hang_up()

    def hang_up(self):
        self._hung_up.set()
        self._caller.join()

    def _call(self):
        while True:
            for provider in CALL:
                self.place(provider)
            if self._hung_up.wait(SECONDS_BETWEEN_CALLS):
                return

    def place(self, provider):
        began = datetime.now(UTC) - timedelta(seconds=20)
        start = "start" if provider == "kazoo" else "startTime"
        legs = [
            {start: (began + timedelta(seconds=3 * number)).isoformat(), "duration": 1}
            for number in range(1 + len(self.placed) % 2)
        ]
        url = f"{self.endpoints.simulators[provider]}/_sim/calls"
        answer = httpx.post(url, json={LEGS[provider]: legs}, timeout=60).raise_for_status().json()
        self.placed.add((provider, answer[CALL[provider]]))

    def keys(self):
        pages = self.s3.get_paginator("list_object_versions").paginate(
            Bucket=self.endpoints.bucket, Prefix="calls/"
        )
        return [each["Key"] for page in pages for each in page.get("Versions", ())]

    def sealed(self):
        found = {key.rpartition("/")[0] for key in self.keys() if "/manifest-" in key}
        return {(folder.split("/")[1], folder.split("/")[-1]) for folder in found}

    def items(self):
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.endpoints.table)
        return [item for page in pages for item in page["Items"]]

    def set_table(self, items):
        """Let the table hold these items, and no others."""
        table = self.endpoints.table
        wanted = {(item["pk"]["S"], item["sk"]["S"]): item for item in items}
        for item in self.items():
            if (item["pk"]["S"], item["sk"]["S"]) not in wanted:
                key = {"pk": item["pk"], "sk": item["sk"]}
                self.dynamodb.delete_item(TableName=table, Key=key)
        for item in wanted.values():
            self.dynamodb.put_item(TableName=table, Item=item)

    def legato(self, *words):
        return legato(
            "--local",
            *words,
            LEGATO_LOCAL_DIR=str(self.system.directory),
            LEGATO_LOCAL_PERSON="alice",
        )

    def grows_to(self, many):
        until(lambda: len(self.sealed()) >= many)


@pytest.mark.parametrize("how", ["emptied", "set back"])
def test_the_ledger_is_lost_while_calls_come(system, how):
    """Sealing stops; after a rebuild everything is archived once, and proven."""
    with Place(system) as place:
        place.grows_to(6)
        before = place.items()
        place.grows_to(len(place.sealed()) + 9)
        place.set_table(before if how == "set back" else [])
        said = until(lambda: "legato ledger rebuild" in place.legato("status").stdout)
        assert said
        ended = place.legato("ledger", "rebuild", "--json")
        assert ended.returncode == 0, ended.stderr
        remade = json.loads(ended.stdout)
        assert (remade["unread"], remade["doubled"]) == ({}, [])
        assert remade["forgotten"] >= 1
        place.grows_to(len(place.sealed()) + 6)
        place.hang_up()
        until(lambda: place.placed <= place.sealed(), seconds=400)
        keys = place.keys()
        assert max(Counter(keys).values()) == 1, "nothing is stored twice"
        folders = {re.match(r"(calls/(?:[^/]+/){6})", key)[1] for key in keys}
        calls = Counter(folder.split("/")[-2] for folder in folders)
        assert max(calls.values()) == 1, "each call has one folder"
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        reconciled = place.legato("reconcile", "--from", today, "--report-only", "--json")
        report = json.loads(reconciled.stdout)
        assert (report["missing"], report["failed"]) == (0, 0), reconciled.stdout[-2000:]
        verified = json.loads(place.legato("verify", "--deep", "--json").stdout)
        # The hour is not over, so there is no digest yet.
        assert {one["kind"] for one in verified["findings"]} <= {"chain-missing"}, verified
