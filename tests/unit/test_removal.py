"""Removal at the provider: what is proven goes and is written down, everything else stays."""

import hashlib
import json
import logging
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.errors import Barred, Denied, Failed, NotYet, Retry, Wait
from legato.ingest.batch import Message, archive
from legato.ledger.removals import remover_key
from legato.model import Note, format_time
from legato.operations.removal import MAX_FAULTS, PUT_OFF, RESERVE, Removal
from legato.tuning import Policy
from tests.fakes import (
    NOON,
    FakeArchive,
    FakeClock,
    FakeLedger,
    FakeNotes,
    FakeProvider,
    a_job,
    a_leg,
    a_listing,
    an_id,
    some_ports,
)

LIST = "removal#ringex"
LATER = "9999"


class FakeSource:
    """Deletes what it `has`, all or nothing. `trouble` is what it answers for some.

    That is always the same error, or the ones of a list, one after the other.
    """

    name = "ringex"

    def __init__(self, has=(), at_once=100):
        self.at_once = at_once
        self.has = set(has)
        self.asked = []
        self.trouble = {}
        self.kept_back = set()
        self.doubts = {}

    def removable(self, account, leg):
        if leg["id"] in self.doubts:
            raise self.doubts[leg["id"]]
        return leg["id"] not in self.kept_back

    def remove(self, recordings):
        ids = [recording.id for recording in recordings]
        self.asked.append(ids)
        for name in ids:
            trouble = self.trouble.get(name)
            if trouble:
                raise trouble.pop(0) if isinstance(trouble, list) else trouble
            if name not in self.has:
                raise NotYet(f"no recording {name}")
        self.has -= set(ids)


class Desk:
    """An archive that calls come into, and the remover's ports."""

    def __init__(self, scratch, *, at_once=100, **policy):
        self.clock, self.notes, self.ledger = FakeClock(), FakeNotes(), FakeLedger()
        self.archive, self.provider = FakeArchive(), FakeProvider()
        self.source = FakeSource(at_once=at_once)
        self.ports = some_ports(
            scratch,
            provider=self.provider,
            ledger=self.ledger,
            notes=self.notes,
            archive=self.archive,
            clock=self.clock,
            policy=Policy(**{"delete_at_source": True, **policy}),
        )

    def call(self, call, *legs):
        """Let a call be archived, whose recordings are at the provider too."""
        minutes = range(10, 10 + len(legs))
        listed = [a_leg(leg, minutes_ago=at) for leg, at in zip(legs, minutes, strict=True)]
        self.provider.listings[call] = a_listing(*listed, call=call)
        self.provider.audio |= {leg: f"mp3-{leg}".encode() for leg in legs}
        self.source.has |= set(legs)
        self.job(call)

    def job(self, call, **fields):
        self.run(a_job(call, seen_at=self.clock.now() - timedelta(seconds=120), **fields))

    def run(self, job):
        archive(
            [Message("m", job.to_message())],
            ports=self.ports,
            until=self.clock.now() + timedelta(minutes=15),
            guard=lambda _ids: nullcontext(),
        )

    def remove(self, minutes=15):
        work = Removal(
            source=self.source,
            archive=self.archive,
            ledger=self.ledger,
            notes=self.notes,
            clock=self.clock,
            sleep=self.clock.advance,
        )
        return work.run(until=self.clock.now() + timedelta(minutes=minutes))

    def key(self, leg):
        [key] = [key for key in self.archive.objects if key.endswith(f"/legs/{leg}.mp3")]
        return key

    @property
    def memory(self):
        return self.notes.read(remover_key("ringex")).content

    def removed(self, leg):
        return self.notes.read(f"removed#ringex/1/{leg}").content

    def listed(self, until=LATER):
        return [note.key for note in self.notes.listed(LIST, until=until)]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


class TestRemoved:
    @pytest.mark.parametrize(
        ("doubt", "count", "again"),
        [
            (Failed("Kazoo has other audio"), "RemovalUnproven", PUT_OFF),
            (Denied("403"), "RemovalUnproven", PUT_OFF),
            (Retry("503"), "RemovalPutOff", PUT_OFF),
        ],
    )
    def test_a_call_of_which_the_provider_has_something_else_stays_there(
        self, desk, doubt, count, again
    ):
        """With all of its legs, which are evidence of each other; its neighbours go."""
        desk.call("s-1", "a", "b")
        desk.call("s-2", "c")
        desk.source.doubts["b"] = doubt
        report = desk.remove()
        assert desk.source.has == {"a", "b"}
        assert report.counts[count] == 1
        assert report.faults == []
        due = format_time(desk.clock.now() + again)
        assert desk.listed(due) == ["removal#ringex/1/s-1"]

    def test_what_is_read_back_as_it_was_sealed_goes_and_is_written_down(self, desk, caplog):
        """With its key, version, hash and proof, in the ledger and in the log."""
        caplog.set_level(logging.INFO)
        desk.call("s-1", "a", "b")
        desk.clock.advance(60)
        report = desk.remove()
        assert report.counts == {"RecordingRemoved": 2, "RemovalUnproven": 0}
        assert (report.stopped, report.faults) == (None, [])
        assert desk.source.has == set()
        assert desk.removed("a") == {
            "call": "ringex/1/s-1",
            "key": desk.key("a"),
            "version_id": "v1",
            "bytes": 5,
            "sha256": hashlib.sha256(b"mp3-a").hexdigest(),
            "proof": "read-back",
            "proved_at": "2026-11-20T12:01:00.000Z",
            "removed_at": "2026-11-20T12:01:00.000Z",
        }
        told = [each for each in caplog.records if each.message == "removed at the source"]
        assert {each.recording for each in told} == {"a", "b"}
        assert told[0].sha256 == desk.removed(told[0].recording)["sha256"]
        assert desk.listed() == []

    def test_nothing_is_asked_twice(self, desk):
        """Neither in the next run nor when a late job looks at the call again."""
        desk.call("s-1", "a")
        desk.remove()
        desk.clock.advance(600)
        desk.job("s-1")
        assert desk.listed() == []
        desk.remove()
        assert desk.source.asked == [["a"]]

    def test_a_later_revision_brings_its_new_legs_only(self, desk):
        """The sealed ones are gone already."""
        desk.call("s-1", "a")
        desk.remove()
        desk.clock.advance(600)
        desk.call("s-1", "a", "b")
        desk.source.has = {"b"}
        desk.remove()
        assert desk.source.asked == [["a"], ["b"]]
        assert desk.listed() == []

    def test_the_oldest_goes_first(self, desk):
        """So that nothing waits for ever."""
        desk.call("s-2", "b")
        desk.clock.advance(1)
        desk.call("s-1", "a")
        desk.source.at_once = 1
        desk.remove()
        assert desk.source.asked == [["b"], ["a"]]

    def test_a_covered_job_lists_the_call_too(self, desk):
        """As of a call that was archived before anybody wanted its recordings removed."""
        wish = desk.ports.policy
        desk.ports = replace(desk.ports, policy=replace(wish, delete_at_source=False))
        desk.call("s-1", "a")
        assert desk.listed() == []
        desk.ports = replace(desk.ports, policy=wish)
        desk.run(a_job())
        assert desk.listed() == ["removal#ringex/1/s-1"]

    def test_it_is_listed_before_the_ledger_says_archived(self, desk):
        """A worker that dies in between leaves one listed too many, never one too few."""
        saved, seen = desk.ledger.save, []

        def save(state):
            if state.status == "archived":
                seen.append(desk.listed())
            return saved(state)

        desk.ledger.save = save
        desk.call("s-1", "a")
        assert seen == [["removal#ringex/1/s-1"]]

    def test_without_the_wish_nothing_is_listed(self, tmp_path):
        """It is off by default."""
        assert not Policy().delete_at_source
        desk = Desk(tmp_path, delete_at_source=False)
        desk.call("s-1", "a")
        assert desk.listed() == []
        assert not any(key.startswith("removal#") for key in desk.notes.notes)

    @pytest.mark.parametrize("audio", [None, b"mp3-cut"])
    def test_a_call_that_is_not_whole_is_not_listed(self, desk, audio):
        """Its good legs are sealed, and stay at the provider until all are there."""
        legs = [a_leg("a"), a_leg("b", minutes_ago=9)]
        desk.provider.listings["s-1"] = a_listing(*legs)
        desk.provider.audio["a"] = b"mp3-a"
        if audio is not None:
            desk.provider.audio["b"] = audio
        desk.job("s-1", attempt=4, looks=9)
        assert desk.ledger.load(an_id("s-1")).troubles
        assert desk.listed() == []


def flip(desk, key):
    body = desk.archive.objects[key]
    desk.archive.objects[key] = bytes([body[0] ^ 1]) + body[1:]


def cut(desk, key):
    desk.archive.objects[key] = desk.archive.objects[key][:-1]


def hide(desk, key):
    desk.archive.hidden.add(key)


def cover(desk, key):
    desk.archive.newer.add(key)


def cold_and_flipped(desk, key):
    desk.archive.storage_classes[key] = "GLACIER"
    flip(desk, key)


class TestUnproven:
    @pytest.mark.parametrize(
        ("damage", "reason"),
        [
            (flip, "does not hold the bytes that the manifest names"),
            (cut, "does not hold the bytes that the manifest names"),
            (hide, "a delete marker lies over it"),
            (cover, "another version lies over"),
            (cold_and_flipped, "keeps another checksum"),
        ],
    )
    def test_the_whole_call_stays_and_somebody_is_told(self, desk, caplog, damage, reason):
        """Its good legs too; the other calls go on."""
        desk.call("s-1", "a", "b")
        desk.call("s-2", "c")
        damage(desk, desk.key("b"))
        report = desk.remove()
        assert report.counts == {"RecordingRemoved": 1, "RemovalUnproven": 1}
        assert desk.source.has == {"a", "b"}
        [told] = [each for each in caplog.records if each.levelno == logging.ERROR]
        assert told.message == "not removed"
        assert told.call == "ringex/1/s-1"
        assert desk.key("b") in told.reason
        assert reason in told.reason
        assert not desk.removed("a")

    @pytest.mark.parametrize("damage", [flip, hide, cover])
    def test_the_manifest_is_proven_as_well(self, desk, damage):
        """It is what the legs are compared with."""
        desk.call("s-1", "a")
        damage(desk, desk.ledger.load(an_id("s-1")).manifest.key)
        assert desk.remove().counts["RemovalUnproven"] == 1
        assert desk.source.has == {"a"}

    def test_it_is_proven_anew_within_a_day_until_somebody_acts(self, desk):
        """`legato status` says it all the time; in between it costs nothing."""
        desk.call("s-1", "a")
        flip(desk, desk.key("a"))
        desk.remove()
        [(call, said)] = desk.memory["unproven"].items()
        assert (call, said["since"]) == ("ringex/1/s-1", format_time(NOON))
        assert desk.key("a") in said["reason"]
        desk.clock.advance(3600)
        assert desk.remove().counts["RemovalUnproven"] == 0
        desk.clock.advance(22 * 3600)
        assert timedelta(hours=23) == PUT_OFF
        assert desk.remove().counts["RemovalUnproven"] == 1
        assert desk.memory["unproven"] == {call: said}
        flip(desk, desk.key("a"))
        desk.clock.advance(23 * 3600)
        assert desk.remove().counts["RecordingRemoved"] == 1
        assert desk.listed() == []
        assert "unproven" not in desk.memory

    def test_a_manifest_that_says_otherwise_is_none(self, desk):
        """Though each of its objects is there."""
        desk.call("s-1", "a")
        key = desk.ledger.load(an_id("s-1")).manifest.key
        manifest = json.loads(desk.archive.objects[key])
        manifest["legs"][0]["id"] = "b"
        desk.archive.objects[key] = json.dumps(manifest).encode()
        assert desk.remove().counts["RemovalUnproven"] == 1
        assert desk.source.asked == []


class TestCold:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_what_cannot_be_read_at_once_is_proven_by_the_stores_checksum(self, desk, streamed):
        """By S3's own, or by the hash that the object has carried since it was written."""
        desk.call("s-1", "a")
        desk.archive.storage_classes[desk.key("a")] = "GLACIER"
        if streamed:
            desk.archive.streamed.add(desk.key("a"))
        assert desk.remove().counts["RecordingRemoved"] == 1
        assert desk.removed("a")["proof"] == "checksum"


class TestLater:
    def test_a_hold_that_its_objects_do_not_know_yet_counts_too(self, desk):
        """It stands in the ledger first, and whoever sets it on the objects may have died."""
        desk.call("s-1", "a")
        case = {"reason": "a claim", "by": "alice"}
        desk.notes.write(Note(key="hold#ringex/1/s-1", content={"cases": {"C-1": case}}))
        assert desk.remove().counts["RemovalPutOff"] == 1
        assert desk.source.has == {"a"}

    def test_under_legal_hold_a_call_is_put_off(self, desk, caplog):
        """Nothing is wrong, so nobody is told; when the hold is lifted, it goes."""
        desk.call("s-1", "a", "b")
        desk.archive.holds.add(desk.key("b"))
        assert desk.remove().counts == {
            "RecordingRemoved": 0,
            "RemovalUnproven": 0,
            "RemovalPutOff": 1,
        }
        assert desk.source.asked == []
        assert not [each for each in caplog.records if each.levelno >= logging.ERROR]
        desk.archive.holds.clear()
        assert not desk.remove().counts["RecordingRemoved"]
        desk.clock.advance(PUT_OFF.total_seconds())
        assert desk.remove().counts["RecordingRemoved"] == 2

    def test_a_call_that_failed_since_is_put_off(self, desk):
        """Somebody is told of that already."""
        desk.call("s-1", "a")
        state = desk.ledger.load(an_id("s-1"))
        desk.ledger.save(state.changed(status="failed"))
        assert desk.remove().counts["RemovalPutOff"] == 1
        assert desk.source.has == {"a"}

    def test_a_leg_that_is_not_the_providers_is_left_and_settled(self, desk):
        """It has no document there; the others of its call go."""
        desk.call("s-1", "a", "b")
        desk.source.kept_back = {"b"}
        desk.remove()
        assert desk.source.asked == [["a"]]
        assert desk.listed() == []
        assert not desk.removed("b")


class TestTogether:
    def test_a_hundred_go_in_one_request(self, desk):
        """Across calls, and what is left over in another one."""
        for number in range(125):
            desk.call(f"s-{number}", f"{number}a", f"{number}b")
        report = desk.remove()
        assert [len(asked) for asked in desk.source.asked] == [100, 100, 50]
        assert report.counts["RecordingRemoved"] == 250
        assert desk.listed() == []

    @pytest.mark.parametrize("refusal", [NotYet("404"), Failed("400")])
    def test_who_spoils_a_request_is_found_by_halving(self, desk, refusal):
        """The provider does not say which one it is; all others go."""
        for number in range(100):
            desk.call(f"s-{number:02}", f"{number:02}")
        desk.source.trouble["61"] = refusal
        report = desk.remove()
        assert report.counts["RecordingRemoved"] == 99
        assert desk.source.has == {"61"}
        assert len(desk.source.asked) < 40
        if isinstance(refusal, NotYet):
            assert report.counts["RecordingGone"] == 1
            assert desk.removed("61")["already_gone"] is True
            assert desk.listed() == []
        else:
            assert report.counts["RemovalUnproven"] == 1
            assert desk.listed() == ["removal#ringex/1/s-61"]

    def test_a_run_that_dies_before_it_writes_is_made_up_for(self, desk, caplog):
        """The next one finds all of them gone, proves them again and writes them down."""
        caplog.set_level(logging.INFO)
        for number in range(100):
            desk.call(f"s-{number}", f"{number}")
        desk.notes.write, write = None, desk.notes.write
        with pytest.raises(TypeError):
            desk.remove()
        desk.notes.write = write
        assert desk.source.has == set()
        desk.source.asked.clear()
        report = desk.remove()
        assert report.counts["RecordingGone"] == 100
        assert all(desk.removed(f"{number}")["sha256"] for number in range(100))
        assert desk.listed() == []
        assert len(desk.source.asked) <= 107, "one request each, after the halving"

    def test_what_was_written_down_already_stays_as_it_is(self, desk):
        """A run that dies between two notes must not turn a removal into something else."""
        desk.call("s-1", "a")
        desk.remove()
        before = desk.notes.read("removed#ringex/1/a")
        del desk.notes.notes["removal#ringex/1/s-1"]
        desk.clock.advance(600)
        desk.job("s-1")
        assert desk.remove().counts["RecordingGone"] == 1
        assert desk.notes.read("removed#ringex/1/a") == before

    def test_the_next_run_begins_with_the_size_that_worked(self, desk):
        """Else each would spend its requests on the same halves."""
        for number in range(8):
            desk.call(f"s-{number}", f"{number}")
        desk.source.trouble["0"] = [Failed("400")] * 3 + [Wait("the gate", seconds=60)]
        report = desk.remove()
        assert str(report.stopped) == "the gate"
        assert [len(asked) for asked in desk.source.asked] == [8, 4, 2, 1]
        del desk.source.trouble["0"]
        desk.remove()
        assert [len(asked) for asked in desk.source.asked[4:]] == [1, 2, 4, 1]


class TestStopped:
    def test_a_short_wait_is_slept(self, desk):
        """The gate's window is a few seconds long."""
        desk.call("s-1", "a")
        desk.source.trouble["a"] = [Wait("not our turn", seconds=5), Wait("again", seconds=4)]
        assert desk.remove().counts["RecordingRemoved"] == 1
        assert desk.clock.now() == NOON + timedelta(seconds=9)

    @pytest.mark.parametrize(
        "trouble",
        [Wait("429", seconds=61), Barred("EditCallLog", seconds=5)],
    )
    def test_the_provider_ends_a_run_and_the_next_one_goes_on(self, desk, caplog, trouble):
        """Nothing is lost, nothing is put off; who is refused is told."""
        desk.call("s-1", "a")
        desk.source.trouble["a"] = trouble
        report = desk.remove()
        assert report.stopped is trouble
        assert report.counts["RecordingRemoved"] == 0
        assert ("provider refuses to remove" in caplog.text) == isinstance(trouble, Barred)
        desk.source.trouble.clear()
        assert desk.remove().counts["RecordingRemoved"] == 1

    def test_one_that_the_provider_cannot_remove_now_keeps_nobody_else(self, tmp_path):
        """It is asked for again an hour later; when several fail, it is everybody's trouble."""
        desk = Desk(tmp_path, at_once=1)
        for number in range(5):
            desk.call(f"s-{number}", f"{number}")
        desk.source.trouble = {"0": Retry("503")}
        report = desk.remove()
        assert (report.counts["RecordingRemoved"], report.stopped) == (4, None)
        assert desk.remove().counts["RecordingRemoved"] == 0
        desk.source.trouble = {}
        desk.clock.advance(3600)
        assert desk.remove().counts["RecordingRemoved"] == 1

        for number in range(5, 10):
            desk.call(f"s-{number}", f"{number}")
            desk.source.trouble[f"{number}"] = Retry("503")
        assert str(desk.remove().stopped) == "503"
        assert len(desk.listed(until="2026-11-20T13:00:00.000Z")) == 5 - MAX_FAULTS

    def test_a_request_for_many_that_fails_for_the_moment_ends_the_run(self, desk):
        """With fewer the next time, should one of them be the cause."""
        for number in range(4):
            desk.call(f"s-{number}", f"{number}")
        desk.source.trouble["2"] = Retry("503")
        assert str(desk.remove().stopped) == "503"
        assert len(desk.listed()) == 4
        desk.remove()
        assert [len(asked) for asked in desk.source.asked] == [4, 2, 2]
        assert desk.source.has == {"2", "3"}

    def test_our_own_archives_fault_is_told_and_the_others_go_on(self, desk, caplog):
        """An object that may not be read must not stand before all others for ever."""
        for number in range(3):
            desk.call(f"s-{number}", f"{number}")
        held, denied = desk.archive.held, desk.key("1")

        def ask(key, *, version_id):
            if key == denied:
                raise Retry("AccessDenied")
            return held(key, version_id=version_id)

        desk.archive.held = ask
        report = desk.remove()
        assert report.counts["RecordingRemoved"] == 2
        assert [str(fault) for fault in report.faults] == ["AccessDenied"]
        assert "the archive cannot be asked" in caplog.text
        assert desk.remove().faults == []
        desk.clock.advance(3600)
        assert len(desk.remove().faults) == 1

    def test_an_archive_that_is_away_ends_the_run(self, desk):
        """It is tried with a few calls, and not with all of them."""
        for number in range(10):
            desk.call(f"s-{number}", f"{number}")

        def away(_prefix):
            raise Retry("ServiceUnavailable")

        desk.archive.find = away
        report = desk.remove()
        assert len(report.faults) == MAX_FAULTS
        assert str(report.stopped) == "ServiceUnavailable"

    def test_a_run_ends_in_time_with_what_it_has_proven(self, desk):
        """The rest of its time is for the provider and for writing down."""
        desk.call("s-1", "a")
        desk.call("s-2", "b")
        held = desk.archive.held

        def slow(key, *, version_id):
            desk.clock.advance(50)
            return held(key, version_id=version_id)

        desk.archive.held = slow
        report = desk.remove(minutes=1 + RESERVE.total_seconds() / 60)
        assert "no time left" in str(report.stopped)
        assert desk.source.asked == [["a"]]
        assert desk.listed() == ["removal#ringex/1/s-2"]
