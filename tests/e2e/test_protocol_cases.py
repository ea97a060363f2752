"""What providers' lists and notifications have said, word for word, through the running system.

Each file of tests/fixtures/cases/protocol/ is served as it came, but for its ids, which here belong
to one case each, its times, which are of a minute ago, and RingCentral's host, which is here.
"""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from local import aws
from local.kazoo import ACCOUNTS
from tests.audio import tone, write_pcm
from tests.e2e import cluster
from tests.e2e.centre import UNLIMITED
from tests.e2e.office import PARAMETERS
from tests.forked import typed
from tests.patience import until

__all__ = ["PARAMETERS"]

ROOT = Path(__file__).parent.parent.parent
CASES = ROOT / "tests" / "fixtures" / "cases" / "protocol"
HOSTS = re.compile(r"https://(platform|media)\.ringcentral\.com")
TIMES = {"startTime": 120, "segmentStartTimeMs": 120, "segmentEndTimeMs": 60, "start": 120}
"""How many seconds ago it is now."""
RINGCX = {
    "subAccounts": ["111"],
    **UNLIMITED,
}
KAZOO = {
    "accounts": ["a" * 32, "b" * 32],
    "resellers": [ACCOUNTS[0]],
    **cluster.KAZOO,
}
INTERACTION = "63900000000-0badcafe"
ROWS = range(4)


def case(name, **ids):
    """Return a case; `ids` are put in place of its own, as whole values and within addresses."""
    text = (CASES / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text, object_hook=lambda fields: _moved(fields, ids))


def _moved(fields, ids):
    moved = {}
    for key, value in fields.items():
        if key in TIMES:
            moved[key] = f"now-{TIMES[key]}"
        elif isinstance(value, str):
            moved[key] = ids.get(value, value)
            for own, other in ids.items():
                moved[key] = re.sub(rf"(?<=/recording/){own}\b", other, moved[key])
        else:
            moved[key] = value
    return moved


class Place:
    """The running system, seen from outside."""

    def __init__(self, system, folder):
        self.system = system
        self.folder = folder
        self.endpoints = system.endpoints
        self._s3 = aws.client("s3", system.endpoints.aws)

    def serve(self, provider, **order):
        """Let a provider's lists say this from now on."""
        url = self.endpoints.simulators[provider]
        text = json.dumps(order)
        if provider == "ringex":
            text = HOSTS.sub(url, text)
        answer = httpx.post(f"{url}/_sim/raw", content=text, timeout=30).raise_for_status().json()
        assert "ignored" not in answer
        return answer

    def notify(self, notification):
        token = {"Verification-Token": self.endpoints.webhook_token}
        answer = httpx.post(self.endpoints.webhook, json=notification, headers=token, timeout=30)
        answer.raise_for_status()

    def manifests(self, call):
        """Return the newest manifest of each account that has this call."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.endpoints.bucket)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        found = {}
        for key in sorted(key for key in keys if re.search(r"/manifest-\d+\.json$", key)):
            body = self._s3.get_object(Bucket=self.endpoints.bucket, Key=key)["Body"].read()
            manifest = json.loads(body)
            if manifest["call"] == call:
                found[manifest["account"]] = manifest
        return list(found.values())

    def sealed(self, call):
        """Wait until a call is sealed; return its manifest."""
        [manifest] = until(lambda: self.manifests(call))
        return manifest

    def said(self, *words):
        ended = typed(self.system, *words, folder=self.folder)
        return ended.stdout + ended.stderr

    def shown(self, call):
        """Say whether a person is told to see to a call: that it waits is no such word."""
        if call in self.said("failed", "--json"):
            return True
        needs = json.loads(self.said("status", "--json"))["needs"]
        return any(call in json.dumps(need) for need in needs)


@pytest.fixture(scope="module")
def place(system, tmp_path_factory):
    """Serve all cases at once: none of them stops another."""
    place = Place(system, tmp_path_factory.mktemp("protocol"))
    odd_leg = case(
        "ringex_one_leg_recording_without_id", **{"r1": "r-odd", "s-1": "s-odd", "1": "9001"}
    )
    no_session = case("ringex_no_telephonySessionId", **{"r1": "r-old", "9": "77001", "1": "9002"})
    elsewhere = case("ringex_contentUri_biz", **{"r1": "r-biz", "s-1": "s-biz", "1": "9003"})
    good = case("ringex_contentUri_biz", **{"r1": "r-good", "s-1": "s-good", "1": "9000"})
    good["recording"]["contentUri"] = good["recording"]["uri"] + "/content"
    place.serve("ringex", records=[odd_leg, no_session, elsewhere, good])
    rows = [
        {**row, **ids_of_row(number)}
        for number, row in enumerate(case("ringcx_rows_read_as_unrecorded"))
    ]
    fair = {"channelClass": "VOICE", "channelType": "VOICE", "hasRecording": True}
    rows.append({**rows[0], **fair, **ids_of_row(len(rows))})
    place.serve("ringcx", subAccountId="111", rows=rows)
    ids = {INTERACTION: "good", "202611-" + "1" * 32: f"{datetime.now(UTC):%Y%m}-good"}
    account, documents = next(iter(case("kazoo_two_accounts_one_interaction", **ids).items()))
    place.serve("kazoo", accountId=account, documents=[None, *documents])
    return place


def dialog_of_row(number):
    return f"s-v-{number:032}-1780376796111"


def ids_of_row(number):
    return {"dialogId": dialog_of_row(number), "segmentId": f"p-v-{number}"}


def audio_of(place, hertz):
    return write_pcm(place.folder / "leg.wav", tone(1.0, hertz=hertz)).read_bytes()


def base64_of(body):
    return base64.b64encode(body).decode()


@pytest.mark.parametrize("call", ["s-good", dialog_of_row(len(ROWS)), "good"])
def test_what_is_listed_beside_odd_ones_is_archived(place, call):
    """They cost it nothing."""
    manifest = place.sealed(call)

    assert (len(manifest["legs"]), manifest["missing"]) == (1, [])


def test_a_leg_whose_recording_has_no_id_costs_only_itself(place):
    """The good recording is archived; the odd leg is named as missing, and shown."""
    manifest = place.sealed("s-odd")

    assert [leg["id"] for leg in manifest["legs"]] == ["9001"]
    assert len(manifest["missing"]) == 1
    until(lambda: place.shown("s-odd"))


def test_a_record_without_telephony_session_is_archived_under_its_session(place):
    """Under `sessionId`, which every record has."""
    manifest = place.sealed("77001")

    assert [leg["id"] for leg in manifest["legs"]] == ["9002"]


def test_what_lies_on_another_host_is_fetched_from_the_configured_one(place):
    """AT&T Office@Hand and Verizon are on .biz hosts: no token goes there by a record's word."""
    [leg] = place.sealed("s-biz")["legs"]
    assert leg["id"] == "9003"


@pytest.mark.parametrize("number", ROWS)
def test_an_odd_row_is_understood(place, number):
    """It is never taken for a segment that was not recorded: its recording is archived."""
    manifest = place.sealed(dialog_of_row(number))

    assert [leg["id"] for leg in manifest["legs"]] == [ids_of_row(number)["segmentId"]]
    assert manifest["missing"] == []


def test_one_interaction_in_two_accounts_is_two_calls(place):
    """Each is fetched from its own account, and they are related to each other."""
    accounts = case("kazoo_two_accounts_one_interaction")
    month = f"{datetime.now(UTC):%Y%m}"
    bodies = {account: audio_of(place, 300 + 9 * at) for at, account in enumerate(accounts)}
    for account, documents in accounts.items():
        for document in documents:
            document["id"] = month + document["id"][6:]
        audio = {documents[0]["id"]: base64_of(bodies[account])}
        place.serve("kazoo", accountId=account, documents=documents, audio=audio)

    until(lambda: len(place.manifests(INTERACTION)) == 2)

    for manifest in place.manifests(INTERACTION):
        [leg] = manifest["legs"]
        assert leg["sha256"] == hashlib.sha256(bodies[manifest["account"]]).hexdigest()
        [other] = bodies.keys() - {manifest["account"]}
        assert other in json.dumps(manifest["related"])


def test_a_recording_that_only_a_notification_named_is_fetched(place):
    """Its id is remembered until the call is over, and fetched though the log never lists it."""
    ids = {"s-1": "s-named", "44444444": "9004"}
    answered = case("ringex_csn_answered_names_recording", **ids)
    over = case("ringex_csn_answered_names_recording", **ids) | {"uuid": "2"}
    [party] = over["body"]["parties"]
    del party["recordings"]
    party["status"] = {"code": "Disconnected", "rcc": False}
    over["body"]["sequence"] += 1
    place.serve("ringex", records=[], audio={"9004": base64_of(audio_of(place, 700))})

    place.notify(answered)
    place.notify(over)

    assert [leg["id"] for leg in place.sealed("s-named")["legs"]] == ["9004"]
