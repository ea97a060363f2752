"""Kazoo's audio comes by itself, to an address or into the inbox: archived once, by every way."""

import time
from datetime import UTC, datetime
from urllib.parse import quote

import httpx
import pytest

from legato.ledger.listings import records_key
from legato.model import CallId
from tests.audio import tone, write_pcm
from tests.e2e.cluster import FIRST, KAZOO, PARAMETERS, SCHEDULED, SECOND, Cluster
from tests.e2e.swept import Placed
from tests.patience import until

__all__ = ["KAZOO", "PARAMETERS", "SCHEDULED"]
MEBIBYTE = 1024 * 1024


class Sender(Cluster):
    """The cluster, and what it sends by itself."""

    def push_to(self, account, **more):
        return {"push": {"url": self.system.endpoints.kazoo_push[account], **more}}

    def plan(self, keys="default"):
        found = self.system.endpoints
        return {"plan": {"endpoint": found.aws, "bucket": found.inbox, "keys": keys}}

    def put_copies(self, placed, bodies):
        """Put the recordings into the inbox too, as a storage plan does."""
        for recording, body in zip(placed.sent, bodies, strict=True):
            key = f"{placed.account}/{'0' * 32}/{recording}/call_recording_x.wav"
            self.s3.put_object(Bucket=self.system.endpoints.inbox, Key=key, Body=body)

    def long_audio(self, size):
        """Return a WAV of so many bytes."""
        second = tone(1.0, rate=16000)
        pcm = second * (size // len(second) + 1)
        path = write_pcm(self.folder / "long.wav", pcm[: size - 44], rate=16000)
        return path.read_bytes()

    def tags(self):
        """Return the tags of every object of the inbox, by its key."""
        inbox = self.system.endpoints.inbox
        listed = self.s3.list_objects_v2(Bucket=inbox).get("Contents", [])
        return {
            item["Key"]: {
                tag["Key"]: tag["Value"]
                for tag in self.s3.get_object_tagging(Bucket=inbox, Key=item["Key"])["TagSet"]
            }
            for item in listed
        }

    def push(self, body=b"", *, account=FIRST, name="", query=None, method="PUT", token=None):
        """Push by hand; return the status and what the answer says."""
        address = self.system.endpoints.kazoo_push[account]
        if token is not None:
            address = f"{address.rpartition('/')[0]}/{token}"
        url = f"{address}/{name}" if name else address
        answer = httpx.request(method, url, params=query, content=body, timeout=60)
        return answer.status_code, answer.text


@pytest.fixture(scope="module")
def cluster(system, tmp_path_factory):
    return Sender(system, tmp_path_factory.mktemp("audio"))


@pytest.fixture(scope="module")
def every_way(cluster):
    """Let recordings come by push, inbox and sweep, all at the same time."""
    calls = []
    for number in range(8):
        bodies = [cluster.audio() for _ in range(2)]
        account = (FIRST, SECOND)[number % 2]
        order = cluster.push_to(account, method=("put", "post")[number // 2 % 2])
        placed = cluster.place_these(bodies, account=account, **order)
        cluster.put_copies(placed, bodies)
        calls.append(placed)
    cluster.find(*calls)
    cluster.watch(*calls)
    cluster.drain()
    return calls


def test_what_comes_by_every_way_is_archived_once(cluster, every_way):
    """One version of each object, one revision of each call, whoever was first."""
    for placed in every_way:
        cluster.assert_archived(placed)
        assert cluster.state(placed).revision == 1


def test_the_inbox_lets_go_of_what_is_archived(cluster, every_way):
    """Pushed and planned copies alike; the bucket's own rule removes them some day."""
    until(lambda: all(tags == {"legato": "archived"} for tags in cluster.tags().values()))
    names = cluster.tags()
    for placed in every_way:
        assert sum(recording in name for recording in placed.sent for name in names) == 2
    assert sum(name.startswith("push/") for name in names) >= 16


def test_a_push_of_four_megabytes_is_archived(cluster):
    """Kazoo has no copy of it: its only way into the archive."""
    body = cluster.long_audio(4 * MEBIBYTE)
    placed = cluster.place_these([body], **cluster.push_to(FIRST, keeps=False))
    cluster.drain()
    cluster.find(placed)
    cluster.watch(placed)
    cluster.assert_archived(placed)


def test_a_push_of_twenty_megabytes_is_refused_and_the_sweep_archives_it(cluster):
    """API Gateway itself answers 413; Kazoo has kept a copy."""
    before = cluster.stats()["pushes"]["answers"].get("413", 0)
    body = cluster.long_audio(20 * MEBIBYTE)
    placed = cluster.place_these([body], **cluster.push_to(FIRST))
    cluster.drain()
    cluster.find(placed)
    cluster.watch(placed)
    assert cluster.stats()["pushes"]["answers"]["413"] > before
    cluster.assert_archived(placed)


def test_a_storage_plan_may_write_into_the_inbox(cluster):
    """Also what is too large to be pushed, and whatever the plan names objects by."""
    placed = []
    for keys, size in (("default", 6 * MEBIBYTE), ("by-fields", MEBIBYTE)):
        plan = cluster.plan(keys)
        assert cluster.check_plan(plan["plan"])["readBack"]
        placed.append(cluster.place_these([cluster.long_audio(size)], **plan))
    cluster.drain()
    cluster.find(*placed)
    cluster.watch(*placed)
    for each in placed:
        cluster.assert_archived(each)


def test_newer_versions_say_less_and_write_two_dots(cluster):
    """The recording is found by its call's id."""
    cluster.settings(version="master")
    placed = cluster.place_these([cluster.audio()], **cluster.push_to(FIRST, keeps=False))
    cluster.drain()
    cluster.settings(version="4.3")
    cluster.find(placed)
    cluster.watch(placed)
    cluster.assert_archived(placed)


def test_a_push_without_a_query_is_archived_under_what_is_known(cluster):
    """The call's id stands in the file's name; Kazoo has no document of it."""
    call_id = f"nobody-{time.time()}@pbx.example.com"
    name = f"call_recording_{quote(call_id, safe='')}.wav"
    before = cluster.tags().keys()
    assert cluster.push(cluster.audio(), name=name)[0] == 200
    [key] = cluster.tags().keys() - before
    until(lambda: cluster.tags()[key] == {"legato": "archived"})
    today = cluster.s3.list_objects_v2(
        Bucket=cluster.system.endpoints.bucket,
        Prefix=f"calls/kazoo/{FIRST}/{datetime.now(UTC):%Y/%m/%d}/",
    )
    found = {item["Key"].split("/")[6] for item in today["Contents"]}
    [call] = (call for call in found if call.startswith("arrived-"))
    note = cluster.ledger.read(records_key(CallId("kazoo", FIRST, call)))
    [record] = note.content["records"].values()
    assert record["call_id"] == call_id


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"token": "0" * 73}, 401, ""),
        ({"token": f"{FIRST}-{'0' * 40}"}, 401, ""),
        ({"query": {"account_id": SECOND}}, 403, "account"),
        ({"body": b""}, 400, "no body"),
        ({"body": b'{"data": "a recording"}'}, 415, "as it is"),
        ({"name": "..%2F..%2Fcalls%2Fx.wav", "token": "x"}, 401, ""),
    ],
)
def test_a_push_that_is_none_is_refused_and_leaves_nothing(cluster, changes, status, words):
    """The answer says what to do, to who has a token."""
    before = cluster.tags().keys()
    answer = cluster.push(**{"body": cluster.audio(), "name": "call_recording_1.wav"} | changes)
    assert answer[0] == status
    assert words in answer[1]
    assert cluster.tags().keys() == before


def test_nothing_of_all_this_failed(cluster, every_way):
    """No job lies in the dead letters."""
    assert isinstance(every_way[0], Placed)
    assert cluster.letters() == []
