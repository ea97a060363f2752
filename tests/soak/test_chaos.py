"""Everything goes wrong at once: AWS's network breaks, and functions die all the time.

Calls of all providers come in meanwhile. LEGATO_CHAOS_CALLS sets how many of each.
"""

import base64
import hashlib
import itertools
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from boto3.dynamodb.types import TypeDeserializer

from legato.model import format_time
from local import aws
from local.demo.evidence import gather
from local.system import running
from tests.audio import tone, write_pcm
from tests.e2e.centre import LIMITS, UNLIMITED
from tests.e2e.cluster import KAZOO
from tests.e2e.conftest import FAST
from tests.patience import until
from tests.soak.breaking import WAYS, Breaker

CALLS = int(os.environ.get("LEGATO_CHAOS_CALLS", "40"))
SHARE = 0.05
SECONDS_BETWEEN_DEATHS = (2.0, 6.0)
MORTAL = {"ProcessorFunction": 20, "SweeperFunction": 1, "WebhookFunction": 2}
"""By how often one dies. A sweeper that dies keeps others out for two minutes."""
CALLING_SECONDS = 180
CHAOS_SECONDS = 240
"""Then it is calm, so that what is late comes to its end."""
PATIENCE_SECONDS = 1200
"""A processor that dies keeps others from its calls for 18 minutes at most."""
SCHEDULED = ("SweeperFunction",)
RINGCX = UNLIMITED
PARAMETERS = {
    "RingcxLimits": LIMITS,
    "KazooLimits": "Requests=1000/1",
}


@dataclass
class World:
    """The calls that were placed: what each leg is, by provider, call and leg."""

    system: object
    folder: object
    sent: dict = field(default_factory=dict)
    deaths: Counter = field(default_factory=Counter)
    _tones = itertools.count(200)

    def __post_init__(self):
        self.s3 = aws.client("s3", self.system.endpoints.aws)
        self.sqs = aws.client("sqs", self.system.endpoints.aws)
        self.dynamodb = aws.client("dynamodb", self.system.endpoints.aws)
        self._sealed = {}

    def place(self, provider, legs):
        """Place a call whose legs are all different."""
        bodies = [self._audio() for _ in range(legs)]
        began = datetime.now(UTC) - timedelta(seconds=60)
        given = [
            {
                "duration": 1,
                "audio": base64.b64encode(body).decode(),
                ("start" if provider == "kazoo" else "startTime"): format_time(
                    began + timedelta(seconds=2 * number)
                ),
                **({} if provider == "ringcx" else {"format": "wav"}),
            }
            for number, body in enumerate(bodies)
        ]
        what, call, leg = {
            "ringex": ("legs", "telephonySessionId", "recordingIds"),
            "ringcx": ("segments", "dialogId", "segmentIds"),
            "kazoo": ("recordings", "interactionId", "recordingIds"),
        }[provider]
        url = f"{self.system.endpoints.simulators[provider]}/_sim/calls"
        placed = httpx.post(url, json={what: given}, timeout=60).raise_for_status().json()
        assert "ignored" not in placed
        for name, body in zip(placed[leg], bodies, strict=True):
            self.sent[provider, placed[call], name] = hashlib.sha256(body).hexdigest()

    def _audio(self):
        pcm = tone(1.0, rate=2000, hertz=next(self._tones))
        return write_pcm(self.folder / "leg.wav", pcm, rate=2000).read_bytes()

    def versions(self):
        """Return every version of every object of the archive's calls."""
        pages = self.s3.get_paginator("list_object_versions").paginate(
            Bucket=self.system.endpoints.bucket, Prefix="calls/"
        )
        found = []
        for page in pages:
            assert "DeleteMarkers" not in page
            found += [(each["Key"], each["VersionId"]) for each in page.get("Versions", ())]
        return found

    def manifests(self):
        """Return the newest manifest of each call's folder, by its key."""
        newest = {}
        for key, version in sorted(self.versions()):
            folder, _, name = key.rpartition("/")
            if name.startswith("manifest-"):
                revision = int(name.removeprefix("manifest-").removesuffix(".json"))
                newest[folder] = max(newest.get(folder, (0, "", "")), (revision, key, version))
        for _, key, version in newest.values():
            if key not in self._sealed:
                answer = self.s3.get_object(
                    Bucket=self.system.endpoints.bucket, Key=key, VersionId=version
                )
                self._sealed[key] = (version, answer["Body"].read())
        return {key: self._sealed[key] for _, key, _ in newest.values()}

    def archived(self):
        """Return each leg that is sealed, as often as it is."""
        found = []
        for _, body in self.manifests().values():
            manifest = json.loads(body)
            call = (manifest["provider"], manifest["call"])
            found += [((*call, leg["id"]), leg["sha256"]) for leg in manifest["legs"]]
        return found

    def waiting(self):
        """Say how many messages there are in all queues of jobs."""
        return sum(map(self._depth, self.system.endpoints.queues.values()))

    def _depth(self, queue):
        said = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        names = ("", "NotVisible", "Delayed")
        return sum(int(said[f"ApproximateNumberOfMessages{name}"]) for name in names)

    def letters(self):
        """Return the body and reason of every dead letter."""
        found = []
        for queue in self.system.endpoints.dlqs.values():
            while some := self.sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
            ).get("Messages"):
                for each in some:
                    said = each.get("MessageAttributes", {}).get("reason", {})
                    found.append((each["Body"], said.get("StringValue")))
        return found

    def states(self):
        """Return the ledger's entries of calls."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.system.endpoints.table)
        items = [item for page in pages for item in page["Items"]]
        plain = [{k: TypeDeserializer().deserialize(v) for k, v in item.items()} for item in items]
        return [entry for entry in plain if entry["sk"] == "state"]

    def unforeseen(self):
        """Return the errors that no function had words for."""
        found = []
        for log in (self.system.directory / "logs").glob("*.log"):
            for line in log.read_text().splitlines():
                with suppress(ValueError):
                    entry = json.loads(line)
                    if "exception_name" in entry:
                        said = (log.stem, entry["exception_name"], entry["exception"][-600:])
                        found.append(said)
        return found

    @contextmanager
    def dying(self, seed):
        """Kill a process of the functions every few seconds."""
        stop, dice = threading.Event(), random.Random(seed)

        def kill():
            while not stop.wait(dice.uniform(*SECONDS_BETWEEN_DEATHS)):
                [function] = dice.choices([*MORTAL], weights=MORTAL.values())
                if running := self.system.pools[function].processes():
                    with suppress(ProcessLookupError):
                        os.kill(dice.choice(running), signal.SIGKILL)
                        self.deaths[function] += 1

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            yield
        finally:
            stop.set()
            killer.join()


@pytest.fixture(scope="module", params=[int(os.environ.get("LEGATO_CHAOS_SEED", "1"))])
def chaos(request, tmp_path_factory, free_port):
    """Place calls in the middle of it, and wait until all of it has come to rest."""
    breaker = Breaker(request.param)
    with running(
        port=free_port(),
        directory=tmp_path_factory.mktemp("system"),
        scheduled=SCHEDULED,
        parameters=PARAMETERS,
        ringex_settings={"limits": FAST, "logLag": 0.5},
        ringcx_settings=RINGCX,
        kazoo_settings=KAZOO,
        through=breaker.between,
    ) as system:
        world = World(system, tmp_path_factory.mktemp("audio"))
        breaker.share = SHARE
        begun_at, dice = time.monotonic(), random.Random(request.param)
        with world.dying(request.param):
            for number in range(CALLS):
                for provider in system.endpoints.queues:
                    world.place(provider, dice.choice((1, 1, 2, 3)))
                next_at = begun_at + CALLING_SECONDS * (number + 1) / CALLS
                until(lambda: time.monotonic() > next_at)  # noqa: B023
            until(lambda: time.monotonic() > begun_at + CHAOS_SECONDS)
        breaker.share = 0.0
        with suppress(AssertionError):  # what is missing then, the tests name
            until(
                lambda: world.sent.keys() <= dict(world.archived()).keys(),
                seconds=PATIENCE_SECONDS,
            )
            until(lambda: not world.waiting(), seconds=PATIENCE_SECONDS)
        yield world, breaker


def test_everything_went_wrong(chaos):
    """Else the others say nothing."""
    world, breaker = chaos
    ways = Counter(way for (_, way), count in breaker.broken.items() for _ in range(count))
    assert set(ways) == set(WAYS), breaker.broken
    assert {service for service, _ in breaker.broken} >= {"dynamodb", "s3", "sqs"}
    assert sum(ways.values()) > 0.03 * breaker.seen
    assert world.deaths["ProcessorFunction"] > CHAOS_SECONDS / SECONDS_BETWEEN_DEATHS[1] / 2


def test_every_recording_is_archived_and_none_twice(chaos):
    """As it was sent, in one folder, and each object in one version."""
    world, _ = chaos
    archived = world.archived()
    assert dict(archived) == world.sent
    assert len(archived) == len(world.sent)
    keys = [key for key, _ in world.versions()]
    assert [key for key, count in Counter(keys).items() if count > 1] == []


def test_what_is_archived_is_whole(chaos):
    """By nothing but S3 and the manifests."""
    world, _ = chaos
    for key, (version, body) in world.manifests().items():
        sealed = {"key": key, "version_id": version, "sha256": hashlib.sha256(body).hexdigest()}
        evidence = gather(world.s3, world.system.endpoints.bucket, {"manifest": sealed})
        assert evidence.wrong == ()


def test_no_call_was_given_up(chaos):
    """None is to blame: there is no dead letter, and no state but that all is well."""
    world, _ = chaos
    statuses = Counter(entry["status"] for entry in world.states())
    assert statuses.keys() <= {"archived", "empty"}, statuses
    assert world.letters() == []


def test_nothing_was_unforeseen(chaos):
    """AWS's faults have words of ours, wherever they come."""
    world, _ = chaos
    assert Counter(world.unforeseen()) == {}
