"""A provider whose calls are found by sweeping, as a test sees it: from outside, and to the end."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from legato.aws.ledger import DynamoLedger
from legato.ledger.listings import records_key
from legato.model import CallId, format_time
from local import aws
from local.demo.evidence import gather
from tests.audio import tone, write_pcm
from tests.patience import until

RINGEX_ACCOUNT = "401555000"
"""The one of the simulator."""
ALWAYS = 1000
"""So often that a fault never ends before it is taken back."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A call as its provider has it. `sent` maps its legs to their SHA-256."""

    id: str
    account: str
    sent: dict[str, str]


def logged(path, message):
    """Return the entries of a log that have this message."""
    entries = [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]
    return [entry for entry in entries if entry.get("message") == message]


def reasons_to_stop(path):
    early = logged(path, "the sweep ended early")
    return [reason for entry in early for reason in entry["reasons"]]


@dataclass(frozen=True, kw_only=True)
class Names:
    """What a simulator calls the parts of an order: `leg` is what the ids of legs begin with."""

    account: str
    call: str
    legs: str
    leg: str
    start: str


class Swept:
    """A provider's simulator, and what the archive has of it. Audio is made in `folder`."""

    provider: str
    names: Names
    account: str
    """Whose calls these are unless said; empty where the simulator has a single account."""
    channels = 1

    def __init__(self, system, folder):
        self.system = system
        self.folder = folder
        self._tones = itertools.count(200, 10)
        self.s3 = aws.client("s3", system.endpoints.aws)
        self.sqs = aws.client("sqs", system.endpoints.aws)
        dynamodb = aws.client("dynamodb", system.endpoints.aws)
        self.ledger = DynamoLedger(dynamodb, table=system.endpoints.table)
        self.url = system.endpoints.simulators[self.provider]
        self._http = httpx.Client(base_url=f"{self.url}/_sim", timeout=30)

    def audio(self):
        """Return a second of WAV that no other leg has."""
        pcm = tone(1.0, channels=self.channels, hertz=next(self._tones))
        return write_pcm(self.folder / "leg.wav", pcm, channels=self.channels).read_bytes()

    def place(self, legs=1, *, age=60, account=None, audio=(), ids=(), leg=None, **order):
        """Place legs of a second each, of which the first began `age` seconds ago.

        Each is WAV made here, or what is given as `audio`; `leg` says more of all of them.
        """
        began = datetime.now(UTC) - timedelta(seconds=age)
        bodies = audio or [self.audio() for _ in ids or range(legs)]
        order[self.names.legs] = [
            {
                self.names.start: format_time(began + timedelta(seconds=2 * number)),
                "duration": 1,
                "audio": base64.b64encode(body).decode(),
                **(leg or {}),
            }
            for number, body in enumerate(bodies)
        ]
        for placed, name in zip(order[self.names.legs], ids, strict=False):
            placed[f"{self.names.leg}Id"] = name
        if account := account or self.account:
            order[self.names.account] = account
        return self.order(bodies, **order)

    def order(self, bodies, **order):
        """Place a call whose legs have these bodies."""
        answer = self.post("calls", order)
        hashes = [hashlib.sha256(body).hexdigest() for body in bodies]
        sent = dict(zip(answer[f"{self.names.leg}Ids"], hashes, strict=True))
        return Placed(answer[self.names.call], answer[self.names.account], sent)

    def post(self, what, order):
        """Tell the simulator something; return its answer."""
        answer = self._http.post(f"/{what}", json=order).raise_for_status().json()
        assert "ignored" not in answer
        return answer

    def spoil(self, placed, kind, **fault):
        """Let the download of a call's first leg go wrong."""
        leg = {f"{self.names.leg}Id": next(iter(placed.sent))}
        self.faults({"kind": kind, "route": "recording", **leg, **fault})

    def settings(self, **changes):
        self._http.post("/settings", json=changes).raise_for_status()

    def faults(self, *faults):
        self._http.post("/faults", json=list(faults)).raise_for_status()

    def mend(self):
        self._http.delete("/faults").raise_for_status()

    def stats(self):
        return self._http.get("/stats").raise_for_status().json()

    def count_anew(self):
        self._http.delete("/stats").raise_for_status()

    def sweep(self):
        return self.system.invoke("SweeperFunction", {"provider": self.provider})

    def records(self, placed):
        """Return what is known of a call, by leg."""
        note = self.ledger.read(records_key(self.call_of(placed)))
        return note.content.get("records", {})

    def find(self, *calls):
        """Sweep until every leg of these calls is known."""

        def known(placed):
            return placed.sent.keys() <= self.records(placed).keys()

        until(lambda: self.sweep() and all(map(known, calls)))

    def take(self, queue):
        """Empty a queue; return its messages."""
        found = []
        while some := self.sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in some:
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found += some
        return found

    def letters(self):
        """Empty the dead-letter queue; return each letter's body and reason."""
        return [
            (message["Body"], message["MessageAttributes"]["reason"]["StringValue"])
            for message in self.take(self.system.endpoints.dlqs[self.provider])
        ]

    def queue(self):
        """Return the address of the jobs queue, and its ARN."""
        queue = self.system.endpoints.queues[self.provider]
        [arn] = [s.queue_arn for s in self.system.stack.sources if s.queue_url == queue]
        return queue, arn

    def call_of(self, placed):
        return CallId(self.provider, placed.account, placed.id)

    def state(self, placed):
        return self.ledger.load(self.call_of(placed))

    def versions(self, state):
        """Return the class and tag of every version of every object of a call."""
        listed = self.s3.list_object_versions(
            Bucket=self.system.endpoints.bucket, Prefix=state.prefix
        )
        assert "DeleteMarkers" not in listed
        return {
            (item["Key"].removeprefix(state.prefix), item["VersionId"]): (
                item["StorageClass"],
                item["ETag"],
            )
            for item in listed.get("Versions", ())
        }

    def read(self, key, **version):
        """Return an object of the archive."""
        bucket = self.system.endpoints.bucket
        return self.s3.get_object(Bucket=bucket, Key=key, **version)["Body"].read()

    def manifest(self, state):
        """Return the newest manifest of a call, whose entry of the ledger this is."""
        sealed = state.manifest
        return json.loads(self.read(sealed.key, VersionId=sealed.version_id))

    def log(self, function):
        return self.system.directory / "logs" / f"{function}.log"

    def reasons_to_wait(self, placed):
        """Return why a call could not be archived at once, each time, as the processor's log says.

        The ledger says it too, but only until the next try.
        """
        waits = logged(self.log("processor"), "call waiting")
        return [entry["reason"] for entry in waits if entry["call"] == placed.id]

    def reasons_to_stop(self):
        """Return why sweeps ended early, as the sweeper's log says."""
        return reasons_to_stop(self.log("sweeper"))

    def watch(self, *calls, revision=1):
        """Wait until these calls are archived; return keys with classes, seen on the way."""
        seen = {placed: set() for placed in calls}

        def archived(placed):
            state = self.state(placed)
            if state.prefix:
                versions = self.versions(state).items()
                seen[placed].update((key, kept) for (key, _), (kept, _) in versions)
            return (state.status, state.revision) == ("archived", revision)

        until(lambda: not [placed for placed in calls if not archived(placed)])
        return seen

    def evidence(self, placed):
        """Return what S3 says of the newest revision of a call."""
        sealed = self.state(placed).manifest
        described = {
            "key": sealed.key,
            "version_id": sealed.version_id,
            "sha256": sealed.sha256,
        }
        return gather(self.s3, self.system.endpoints.bucket, {"manifest": described})

    def assert_stored(self, placed, *, names, classes):
        """Each leg once, as it was sent; beside the legs nothing but what has these names."""
        assert sorted(key for key, _ in self.versions(self.state(placed))) == names
        evidence = self.evidence(placed)
        assert evidence.wrong == ()
        assert evidence.classes == classes
        assert {leg["id"]: leg["sha256"] for leg in evidence.manifest["legs"]} == placed.sent
        return evidence.manifest

    def assert_archived(self, placed, *, extension="wav"):
        """Each leg once, as it was sent; beside it nothing but what became of all."""
        legs = [f"legs/{leg}.{extension}" for leg in sorted(placed.sent)]
        joined = [f"recording-1.{extension}"] if len(legs) > 1 else []
        names = [*legs, "manifest-1.json", "peaks-1.json", *joined]
        manifest = self.assert_stored(placed, names=names, classes={"GLACIER_IR"})
        assert manifest["recording"]["how"] == ("copy" if joined else "single")
        return manifest
