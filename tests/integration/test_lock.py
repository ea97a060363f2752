"""Every object of the evidence is locked by its own write; what S3 enforces then, it is asked to.

Over HTTP, against the local AWS: it refuses to remove what is locked or held. What only real S3
refuses, such as shortening a lock, is tested on the bucket's policy in tests/template.
"""

import hashlib
import json
import uuid
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from legato.archive.object_lock import Lock, Retention
from legato.aws.bucket import PART_BYTES, S3Archive
from legato.errors import Conflict
from legato.evidence.digest import DigestChain
from legato.evidence.legal_hold import LegalHolds
from legato.ingest.batch import Message, archive
from legato.operations.removal import Removal
from legato.tuning import Policy
from tests.fakes import (
    NOON,
    FakeAccesses,
    FakeArchive,
    FakeClock,
    FakeNotes,
    FakeProvider,
    a_job,
    a_leg,
    a_listing,
    an_id,
    some_ports,
)
from tests.unit.test_digest import FakeSigner

ALICE = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Legal_01/alice"
BOB = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Legal_01/bob"
SEVEN = Lock(mode="GOVERNANCE", years=7)
LONG = bytes(2 * PART_BYTES + 1000)
IN_SEVEN = datetime(2033, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def bucket(s3):
    name = f"locked-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


@pytest.fixture
def locked(s3, bucket):
    """Return a function that makes an archive with a lock."""

    def make(lock=SEVEN, clock=None):
        return S3Archive(s3, bucket=bucket, lock=lock, clock=clock or FakeClock())

    return make


@pytest.fixture
def guards(s3, bucket):
    """Return a function that says how every version below a prefix is guarded, by key."""

    def read(prefix=""):
        found = {}
        for item in s3.list_object_versions(Bucket=bucket, Prefix=prefix).get("Versions", []):
            head = s3.head_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
            found[item["Key"]] = (
                head.get("ObjectLockMode"),
                head.get("ObjectLockRetainUntilDate"),
                head.get("ObjectLockLegalHoldStatus") == "ON",
            )
        return found

    return read


def write_every_way(archive, tmp_path):
    """Write an object in each of the ways that there are."""
    archive.put_bytes("calls/bytes", b"{}", media_type="application/json")
    for name, body in (("file", b"audio"), ("parts", LONG)):
        path = tmp_path / name
        path.write_bytes(body)
        sha256 = hashlib.sha256(body).hexdigest()
        archive.put_file(
            f"calls/{name}", path, sha256=sha256, media_type="audio/wav", storage_class="GLACIER"
        )
    with archive.upload("calls/stream", media_type="audio/wav", storage_class="GLACIER") as upload:
        upload.write(LONG)
        upload.complete()


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_each_way_to_write_locks(locked, guards, tmp_path, mode):
    """From the moment of the write on."""
    clock = FakeClock()
    write_every_way(locked(Lock(mode=mode, years=7), clock), tmp_path)
    clock.advance(3600)
    found = guards()
    assert found == dict.fromkeys(found, (mode, IN_SEVEN, False))
    assert len(found) == 4


def test_each_way_to_write_holds(locked, guards, tmp_path):
    """With a lock and without one."""
    write_every_way(locked(lock=None).holding(), tmp_path)
    assert guards() == dict.fromkeys(guards(), (None, None, True))
    locked().holding().put_bytes("calls/both", b"{}", media_type="application/json")
    assert guards("calls/both") == {"calls/both": ("GOVERNANCE", IN_SEVEN, True)}


def test_without_a_mode_nothing_is_locked(locked, guards, tmp_path):
    """As the stack is deployed unless somebody wants it."""
    write_every_way(locked(lock=Retention(mode=None, years={}).longest), tmp_path)
    assert guards() == dict.fromkeys(guards(), (None, None, False))


def test_a_lock_ends_on_the_same_day():
    """Never a day too early, where there is no such day."""
    leap = datetime(2028, 2, 29, 8, 30, tzinfo=UTC)
    assert SEVEN.until(leap) == datetime(2035, 3, 1, 8, 30, tzinfo=UTC)
    assert Lock(mode="GOVERNANCE", years=4).until(leap) == leap.replace(year=2032)


def test_what_speaks_of_all_providers_is_locked_for_the_longest():
    """Each provider's calls for its own years."""
    retention = Retention(mode="COMPLIANCE", years={"ringex": 6, "ringcx": 10, "kazoo": 7})
    assert retention.of("kazoo") == Lock(mode="COMPLIANCE", years=7)
    assert retention.longest == Lock(mode="COMPLIANCE", years=10)


def test_a_repeated_write_changes_nothing_of_the_lock(locked, guards):
    """The same bytes are success, other bytes a conflict, and there is one version."""
    locked().put_bytes("calls/a", b"{}", media_type="application/json")
    later = locked(Lock(mode="COMPLIANCE", years=99))
    later.put_bytes("calls/a", b"{}", media_type="application/json")
    with pytest.raises(Conflict):
        later.put_bytes("calls/a", b"[]", media_type="application/json")
    assert guards() == {"calls/a": ("GOVERNANCE", IN_SEVEN, False)}


@pytest.mark.parametrize("guarded", ["GOVERNANCE", "COMPLIANCE", "hold"])
def test_what_is_guarded_cannot_be_removed_nor_overwritten(locked, s3, bucket, guarded):
    """Not its version, that is; and the key takes no other one."""
    # The local AWS knows no other time than the present.
    archive = locked(None if guarded == "hold" else Lock(mode=guarded, years=7))
    archive = archive.holding() if guarded == "hold" else archive
    stored = archive.put_bytes("calls/a", b"{}", media_type="application/json")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="calls/a", VersionId=stored.version_id)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="calls/a", Body=b"[]", IfNoneMatch="*")
    with archive.read("calls/a", version_id=stored.version_id) as pieces:
        assert b"".join(pieces) == b"{}"


def test_a_hold_reaches_every_version_in_every_class(locked, s3, bucket, guards, tmp_path):
    """What is cold, what lies under another version, and nothing beside the call."""
    archive = locked()
    write_every_way(archive, tmp_path)
    first = s3.head_object(Bucket=bucket, Key="calls/bytes")["VersionId"]
    s3.put_object(Bucket=bucket, Key="calls/bytes", Body=b"over it")
    s3.delete_object(Bucket=bucket, Key="calls/file")  # a delete marker
    s3.put_object(Bucket=bucket, Key="callsign", Body=b"beside it")
    assert archive.hold("calls/", on=True) == 5
    assert all(held for _, _, held in guards("calls/").values())
    assert archive.held("calls/bytes", version_id=first)
    assert guards("callsign") == {"callsign": (None, None, False)}
    assert archive.hold("calls/", on=False) == 5
    assert not any(held for _, _, held in guards().values())
    assert guards("calls/stream") == {"calls/stream": ("GOVERNANCE", IN_SEVEN, False)}


@pytest.mark.parametrize("real", [False, True])
def test_fake_and_real_hold_alike(locked, real):
    """What lies there, what comes, and nothing else."""
    archive = locked() if real else FakeArchive()

    def put(where, key):
        return where.put_bytes(key, key.encode(), media_type="application/json")

    before, beside = put(archive, "calls/a/1"), put(archive, "calls/ab/1")
    assert archive.hold("calls/a/", on=True) == 1
    later, plain = put(archive.holding(), "calls/a/2"), put(archive, "calls/a/3")
    again = put(archive.holding(), "calls/a/3")
    assert again == plain
    held = [archive.held(one.key, version_id=one.version_id) for one in (before, later, plain)]
    assert held == [True, True, False]
    assert archive.hold("calls/a/", on=False) == 3
    assert not archive.held(later.key, version_id=later.version_id)
    assert not archive.held(beside.key, version_id=beside.version_id)
    assert archive.hold("calls/none/", on=True) == 0


class Call:
    """A call of two legs at a provider of our own, archived with real S3."""

    def __init__(self, archive, scratch, **policy):
        self.provider = FakeProvider(audio={"1": b"mp3 one", "2": b"mp3 two", "3": b"mp3 new"})
        self.list("1", "2")
        self.ports = some_ports(
            scratch,
            archive=archive,
            provider=self.provider,
            clock=FakeClock(),
            policy=Policy(settle=0, **policy),
        )
        self.count = 0

    def list(self, *legs):
        self.provider.listings = {"s-1": a_listing(*(a_leg(leg) for leg in legs))}

    def run(self):
        self.count += 1
        self.ports.clock.advance(60)
        job = a_job(seen_at=self.ports.clock.now())
        message = Message(f"m-{self.count}", job.to_message())
        until = self.ports.clock.now() + timedelta(minutes=15)
        report = archive([message], ports=self.ports, until=until, guard=lambda _ids: nullcontext())
        assert report.counts == {"CallArchived": 1}
        return self.ports.ledger.load(an_id("s-1"))

    def hold(self, action="hold", by=ALICE, **asked):
        ports = self.ports
        work = LegalHolds(
            archive=ports.archive,
            ledger=ports.ledger,
            notes=ports.notes,
            clock=ports.clock,
            accesses=FakeAccesses(),
            catalogue=ports.catalogue,
        )
        request = {"action": action, "call": "ringex/1/s-1", "case": "c", "reason": "r"} | asked
        reply = work.answer(json.dumps(request).encode(), by=by)
        assert reply.status == 200, reply.body


@pytest.mark.parametrize(
    ("policy", "names"),
    [
        ({}, {"legs/1.mp3", "legs/2.mp3", "recording-1.mp3", "peaks-1.json", "manifest-1.json"}),
        ({"apart": True}, {"legs/1.mp3", "legs/2.mp3", "peaks-1.json", "manifest-1.json"}),
    ],
)
def test_every_object_of_a_call_is_locked(locked, guards, tmp_path, policy, names):
    """However its legs come."""
    state = Call(locked(), tmp_path, **policy).run()
    found = guards("calls/")
    assert {key.removeprefix(state.prefix) for key in found} == names
    for mode, until, held in found.values():
        assert (mode, held) == ("GOVERNANCE", False)
        assert IN_SEVEN <= until <= IN_SEVEN + timedelta(minutes=2)


@pytest.mark.parametrize("policy", [{}, {"apart": True}])
def test_a_hold_reaches_both_revisions_and_the_third_inherits_it(locked, guards, tmp_path, policy):
    """Everything that belongs to the call, and its record is locked but not held."""
    call = Call(locked(), tmp_path, **policy)
    call.run()
    call.list("1", "2", "3")
    assert call.run().revision == 2
    call.hold()
    assert all(held for _, _, held in guards("calls/").values())
    before = len(guards("calls/"))
    call.provider.audio["4"] = b"mp3 last"
    call.list("1", "2", "3", "4")
    assert call.run().revision == 3
    found = guards("calls/")
    assert len(found) > before
    assert all(held for _, _, held in found.values())
    [(mode, _, held)] = guards("holds/").values()
    assert (mode, held) == ("GOVERNANCE", False)


def test_digests_their_signatures_and_the_key_are_locked(locked, guards):
    """As what they speak of."""
    clock = FakeClock(NOON + timedelta(minutes=5))
    chain = DigestChain(
        archive=locked(clock=clock), notes=FakeNotes(), signer=FakeSigner(), clock=clock
    )
    report = chain.write(until=NOON + timedelta(minutes=15))
    assert report.digests
    found = guards("digests/")
    assert {key.rpartition(".")[2] for key in found} == {"json", "sig", "pem"}
    until = IN_SEVEN + timedelta(minutes=5)
    assert found == dict.fromkeys(found, ("GOVERNANCE", until, False))


class Source:
    """A provider that would delete everything."""

    name = "ringex"
    at_once = 10

    def __init__(self):
        self.removed = []

    def removable(self, account, leg):
        return True

    def remove(self, recordings):
        self.removed += [recording.id for recording in recordings]


def test_a_held_call_stays_at_its_provider(locked, tmp_path):
    """Until it is free."""
    call = Call(locked(), tmp_path, delete_at_source=True)
    call.run()
    call.hold()
    source, ports = Source(), call.ports
    work = Removal(
        source=source,
        archive=ports.archive,
        ledger=ports.ledger,
        notes=ports.notes,
        clock=ports.clock,
        sleep=ports.clock.advance,
    )

    def removal():
        ports.clock.advance(86_400)
        return work.run(until=ports.clock.now() + timedelta(minutes=15)).counts

    assert removal()["RemovalPutOff"] == 1
    assert source.removed == []
    call.hold("request-release")
    assert removal()["RemovalPutOff"] == 1
    call.hold("confirm-release", by=BOB)
    assert removal()["RecordingRemoved"] == 2
    assert source.removed == ["1", "2"]
