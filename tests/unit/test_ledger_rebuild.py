"""The bucket is the truth: a ledger that was lost or set back is made anew from it."""

import copy
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.evidence.digest import DigestChain
from legato.evidence.legal_hold import HoldRequest, LegalHolds, cases_of
from legato.ingest.related import related_to
from legato.ledger import undigested
from legato.ledger.accounts import meant, siblings
from legato.ledger.birthmark import Birthmark, is_lost
from legato.ledger.listings import records_key
from legato.model import CallId
from legato.operations.ledger_rebuild import LedgerRebuild
from legato.tuning import Policy
from tests.fakes import (
    FakeAccesses,
    FakeLedger,
    FakeLibrary,
    FakeNotes,
    a_job,
    a_leg,
    a_listing,
    some_ports,
)
from tests.unit.test_batch import run
from tests.unit.test_digest import FakeSigner

FIRST, SECOND = CallId("ringex", "1", "s-1"), CallId("ringex", "1", "s-2")


class World:
    """An archive, and the ledger that goes with it."""

    def __init__(self, scratch, **policy):
        self.ports = some_ports(scratch, policy=Policy(**policy))
        self.archive, self.clock = self.ports.archive, self.ports.clock
        self.archive.clock = self.clock
        mark = Birthmark(self.archive, self.ports.notes, self.clock, every=timedelta(minutes=1))
        self.ports = replace(self.ports, check_ledger=mark.check)

    def seal(self, call, *legs):
        self.ports.provider.listings[call] = a_listing(
            *map(a_leg, legs), call=call, records=({"id": f"record of {call}"},)
        )
        self.ports.provider.audio |= {leg: f"mp3 {leg}".encode() for leg in legs}
        run(self.ports, a_job(call, seen_at=self.clock.now()))
        self.clock.advance(61)

    def entry(self, call):
        return self.ports.ledger.load(call)

    def lose(self, ledger=None, notes=None):
        """Put another ledger in the place of this one; an empty one without any."""
        self.ports.ledger.entries = ledger or {}
        self.ports.notes.notes, self.ports.notes.lists = notes or ({}, {})

    def saved(self):
        notes = (self.ports.notes.notes, self.ports.notes.lists)
        return copy.deepcopy(self.ports.ledger.entries), copy.deepcopy(notes)

    def rebuild(self):
        library = FakeLibrary(self.clock)
        for key, body in self.archive.objects.items():
            kept_in = self.archive.storage_classes[key]
            library.put(key, body, storage_class=kept_in)
        work = LedgerRebuild(
            library=library,
            marked=self.archive,
            ledger=self.ports.ledger,
            notes=self.ports.notes,
            clock=self.clock,
        )
        return work.run()


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_lost_ledger_knows_every_sealed_call_again(world):
    """Its folder, its legs, its newest manifest; and functions seal again."""
    world.seal("s-1", "a", "b")
    world.seal("s-2", "c")
    before = [world.entry(call) for call in (FIRST, SECOND)]
    world.lose()
    assert is_lost(world.archive, world.ports.notes)
    report = world.rebuild()
    assert (report.calls, report.forgotten, report.unread) == (2, 2, {})
    for was, now in zip(before, [world.entry(call) for call in (FIRST, SECOND)], strict=True):
        assert (now.status, now.prefix, now.revision) == ("archived", was.prefix, was.revision)
        assert (now.legs, now.manifest.sha256) == (was.legs, was.manifest.sha256)
    assert not is_lost(world.archive, world.ports.notes)
    fetched = list(world.ports.provider.fetched)
    world.seal("s-1", "a", "b")
    assert world.ports.provider.fetched == fetched, "what is archived is not fetched again"
    assert world.entry(FIRST).revision == 1


def test_nothing_is_sealed_until_the_ledger_is_made_anew(world):
    """No second folder comes of a call whose start the provider has corrected meanwhile."""
    world.seal("s-1", "a")
    objects = set(world.archive.objects)
    world.lose()
    earlier = world.clock.now() - timedelta(days=3)
    moved = a_listing(a_leg("a"), a_leg("b"), started_at=earlier)
    world.ports.provider.listings["s-1"] = moved
    world.ports.provider.audio["b"] = b"mp3 b"
    run(world.ports, a_job(seen_at=world.clock.now()))
    assert set(world.archive.objects) == objects
    world.rebuild()
    [(waiting, delay)] = world.ports.jobs.sent
    world.clock.advance(delay)
    run(world.ports, waiting)
    assert world.entry(FIRST).legs.keys() == {"a", "b"}
    folders = {key.rpartition("/legs/")[0] for key in world.archive.objects if "/legs/" in key}
    assert len(folders) == 1


def test_a_ledger_that_was_set_back_loses_nothing_and_keeps_what_is_newer(world):
    """The sealed leg of the lost minutes stays in the next revision."""
    world.seal("s-2", "c")
    world.seal("s-1", "a")
    before = world.saved()
    world.clock.advance(600)
    world.seal("s-1", "a", "b")
    world.lose(*before)
    report = world.rebuild()
    assert (report.calls, report.forgotten) == (2, 1)
    assert world.entry(FIRST).revision == 2
    world.seal("s-1", "a", "b", "d")
    content = json.loads(world.archive.objects[f"{world.entry(FIRST).prefix}manifest-3.json"])
    assert [leg["id"] for leg in content["legs"]] == ["a", "b", "d"]


def test_what_was_uploaded_and_not_sealed_is_sealed_in_its_folder(world):
    """Whatever the provider says of the call's beginning by then."""
    world.seal("s-2", "c")
    folder = "calls/ringex/1/2026/11/18/s-1/"
    world.archive.put(f"{folder}legs/a.mp3", b"mp3 a", "GLACIER_IR")
    world.lose()
    assert world.rebuild().unsealed == 1
    world.seal("s-1", "a")
    assert world.entry(FIRST).prefix == folder
    assert "a" not in world.ports.provider.fetched


def test_what_was_heard_of_a_cold_leg_is_known_again(tmp_path):
    """It cannot be read; the manifest and the picture say enough for the next revision."""
    world = World(tmp_path, apart=True, storage_class="GLACIER")
    world.seal("s-1", "a", "b")
    world.ports.provider.audio.clear()
    world.lose()
    world.rebuild()
    world.ports.provider.audio["c"] = b"mp3 c"
    world.ports.provider.listings["s-1"] = a_listing(*map(a_leg, "abc"))
    run(world.ports, a_job(seen_at=world.clock.now(), named=["c"]))
    content = json.loads(world.archive.objects[f"{world.entry(FIRST).prefix}manifest-2.json"])
    assert [leg["id"] for leg in content["legs"]] == ["a", "b", "c"]
    assert [leg["offset_ms"] for leg in content["legs"]] == [0, 5000, 10000]


def test_the_providers_records_are_known_again(world):
    """A recording that is listed later is added to them."""
    world.seal("s-1", "a")
    world.lose()
    world.rebuild()
    records = world.ports.notes.read(records_key(FIRST)).content["records"]
    assert records == {"record of s-1": {"id": "record of s-1"}}


def test_calls_that_belong_to_each_other_are_known_again(world):
    """Both those that a manifest names and those of other accounts that have the same id."""
    world.ports.provider.listings["s-1"] = replace(
        a_listing(a_leg("a")), related=(SECOND,), records=({"id": "r"},)
    )
    world.ports.provider.audio |= {"a": b"mp3 a"}
    run(world.ports, a_job("s-1", seen_at=world.clock.now()))
    world.lose()
    world.rebuild()
    assert related_to(FIRST, world.ports) == {SECOND}
    elsewhere = FIRST._replace(account="2")
    assert siblings(elsewhere, world.ports.notes) == (FIRST,)
    assert meant("s-1", world.ports.notes) == [FIRST, elsewhere]


def test_legal_holds_are_known_again(world):
    """What is new of a held call is held from the start."""
    world.seal("s-1", "a")
    work = LegalHolds(
        archive=world.archive,
        ledger=world.ports.ledger,
        notes=world.ports.notes,
        clock=world.clock,
        accesses=FakeAccesses(),
        catalogue=world.ports.catalogue,
    )
    for action, case, by in (
        ("hold", "2026-1", "arn:aws:sts::1:assumed-role/r/ada"),
        ("hold", "2026-2", "arn:aws:sts::1:assumed-role/r/ada"),
        ("request-release", "2026-2", "arn:aws:sts::1:assumed-role/r/ada"),
        ("confirm-release", "2026-2", "arn:aws:sts::1:assumed-role/r/bob"),
    ):
        asked = HoldRequest(action=action, call=str(FIRST), case=case, by=by, reason="why")
        work.hold(asked)
    before = world.ports.notes.read(f"hold#{FIRST}")
    world.lose()
    assert world.rebuild().holds == 1
    assert cases_of(FIRST, world.ports.notes) == ["2026-1"]
    after = world.ports.notes.read(f"hold#{FIRST}")
    assert (after.content, after.listed) == (before.content, before.listed)


def test_evidence_that_no_digest_names_is_announced_again(world):
    """What one names is not."""
    world.seal("s-1", "a")

    def make_digests():
        world.clock.advance(2 * 3600 + 300)
        chain = DigestChain(
            archive=world.archive,
            notes=world.ports.notes,
            signer=FakeSigner(),
            clock=world.clock,
        )
        chain.write(until=world.clock.now() + timedelta(minutes=15))

    make_digests()
    world.seal("s-2", "c")
    world.lose()
    assert world.rebuild().unnamed == 1
    announced = list(undigested.listed(world.ports.notes, until=world.clock.now()))
    assert [one.key for one in announced] == [f"{world.entry(SECOND).prefix}manifest-1.json"]
    assert world.rebuild().unnamed == 1, "again is no other"


def test_what_cannot_be_read_keeps_the_functions_stopped(world):
    """And is named."""
    world.seal("s-1", "a")
    folder = world.entry(FIRST).prefix
    world.archive.objects[f"{folder}manifest-1.json"] = b"{"
    world.lose()
    assert list(world.rebuild().unread) == [folder]
    assert is_lost(world.archive, world.ports.notes)


def test_a_second_folder_of_a_call_is_named(world):
    """The ledger goes on with the one that knows more."""
    world.seal("s-1", "a")
    folder = world.entry(FIRST).prefix
    other = folder.replace("2026/11/20", "2026/11/21")
    world.archive.put(f"{other}legs/a.mp3", b"mp3 a", "GLACIER_IR")
    world.lose()
    assert world.rebuild().doubled == [other]
    assert world.entry(FIRST).prefix == folder


def test_a_ledger_that_knows_as_much_is_left_alone(world):
    """It may be run at any time, beside everything else."""
    world.seal("s-1", "a")
    before = dict(world.ports.ledger.entries)
    assert world.rebuild().forgotten == 0
    assert world.ports.ledger.entries == before
    assert isinstance(world.ports.ledger, FakeLedger)
    assert isinstance(world.ports.notes, FakeNotes)
