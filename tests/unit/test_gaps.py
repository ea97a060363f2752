"""What cannot be read of a list costs itself, is told, and is asked for until it can be read."""

import itertools
from datetime import timedelta

import pytest

from legato.errors import Barred, Failed, Limited, NotYet, Retry, Unavailable, Wait
from legato.ledger.gaps import extend, gaps_of, split, step_over, was_read
from legato.ledger.listings import tail_key
from legato.model import format_time, parse_time
from legato.ports import Beyond, Change, TailPage
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, a_sweeper, an_id

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
A_DAY_BEFORE = NOON - timedelta(days=1)


class KilledError(BaseException):
    """The process ends here."""


class FakeList:
    """A list by time, of `rows`; what lies in a window that is asked for and in `bad` is raised."""

    name = watch = "kazoo"
    behind = late = False

    def __init__(self, clock, rows, bad, *, first=A_DAY_BEFORE, end=None, key="kazoo", asked=None):
        self.clock, self.rows, self.bad = clock, rows, bad
        self.first, self.end, self.key = first, end, key
        self.asked = [] if asked is None else asked
        self.again_after = timedelta()

    def page(self, cursor, *, turn=False):
        begin, end = self.window(cursor)
        self.asked.append((begin, end))
        for moment, error in self.bad.items():
            if begin <= moment <= end:
                raise error
        changes = [
            Change(id=an_id(call, provider="kazoo"), records={"r": {"id": call}})
            for call, moment in self.rows.items()
            if begin <= moment <= end
        ]
        cursor = {"begin": format_time(end)}
        return TailPage(changes=tuple(changes), cursor=cursor, more=False, read_to=end)

    def beyond(self, cursor):
        begin, end = self.window(cursor)
        cursor = {"begin": format_time(end)}
        return Beyond(begin=begin, end=end, cursor=cursor, again_after=self.again_after)

    def stretch(self, begin, end, *, key):
        shared = {"key": key, "asked": self.asked}
        return FakeList(self.clock, self.rows, self.bad, first=begin, end=end, **shared)

    def window(self, cursor):
        begin = parse_time(cursor["begin"]) if "begin" in cursor else self.first
        return begin, self.end or self.clock.now()

    def recordings(self, records):
        return frozenset(record["id"] for record in records)

    def unreadable(self, records):
        return ()


class Desk:
    """A call has ended each minute of a day."""

    def __init__(self):
        self.clock, self.notes, self.jobs = FakeClock(), FakeNotes(), FakeJobs()
        self.rows = {f"c{n}": A_DAY_BEFORE + n * MINUTE for n in range(24 * 60)}
        self.bad = {}
        self.tail = FakeList(self.clock, self.rows, self.bad)

    def spoil(self, call, error):
        self.bad[self.rows[call]] = error

    def outage(self, error):
        for n in range(-1, 48 * 60):
            self.bad[A_DAY_BEFORE + n * MINUTE] = error

    def rounds(self, many, *, every=MINUTE):
        for _ in range(many):
            try:
                a_sweeper(self.tail, self)(until=self.clock.now() + 2 * MINUTE)
            except KilledError:
                self.clock.advance(120)
            self.clock.advance(every.total_seconds())

    @property
    def missing(self):
        return self.rows.keys() - {job.call for job, _ in self.jobs.sent}

    @property
    def gaps(self):
        return list(gaps_of("kazoo", self.notes))


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize("error", [Retry("503"), Failed("400"), NotYet("404")], ids=str)
def test_a_page_that_cannot_be_read_costs_what_stands_on_the_narrowest_one(desk, error):
    """All others are found within minutes, and the gap around it is of two seconds or so."""
    desk.spoil("c700", error)
    desk.rounds(4)
    assert desk.missing == {"c700"}
    [gap] = [gap for gap in desk.gaps if gap.begin <= desk.rows["c700"] <= gap.end][:1]
    assert all(gap.end - gap.begin <= 2 * SECOND and gap.lacks for gap in desk.gaps)
    assert gap.reason == str(error)
    assert gap.since == NOON


def test_a_fault_that_passes_leaves_no_gap(desk):
    """The next sweep reads the page."""
    desk.spoil("c700", Retry("503"))
    desk.rounds(1)
    desk.bad.clear()
    desk.rounds(1)
    assert (desk.missing, desk.gaps) == (set(), [])


def test_a_gap_is_asked_for_more_and_more_seldom_until_it_can_be_read(desk):
    """Every hour in the end. Then its recordings become jobs, and it is gone."""
    desk.spoil("c700", Retry("503"))
    desk.rounds(240)
    desk.tail.asked.clear()
    desk.rounds(60)
    assert 1 <= sum(begin < NOON for begin, _ in desk.tail.asked) <= len(desk.gaps)
    desk.bad.clear()
    desk.rounds(61)
    assert (desk.missing, desk.gaps) == (set(), [])


def test_a_gap_of_a_passing_fault_is_read_soon_after_it(desk):
    """It waits no longer than it has been bad."""
    desk.spoil("c700", Retry("503"))
    desk.rounds(4)
    desk.bad.clear()
    desk.rounds(4)
    assert (desk.missing, desk.gaps) == (set(), [])


def test_no_gap_is_forgotten_however_long_it_lasts(desk):
    """It ends only by being read."""
    desk.spoil("c700", Retry("503"))
    desk.rounds(200, every=HOUR)
    assert desk.gaps
    assert desk.missing == {"c700"}


def test_a_page_that_ends_its_readers_is_stepped_over(desk):
    """Their leases stand when the next ones come, which tells that they died."""
    desk.spoil("c700", KilledError())
    desk.rounds(40)
    assert desk.missing == {"c700"}
    assert all(gap.end - gap.begin <= 2 * SECOND for gap in desk.gaps)
    assert {gap.reason for gap in desk.gaps} == {"the worker that reads it dies"}


def test_two_bad_pages_cost_no_more_than_themselves(desk):
    """Also if both halves of a gap are bad."""
    desk.spoil("c100", Retry("503"))
    desk.spoil("c1300", Failed("400"))
    desk.rounds(40)
    assert desk.missing == {"c100", "c1300"}


def test_an_outage_of_everything_is_one_gap_that_is_not_asked_for_in_pieces(desk):
    """Nothing tells it from a bad page until something can be read; then all is found."""
    desk.outage(Retry("503"))
    desk.rounds(300)
    [gap] = desk.gaps
    assert gap.begin == A_DAY_BEFORE
    assert len(desk.tail.asked) < 315
    desk.bad.clear()
    desk.rounds(3)
    assert (desk.missing, desk.gaps) == (set(), [])


def test_an_outage_that_begins_while_a_gap_is_read_does_not_break_it_up(desk):
    """What could be read before says nothing of now."""
    desk.spoil("c700", Retry("503"))
    desk.rounds(1)
    desk.rounds(1)
    before = len(desk.gaps)
    desk.outage(Retry("503"))
    desk.rounds(200)
    assert len(desk.gaps) <= before + 2


@pytest.mark.parametrize(
    "error",
    [
        Wait("it is not our turn", seconds=5),
        Limited("429", seconds=60),
        Barred("403", seconds=900),
        Unavailable("the ledger cannot be read"),
    ],
    ids=str,
)
def test_what_is_no_fault_of_the_page_makes_no_gap(desk, error):
    """The provider's limit, a permission, our own ledger: the tail waits for them where it is."""
    desk.spoil("c700", error)
    desk.rounds(20)
    assert desk.gaps == []
    assert "cursor" not in desk.notes.read(tail_key("kazoo")).content
    desk.bad.clear()
    desk.rounds(1)
    assert desk.missing == set()


def test_what_the_tail_would_have_looked_at_again_is_read_once_more(desk):
    """What was listed late, meanwhile, is found; and until then no gap is told."""
    desk.tail.again_after = 3 * HOUR
    desk.spoil("c700", Retry("503"))
    desk.rounds(4)
    desk.rows["late"] = desk.rows["c50"]
    desk.rounds(170)
    assert "late" in desk.missing
    assert all(gap.end - gap.begin <= 2 * SECOND for gap in desk.gaps if gap.lacks)
    desk.rounds(20)
    assert desk.missing == {"c700"}


def test_a_gap_that_grew_while_it_was_read_stays(desk):
    """What was added has not been read."""
    beyond = Beyond(begin=NOON - HOUR, end=NOON, cursor={})
    known = {"since": NOON, "now": NOON, "reason": "503"}
    key = step_over("kazoo", beyond, notes=desk.notes, **known)
    [gap] = desk.gaps
    longer = Beyond(begin=NOON, end=NOON + HOUR, cursor={})
    assert extend(key, longer, now=NOON, notes=desk.notes)
    was_read(gap, now=NOON, notes=desk.notes)
    assert [(gap.begin, gap.end) for gap in desk.gaps] == [(NOON - HOUR, NOON + HOUR)]


def test_the_halves_of_a_gap_leave_nothing_out(desk):
    """However often it is split, down to the narrowest ones."""
    beyond = Beyond(begin=NOON, end=NOON + 37 * SECOND, cursor={})
    step_over("kazoo", beyond, since=NOON, now=NOON, reason="503", notes=desk.notes)
    while wide := [gap for gap in desk.gaps if gap.splits]:
        split("kazoo", wide[0], now=NOON, notes=desk.notes)
    gaps = desk.gaps
    assert (gaps[0].begin, gaps[-1].end) == (NOON, NOON + 37 * SECOND)
    assert all(later.begin < sooner.end for sooner, later in itertools.pairwise(gaps))
