"""Calls come out of cold storage at a price that is known, and nothing is lost on the way."""

import hashlib
import json
from datetime import timedelta
from types import SimpleNamespace

import pytest

from legato.errors import Conflict, Failed, Refused, Retry
from legato.model import StoredObject, format_time
from legato.retrieval.restore.ask import restore
from legato.retrieval.restore.event import Completing, read, restored
from legato.retrieval.restore.listed import restores
from legato.retrieval.restore.note import LIST, THERE
from legato.retrieval.restore.offers import GIGABYTE, offers
from legato.retrieval.restore.survey import Restoring, survey
from legato.retrieval.restore.wait import wait
from tests.fakes import NOON, FakeClock, FakeLibrary, FakeMail, FakeNotes, an_id
from tests.unit.test_catalogue import a_row

DAYS = 7
WEEK = timedelta(days=DAYS)


class World:
    """An archive with a ledger, whose S3 takes its time until it does `arrive`."""

    def __init__(self):
        self.clock = FakeClock()
        self.library = FakeLibrary(self.clock)
        self.notes = FakeNotes()
        self.mail = FakeMail()
        self.slept = []
        self.work = Restoring(
            library=self.library, notes=self.notes, clock=self.clock, sleep=self.slept.append
        )
        self.completing = Completing(notes=self.notes, clock=self.clock, mail=self.mail)

    def call(self, name, *sizes, kept_in="GLACIER", joined=False):
        """Archive a RingCX dialog of legs of these sizes, or one whose legs are joined."""
        folder = f"calls/ringcx/1/2026/11/20/{name}"
        legs = [
            {"key": f"{folder}/legs/{number}.wav", "version_id": "v1", "bytes": size}
            for number, size in enumerate(sizes)
        ]
        recording = {**legs[0], "key": f"{folder}/recording-1.wav"} if joined else None
        for entry in (*legs, *([recording] if joined else [])):
            self.library.put(entry["key"], b"audio", storage_class=kept_in)
        body = json.dumps({"recording": recording, "legs": legs}).encode()
        key = f"{folder}/manifest-1.json"
        self.library.put(key, body)
        sha256 = hashlib.sha256(body).hexdigest()
        sealed = StoredObject(key=key, version_id="v1", size=len(body), sha256=sha256)
        return a_row(name, provider="ringcx", storage_class=kept_in, manifest=sealed)

    def survey(self, *rows):
        return survey(rows, self.work)

    def offers(self, *rows, days=DAYS):
        return {
            one.tier: one for one in offers(self.survey(*rows), days=days, now=self.clock.now())
        }

    def restore(self, *rows, tier="Standard", days=DAYS, request="r1"):
        return restore(self.survey(*rows), self.work, tier=tier, days=days, request=request)

    def tell(self, row, number, **changes):
        """Have S3's event of a leg noted."""
        return restored(read(an_event(row, number, **changes)), self.completing)

    def note(self, row):
        return self.notes.read(f"restore#{row.id}")

    def listed(self, name):
        return [note.key.rpartition("/")[2] for note in self.notes.listed(name, until="9999")]


def an_event(row, number, *, kind="Completed", at=None, until=NOON + WEEK, version="v1"):
    detail = {
        "version": "0",
        "bucket": {"name": "archive"},
        "object": {"key": f"{row.prefix}legs/{number}.wav", "version-id": version, "size": 5},
        "requester": "s3.amazonaws.com",
    }
    if kind == "Completed":
        detail |= {"restore-expiry-time": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    return {
        "source": "aws.s3",
        "detail-type": f"Object Restore {kind}",
        "time": f"{at or NOON:%Y-%m-%dT%H:%M:%SZ}",
        "detail": detail,
    }


@pytest.fixture
def world():
    return World()


class TestWhatItTakes:
    def test_legs_that_lie_apart_are_all_restored(self, world):
        """A dialog has no recording: it is joined when it is fetched."""
        row = world.call("s-1", 10, 20)
        world.restore(row)
        assert [key for key, _ in world.library.orders] == [
            f"{row.prefix}legs/0.wav",
            f"{row.prefix}legs/1.wav",
        ]

    def test_of_a_call_with_a_recording_nothing_else_is_restored(self, world):
        row = world.call("s-1", 10, 20, joined=True)
        world.restore(row)
        assert [key for key, _ in world.library.orders] == [f"{row.prefix}recording-1.wav"]

    def test_what_can_be_read_needs_no_restore(self, world):
        row = world.call("s-1", 10, kept_in="GLACIER_IR")
        assert [one.how for one in world.survey(row)] == ["readable"]
        assert world.offers(row) == {}

    def test_a_call_is_cold_then_on_its_way_then_there(self, world):
        """And then cold again, when S3 has taken the copy away."""
        row = world.call("s-1", 10, 20)
        assert world.survey(row)[0].how == "cold"
        world.restore(row)
        [found] = world.survey(row)
        assert (found.how, found.tier, found.until) == ("under way", "Standard", None)
        world.library.arrive(f"{row.prefix}legs/0.wav")
        assert world.survey(row)[0].how == "under way"
        world.library.arrive()
        [found] = world.survey(row)
        assert (found.how, found.until) == ("restored", NOON + WEEK)
        world.library.copies.clear()
        assert world.survey(row)[0].how == "cold"

    def test_a_manifest_that_was_altered_stops_it(self, world):
        row = world.call("s-1", 10)
        world.library.put(row.manifest.key, b'{"recording": null, "legs": []}')
        with pytest.raises(Conflict, match="legato verify"):
            world.survey(row)


class TestPrice:
    """As AWS writes it: per 1,000 requests, per gigabyte, and for the copy a month."""

    def test_tiers_of_glacier(self, world):
        rows = [world.call(f"s-{number}", GIGABYTE, GIGABYTE) for number in range(5)]
        found = world.offers(*rows, days=30)
        assert list(found) == ["Expedited", "Standard", "Bulk"]
        copies = 10 * 0.023
        prices = {tier: round(one.price, 6) for tier, one in found.items()}
        assert prices == {
            "Expedited": round(10 * 10 / 1000 + 10 * 0.03 + copies, 6),
            "Standard": round(10 * 0.05 / 1000 + 10 * 0.01 + copies, 6),
            "Bulk": round(copies, 6),
        }
        hours = {tier: (one.least, one.most) for tier, one in found.items()}
        assert hours == {
            "Expedited": (timedelta(minutes=1), timedelta(minutes=5)),
            "Standard": (timedelta(hours=3), timedelta(hours=5)),
            "Bulk": (timedelta(hours=5), timedelta(hours=12)),
        }
        assert found["Expedited"].large

    def test_deep_archive_has_no_expedited(self, world):
        """Not even where only one of the calls lies there; and its time is the one that counts."""
        deep = world.call("s-1", GIGABYTE, kept_in="DEEP_ARCHIVE")
        found = world.offers(deep, world.call("s-2", 10), days=3)
        assert list(found) == ["Standard", "Bulk"]
        assert found["Standard"].most == timedelta(hours=12)
        assert found["Bulk"].most == timedelta(hours=48)
        bulk = world.offers(deep, days=30)["Bulk"]
        assert bulk.price == pytest.approx(0.025 / 1000 + 0.0025 + 0.023)

    def test_what_is_there_or_on_its_way_is_not_paid_twice(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        assert list(world.offers(row)) == ["Expedited"], "to hasten it"
        world.library.arrive()
        assert world.offers(row) == {}

    def test_to_keep_a_copy_longer_costs_its_place_only(self, world):
        row = world.call("s-1", GIGABYTE)
        world.restore(row)
        world.library.arrive()
        offer = world.offers(row, days=30)["Standard"]
        assert offer.price == pytest.approx(0.023)
        assert offer.most == timedelta()


class TestAsking:
    def test_what_is_under_way_stands_in_the_ledger(self, world):
        """With its tier and its days, so that S3's event finds it."""
        row = world.call("s-1", 10, 20)
        done = world.restore(row, tier="Bulk")
        assert (done.calls, done.objects, done.refused) == ((("ringcx", "1", "s-1"),), 2, {})
        note = world.note(row)
        assert note.listed == (LIST, format_time(NOON))
        assert note.content == {
            "request": "r1",
            "requested_at": format_time(NOON),
            "tier": "Bulk",
            "days": DAYS,
            "objects": {
                f"{row.prefix}legs/0.wav": {"version_id": "v1", "bytes": 10},
                f"{row.prefix}legs/1.wav": {"version_id": "v1", "bytes": 20},
            },
        }

    def test_it_is_noted_before_s3_is_asked(self, world):
        """The event of an Expedited one may come before S3's answer."""
        row = world.call("s-1", 10)
        seen = []
        world.library.refusals = SeenBefore(lambda: seen.append(world.note(row).listed))
        world.restore(row)
        assert seen == [(LIST, format_time(NOON))]

    def test_asking_again_changes_nothing(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        before = world.note(row)
        assert world.restore(row).objects == 0
        assert world.note(row) == before

    def test_whoever_died_on_the_way_asks_for_the_rest(self, world):
        """S3 has one of the legs; the note had both."""
        row = world.call("s-1", 10, 20)
        world.restore(row)
        del world.library.orders[f"{row.prefix}legs/1.wav", "v1"]
        assert world.restore(row).objects == 1
        assert len(world.library.orders) == 2

    def test_a_faster_tier_hastens_what_is_under_way(self, world):
        """With the days of before: S3 lets nobody change them on the way."""
        row = world.call("s-1", 10)
        world.restore(row, tier="Bulk", days=3)
        assert world.restore(row, tier="Expedited", days=9).objects == 1
        assert list(world.library.orders.values()) == [("Expedited", 3)]
        assert world.note(row).content["tier"] == "Expedited"

    def test_what_goes_too_soon_stays_longer(self, world):
        row = world.call("s-1", 10)
        world.restore(row, days=1)
        world.library.arrive()
        world.restore(row, days=30)
        later = NOON + timedelta(days=30)
        assert world.survey(row)[0].until == later
        note = world.note(row)
        assert note.listed[0] == THERE
        [entry] = note.content["objects"].values()
        assert entry["until"] == format_time(later)

    def test_what_s3_refuses_is_said_and_not_noted(self, world):
        """The others go on."""
        row, other = world.call("s-1", 10, 20), world.call("s-2", 10)
        refused = f"{row.prefix}legs/1.wav"
        world.library.refusals[refused] = Failed("no room for Expedited")
        done = world.restore(row, other, tier="Expedited")
        assert (done.objects, list(done.refused)) == (2, [refused])
        assert list(world.note(row).content["objects"]) == [f"{row.prefix}legs/0.wav"]

    def test_what_cannot_be_hastened_comes_as_it_would_have(self, world):
        """It stays on the list, and the same command asks again."""
        row = world.call("s-1", 10)
        world.restore(row, tier="Bulk")
        leg = f"{row.prefix}legs/0.wav"
        world.library.refusals[leg] = Failed("no room for Expedited")
        assert list(world.restore(row, tier="Expedited").refused) == [leg]
        assert world.listed(LIST) == ["s-1"]
        assert world.survey(row)[0].tier == "Bulk"
        world.library.refusals.clear()
        assert world.restore(row, tier="Expedited").objects == 1

    def test_a_copy_that_cannot_stay_longer_is_still_there(self, world):
        row = world.call("s-1", 10)
        world.restore(row, days=1)
        world.library.arrive()
        restores(world.work)
        world.library.refusals[f"{row.prefix}legs/0.wav"] = Failed("no")
        world.restore(row, days=30)
        assert world.listed(THERE) == ["s-1"]

    def test_when_aws_answers_nobody_it_ends_and_nothing_is_noted(self, world):
        """Otherwise all of it would seem to be under way."""
        rows = [world.call(f"s-{number}", 10) for number in range(40)]
        for row in rows:
            world.library.refusals[f"{row.prefix}legs/0.wav"] = Retry("the archive cannot restore")
        with pytest.raises(Retry, match="cannot restore"):
            world.restore(*rows)
        assert world.listed(LIST) == []
        world.library.refusals.clear()
        assert world.restore(*rows).objects == 40
        assert len(world.listed(LIST)) == 40


class SeenBefore(dict):
    """Tells that S3 is being asked, and refuses nothing."""

    def __init__(self, tell):
        super().__init__()
        self.tell = tell

    def __contains__(self, key):
        self.tell()
        return False


class TestEvents:
    def test_the_last_object_of_a_call_makes_it_readable(self, world):
        row = world.call("s-1", 10, 20)
        world.restore(row)
        assert world.tell(row, 0) == "Noted"
        assert world.listed(LIST) == ["s-1"]
        assert world.tell(row, 1) == "Restored"
        assert (world.listed(LIST), world.listed(THERE)) == ([], ["s-1"])
        entries = world.note(row).content["objects"].values()
        assert {entry["until"] for entry in entries} == {format_time(NOON + WEEK)}

    def test_one_mail_tells_of_all_that_was_asked_for_together(self, world):
        """And not before the last of them is there."""
        rows = [world.call("s-1", 10), world.call("s-2", 10)]
        world.restore(*rows, request="r1")
        world.restore(world.call("s-3", 10), request="r2")
        world.tell(rows[1], 0)
        assert world.mail.sent == []
        world.tell(rows[0], 0)
        [(subject, words)] = world.mail.sent
        assert subject == "Legato: 2 calls can be read until 2026-11-27 12:00 UTC"
        assert subject.isascii()
        assert len(subject) <= 100
        assert "s-1  until" in words
        assert "s-2  until" in words
        assert "s-3" not in words

    def test_the_same_event_again_changes_and_tells_nothing(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        world.tell(row, 0)
        before = world.note(row)
        assert world.tell(row, 0) == "Repeated"
        assert world.note(row) == before
        assert len(world.mail.sent) == 1

    def test_a_mail_that_could_not_be_sent_is_sent_when_the_event_comes_again(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        world.mail.refusal = Retry("nobody can be told by mail")
        with pytest.raises(Retry):
            world.tell(row, 0)
        assert world.listed(THERE) == ["s-1"]
        world.mail.refusal = None
        world.tell(row, 0)
        assert len(world.mail.sent) == 1

    def test_without_an_address_nobody_is_told(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        quiet = Completing(notes=world.notes, clock=world.clock)
        assert restored(read(an_event(row, 0)), quiet) == "Restored"

    @pytest.mark.parametrize(
        "changes", [{"version": "v0"}, {"number": 9}], ids=["another version", "another leg"]
    )
    def test_an_object_that_nobody_asked_for_is_left_alone(self, world, changes):
        """Somebody restored it by hand."""
        row = world.call("s-1", 10)
        world.restore(row)
        before = world.note(row)
        number = changes.pop("number", 0)
        assert world.tell(row, number, **changes) == "Unknown"
        assert world.note(row) == before
        assert world.tell(world.call("s-2", 10), 0) == "Unknown"
        assert "restore#ringcx/1/s-2" not in world.notes.notes

    def test_an_event_of_a_copy_that_is_gone_by_now_changes_nothing(self, world):
        """It came late: the object was asked for anew since."""
        row = world.call("s-1", 10)
        world.restore(row)
        assert world.tell(row, 0, until=NOON - timedelta(days=1)) == "Repeated"
        assert world.listed(LIST) == ["s-1"]

    def test_a_copy_that_goes_takes_the_call_off_the_list(self, world):
        row = world.call("s-1", 10, 20)
        world.restore(row)
        for number in (0, 1):
            world.tell(row, number)
        for number in (0, 1):
            assert world.tell(row, number, kind="Expired", at=NOON + WEEK) == "Expired"
        assert world.listed(THERE) == []
        assert world.note(row).content == {"objects": {}}

    def test_the_end_of_an_earlier_copy_changes_nothing(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        assert world.tell(row, 0, kind="Expired") == "Repeated"
        world.tell(row, 0)
        assert world.tell(row, 0, kind="Expired") == "Repeated"
        assert world.listed(THERE) == ["s-1"]

    def test_a_call_whose_id_is_encoded_in_the_key_is_found(self, world):
        row = world.call("a%2Fb", 10)
        world.restore(a_row("a/b", provider="ringcx", manifest=row.manifest))
        assert world.tell(row, 0) == "Restored"

    @pytest.mark.parametrize(
        "event",
        [
            {},
            {"detail-type": "Object Created", "detail": {}},
            {"detail-type": "Object Restore Completed", "detail": {"object": {}}},
            {"detail-type": "Object Restore Completed", "detail": None},
            {**an_event(a_row(), 0), "time": "yesterday"},
        ],
    )
    def test_what_is_no_event_of_a_restore_is_refused(self, event):
        with pytest.raises(Refused):
            read(event)

    @pytest.mark.parametrize("key", ["reports/x", "calls/other/2026/11/20/s/legs/1", "calls"])
    def test_an_object_of_no_call_is_left_alone(self, world, key):
        event = an_event(a_row(), 0)
        event["detail"]["object"]["key"] = key
        assert restored(read(event), world.completing) == "Unknown"


class TestTheList:
    def test_it_says_what_is_under_way_and_what_is_there(self, world):
        world.restore(world.call("s-1", 10, 20), tier="Bulk")
        world.library.arrive()
        world.clock.advance(60)
        world.restore(world.call("s-2", 10), request="r2")
        found = restores(world.work)
        assert [(one.call, one.done, one.objects, one.until, one.expected) for one in found] == [
            (an_id("s-1", provider="ringcx"), 2, 2, NOON + WEEK, None),
            (an_id("s-2", provider="ringcx"), 0, 1, None, NOON + timedelta(minutes=1, hours=5)),
        ]

    def test_a_lost_event_is_made_up_for(self, world):
        """S3 is the truth; and an event that comes late tells people all the same."""
        row = world.call("s-1", 10)
        world.restore(row)
        world.library.arrive()
        restores(world.work)
        assert (world.listed(LIST), world.listed(THERE)) == ([], ["s-1"])
        assert world.tell(row, 0) == "Repeated"
        assert len(world.mail.sent) == 1

    def test_a_lost_end_is_made_up_for(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        world.library.arrive()
        restores(world.work)
        world.library.copies.clear()
        assert restores(world.work) == []
        assert world.listed(THERE) == []

    def test_what_was_noted_and_never_asked_for_goes_after_a_while(self, world):
        """Not at once: somebody may be about to ask."""
        row = world.call("s-1", 10)
        world.restore(row)
        world.library.orders.clear()
        assert [one.done for one in restores(world.work)] == [0]
        world.clock.advance(3601)
        assert restores(world.work) == []

    def test_an_object_that_is_gone_is_not_waited_for(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        del world.library.objects[f"{row.prefix}legs/0.wav", "v1"]
        assert restores(world.work) == []


class TestWaiting:
    def test_it_ends_when_all_can_be_read(self, world):
        """And looks more and more seldom; the ledger knows it without any event."""
        rows = [world.call("s-1", 10, 20), world.call("s-2", 10)]
        world.restore(*rows)
        arrivals = iter([(f"{rows[0].prefix}legs/1.wav",), (), ()])
        told = []
        work = Restoring(
            library=world.library,
            notes=world.notes,
            clock=world.clock,
            sleep=lambda seconds: (told.append(seconds), world.library.arrive(*next(arrivals))),
        )
        wait(world.survey(*rows), work, lambda done, total: told.append((done, total)))
        assert told == [(0, 3), 1.0, (1, 3), 1.2, (3, 3)]
        assert sorted(world.listed(THERE)) == ["s-1", "s-2"]

    def test_what_can_be_read_is_not_waited_for(self, world):
        row = world.call("s-1", 10, kept_in="GLACIER_IR")
        wait(world.survey(row), world.work, lambda done, total: None)
        assert world.slept == []

    def test_what_is_not_on_its_way_any_more_is_said(self, world):
        row = world.call("s-1", 10)
        world.restore(row)
        wanted = world.survey(row)
        world.library.orders.clear()
        with pytest.raises(Failed, match="legato restore ringcx/1/s-1"):
            wait(wanted, world.work, lambda done, total: None)

    def test_a_passing_fault_does_not_end_hours_of_waiting(self, world):
        """Ten in a row do."""
        row = world.call("s-1", 10)
        world.restore(row)
        faults = iter([Retry("no network")] * 9)

        def state(key, *, version_id):
            if fault := next(faults, None):
                raise fault
            world.library.arrive()
            return world.library.state(key, version_id=version_id)

        work = Restoring(
            library=SimpleNamespace(state=state),
            notes=world.notes,
            clock=world.clock,
            sleep=world.slept.append,
        )
        wanted = world.survey(row)
        wait(wanted, work, lambda done, total: None)
        faults = iter([Retry("no network")] * 10)
        with pytest.raises(Retry):
            wait(wanted, work, lambda done, total: None)
