"""Twelve ways to hide a recording: reconciliation names each, and nothing else; status says it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.archive import document
from legato.archive.layout import call_prefix, leg_key
from legato.catalogue.index import row_of
from legato.errors import Failed
from legato.ledger import removals
from legato.model import Trouble
from legato.operations.overview import Followed, Overview
from legato.operations.report.page import to_html
from legato.operations.status import status
from tests.fakes import NOON, FakeCatalogue, FakeLibrary, an_id
from tests.unit.test_reconcile import BEGAN, DAY, END, FakeRecorded, World, a_page
from tests.unit.test_status import FakeQueue

HOUR = timedelta(hours=1)


class Company(World):
    """Four archived calls, which the provider lists as they are."""

    def __init__(self):
        super().__init__(FakeRecorded(a_page("s-1/1", "s-2/2", "s-2/3", "s-3/4", "s-4/5")))
        self.catalogue = FakeCatalogue()
        self.library = FakeLibrary()
        for call, *legs in (("s-1", "1"), ("s-2", "2", "3"), ("s-3", "4"), ("s-4", "5")):
            self.enter(self.seal(call, *legs))

    def enter(self, state):
        """Let the catalogue know a call."""
        content = json.loads(self.archive.objects[state.manifest.key])
        said = {"ended_at": None, "direction": None, "parties": [], "provider_records": []}
        legs = [leg | {"parties": [], "duration_ms": 1000} for leg in content["legs"]]
        whole = content | said | {"legs": legs, "recording": None}
        row = row_of(whole, state.manifest, storage_class="STANDARD")
        self.catalogue.write(row, over=None)

    def lists(self, *recordings, **fields):
        self.recorded = (FakeRecorded(a_page(*recordings, **fields)),)

    def state(self, call):
        return self.ledger.load(an_id(call))

    def folder(self, call):
        prefix = self.state(call).prefix
        return {key: body for key, body in self.archive.objects.items() if key.startswith(prefix)}

    def rewrite(self, call, **changes):
        """Let the newest manifest of a call say something else, as if it was sealed so."""
        state = self.state(call)
        content = json.loads(self.archive.objects.pop(state.manifest.key)) | changes
        sealed = self.archive.put(state.manifest.key, document.to_bytes(content), "STANDARD")
        self.ledger.save(replace(state, manifest=sealed))

    def reconciled(self, **options):
        return self.run(catalogue=self.catalogue, **options)

    def wrong(self, **options):
        """Return the kind, the call and the recording of each finding."""
        report = self.reconciled(**options)
        return [(one.kind, one.call, one.recording) for one in (*report.missing, *report.failed)]

    def needs(self):
        """Return what status says of the archive, but of the digests, which nobody writes here."""
        ringex = Followed(
            provider="ringex",
            tails=[],
            kept_days={"ringex": 90},
            late=HOUR,
            usual=HOUR,
            longest=DAY,
            jobs=FakeQueue(waiting=9),
            dead_letters=FakeQueue(),
            gates={},
        )
        found = status(
            Overview(
                stack="archive",
                followed=[ringex],
                ledger=self.ledger,
                notes=self.notes,
                library=self.library,
                clock=self.clock,
            )
        )
        return [need for need in found.needs if need.kind != "digest"]


@pytest.fixture
def company():
    return Company()


def object_gone(company):
    company.lose(company.state("s-3"), "4")


def folder_gone(company):
    for key in company.folder("s-3"):
        del company.archive.objects[key]


def leg_truncated(company):
    company.archive.objects[leg_key(company.state("s-3").prefix, "4", "mp3")] = b"mp3"


def other_bytes_of_the_same_size(company):
    company.archive.objects[leg_key(company.state("s-3").prefix, "4", "mp3")] = b"mp3 2"


def another_version(company):
    other_bytes_of_the_same_size(company)
    company.archive.newer.add(leg_key(company.state("s-3").prefix, "4", "mp3"))


def manifest_gone(company):
    company.archive.hidden.add(company.state("s-3").manifest.key)


def manifest_altered(company):
    company.archive.objects[company.state("s-3").manifest.key] += b" "


def under_the_wrong_account(company):
    company.rewrite("s-3", account="2")


def copied_to_another_account(company):
    here, there = company.state("s-3").prefix, call_prefix(an_id("s-3", account="2"), BEGAN)
    for key, body in company.folder("s-3").items():
        company.archive.objects[key.replace(here, there)] = body


def leg_not_in_the_manifest(company):
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-3/4", "s-3/6", "s-4/5")
    state = company.state("s-3")
    company.ledger.save(replace(state, legs=state.legs | {"6": "a" * 64}))


def leg_that_no_manifest_names(company):
    company.archive.objects[leg_key(company.state("s-3").prefix, "6", "mp3")] = b"mp3 6"


def second_folder(company):
    here, there = company.state("s-3").prefix, call_prefix(an_id("s-3"), BEGAN - DAY)
    for key, body in company.folder("s-3").items():
        company.archive.objects[key.replace(here, there)] = body


def joined_audio_gone(company):
    [key] = [key for key in company.folder("s-2") if "recording-1" in key]
    del company.archive.objects[key]


def peaks_altered(company):
    [key] = [key for key in company.folder("s-2") if "peaks-1" in key]
    company.archive.objects[key] = b"[]"


def in_the_ledger_only(company):
    folder_gone(company)
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-4/5")


def list_empty(company):
    company.lists()


def list_shorter_than_the_archive(company):
    company.lists("s-1/1", "s-2/2", "s-4/5")


def never_listed_before(company):
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-3/4", "s-4/5", "s-5/6")


def in_the_bucket_and_not_in_the_ledger(company):
    del company.ledger.entries[an_id("s-3")]
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-4/5")


def sealed_and_short(company):
    trouble = Trouble(kind="short", reason="1 s of 4 s", since=NOON, tried_at=NOON)
    company.ledger.save(replace(company.state("s-3"), troubles={"4": trouble}))


WAYS = [
    (object_gone, [("object gone", "s-3", "4")]),
    (folder_gone, [("folder gone", "s-3", "4")]),
    (leg_truncated, [("truncated", "s-3", "4")]),
    (other_bytes_of_the_same_size, [("altered", "s-3", "4")]),
    (another_version, [("altered", "s-3", "4")]),
    (manifest_gone, [("manifest gone", "s-3", "4")]),
    (manifest_altered, [("manifest unreadable", "s-3", "4")]),
    (under_the_wrong_account, [("wrong account", "s-3", "")]),
    (copied_to_another_account, [("wrong account", "s-3", "")]),
    (leg_not_in_the_manifest, [("not in the manifest", "s-3", "6")]),
    (leg_that_no_manifest_names, [("leg of no manifest", "s-3", "6")]),
    (second_folder, [("second folder", "s-3", "")]),
    (joined_audio_gone, [("joined audio gone", "s-2", "")]),
    (peaks_altered, [("altered", "s-2", "")]),
    (in_the_ledger_only, [("folder gone", "s-3", "4")]),
    (list_empty, [("list empty", "", "")]),
    (list_shorter_than_the_archive, [("not listed", "s-2", "3"), ("not listed", "s-3", "4")]),
    (never_listed_before, [("never found", "s-5", "6")]),
    (in_the_bucket_and_not_in_the_ledger, [("not in the ledger", "s-3", "")]),
]


@pytest.mark.parametrize(("hide", "found"), WAYS, ids=[hide.__name__ for hide, _ in WAYS])
def test_what_is_hidden_is_named_and_nothing_else(company, hide, found):
    """In the report, on its page, and by status at once, with what to do."""
    hide(company)
    report = company.reconciled(report_only=True)
    wrong = [*report.missing, *report.failed]
    assert [(one.kind, one.call, one.recording) for one in wrong] == found
    said = report.to_json()
    assert len(said["missing_recordings"] + said["failed_recordings"]) == len(found)
    assert all(one.kind.encode() in to_html(report) for one in wrong)
    needs = company.needs()
    assert [(need.kind, need.call, need.recording) for need in needs] == found
    assert all(need.do.startswith("legato ") and need.reason in need.what for need in needs)


@pytest.mark.parametrize(("hide", "found"), WAYS, ids=[hide.__name__ for hide, _ in WAYS])
def test_what_is_hidden_is_still_named_the_day_after_and_counted(company, hide, found):
    """Once each, however often it is seen."""
    hide(company)
    company.reconciled(report_only=True)
    company.clock.advance(3600)
    report = company.reconciled(report_only=True)
    wrong = [*report.missing, *report.failed]
    assert [(one.kind, one.call, one.recording) for one in wrong] == found
    assert {one.times_seen for one in wrong} == {2}


def test_nothing_is_wrong_with_a_whole_archive(company):
    """Whatever is looked at, and status has nothing to say."""
    assert company.wrong() == []
    assert company.needs() == []


def other_leg_waits(company):
    """A leg is stored, and its call is not sealed anew yet."""
    leg_that_no_manifest_names(company)
    company.ledger.save(replace(company.state("s-3"), next_look_at=NOON + HOUR))


def not_sealed_yet(company):
    prefix = call_prefix(an_id("s-9"), BEGAN)
    company.archive.objects[leg_key(prefix, "9", "mp3")] = b"mp3 9"
    company.entry("s-9", prefix=prefix, status="working", lease_until=NOON + HOUR)


def removed_at_the_source(company):
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-4/5")
    company.notes.write(company.notes.read(removals.removed_key(an_id("s-3"), "4")))


def named_by_a_notification_only(company):
    company.seal("s-6", "named-6")


def deleted_by_retention(company):
    company.lists()
    company.recorded[0].kept = NOON - BEGAN + HOUR


def began_a_moment_ago(company):
    company.end = END + DAY
    company.seal("s-6", "6", began=NOON - 2 * HOUR)


def waits_for_its_turn(company):
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-3/4", "s-4/5", "s-5/6")
    company.entry("s-5", status="waiting", next_look_at=NOON + HOUR, reason="not ready")


def sealed_by_an_older_manifest(company):
    """A leg that an older manifest names was given up by the newest one."""
    state = company.state("s-2")
    older = json.loads(company.archive.objects[state.manifest.key])
    prefix = state.prefix
    named = {"key": state.manifest.key, "version_id": "v1", "bytes": state.manifest.size}
    supersedes = named | {"sha256": state.manifest.sha256}
    content = older | {"revision": 2, "supersedes": supersedes, "legs": older["legs"][:1]}
    body = document.to_bytes(content)
    sealed = company.archive.put(f"{prefix}manifest-2.json", body, "STANDARD")
    legs = {"2": state.legs["2"]}
    company.ledger.save(replace(state, manifest=sealed, revision=2, legs=legs))
    company.lists("s-1/1", "s-2/2", "s-3/4", "s-4/5")


def streamed(company):
    """S3 keeps a checksum of its parts only."""
    key = leg_key(company.state("s-3").prefix, "4", "mp3")
    company.archive.streamed.add(key)


def same_bytes_in_a_newer_version(company):
    company.archive.newer.add(leg_key(company.state("s-3").prefix, "4", "mp3"))


def list_of_some_users(company):
    company.lists()
    company.recorded[0].covers = lambda account, recording: False


def list_not_read(company):
    company.recorded = (FakeRecorded(Failed("400")),)


@pytest.mark.parametrize(
    "look",
    [
        other_leg_waits,
        not_sealed_yet,
        removed_at_the_source,
        named_by_a_notification_only,
        deleted_by_retention,
        began_a_moment_ago,
        waits_for_its_turn,
        sealed_by_an_older_manifest,
        streamed,
        same_bytes_in_a_newer_version,
        list_of_some_users,
        list_not_read,
    ],
)
def test_what_is_not_wrong_is_not_named(company, look):
    """However much it looks like it."""
    look(company)
    assert company.wrong() == []
    assert company.needs() == []


def test_a_recording_that_is_sealed_and_short_has_failed(company):
    """The ledger knows, and status says it from there."""
    sealed_and_short(company)
    assert company.wrong() == [("short", "s-3", "4")]


def test_what_is_missing_is_fetched_anew_also_where_no_list_names_it(company):
    """Whoever fetches it says whether the provider still has it."""
    in_the_ledger_only(company)
    report = company.reconciled()
    assert report.queued == 1
    assert [(job.id, job.named) for job, _ in company.jobs.sent] == [(an_id("s-3"), {"4"})]


def test_status_says_it_until_it_is_sealed_anew(company):
    """And not until the next reconciliation."""
    object_gone(company)
    company.reconciled()
    [need] = company.needs()
    assert need.what == (
        "ringex/1/s-3: recording 4: object gone, seen first 2026-11-20 12:00 UTC: "
        "calls/ringex/1/2026/11/19/s-3/legs/4.mp3 is gone from the archive"
    )
    day = "--from 2026-11-19 --to 2026-11-19 --zone UTC"
    assert need.do == f"legato reconcile --provider ringex {day}"
    state = company.state("s-3")
    company.ledger.save(replace(state, revision=2, legs={"4": "a"}))
    assert company.needs() == []


def test_status_does_not_say_twice_what_the_call_itself_says(company):
    """The fetch failed, so the call is in trouble."""
    object_gone(company)
    company.reconciled()
    trouble = Trouble(kind="missing", reason="404", since=NOON, tried_at=NOON)
    state = replace(company.state("s-3"), troubles={"4": trouble})
    company.ledger.save(state)
    assert company.needs() == []


def test_an_empty_list_names_the_day_the_account_and_a_call(company):
    """There may be thousands."""
    list_empty(company)
    [one] = company.reconciled().failed
    assert (one.account, f"{one.day}") == ("1", "2026-11-19")
    assert one.reason == (
        "the provider lists nothing of 2026-11-19, and 5 recordings of it are archived: the first "
        "is 1 of ringex/1/s-1"
    )
    [need] = company.needs()
    assert need.what.startswith("ringex/1, 2026-11-19: list empty, seen first")


def test_a_second_folder_is_named_until_it_is_gone_also_when_its_day_is_over(company):
    """Somebody has to look at it."""
    second_folder(company)
    company.reconciled()
    company.begin, company.end = company.begin + 9 * DAY, company.end + 9 * DAY
    company.clock.advance(9 * 86400)
    company.lists()
    assert company.wrong() == [("second folder", "s-3", "")]
    there = call_prefix(an_id("s-3"), BEGAN - DAY)
    for key in [key for key in company.archive.objects if key.startswith(there)]:
        del company.archive.objects[key]
    assert company.wrong() == []
    assert company.needs() == []


def test_a_day_that_cannot_be_compared_is_said(company):
    """No figure of zero is silent."""

    def refusing(prefix):
        raise Failed("AccessDenied")

    company.archive.folders = refusing
    gaps = company.reconciled().not_asked
    assert [(gap.what, gap.reason) for gap in gaps] == [
        ("the archive", f"{END - days * DAY:%Y-%m-%d}: AccessDenied") for days in (3, 2, 1)
    ]


def test_a_run_that_is_out_of_time_compares_the_rest_in_the_next_one(company):
    """And sends nothing twice."""
    in_the_ledger_only(company)
    folders = company.archive.folders

    def slow(prefix):
        company.clock.advance(360)
        return folders(prefix)

    company.archive.folders = slow
    runs, report = 0, None
    while report is None and runs < 5:
        deadline = company.clock.now() + timedelta(minutes=15)
        report = company.reconciled(until=deadline, memory=company.memory)
        runs += 1
    assert runs == 2
    assert [one.call for one in report.missing] == ["s-3"]
    assert len(company.jobs.sent) == 1


def test_what_was_found_and_is_in_no_queue_is_missing_at_once(company):
    """Status names this command for what is stuck, so it must mend it."""
    company.lists("s-1/1", "s-2/2", "s-2/3", "s-3/4", "s-4/5", "s-5/6", began=NOON - HOUR)
    company.end = END + DAY
    company.note("s-5", records={}, unarchived=["6"], seen="2026-11-20T11:50:00Z")
    assert ("stuck", "s-5", "6") not in company.wrong(report_only=True)
    assert company.wrong(backlogs={"ringex": FakeQueue(waiting=1)}, report_only=True) == []
    assert company.wrong(backlogs={"ringex": FakeQueue()}) == [("stuck", "s-5", "6")]
    assert [job.id for job, _ in company.jobs.sent] == [an_id("s-5")]
