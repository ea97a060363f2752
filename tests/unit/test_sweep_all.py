"""A round: every tail gets its turn, and what waits too long is told."""

from datetime import timedelta

import pytest

from legato.discovery.sweep_all import sweep_all
from legato.errors import Barred, Wait
from legato.ledger import gaps, unarchived
from legato.ledger.sweep_remains import FRESH, last_remains
from legato.ports import Beyond, Change, TailPage
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, an_id


class FakeTail:
    name = "ringcx"
    behind = False

    def __init__(self, clock, watch, key="", *, answer=None):
        self.watch = watch
        self.key = watch + key
        self.late = "again" in key
        self.clock = clock
        self.answer = answer
        self.read = 0

    def page(self, cursor, *, turn=False):
        self.read += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        changes = (self.answer,) if self.answer else ()
        return TailPage(changes=changes, cursor={}, more=False, read_to=self.clock.now())

    def beyond(self, cursor):
        return None

    def recordings(self, records):
        return frozenset(record["id"] for record in records)

    def unreadable(self, records):
        return ()


class Desk:
    def __init__(self, *tails):
        self.clock = FakeClock()
        self.notes = FakeNotes()
        self.jobs = FakeJobs()
        self.tails = [FakeTail(self.clock, *tail[:2], answer=tail[2]) for tail in tails]
        self.days = {"ringcx#1": 90, "ringcx#2": 30}

    def go(self, **options):
        return sweep_all(
            provider="ringex",
            tails=lambda _: self.tails,
            jobs=self.jobs,
            notes=self.notes,
            clock=self.clock,
            settle=5,
            retention=lambda _: self.days,
            until=self.clock.now() + timedelta(seconds=120),
            at_once=2,
            **options,
        )


def a_change(call):
    return Change(id=an_id(call, provider="ringcx"), records={"r": {"id": "r"}}, began_at=NOON)


@pytest.mark.parametrize("trouble", [Barred("no WEM access", seconds=900), Wait("2", seconds=60)])
def test_a_tail_that_cannot_be_read_keeps_the_others_from_nothing(trouble):
    """Each sub-account has a limit and permissions of its own."""
    desk = Desk(("ringcx#1", "", trouble), ("ringcx#2", "", a_change("s-v-1")))
    report = desk.go()
    assert (report.jobs, report.calls, report.swept) == (1, 1, True)
    assert report.stopped == [f"ringcx#1: {trouble}"]


def test_the_age_is_that_of_the_oldest_knowledge_of_what_is_new():
    """A second look is late on purpose."""
    desk = Desk(
        ("ringcx#1", "", None),
        ("ringcx#2", "", Barred("no", seconds=900)),
        ("ringcx#1", "#again-4h", Barred("no", seconds=900)),
    )
    desk.go()
    desk.clock.advance(3600)
    assert desk.go().age == timedelta(hours=1)


def test_going_on_leaves_alone_what_came_to_its_end():
    """Only the tail that was stopped is read again."""
    desk = Desk(("ringcx#1", "", None), ("ringcx#2", "", Wait("no", seconds=60)))
    desk.go()
    assert desk.go(unfinished_only=True).swept
    assert [tail.read for tail in desk.tails] == [1, 2]
    desk.tails[1].answer = None
    desk.go(unfinished_only=True)
    assert not desk.go(unfinished_only=True).swept


def test_the_oldest_that_is_not_archived_is_told_with_its_share_of_the_time(caplog):
    """An hour of thirty days is nothing to worry about."""
    desk = Desk(("ringcx#1", "", a_change("s-v-1")), ("ringcx#2", "", None))
    desk.go()
    desk.clock.advance(45 * 24 * 3600)
    report = desk.go()
    assert report.oldest == timedelta(days=45)
    assert report.retention_used == pytest.approx(0.5)
    assert "about to delete" not in caplog.text
    desk.clock.advance(16 * 24 * 3600)
    assert desk.go().retention_used > 2 / 3
    assert "about to delete" in caplog.text


def test_nothing_is_urgent_when_all_is_archived():
    """The list is empty."""
    desk = Desk(("ringcx#1", "", a_change("s-v-1")))
    desk.go()
    unarchived.archived("records#ringcx/1/s-v-1", {"r"}, desk.notes)
    desk.clock.advance(80 * 24 * 3600)
    report = desk.go()
    assert (report.oldest, report.retention_used) == (timedelta(), 0.0)


def test_without_tails_nothing_is_asked():
    """RingCX is not used, or RingEX is not followed."""
    desk = Desk()
    desk.days = None
    assert not desk.go().swept


def test_what_is_left_is_written_down_for_whoever_only_looks():
    """Which lists have a gap, and where calls are to be archived: few of many."""
    beyond = Beyond(begin=NOON, end=NOON + timedelta(seconds=2), cursor={})
    desk = Desk(("ringcx#1", "", a_change("s-v-1")), ("ringcx#2", "", None), ("ringcx#3", "", None))
    desk.days["ringcx#3"] = 90
    assert last_remains("ringex", desk.notes, desk.clock) is None
    known = {"since": NOON, "now": NOON, "reason": "503"}
    gaps.step_over("ringcx#2", beyond, notes=desk.notes, **known)
    for tail in desk.tails:
        tail.stretch = lambda *_, **__: FakeTail(desk.clock, "x", answer=Barred("no", seconds=9))
    desk.go()
    left = last_remains("ringex", desk.notes, desk.clock)
    assert (left.gaps, left.unarchived) == ({"ringcx#2"}, {"ringcx#1"})
    written = desk.notes.read("swept#ringex").version
    desk.go()
    assert desk.notes.read("swept#ringex").version == written, "it says the same"
    desk.clock.advance(FRESH.total_seconds() / 3)
    desk.go()
    assert desk.notes.read("swept#ringex").version == written + 1
    desk.clock.advance(FRESH.total_seconds() + 1)
    assert last_remains("ringex", desk.notes, desk.clock) is None
