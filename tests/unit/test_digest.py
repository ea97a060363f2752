"""Each hour has one digest, signed and chained, whatever happens to the runs that write it."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from legato import chain
from legato.digest import Chaining, digest
from legato.errors import Retry
from tests.fakes import FakeArchive, FakeClock, FakeNotes

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class FakeSigner:
    key_id = "key-1"
    algorithm = "ECDSA_SHA_256"

    def __init__(self):
        self.refusal = None
        self.signed = 0

    def sign(self, digest):
        if self.refusal:
            raise self.refusal
        self.signed += 1
        # As with ECDSA, no two signatures are the same.
        return b"signed %d " % self.signed + digest

    def public_key(self):
        return b"-----BEGIN PUBLIC KEY-----\n"


class Dying:
    """An archive that dies after so many writes."""

    def __init__(self, archive, writes):
        self.archive = archive
        self.writes = writes

    def __getattr__(self, name):
        return getattr(self.archive, name)

    def put_bytes(self, key, body, *, media_type):
        if self.writes == 0:
            raise KeyboardInterrupt
        self.writes -= 1
        return self.archive.put_bytes(key, body, media_type=media_type)


class Desk:
    def __init__(self):
        self.clock, self.notes = FakeClock(NINE), FakeNotes()
        self.archive, self.signer = FakeArchive(), FakeSigner()

    def seal(self, name, *, written=True, told=True):
        key = f"calls/ringex/1/2026/11/20/{name}/manifest-1.json"
        chain.announce(key, self.notes, self.clock)
        if written:
            stored = self.archive.put_bytes(key, name.encode(), media_type="application/json")
            if told:
                chain.written(stored, self.notes)
        return key

    def at(self, hour, minute=5):
        self.clock.moment = NINE + timedelta(hours=hour - 9, minutes=minute)

    def run(self, archive=None):
        work = Chaining(
            archive=archive or self.archive,
            notes=self.notes,
            signer=self.signer,
            clock=self.clock,
        )
        return digest(work, until=self.clock.now() + timedelta(minutes=15))

    def digests(self):
        keys = sorted(key for key in self.archive.objects if key.startswith("digests/2"))
        return [json.loads(self.archive.objects[key]) for key in keys if key.endswith(".json")]

    def named(self):
        return [[named["key"] for named in one["objects"]] for one in self.digests()]


def is_a_chain(desk):
    """Say whether every digest names the one before it, and follows it in time."""
    keys = sorted(key for key in desk.archive.objects if key.startswith("digests/2"))
    keys = [key for key in keys if key.endswith(".json")]
    before = None
    for sequence, key in enumerate(keys, 1):
        body = desk.archive.objects[key]
        content = json.loads(body)
        signature = desk.archive.objects[f"{key}.sig"]
        if content["sequence"] != sequence or not signature.endswith(hashlib.sha256(body).digest()):
            return False
        if before is None:
            if content["previous"] is not None:
                return False
        else:
            wanted = {
                "key": before[0],
                "version_id": "v1",
                "sha256": hashlib.sha256(before[1]).hexdigest(),
                "signature": base64.b64encode(desk.archive.objects[f"{before[0]}.sig"]).decode(),
            }
            if content["previous"] != wanted or content["from"] != json.loads(before[1])["to"]:
                return False
        before = (key, body)
    return True


def test_an_hour_that_is_over_gets_a_digest_of_what_was_sealed_in_it():
    """With the version and SHA-256 of each document, and the key that signed it."""
    desk = Desk()
    desk.at(9, 20)
    key = desk.seal("s-1")
    desk.at(10, 5)
    report = desk.run()
    assert report.digests == ["digests/2026/11/20/2026-11-20T09.json"]
    assert report.behind == timedelta(minutes=5)
    (found,) = desk.digests()
    assert (found["from"], found["to"]) == ("2026-11-20T09:00:00.000Z", "2026-11-20T10:00:00.000Z")
    assert found["counts"] == {"manifests": 1, "holds": 0, "accesses": 0}
    (named,) = found["objects"]
    assert named == {
        "key": key,
        "version_id": "v1",
        "bytes": 3,
        "sha256": hashlib.sha256(b"s-1").hexdigest(),
    }
    assert found["signed_with"]["public_key"]["key"] == "digests/keys/key-1.pem"
    assert is_a_chain(desk)


@pytest.mark.parametrize("minute", [0, 1])
def test_an_hour_is_not_over_before_all_clocks_say_so(minute):
    """A worker whose clock is a little behind still seals in it."""
    desk = Desk()
    desk.at(10, minute)
    desk.run()
    assert "digests/2026/11/20/2026-11-20T09.json" not in desk.archive.objects


def test_nothing_that_happened_is_also_said():
    """An hour without a digest would look like one that was taken away."""
    desk = Desk()
    for hour in range(10, 15):
        desk.at(hour)
        desk.run()
    assert desk.named() == [[]] * 5
    assert is_a_chain(desk)


def test_hours_that_were_missed_are_made_up_for():
    """Each document in the hour in which it was announced."""
    desk = Desk()
    desk.at(10)
    desk.run()
    keys = []
    for hour in (11, 13):
        desk.at(hour, 30)
        keys.append(desk.seal(f"s-{hour}"))
    desk.at(15)
    assert len(desk.run().digests) == 5
    assert desk.named() == [[], [], [keys[0]], [], [keys[1]], []]
    assert is_a_chain(desk)


def test_a_run_that_is_repeated_changes_nothing():
    """One hour has one digest."""
    desk = Desk()
    desk.at(10)
    desk.run()
    before = dict(desk.archive.objects)
    assert desk.run().digests == []
    assert desk.archive.objects == before


def test_a_clock_that_steps_back_writes_nothing():
    """The chain only grows at its end."""
    desk = Desk()
    for hour in (10, 11):
        desk.at(hour)
        desk.run()
    before = dict(desk.archive.objects)
    desk.at(10, 30)
    assert desk.run().digests == []
    assert desk.archive.objects == before


@pytest.mark.parametrize("writes", range(4))
def test_a_run_that_dies_is_finished_by_the_next(writes):
    """After the key, the digest, its signature: the chain has neither gap nor fork."""
    desk = Desk()
    desk.at(9, 20)
    key = desk.seal("s-1")
    desk.at(10)
    if writes < 3:
        with pytest.raises(KeyboardInterrupt):
            desk.run(Dying(desk.archive, writes))
        desk.seal("s-2")
    desk.at(11)
    desk.run()
    assert key in desk.named()[0]
    sealed = {name for name in desk.archive.objects if "manifest" in name}
    assert {name for named in desk.named() for name in named} == sealed
    assert is_a_chain(desk)


def test_the_ledger_lost_its_newest_digest_and_the_bucket_knows(monkeypatch):
    """Whatever becomes of the ledger, the chain goes on, and however many digests there are."""
    desk = Desk()
    for hour in (10, 11):
        desk.at(hour)
        desk.run()
    first = min(key for key in desk.archive.objects if key.startswith("digests/2"))
    find, asked = desk.archive.find, []

    def noted(prefix):
        found = find(prefix)
        asked.extend(found)
        return found

    monkeypatch.setattr(desk.archive, "find", noted)
    desk.notes = FakeNotes()
    desk.at(12)
    desk.run()
    assert len(desk.digests()) == 3
    assert is_a_chain(desk)
    assert asked
    assert first not in asked, "S3 is asked for each object that is found"


def test_a_manifest_of_a_worker_that_died_is_found_in_the_bucket():
    """It was announced and written, and nobody could say so any more."""
    desk = Desk()
    desk.at(9, 20)
    key = desk.seal("s-1", told=False)
    desk.at(10)
    desk.run()
    assert desk.named() == [[key]]


def test_what_is_written_while_it_is_given_up_is_in_the_next_digest():
    """It was announced long ago by a worker that died, and another one comes at that moment."""
    desk = Desk()
    desk.seal("a", written=False)
    desk.at(11)

    class Beaten(type(desk.archive)):
        def find(self, prefix):
            found = super().find(prefix)
            if prefix.endswith("/a/manifest-1.json") and not found:
                desk.seal("a")
            return found

    archive = Beaten()
    archive.__dict__.update(desk.archive.__dict__)
    desk.archive = archive
    desk.run()
    desk.at(12)
    desk.run()
    assert ["calls/ringex/1/2026/11/20/a/manifest-1.json"] in desk.named()


def test_what_was_announced_and_never_written_is_given_up_after_a_while():
    """Not at once: its worker may be about to write it."""
    desk = Desk()
    desk.at(9, 59)
    key = desk.seal("s-1", written=False)
    desk.at(10, 3)
    desk.run()
    desk.archive.put_bytes(key, b"late", media_type="application/json")
    desk.at(11, 3)
    desk.run()
    assert desk.named() == [[], [key]]
    lost = desk.seal("s-2", written=False)
    for hour in (12, 13, 14):
        desk.at(hour)
        desk.run()
    assert desk.notes.read(f"chained#{lost}").listed is None


def test_a_key_that_is_disabled_lets_the_digest_wait():
    """It is made up for as soon as there is a signature again."""
    desk = Desk()
    desk.at(10)
    desk.run()
    before = dict(desk.archive.objects)
    desk.at(12)
    desk.signer.refusal = Retry("KMS does not sign: DisabledException")
    report = desk.run()
    assert "DisabledException" in str(report.stopped)
    assert report.behind == timedelta(hours=2, minutes=5)
    assert desk.archive.objects == before
    desk.at(13)
    desk.signer.refusal = None
    assert len(desk.run().digests) == 3
    assert is_a_chain(desk)


def test_of_two_runs_at_once_the_second_goes_on_from_the_first():
    """It finds the digest written, and signs nothing anew."""
    desk = Desk()
    desk.at(10)
    other = Desk()
    other.clock, other.archive = desk.clock, desk.archive
    desk.run()
    other.run()
    assert len(desk.digests()) == 1
    assert is_a_chain(desk)


def test_an_object_is_described_without_asking_the_store_when_the_ledger_knows_it():
    """A digest of thousands must not need thousands of requests."""
    desk = Desk()
    key = desk.seal("s-1")
    (announced,) = chain.unchained(desk.notes, until=NINE)
    assert (announced.key, announced.at) == (key, NINE)
    assert announced.stored == desk.archive.find(key)[key]
