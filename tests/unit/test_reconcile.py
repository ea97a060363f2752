"""Every recording that a provider names is archived, waits, has failed, or is missing and said."""

import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from legato.archive import document
from legato.archive.layout import call_prefix, leg_key, manifest_key, peaks_key, recording_key
from legato.errors import Barred, Failed, Retry, Stale, Wait
from legato.evidence.verify.schema import parsed
from legato.ingest.batch import Message, archive
from legato.ledger import undigested
from legato.ledger.listings import records_key
from legato.model import CallState, Unreadable, format_time
from legato.operations.past import Reconciling
from legato.operations.reconcile import DEADLINE, last_days, reconcile
from legato.operations.report.page import to_html
from legato.operations.walk import RETRY_SECONDS
from legato.ports import Change, TailPage
from tests.fakes import (
    NOON,
    FakeArchive,
    FakeClock,
    FakeJobs,
    FakeLedger,
    FakeNotes,
    FakeProvider,
    a_leg,
    a_listing,
    an_id,
    some_ports,
)

DAY = timedelta(days=1)
END = NOON.replace(hour=0)
BEGIN = END - 3 * DAY
BEGAN = END - timedelta(hours=10)


class FakeRecorded:
    """Hands out pages, or errors to raise, in their order."""

    behind = late = False

    def __init__(self, *pages, name="ringex", watch=None):
        self.name = name
        self.watch = watch or name
        self.key = f"{self.watch}#recorded"
        self.kept = 90 * DAY
        self.pages = list(pages)
        self.asked = []

    def page(self, cursor, *, turn=False):
        self.asked.append((cursor, turn))
        number = cursor.get("page", 0)
        if isinstance(self.pages[number], Exception):
            raise self.pages.pop(number)
        changes, strays = self.pages[number]
        changes = tuple(replace(one, id=one.id._replace(provider=self.name)) for one in changes)
        more = number + 1 < len(self.pages)
        return TailPage(changes=changes, strays=strays, cursor={"page": number + 1}, more=more)

    def recordings(self, records):
        return frozenset(record["recording"] for record in records) - {"unclear"}

    def unreadable(self, records):
        unclear = [record for record in records if record["recording"] == "unclear"]
        return [Unreadable(id="record 7", reason="a recording without id") for _ in unclear]

    def began_at(self, record):
        return record.get("began", BEGAN)

    def covers(self, account, recording):
        return True


def a_page(*recordings, strays=(), **fields):
    """Return a page of recordings that are named `call/recording`."""
    calls = {}
    for one in recordings:
        call, recording = one.split("/")
        calls.setdefault(call, {})[recording] = {"recording": recording, **fields}
    changes = tuple(Change(id=an_id(c), records=found) for c, found in calls.items())
    return changes, strays


def described(one):
    return {
        "key": one.key,
        "version_id": one.version_id,
        "bytes": one.size,
        "sha256": one.sha256,
    }


class World:
    """A company, of which `recorded` says what there should be."""

    def __init__(self, *recorded):
        self.recorded = recorded
        self.clock = FakeClock()
        self.jobs = FakeJobs()
        self.ledger, self.notes = FakeLedger(), FakeNotes()
        self.memory = FakeNotes()
        self.archive = FakeArchive()
        self.slept = []
        self.begin, self.end = BEGIN, END

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock.advance(seconds)

    def run(self, *, until=None, **options):
        self.clock.advance(1)
        names = {one.name for one in self.recorded}
        parts = {
            "name": "test",
            "begin": self.begin,
            "end": self.end,
            "recorded": self.recorded,
            "jobs": dict.fromkeys(names, self.jobs),
            "ledger": self.ledger,
            "notes": self.notes,
            "memory": FakeNotes(),
            "archive": self.archive,
            "clock": self.clock,
            "sleep": self.sleep,
            "settle_seconds": 5,
        }
        return reconcile(Reconciling(**parts | options), until=until)

    def goes_on(self, *, minutes=15):
        """Run as one invocation of a function."""
        until = self.clock.now() + timedelta(minutes=minutes)
        return self.run(until=until, memory=self.memory)

    def entry(self, call, **fields):
        fresh = self.ledger.load(an_id(call))
        return self.ledger.save(replace(fresh, **fields))

    def seal(self, call, *legs, account="1", began=BEGAN):
        """Archive a call with these legs, as far as it is looked at here."""
        id_ = an_id(call, account=account)
        prefix = call_prefix(id_, began)
        stored = {leg: self.archive.put(leg_key(prefix, leg, "mp3"), b"mp3 1", "x") for leg in legs}
        peaks = self.archive.put(peaks_key(prefix, 1), b"{}", "STANDARD")
        joined = None
        if len(legs) > 1:
            joined = self.archive.put(recording_key(prefix, 1, "mp3"), b"mp3 11", "x")
        content = {
            **id_._asdict(),
            "revision": 1,
            "started_at": format_time(began),
            "ended_at": None,
            "direction": None,
            "parties": [],
            "related": [],
            "legs": [
                {
                    "id": leg,
                    "started_at": format_time(began),
                    "announced_ms": None,
                    "named_only": leg.startswith("named"),
                    "heard_in": None,
                    "parties": [],
                    **described(one),
                }
                for leg, one in stored.items()
            ],
            "recording": described(joined or stored[legs[0]]),
            "peaks": described(peaks),
            "missing": [],
            "abandoned": [],
            "supersedes": None,
        }
        sealed = self.archive.put(manifest_key(prefix, 1), document.to_bytes(content), "STANDARD")
        state = self.ledger.load(id_)
        return self.ledger.save(
            replace(
                state,
                status="archived",
                prefix=prefix,
                revision=1,
                legs={leg: one.sha256 for leg, one in stored.items()},
                manifest=sealed,
            )
        )

    def lose(self, state, leg):
        del self.archive.objects[leg_key(state.prefix, leg, "mp3")]

    def note(self, call, **content):
        note = self.notes.read(records_key(an_id(call)))
        self.notes.write(replace(note, content=content))

    def reports(self, kind):
        return [key for key in self.archive.objects if re.match(rf"reports/.*{kind}$", key)]


@pytest.fixture
def world():
    return World(FakeRecorded(a_page("s-1/1")))


def fates(report):
    return [(one.call, one.recording, one.fate) for one in report.found]


def only(report):
    [one] = report.found
    return one.fate, one.reason


def test_what_is_sealed_and_in_the_bucket_is_archived(world):
    """Nothing is sent, and the report stands in the bucket twice."""
    world.seal("s-1", "1")
    report = world.run()
    assert only(report) == ("archived", "")
    assert (report.missing, report.failed, world.jobs.sent) == ([], [], [])
    [key] = world.reports("json")
    assert json.loads(world.archive.objects[key]) == report.to_json()
    assert key == "reports/2026/11/20/reconciliation-20261120T120001Z.json"
    assert world.reports("html") == [key.replace("json", "html")]


def test_a_digest_will_name_the_report_and_its_page(world):
    """Both are announced before they are written."""

    def announced():
        return {one.key: one.stored for one in undigested.listed(world.notes, until=NOON + DAY)}

    class Archive(FakeArchive):
        def put_bytes(self, key, body, *, media_type):
            assert announced()[key] is None
            return super().put_bytes(key, body, media_type=media_type)

    world.archive = Archive()
    world.run()
    keys = [*world.reports("json"), *world.reports("html")]
    sha256 = {key: hashlib.sha256(world.archive.objects[key]).hexdigest() for key in keys}
    assert {key: stored.sha256 for key, stored in announced().items()} == sha256
    for key in keys:
        assert document.read(key, world.archive.objects[key]) == world.clock.now()


def test_a_lost_object_is_missing_and_the_ledger_says_so_before_the_job_is_sent(world):
    """A job for what the ledger says is archived would change nothing."""
    world.recorded = (FakeRecorded(a_page("s-1/1", "s-1/2")),)
    world.lose(world.seal("s-1", "1", "2"), "2")
    report = world.run()
    assert fates(report) == [("s-1", "1", "archived"), ("s-1", "2", "missing")]
    assert "legs/2.mp3 is gone from the archive" in report.missing[0].reason
    state = world.ledger.load(an_id("s-1"))
    assert (state.status, set(state.legs), state.revision) == ("waiting", {"1"}, 1)
    [(job, delay)] = world.jobs.sent
    assert (job.call, job.account, delay) == ("s-1", "1", 5)
    assert (job.named, job.listed) == ({"2"}, {"2"})
    assert report.queued == 1


def test_a_lost_manifest_makes_all_of_its_legs_missing(world):
    """They are sealed again, by another one."""
    state = world.seal("s-1", "1")
    world.archive.hidden.add(state.manifest.key)
    assert only(world.run()) == ("missing", f"{state.manifest.key} is gone from the archive")
    assert world.ledger.load(an_id("s-1")).legs == {}


def test_another_object_over_a_leg_is_a_failure_that_a_job_could_not_mend(world):
    """Its key is taken: a person must look."""
    state = world.seal("s-1", "1")
    world.archive.objects[leg_key(state.prefix, "1", "mp3")] = b"mp3 something else"
    fate, reason = only(world.run())
    assert (fate, world.jobs.sent) == ("failed", [])
    assert "has 18 bytes, and 5 were sealed: run `legato verify`" in reason


def test_a_manifest_of_other_bytes_is_a_failure(world):
    """What it says is worth nothing."""
    state = world.seal("s-1", "1")
    world.archive.objects[state.manifest.key] += b" "
    assert only(world.run()) == (
        "failed",
        f"{state.manifest.key} does not hold the bytes that were sealed",
    )


def test_a_manifest_that_cannot_be_read_keeps_no_other_from_being_compared(world):
    """Its version may be gone, under another one of the same key."""
    world.recorded = (FakeRecorded(a_page("s-1/1", "s-2/2")),)
    lost = world.seal("s-1", "1").manifest.key
    world.seal("s-2", "2")
    read = world.archive.read

    def refusing(key, *, version_id):
        if key == lost:
            raise Retry(f"the archive cannot read {key}: NoSuchVersion")
        return read(key, version_id=version_id)

    world.archive.read = refusing
    report = world.run()
    assert fates(report) == [("s-1", "1", "failed"), ("s-2", "2", "archived")]
    assert report.failed[0].reason.endswith("NoSuchVersion")


def test_a_call_that_is_sealed_while_the_bucket_is_listed_is_not_missing(world):
    """A listing that is older than the entry is not believed."""
    sizes = world.archive.sizes
    stale = []

    def listed(prefix):
        stale.append(prefix)
        return {} if len(stale) == 1 else sizes(prefix)

    world.archive.sizes = listed
    world.seal("s-1", "1")
    assert only(world.run()) == ("archived", "")
    assert stale[:2] == ["calls/ringex/1/2026/11/19/", "calls/ringex/1/2026/11/19/s-1/"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"lease_until": NOON + timedelta(minutes=5)}, "it is being archived"),
        ({"next_look_at": NOON + timedelta(hours=2), "reason": "not ready"}, "not ready"),
        ({"next_look_at": NOON - timedelta(minutes=50)}, "its job waits in the queue"),
    ],
)
def test_what_a_job_waits_for_or_is_at_work_on_is_waiting(world, fields, reason):
    """Nothing is sent for it."""
    world.entry("s-1", status="waiting", **fields)
    assert only(world.run()) == ("waiting", reason)
    assert world.jobs.sent == []


def test_what_is_young_is_waiting():
    """It may not have been found yet."""
    began = NOON - timedelta(hours=3, minutes=59)
    world = World(FakeRecorded(a_page("s-1/1", began=began)))
    world.end = END + DAY
    assert only(world.run()) == ("waiting", "it is young")
    world.clock.advance(60)
    assert only(world.run(report_only=True)) == ("missing", "nothing is known of its call")


def test_what_was_found_waits_in_the_queue_for_half_a_day(world):
    """After that, nobody believes it any more."""
    world.note("s-1", records={}, unarchived=["1"], seen="2026-11-20T01:00:00Z")
    assert only(world.run()) == ("waiting", "its job waits in the queue")
    world.clock.advance(3600)
    fate, reason = only(world.run())
    assert (fate, reason) == (
        "missing",
        "it was found, but the ledger has no entry of its call",
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"status": "archived", "legs": {}}, "the sealed call lacks it"),
        ({"status": "empty"}, "the ledger says that nothing was recorded"),
        ({"status": "working"}, "the ledger says working, and nobody is at work on it"),
        (
            {"status": "waiting", "next_look_at": NOON - timedelta(hours=2)},
            "the ledger says waiting, and nobody is at work on it",
        ),
    ],
)
def test_what_nobody_is_at_work_on_is_missing(world, fields, reason):
    """And its job is sent."""
    world.entry("s-1", **fields)
    assert only(world.run()) == ("missing", reason)
    assert [job.call for job, _ in world.jobs.sent] == ["s-1"]


def test_what_nobody_knows_is_noted_as_the_sweep_does(world):
    """With its records, in the list of what is not archived; the job is as old as the call."""
    report = world.run()
    assert only(report) == ("missing", "nothing is known of its call")
    note = world.notes.read(records_key(an_id("s-1")))
    assert note.content["records"] == {"1": {"recording": "1"}}
    assert note.content["unarchived"] == ["1"]
    assert note.listed == ("unarchived#ringex", "2026-11-19T14:00:00.000Z")
    assert world.jobs.sent[0][0].seen_at == BEGAN


def test_what_failed_is_said_with_its_reason_and_left_alone(world):
    """Somebody was told, and decides."""
    world.entry("s-1", status="failed", reason="404 for a week")
    report = world.run()
    assert [(one.call, one.reason) for one in report.failed] == [("s-1", "404 for a week")]
    assert world.jobs.sent == []


def test_a_worker_that_holds_the_call_is_not_disturbed(world):
    """What it finds it writes down itself."""
    state = world.seal("s-1", "1")
    world.lose(state, "1")
    world.ledger.save(state.changed(lease_until=NOON + timedelta(minutes=5)))
    report = world.run()
    assert (len(report.missing), report.queued, world.jobs.sent) == (1, 0, [])
    assert world.ledger.load(an_id("s-1")).legs == state.legs


def test_a_report_only_sends_and_changes_nothing(world):
    """It says the same."""
    state = world.seal("s-1", "1")
    world.lose(state, "1")
    report = world.run(report_only=True)
    assert (len(report.missing), report.queued, world.jobs.sent) == (1, 0, [])
    assert world.ledger.load(an_id("s-1")) == state


def test_a_recording_that_comes_twice_counts_once_and_as_it_was_at_first():
    """After its job was sent it looks as if it waited."""
    world = World(FakeRecorded(a_page("s-1/1"), a_page("s-1/1", "s-2/2")))
    report = world.run()
    assert fates(report) == [("s-1", "1", "missing"), ("s-2", "2", "missing")]
    assert [job.call for job, _ in world.jobs.sent] == ["s-1", "s-2"]


def test_what_lies_outside_of_the_days_is_not_counted():
    """It belongs to another report."""
    pages = [a_page("s-0/0", began=BEGIN - timedelta(seconds=1)), a_page("s-1/1", began=BEGIN)]
    pages += [a_page("s-2/2", began=END), a_page("s-3/3", began=None)]
    report = World(FakeRecorded(*pages)).run()
    assert [one.call for one in report.found] == ["s-1", "s-3"]
    assert {one.day for one in report.found} == {BEGIN.date()}


def test_records_that_nobody_understands_and_strays_are_failures(world):
    """They are shown, since nobody can archive them."""
    page = a_page("s-1/unclear", strays=({"id": "7", "recording": "9"},))
    report = World(FakeRecorded(page)).run()
    assert {(one.call, one.recording, one.reason) for one in report.failed} == {
        ("", "7", "the provider lists a recording without saying which call it belongs to"),
        ("s-1", "record 7", "a recording without id"),
    }


def test_who_has_to_wait_lets_the_others_go_on_and_then_has_its_turn(world):
    """The gate's promise is kept."""
    slow = FakeRecorded(Wait("not our turn", seconds=40, turn=True), a_page("s-1/1"))
    other = FakeRecorded(a_page("d-1/2"), name="ringcx", watch="ringcx#9")
    world = World(slow, other)
    report = world.run()
    assert len(report.found) == 2
    assert slow.asked == [({}, False), ({}, True)]
    assert world.slept == [40]


def test_a_passing_fault_is_tried_again_and_one_that_stays_is_said(world):
    """No figure of zero is silent."""
    world.recorded = (FakeRecorded(Retry("503"), a_page("s-1/1")),)
    assert world.run().not_asked == ()
    bad = FakeRecorded(*[Retry("503")] * (len(RETRY_SECONDS) + 1), a_page("s-1/1"))
    world.recorded = (bad,)
    report = world.run()
    assert [(one.provider, one.reason) for one in report.not_asked] == [("ringex", "503")]
    assert not any(day["complete"] for day in report.to_json()["days"])


@pytest.mark.parametrize("error", [Barred("403", seconds=900), Failed("400")])
def test_a_provider_that_refuses_us_is_said_and_the_others_are_reported(error):
    """At once: a person must act."""
    refusing = FakeRecorded(error)
    world = World(refusing, FakeRecorded(a_page("d-1/2"), name="kazoo", watch="kazoo#1"))
    report = world.run()
    assert [(one.what, one.reason) for one in report.not_asked] == [("ringex", str(error))]
    assert len(report.found) == 1
    text = Tags(to_html(report)).text
    assert "Not everything could be asked: the figures are not complete." in text
    assert text.count("?") == 3 * 5, "nobody can say that it was nothing"


def test_where_time_is_there_a_provider_that_refuses_us_is_asked_again(world):
    """Somebody may mend it within the hour; if not, it is said."""
    world.recorded = (FakeRecorded(Barred("403", seconds=900), a_page("s-1/1")),)
    assert world.goes_on() is None
    world.clock.advance(900)
    report = world.goes_on()
    assert (len(report.found), report.not_asked) == (1, ())
    world.recorded = (FakeRecorded(*[Barred("403", seconds=900)] * 9),)
    world.begin -= DAY
    for _ in RETRY_SECONDS:
        assert world.goes_on() is None
        world.clock.advance(900)
    assert [gap.reason for gap in world.goes_on().not_asked] == ["403"]


def test_days_that_the_provider_does_not_keep_are_said(world):
    """What was deleted there cannot be compared."""
    world.recorded[0].kept = 2 * DAY
    [gap] = world.run().not_asked
    assert "keeps recordings for 2 days: what is older than 2026-11-18T12:00:01" in gap.reason


def test_an_invocation_that_ends_lets_the_next_one_go_on(world):
    """Nothing is asked twice, nor forgotten."""
    pages = [a_page("s-1/1"), Wait("not our turn", seconds=600), a_page("s-2/2"), a_page("s-3/3")]
    recorded = FakeRecorded(*pages)
    world = World(recorded)
    assert world.goes_on() is None
    assert world.slept == []
    assert world.goes_on() is None
    world.clock.advance(600)
    report = world.goes_on()
    assert [one.call for one in report.missing] == ["s-1", "s-2", "s-3"]
    assert [cursor.get("page", 0) for cursor, _ in recorded.asked] == [0, 1, 1, 2]
    assert report.queued == 3


def test_no_page_is_begun_when_there_is_hardly_any_time_left(world):
    """Nor is a report."""
    assert world.goes_on(minutes=2) is None
    assert world.recorded[0].asked == []


def test_the_days_are_reported_once_and_then_others(world):
    """The schedule may call as often as it likes."""
    assert world.goes_on() is not None
    assert world.goes_on() is None
    assert len(world.reports("json")) == 1
    world.begin, world.end = BEGIN + DAY, END + DAY
    world.clock.advance(86400)
    assert world.goes_on() is not None


def test_a_run_that_finds_no_end_reports_what_it_has(world):
    """There is a report each day."""
    world.recorded = (FakeRecorded(a_page("s-1/1"), *[Wait("busy", seconds=600)] * 200, a_page()),)
    assert world.goes_on() is None
    world.clock.advance(DEADLINE.total_seconds())
    report = world.goes_on()
    assert [one.call for one in report.missing] == ["s-1"]
    assert [one.reason for one in report.not_asked] == ["not read to its end: busy"]


class DyingNotes(FakeNotes):
    """Its process ends right before the write of this number."""

    writes = 0
    dies_at = None

    def write(self, note):
        self.writes += 1
        if self.writes == self.dies_at:
            raise KeyboardInterrupt
        return super().write(note)


@pytest.mark.parametrize("step", range(1, 9))
def test_wherever_a_run_is_killed_the_next_one_reports_the_same(step):
    """At worst a job is sent twice."""
    world = World(FakeRecorded(a_page("s-1/1"), a_page("s-2/2")))
    world.memory = DyingNotes()
    world.memory.dies_at = step
    with pytest.raises(KeyboardInterrupt):
        world.goes_on()
    report = world.goes_on()
    assert [(one.call, one.times_seen) for one in report.missing] == [("s-1", 1), ("s-2", 1)]
    assert {job.call for job, _ in world.jobs.sent} == {"s-1", "s-2"}


def test_a_person_may_wait_for_as_long_as_it_takes(world):
    """Weeks of RingCX take a day to ask for."""
    world.recorded = (FakeRecorded(*[Wait("busy", seconds=9000)] * 20, a_page("s-1/1")),)
    report = world.run()
    assert (len(report.found), report.not_asked) == (1, ())
    assert sum(world.slept) > DEADLINE.total_seconds()


def test_of_two_runs_at_the_same_time_one_gives_way(world):
    """The other one's report is the report."""

    class Contested(FakeNotes):
        def write(self, note):
            raise Stale("changed in between")

    assert world.run(memory=Contested()) is None


def test_how_often_and_since_when_is_remembered(world):
    """Until it is in the archive."""
    first = world.run().missing[0]
    world.clock.advance(13 * 3600)
    again = world.run().missing[0]
    assert (first.times_seen, again.times_seen) == (1, 2)
    assert again.first_seen == first.first_seen
    world.seal("s-1", "1")
    assert world.run().missing == []
    assert world.notes.first("absent#ringex") is None


def test_what_is_missing_for_more_than_a_day_is_counted(world):
    """Also while its job is said to wait."""
    assert world.run().missing_over_a_day == 0
    world.clock.advance(13 * 3600)
    assert world.run().missing_over_a_day == 0
    world.clock.advance(11 * 3600)
    report = world.run()
    assert (only(report)[0], report.missing_over_a_day) == ("waiting", 1)


def test_what_was_missing_is_looked_after_when_its_day_is_not_asked_for_any_more(world):
    """Its job is sent again until it is archived, or has failed."""
    world.run()
    world.recorded = (FakeRecorded(a_page()),)
    world.begin, world.end = BEGIN + 9 * DAY, END + 9 * DAY
    world.clock.advance(9 * 86400)
    report = world.run()
    assert (report.found, report.missing_over_a_day, report.queued) == ([], 1, 1)
    [one] = report.missing
    assert (one.call, one.day, one.times_seen) == ("s-1", BEGAN.date(), 1)
    assert len(world.jobs.sent) == 2
    world.entry("s-1", status="failed", reason="gone")
    after = world.run()
    assert (after.missing, after.missing_over_a_day) == ([], 0)


def test_the_last_days_end_when_yesterday_is_no_longer_young():
    """Four hours after midnight."""
    early = END + timedelta(hours=3, minutes=59)
    assert last_days(early, 3) == (END - 4 * DAY, END - DAY)
    assert last_days(early + timedelta(minutes=1), 3) == (END - 3 * DAY, END)


def test_each_day_and_provider_has_its_figures_also_those_without_any(world):
    """A provider that recorded nothing is said with zeros."""
    world.recorded = (*world.recorded, FakeRecorded(a_page(), name="kazoo", watch="kazoo#1"))
    days = world.run().to_json()["days"]
    assert [(one["day"], one["provider"], one["recorded"], one["missing"]) for one in days] == [
        ("2026-11-17", "ringex", 0, 0),
        ("2026-11-17", "kazoo", 0, 0),
        ("2026-11-18", "ringex", 0, 0),
        ("2026-11-18", "kazoo", 0, 0),
        ("2026-11-19", "ringex", 1, 1),
        ("2026-11-19", "kazoo", 0, 0),
    ]


def test_the_report_is_what_its_schema_says(world):
    """Also with what has failed, what could not be asked, and days of no recording."""
    world.recorded = (
        FakeRecorded(a_page("s-1/1", "s-2/2")),
        FakeRecorded(Failed("no permission"), name="kazoo", watch="kazoo#1"),
    )
    world.entry("s-2", status="failed", reason="cut")
    report = parsed(world.run().to_bytes(), "report.schema.json")
    assert len(report["failed_recordings"]) == len(report["not_asked"]) == 1
    assert report["missing_recordings"] == [
        {
            "provider": "ringex",
            "account": "1",
            "call": "s-1",
            "recording": "1",
            "day": "2026-11-19",
            "began_at": "2026-11-19T14:00:00.000Z",
            "fate": "missing",
            "kind": "never found",
            "reason": "nothing is known of its call",
            "first_seen": "2026-11-20T12:00:01.000Z",
            "times_seen": 1,
        }
    ]


class Tags(HTMLParser):
    """Gathers a page's tags, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_shows_what_is_hostile_as_text():
    """Ids and reasons are the provider's words."""
    evil = '<script>alert("1")</script>&"\'<img src=x onerror=alert(1)>'
    world = World(FakeRecorded(a_page(f"{evil.replace('/', '')}/{evil.replace('/', '')}")))
    world.entry(evil.replace("/", ""), status="failed", reason=evil)
    page = Tags(to_html(world.run()))
    assert {"script", "img", "link", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert evil in page.text
    assert not [attrs for _, attrs in page.tags if attrs.keys() & {"src", "href", "onerror"}]


def test_the_page_names_what_is_missing_with_its_reason(world):
    """And when and what was asked."""
    text = " ".join(Tags(to_html(world.run())).text)
    for words in ("1 missing.", "s-1", "nothing is known of its call", "2026-11-17 to 2026-11-19"):
        assert words in text


def test_the_page_of_a_good_day_says_so(world):
    """In one sentence."""
    world.seal("s-1", "1")
    assert "Nothing is missing." in Tags(to_html(world.run())).text


def ports_for(world, scratch, **audio):
    listing = a_listing(*(a_leg(name) for name in audio), call="s-1")
    provider = FakeProvider({"s-1": listing}, audio)
    return some_ports(
        scratch,
        provider=provider,
        jobs=FakeJobs(),
        ledger=world.ledger,
        notes=world.notes,
        archive=world.archive,
        clock=world.clock,
    )


def work_on(world, ports):
    job = world.jobs.sent.pop()[0]

    class Strict:
        def __init__(self, _ids):
            pass

        def __enter__(self):
            pass

        def __exit__(self, *error):
            return False

    until = world.clock.now() + timedelta(minutes=15)
    archive([Message("1", job.to_message())], ports=ports, until=until, guard=Strict)


def test_a_lost_object_under_a_sealed_manifest_is_fetched_anew_and_makes_a_revision(
    world, tmp_path
):
    """What was sealed stays as it was."""
    state = world.seal("s-1", "1")
    sealed = world.archive.objects[state.manifest.key]
    world.lose(state, "1")
    world.run()
    work_on(world, ports_for(world, tmp_path, **{"1": b"mp3 1"}))
    after = world.ledger.load(an_id("s-1"))
    assert (after.status, after.revision) == ("archived", 2)
    assert world.archive.objects[state.manifest.key] == sealed
    content = json.loads(world.archive.objects[after.manifest.key])
    assert content["supersedes"]["key"] == state.manifest.key
    assert only(world.run()) == ("archived", "")


def test_a_lost_manifest_is_not_written_again_but_superseded(world, tmp_path):
    """Its key may hold a version that nobody can see."""
    state = world.seal("s-1", "1")
    world.archive.hidden.add(state.manifest.key)
    world.run()
    ports = ports_for(world, tmp_path, **{"1": b"mp3 1"})
    work_on(world, ports)
    after = world.ledger.load(an_id("s-1"))
    assert (after.status, after.revision) == ("archived", 2)
    assert ports.provider.fetched == [], "the leg itself is still here"


def test_a_lost_leg_that_the_provider_does_not_list_any_more_fails_by_name(world, tmp_path):
    """The other leg of the call is no reason to forget it."""
    state = world.seal("s-1", "1", "2")
    world.lose(state, "2")
    world.run()
    world.recorded = (FakeRecorded(a_page("s-1/3")),)
    world.run()
    ports = ports_for(world, tmp_path, **{"1": b"mp3 1", "3": b"mp3 3"})
    work_on(world, ports)
    after: CallState = world.ledger.load(an_id("s-1"))
    assert after.status == "failed"
    assert "leg 2: it was sealed, its object is gone, and the provider lists it no more" in (
        after.reason
    )
    assert set(after.legs) == {"1", "3"}
