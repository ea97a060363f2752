"""Following Kazoo's recordings: each is listed once, also across the end of a month."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.discovery.sweep import sweep
from legato.errors import Failed, Wait
from legato.ledger.gaps import gaps_of
from legato.ledger.listings import records_key, tail_key
from legato.model import Job, Note, Priority
from legato.providers.kazoo.documents import ARRIVED_AT, WITHHELD, listing, to_gregorian
from legato.providers.kazoo.provider import Kazoo
from legato.providers.kazoo.tail import LONGEST, MOST_PAGES, OVERLAP, KazooTail
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, a_sweeper, an_id, an_inbox
from tests.unit.test_ringex_call_log import ABSURD, ANYTHING

ACCOUNT = "a" * 32


class FakeRecordings:
    """Lists documents by the time at which they were saved, two a page."""

    def __init__(self):
        self.saved = []
        self.asked = []
        self.interrupt_after = None
        self.bad = None

    def recordings(
        self,
        account,
        *,
        created_from,
        created_to,
        start_key=None,
        user=None,
        filters=(),
        page_size,
        priority=Priority.NORMAL,
    ):
        if self.interrupt_after is not None and len(self.asked) >= self.interrupt_after:
            raise Wait("it is not our turn", seconds=5, turn=True)
        assert created_to - created_from <= LONGEST
        self.asked.append((created_from, created_to, start_key, user, dict(filters)))
        found = sorted(
            (at, number, document)
            for number, (at, document) in enumerate(self.saved)
            if created_from <= at <= created_to
        )
        if self.bad is not None and created_from <= self.bad <= created_to:
            raise Failed("400")
        first = int(start_key or 0)
        page, rest = found[first : first + 2], found[first + 2 :]
        return SimpleNamespace(
            documents=[document for _, _, document in page],
            next_start_key=str(first + 2) if rest else None,
        )


class Desk:
    def __init__(self, **fields):
        self.clock = FakeClock()
        self.source = FakeRecordings()
        self.jobs = FakeJobs()
        self.notes = FakeNotes()
        self.fields = {"first": NOON - timedelta(hours=24), **fields}

    def saved(self, name, *, ago=timedelta(hours=1), interaction="63900000000-0badcafe", **fields):
        document = {
            "id": name,
            "interaction_id": interaction,
            "start": to_gregorian(NOON - ago),
            "duration": 60,
            "duration_ms": 60_000,
            **fields,
        }
        self.source.saved.append((NOON - ago, document))
        return document

    def sweep(self):
        return sweep(
            tail=KazooTail(self.source, self.clock, account=ACCOUNT, **self.fields),
            jobs=self.jobs,
            notes=self.notes,
            clock=self.clock,
            until=self.clock.now() + timedelta(seconds=120),
            settle=5,
        )

    def found(self):
        return {(job.call, *sorted(job.named)) for job, _ in self.jobs.sent}


def test_recordings_of_one_interaction_are_one_call():
    """And one job, with all their ids."""
    desk = Desk()
    desk.saved("202611-1")
    desk.saved("202611-2")
    desk.saved("202611-3", interaction="63900000001-0badcafe")
    assert desk.sweep().done
    assert desk.found() == {
        ("63900000000-0badcafe", "202611-1", "202611-2"),
        ("63900000001-0badcafe", "202611-3"),
    }


@pytest.mark.parametrize("interaction", [None, ""])
def test_a_recording_without_an_interaction_is_a_call_of_its_own(interaction):
    """It bears the recording's id."""
    desk = Desk()
    desk.saved("202611-1", interaction=interaction)
    desk.sweep()
    assert desk.found() == {("202611-1", "202611-1")}


def test_pages_of_a_window_are_read_with_the_same_bounds():
    """Only the key changes; what is new comes at the end."""
    desk = Desk()
    for number in range(5):
        desk.saved(f"202611-{number}", interaction=f"i-{number}")
    desk.sweep()
    bounds = {(begin, until) for begin, until, *_ in desk.source.asked}
    assert len(bounds) == 1
    assert [key for _, _, key, *_ in desk.source.asked] == [None, "2", "4"]
    assert len(desk.found()) == 5


def test_a_sweep_that_is_interrupted_goes_on_with_the_next_page():
    """No page is read twice."""
    desk = Desk()
    for number in range(5):
        desk.saved(f"202611-{number}", interaction=f"i-{number}")
    desk.source.interrupt_after = 1
    assert not desk.sweep().done
    desk.source.interrupt_after = None
    desk.clock.advance(60)
    assert desk.sweep().done
    keys = [key for _, _, key, *_ in desk.source.asked]
    assert keys[:3] == [None, "2", "4"]
    assert len(desk.found()) == 5


def test_each_sweep_reaches_back_by_as_long_as_a_recording_can_be():
    """A recording over the end of a month is listed by no window that lies in the next one."""
    desk = Desk()
    desk.sweep()
    desk.clock.advance(300)
    desk.sweep()
    assert desk.source.asked[-1][:2] == (NOON - OVERLAP, NOON + timedelta(seconds=300))


def test_what_a_window_has_of_the_later_month_is_read_once_more_by_itself():
    """A page that ends among late recordings of the old month passes over early ones of the new."""
    desk = Desk()
    desk.clock.moment = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
    desk.fields["first"] = datetime(2026, 11, 30, 20, 0, tzinfo=UTC)
    assert desk.sweep().done
    month = datetime(2026, 12, 1, tzinfo=UTC)
    assert [ask[:2] for ask in desk.source.asked] == [
        (desk.fields["first"], desk.clock.moment),
        (month, desk.clock.moment),
    ]


def test_no_window_lies_in_three_months():
    """February is shorter than a window may be."""
    desk = Desk(first=datetime(2026, 1, 31, 12, 0, tzinfo=UTC))
    desk.clock.moment = datetime(2026, 3, 20, tzinfo=UTC)
    assert desk.sweep().done
    assert desk.source.asked[0][:2] == (
        datetime(2026, 1, 31, 12, 0, tzinfo=UTC),
        datetime(2026, 3, 1, tzinfo=UTC),
    )


def test_what_is_listed_again_makes_no_second_job():
    """Its document may have changed meanwhile: now the audio is stored."""
    desk = Desk()
    document = desk.saved("202611-1", _read_only={"content_types": []})
    desk.sweep()
    document["_read_only"] = {"content_types": ["audio/mpeg"]}
    desk.clock.advance(300)
    desk.sweep()
    assert len(desk.jobs.sent) == 1
    note = desk.notes.read(
        records_key(an_id("63900000000-0badcafe", provider="kazoo", account=ACCOUNT))
    )
    assert note.content["records"]["202611-1"]["_read_only"] == {"content_types": ["audio/mpeg"]}


def test_half_a_year_is_read_in_windows_of_a_month():
    """Kazoo refuses longer ones."""
    desk = Desk(first=NOON - timedelta(days=100))
    desk.saved("202609-1", ago=timedelta(days=60))
    assert desk.sweep().done
    assert len({ask[:2] for ask in desk.source.asked}) >= 4
    assert desk.found() == {("63900000000-0badcafe", "202609-1")}


def test_an_account_may_be_followed_for_one_user_only():
    """With Kazoo's own filters."""
    desk = Desk(user="u1", filters={"filter_direction": "inbound"})
    desk.sweep()
    assert desk.source.asked[0][3:] == ("u1", {"filter_direction": "inbound"})


def test_a_document_without_an_id_is_shown_once():
    """Nobody can fetch it."""
    desk = Desk()
    desk.saved(None, interaction=None)
    desk.saved("202611-1")
    desk.source.saved.append((NOON - timedelta(hours=1), "odd"))
    desk.source.saved.sort(key=lambda one: one[0])
    desk.sweep()
    desk.clock.advance(60)
    desk.sweep()
    assert desk.found() == {("63900000000-0badcafe", "202611-1")}
    assert len(desk.jobs.buried) == 2


def test_an_odd_id_makes_no_call_of_another_name():
    """A number is its text; an interaction that is none leaves the recording a call of its own."""
    desk = Desk()
    desk.saved(202611, interaction=63900000000)
    for number, odd in enumerate((["x"], {"a": 1}, "x" * 129, "a\x00", "\ud800", True)):
        desk.saved(f"202611-{number}", interaction=odd)
        desk.saved(odd, interaction=None)
    desk.source.saved.sort(key=lambda one: one[0])
    assert desk.sweep().done
    assert desk.found() == {
        ("63900000000", "202611"),
        *((f"202611-{number}", f"202611-{number}") for number in range(6)),
    }
    assert len(desk.jobs.buried) == 6


def test_a_key_that_stays_the_same_ends_the_run():
    """The page is taken in, and the next run asks again."""
    desk = Desk()
    desk.saved("202611-1")
    page = desk.source.recordings

    def endless(*arguments, **options):
        return SimpleNamespace(documents=page(*arguments, **options).documents, next_start_key="0")

    desk.source.recordings = endless
    report = desk.sweep()
    assert "stays the same" in str(report.stopped)
    assert len(desk.found()) == 1
    assert len(desk.source.asked) == 2
    desk.source.recordings = page
    desk.source.saved = []
    note = desk.notes.read(tail_key(f"kazoo#{ACCOUNT}"))
    assert note.content["cursor"]["key"] == "0"


def test_pages_without_end_end_the_run_and_keep_what_was_read():
    """Each with another key of the next one."""
    desk = Desk()
    keys = itertools.count()
    desk.source.recordings = lambda *_, **__: SimpleNamespace(
        documents=[], next_start_key=str(next(keys))
    )
    assert "no end" in str(desk.sweep().stopped)
    assert next(keys) == MOST_PAGES


def test_where_kazoo_pushed_a_recording_is_not_kept():
    """The address may hold our own token."""
    desk = Desk()
    desk.saved("202611-1", url="https://legato.example.com/kazoo/recordings/s3cret/")
    desk.sweep()
    note = desk.notes.read(
        records_key(an_id("63900000000-0badcafe", provider="kazoo", account=ACCOUNT))
    )
    assert note.content["records"]["202611-1"]["url"] == WITHHELD
    assert "s3cret" not in str(note.content)


class Resolving:
    def __init__(self):
        self.clock, self.notes = FakeClock(), FakeNotes()
        self.provider = Kazoo(
            None,
            self.notes,
            self.clock,
            quiet=timedelta(seconds=300),
            inbox=an_inbox(None, notes=self.notes, clock=self.clock),
        )

    def listing(self, *documents):
        records = {document.get("id", str(at)): document for at, document in enumerate(documents)}
        self.notes.write(
            Note(
                key=records_key(an_id("i", provider="kazoo", account=ACCOUNT)),
                content={"records": records},
            )
        )
        job = Job(provider="kazoo", account=ACCOUNT, call="i", seen_at=NOON)
        return self.provider.resolve([job])[job.id]


@pytest.mark.parametrize("call", ["63900000000-0badcafe", "202611-" + "b" * 32])
def test_a_call_that_nobody_has_listed_is_not_looked_for(call):
    """The sweep finds all there is, so Kazoo is not asked."""
    job = Job(provider="kazoo", account=ACCOUNT, call=call, seen_at=NOON)
    assert Resolving().provider.resolve([job]) == {}


def test_an_interaction_that_may_go_on_waits_for_a_quiet_time():
    """From the end of its last recording."""
    desk = Resolving()
    start = to_gregorian(NOON - timedelta(seconds=100))
    found = desk.listing({"id": "202611-1", "start": start, "duration": 60})
    assert isinstance(found, Wait)
    assert found.seconds == 260


def test_an_interaction_is_described_by_its_documents():
    """In playing order; numbers as they are given."""
    start = to_gregorian(datetime(2026, 11, 20, 10, 0, tzinfo=UTC))
    found = Resolving().listing(
        {"id": "202611-2", "start": start + 60, "duration_ms": 5000},
        {
            "id": "202611-1",
            "start": start,
            "duration": 60,
            "direction": "inbound",
            "from": "+4930111@realm",
            "caller_id_name": "Ada",
            "callee_id_number": "2001",
            "owner_id": "u1",
            "call_id": "c-1@host",
        },
    )
    assert [leg.id for leg in found.legs] == ["202611-1", "202611-2"]
    assert [leg.announced_ms for leg in found.legs] == [60_000, 5000]
    assert found.started_at == datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    assert found.direction == "inbound"
    assert [(p.role, p.number, p.name, p.agent) for p in found.parties] == [
        ("from", "+4930111", "Ada", None),
        ("to", "2001", None, None),
        ("agent", None, None, "u1"),
    ]
    assert found.legs[0].parties == found.parties
    assert found.legs[1].parties == ()
    assert found.legs[0].details["call_id"] == "c-1@host"


def test_a_document_with_no_field_at_all_but_its_id_is_enough():
    """None is required."""
    found = Resolving().listing({"id": "202611-1"})
    (leg,) = found.legs
    assert (leg.started_at, leg.announced_ms) == (NOON, None)
    assert found.parties == ()


@pytest.mark.parametrize("odd", [*ABSURD, "soon", 63_000_000_000_000, "1" * 400])
def test_absurd_times_and_lengths_are_none(odd):
    """The recording began with its interaction then."""
    seconds = to_gregorian(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    found = Resolving().listing(
        {
            "id": "202611-1",
            "interaction_id": f"{seconds}-0badcafe",
            "start": odd,
            "duration": odd,
            "duration_ms": odd,
        }
    )
    assert found.started_at == found.ended_at == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    assert found.legs[0].announced_ms is None


def test_a_start_may_be_its_digits():
    """Storage plans write it so."""
    seconds = to_gregorian(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    found = Resolving().listing({"id": 7, "start": str(seconds)})
    assert (found.started_at.hour, found.legs[0].id) == (9, "7")


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "id",
                "interaction_id",
                "start",
                "duration",
                "duration_ms",
                "from",
                "caller_id_name",
                "owner_id",
                "url",
                "direction",
                ARRIVED_AT,
                "created",
            ]
        ),
        ANYTHING,
    )
)
def test_whatever_stands_in_a_field_the_good_recording_is_found(fields):
    """The other is a leg of some call, or is shown to somebody."""
    desk = Desk()
    desk.saved("202611-1")
    desk.source.saved.append((NOON, {"id": "odd", "interaction_id": "i", **fields}))
    assert desk.sweep().done
    assert ("63900000000-0badcafe", "202611-1") in desk.found()
    assert len(desk.jobs.sent) + len(desk.jobs.buried) == 2
    found = listing(
        Job(provider="kazoo", account=ACCOUNT, call="i", seen_at=NOON),
        [{"id": "202611-1"}, {"id": "odd", **fields}],
    )
    assert "202611-1" in {leg.id for leg in found.legs}
    assert all(2000 <= leg.started_at.year <= 2026 for leg in found.legs)
    assert json.dumps(found.records, ensure_ascii=False, allow_nan=False).encode()


def test_the_time_of_the_interaction_stands_in_for_a_start_that_lacks():
    """It is the first half of its id."""
    seconds = to_gregorian(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    found = Resolving().listing({"id": "202611-1", "interaction_id": f"{seconds}-0badcafe"})
    assert found.started_at == datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def test_a_clock_that_is_a_day_ahead_for_some_sweeps_loses_no_recording():
    """The tail goes back to where it was; what came meanwhile is found as soon as it is right."""
    desk = Desk()
    for number in range(60):
        moment = number * timedelta(minutes=5)
        desk.saved(f"202611-{number}", ago=-moment, interaction=f"i-{number}")
        wrong = timedelta(days=1) if 20 <= number < 23 else timedelta()
        desk.clock.moment = NOON + moment + wrong
        desk.sweep()
    desk.clock.moment = NOON + timedelta(hours=6)
    desk.sweep()
    assert len(desk.found()) == 60


class TestGaps:
    """A window that cannot be read."""

    def rounds(self, desk, many, *, minutes=5):
        for _ in range(many):
            tail = KazooTail(desk.source, desk.clock, account=ACCOUNT, **desk.fields)
            a_sweeper(tail, desk)(until=desk.clock.now() + timedelta(seconds=120))
            desk.clock.advance(minutes * 60)

    def test_all_recordings_but_those_of_the_bad_seconds_are_found(self):
        """At the second sweep. No later one reaches back to the gap, which lies in its overlap."""
        desk = Desk()
        for number in range(30):
            ago = timedelta(minutes=7 * number + 1)
            desk.saved(f"202611-{number}", interaction=f"i-{number}", ago=ago)
        desk.source.bad = NOON - timedelta(minutes=7 * 10 + 1)
        self.rounds(desk, 3)
        assert {call for call, *_ in desk.found()} == {f"i-{n}" for n in range(30)} - {"i-10"}
        gaps = [gap for gap in gaps_of(f"kazoo#{ACCOUNT}", desk.notes) if gap.lacks]
        assert gaps
        assert all(gap.end - gap.begin <= timedelta(seconds=2) for gap in gaps)
        desk.source.asked.clear()
        self.rounds(desk, 5)
        assert sum(begin > desk.source.bad for begin, *_ in desk.source.asked) == 5

    def test_what_is_saved_late_beside_a_gap_is_found_when_three_hours_have_passed(self):
        """No overlap reaches back there any more, so it is read once more."""
        desk = Desk()
        desk.source.bad = NOON - timedelta(minutes=30)
        self.rounds(desk, 3)
        desk.saved("202611-1", ago=timedelta(minutes=40))
        self.rounds(desk, 40)
        assert {call for call, *_ in desk.found()} == {"63900000000-0badcafe"}
        assert all(gap.lacks for gap in gaps_of(f"kazoo#{ACCOUNT}", desk.notes))
        assert desk.notes.read(f"tail#kazoo#{ACCOUNT}").content["cursor"].keys() == {"begin"}

    def test_windows_overlap_again_when_the_gap_is_read(self):
        """What is saved late is found as soon as after any other sweep."""
        desk = Desk()
        desk.source.bad = NOON - timedelta(minutes=30)
        self.rounds(desk, 3)
        desk.source.bad = None
        self.rounds(desk, 10)
        desk.saved("202611-1", ago=timedelta(minutes=40))
        self.rounds(desk, 1)
        assert desk.found()

    def test_nothing_is_stepped_over_while_a_month_is_three_hours_old(self):
        """What began before it may lie in the older month's database, which must be opened too."""
        first = datetime(2026, 12, 1, tzinfo=UTC)
        desk = Desk(first=first - timedelta(hours=1))
        desk.clock.advance((first + timedelta(minutes=50) - NOON).total_seconds())
        desk.source.bad = first + timedelta(minutes=10)
        self.rounds(desk, 20)
        assert list(gaps_of(f"kazoo#{ACCOUNT}", desk.notes)) == []
        self.rounds(desk, 20)
        gaps = [gap for gap in gaps_of(f"kazoo#{ACCOUNT}", desk.notes) if gap.lacks]
        assert gaps
        month = [begin for begin, until, *_ in desk.source.asked if until > first > begin]
        assert month, "each part of the gap opens both databases"
