"""Each hour has one digest, signed and chained, whatever happens to the runs that write it."""

import base64
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from legato.archive.layout import report_key
from legato.errors import Retry
from legato.evidence.digest import DigestChain
from legato.ledger import undigested
from legato.model import StoredObject, format_time
from tests.fakes import NOON, FakeArchive, FakeClock, FakeNotes, an_id

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

    def is_signed(self, digest, signature):
        return signature.startswith(b"signed ") and signature.endswith(digest)

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


def a_manifest(call):
    """Return no more of one than a digest's run looks at."""
    said = {"revision": 1, "sealed_at": format_time(NINE)}
    return json.dumps({**an_id(call)._asdict(), **said}).encode()


class Desk:
    def __init__(self):
        self.clock, self.notes = FakeClock(NINE), FakeNotes()
        self.archive, self.signer = FakeArchive(self.clock), FakeSigner()

    def seal(self, name, *, written=True, told=True):
        key = f"calls/ringex/1/2026/11/20/{name}/manifest-1.json"
        undigested.announce(key, self.notes, self.clock)
        if written:
            stored = self.archive.put_bytes(key, a_manifest(name), media_type="application/json")
            if told:
                undigested.written(stored, self.notes)
        return key

    def at(self, hour, minute=5):
        self.clock.moment = NINE + timedelta(hours=hour - 9, minutes=minute)

    def run(self, archive=None):
        chain = DigestChain(
            archive=archive or self.archive,
            notes=self.notes,
            signer=self.signer,
            clock=self.clock,
        )
        return chain.write(until=self.clock.now() + timedelta(minutes=15))

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
    assert found["counts"] == {"manifests": 1, "holds": 0, "accesses": 0, "reports": 0}
    (named,) = found["objects"]
    assert named == {
        "key": key,
        "version_id": "v1",
        "bytes": len(a_manifest("s-1")),
        "sha256": hashlib.sha256(a_manifest("s-1")).hexdigest(),
        "modified_at": "2026-11-20T09:20:00.000Z",
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
    document, asked = desk.archive.document, []

    def noted(key, **version):
        asked.append(key)
        return document(key, **version)

    monkeypatch.setattr(desk.archive, "document", noted)
    desk.notes = FakeNotes()
    desk.at(12)
    desk.run()
    assert len(desk.digests()) == 3
    assert is_a_chain(desk)
    assert asked
    assert first not in asked, "years of digests are read"


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
        def document(self, key, *, version_id=""):
            found = super().document(key, version_id=version_id)
            if key.endswith("/a/manifest-1.json") and not found:
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
    desk.archive.put_bytes(key, a_manifest("s-1"), media_type="application/json")
    desk.at(11, 3)
    desk.run()
    assert desk.named() == [[], [key]]
    lost = desk.seal("s-2", written=False)
    for hour in (12, 13, 14):
        desk.at(hour)
        desk.run()
    assert desk.notes.read(f"undigested#{lost}").listed is None


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


MANIFEST = "calls/ringex/1/2026/11/20/s-1/manifest-1.json"
A_REPORT = json.dumps({"ended_at": format_time(NINE)}).encode()
A_PAGE = f'<meta name="date" content="{format_time(NINE)}">'.encode()
FIRST = "digests/2026/11/20/2026-11-20T09.json"
NEXT = "digests/2026/11/20/2026-11-20T10.json"


def listed(desk, key, body, *, version_id="v1"):
    """List a document as written, as whoever may write the ledger can."""
    undigested.announce(key, desk.notes, desk.clock)
    sha256 = hashlib.sha256(body).hexdigest()
    written = StoredObject(key=key, version_id=version_id, size=len(body), sha256=sha256)
    undigested.written(written, desk.notes)


def put(desk, key, body):
    return desk.archive.put_bytes(key, body, media_type="application/json")


class TestForger:
    @pytest.mark.attacks("lists a text in the ledger that is nowhere in the bucket")
    def test_what_is_not_in_the_bucket_is_not_signed(self):
        """The digest says that the ledger speaks of it, and no more."""
        desk = Desk()
        listed(desk, MANIFEST, b"any text")
        desk.at(10)
        desk.run()
        [found] = desk.digests()
        assert (found["objects"], [one["key"] for one in found["lost"]]) == ([], [MANIFEST])

    @pytest.mark.attacks("lists a document in the ledger with the SHA-256 of another text")
    def test_what_is_signed_is_what_was_read(self):
        """Whatever the list says of it."""
        desk = Desk()
        put(desk, MANIFEST, a_manifest("s-1"))
        listed(desk, MANIFEST, b"any text")
        desk.at(10)
        desk.run()
        [[named]] = [one["objects"] for one in desk.digests()]
        assert named["sha256"] == hashlib.sha256(a_manifest("s-1")).hexdigest()
        assert named["bytes"] == len(a_manifest("s-1"))

    @pytest.mark.attacks("takes away a manifest before its digest names it")
    def test_what_was_written_and_is_gone_is_told(self):
        """By its version and SHA-256, as whoever wrote it has said."""
        desk = Desk()
        key = desk.seal("s-1")
        del desk.archive.objects[key]
        desk.at(10)
        desk.run()
        [found] = desk.digests()
        assert [one["sha256"] for one in found["lost"]] == [
            hashlib.sha256(a_manifest("s-1")).hexdigest()
        ]
        desk.at(12)
        desk.run()
        assert [one["lost"] for one in desk.digests()][1:] == [[], []]

    @pytest.mark.parametrize(
        ("key", "body"),
        [
            pytest.param(key, body, id=key, marks=pytest.mark.attacks(f"has {what} signed"))
            for what, key, body in (
                ("a text in the place of a manifest", MANIFEST, b"any text"),
                ("a manifest under another call", MANIFEST, a_manifest("s-2")),
                ("a list in the place of a manifest", MANIFEST, b"[[]]"),
                ("a record of an access under another key", "access/2026/x.json", b'{"at": "x"}'),
                ("a leg", "calls/ringex/1/2026/11/20/s-1/legs/1.mp3", b"mp3"),
                ("a digest", "digests/2026/11/20/2026-11-20T08.json", b"{}"),
                ("a report under another key", "reports/2026/11/20/any.json", A_REPORT),
                ("a report of another time", report_key(NOON, "json"), A_REPORT),
                ("a page of another time", report_key(NOON, "html"), A_PAGE),
                ("a page that names no time", report_key(NOON, "html"), b"<p>Nothing is missing."),
                ("a page with half a time", report_key(NOON, "html"), A_PAGE[:-4] + b'\xff">'),
            )
        ],
    )
    def test_what_is_no_evidence_document_is_not_signed(self, key, body):
        """However truly it lies in the bucket; and what is honest beside it is."""
        desk = Desk()
        desk.at(10)
        desk.run()
        put(desk, key, body)
        listed(desk, key, body)
        honest = desk.seal("s-9")
        desk.at(11)
        desk.run()
        del desk.archive.objects[key]
        assert desk.named() == [[], [honest]]
        assert desk.notes.read(f"undigested#{key}").listed is None

    @pytest.mark.attacks("puts a digest of his own where the next one will be, to have it signed")
    def test_a_digest_that_somebody_left_is_not_signed(self):
        """The chain stands still, and says why."""
        desk = Desk()
        desk.at(10)
        desk.run()
        forged = json.loads(desk.archive.objects[FIRST])
        forged |= {"sequence": 2, "from": forged["to"], "to": "2026-11-20T11:00:00.000Z"}
        made_up = {"key": MANIFEST, "version_id": "v1", "bytes": 1, "sha256": "0" * 64}
        forged["objects"] = [made_up | {"modified_at": "2019-01-01T00:00:00.000Z"}]
        put(desk, NEXT, json.dumps(forged, indent=2).encode() + b"\n")
        desk.at(11)
        signed = desk.signer.signed
        report = desk.run()
        assert "somebody else has put it there" in str(report.stopped)
        assert (desk.signer.signed, report.behind) == (signed, timedelta(hours=1, minutes=5))

    @pytest.mark.attacks("puts a digest with a signature of his own where the next one will be")
    def test_a_digest_that_somebody_signed_is_not_followed(self):
        """Nor is a signature that waits for its digest."""
        for names in ((NEXT, f"{NEXT}.sig"), (f"{NEXT}.sig",)):
            desk = Desk()
            desk.at(10)
            desk.run()
            for name in names:
                put(desk, name, desk.archive.objects[FIRST])
            desk.at(11)
            report = desk.run()
            assert "nobody of ours" in str(report.stopped)
            assert report.digests == []

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param(change, marks=pytest.mark.attacks(f"tells the ledger {what}"))
            for what, change in (
                ("of another newest digest", {"sha256": "0" * 64}),
                ("that the chain is longer", {"sequence": 7}),
                ("that the chain goes on years ago", {"to": "2019-01-01T00:00:00.000Z"}),
                ("of a signature that is none", {"signature": "AAAA"}),
            )
        ],
    )
    def test_the_ledger_cannot_name_another_digest_as_the_newest(self, change):
        """What is signed follows what was signed."""
        desk = Desk()
        desk.at(10)
        desk.run()
        head = desk.notes.read("digests")
        desk.notes.write(replace(head, content=head.content | change))
        desk.at(12)
        report = desk.run()
        assert "as the newest digest, which it is not" in str(report.stopped)
        assert len(desk.digests()) == 1

    @pytest.mark.attacks("makes the ledger forget, and puts digests of the future into the bucket")
    def test_a_lost_ledger_does_not_follow_what_nobody_signed(self):
        """It goes on from the newest that the key has signed."""
        desk = Desk()
        desk.at(10)
        desk.run()
        key = "digests/2099/01/01/2099-01-01T00.json"
        put(desk, key, desk.archive.objects[FIRST] + b"\n")
        put(desk, f"{key}.sig", b"signed by nobody")
        desk.notes = FakeNotes()
        desk.at(11)
        assert desk.run().digests == [NEXT]
