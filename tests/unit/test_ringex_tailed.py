"""RingCentral behind its tail: the ledger answers, and the call log is asked for the rest."""

from datetime import timedelta

import pytest

from legato.errors import Barred, Failed, NotYet, Retry, Wait
from legato.ledger.listings import records_key, tail_key
from legato.model import Listing, Note, format_time, parse_time
from legato.ports import SweepReport
from legato.providers.ringex.retention import NOTE
from legato.providers.ringex.tailed import TailedRingex
from tests.fakes import NOON, FakeClock, FakeNotes, FakeProvider, a_job, a_listing, an_id
from tests.unit.test_ringex_call_log import record, recording

PATIENCE = timedelta(seconds=120)
MINUTE = timedelta(minutes=1)


class Desk:
    """A tail that was read to `read_to`; the next sweep does what `sweeps` says."""

    def __init__(self):
        self.clock = FakeClock()
        self.notes = FakeNotes()
        self.recipe = FakeProvider()
        self.sweeps = []
        self.swept = 0
        self.provider = TailedRingex(
            self.recipe,
            self.notes,
            self.clock,
            sweep=self.sweep,
            patience=PATIENCE,
            max_call=timedelta(hours=4),
        )

    def sweep(self):
        self.swept += 1
        does = self.sweeps.pop(0) if self.sweeps else self.reads_all
        return does() or SweepReport()

    def reads_all(self):
        self.read_to(self.clock.now())

    def read_to(self, moment, *, first=NOON - timedelta(days=1)):
        content = {"cursor": {"first": format_time(first)}, "read_to": format_time(moment)}
        self.put(tail_key("ringex"), content)

    def put(self, key, content):
        self.notes.notes[key] = Note(key=key, content=content, version=1)

    def knows(self, *records, call="s-1"):
        found = {each["id"]: each for each in records}
        self.put(records_key(an_id(call)), {"records": found})

    def resolve(self, *jobs, closely=()):
        return self.provider.resolve(jobs, closely=closely)


@pytest.fixture
def desk():
    desk = Desk()
    desk.read_to(NOON)
    return desk


def test_what_began_after_an_old_message_began_when_the_log_says(desk):
    """The log had listed it by then, however old the job is."""
    desk.put(
        records_key(an_id()),
        {"records": {"r": record(recording=recording("7"))}, "seen": format_time(NOON)},
    )
    found = desk.resolve(a_job(seen_at=NOON - timedelta(days=9)))[an_id()]
    assert found.started_at == parse_time(record()["startTime"])


def test_a_call_that_the_tail_has_found_asks_nothing(desk):
    """Its legs stand in the ledger, and more of them would come with a job of their own."""
    desk.knows(record(recording=recording("7")), record(id="r2", recording=recording("8")))
    desk.read_to(NOON - timedelta(hours=1))
    found = desk.resolve(a_job())[an_id()]
    assert [leg.id for leg in found.legs] == ["7", "8"]
    assert found.final
    assert len(found.records) == 2
    assert (desk.swept, desk.recipe.asked) == (0, [])


def test_a_call_that_the_tail_would_have_shown_is_not_recorded(desk):
    """At once, and without any request."""
    found = desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()]
    assert found == Listing(call="s-1", account="1", final=True)
    assert (desk.swept, desk.recipe.asked) == (0, [])


def test_an_old_tail_is_read_once_for_the_whole_batch(desk):
    """And what it brings is the answer."""
    desk.read_to(NOON - MINUTE)

    def reads():
        desk.knows(record(recording=recording("7"), telephonySessionId="s-2"), call="s-2")
        desk.reads_all()

    desk.sweeps = [reads]
    found = desk.resolve(*[a_job(f"s-{n}", seen_at=NOON - 2 * PATIENCE) for n in range(3)])
    assert desk.swept == 0, "the tail was young enough for these"
    found = desk.resolve(*[a_job(f"s-{n}", seen_at=NOON - PATIENCE) for n in range(3)])
    assert desk.swept == 1
    assert [leg.id for leg in found[an_id("s-2")].legs] == ["7"]
    assert found[an_id("s-0")] == Listing(call="s-0", account="1", final=True)


def test_a_call_too_young_to_be_listed_waits_until_it_would_be(desk):
    """No read of the tail could tell."""
    desk.read_to(NOON - MINUTE)
    found = desk.resolve(a_job(seen_at=NOON - MINUTE))[an_id()]
    assert isinstance(found, Wait)
    assert found.seconds == 60
    assert desk.swept == 0


@pytest.mark.parametrize(
    ("report", "seconds"),
    [
        (SweepReport(busy=True), 3),
        (SweepReport(rests=timedelta(seconds=20)), 20),
        (SweepReport(stopped=Wait("429", seconds=40, turn=True)), 40),
        (SweepReport(stopped=Retry("503")), 60),
    ],
)
def test_a_tail_that_cannot_be_read_makes_only_the_unknown_wait(desk, report, seconds):
    """At no attempt; the turn that was promised is the tail's."""
    desk.read_to(NOON - MINUTE)
    desk.knows(record(recording=recording("7")))
    desk.sweeps = [lambda: report]
    jobs = [a_job(seen_at=NOON - PATIENCE), a_job("s-2", seen_at=NOON - PATIENCE)]
    found = desk.resolve(*jobs)
    assert [leg.id for leg in found[an_id()].legs] == ["7"]
    assert isinstance(found[an_id("s-2")], Wait)
    assert (found[an_id("s-2")].seconds, found[an_id("s-2")].turn) == (seconds, False)


def test_refused_credentials_are_told_as_such(desk):
    """A person must act, and is told."""
    desk.read_to(NOON - MINUTE)
    desk.sweeps = [lambda: SweepReport(stopped=Barred("403", seconds=900))]
    assert isinstance(desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()], Barred)


def test_a_read_that_ended_early_may_have_gone_far_enough(desk):
    """What it has read is known."""
    desk.read_to(NOON - MINUTE)

    def reads():
        desk.reads_all()
        return SweepReport(stopped=Retry("503"))

    desk.sweeps = [reads]
    assert desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()].final


def test_a_call_from_before_the_tails_beginning_is_asked_for_by_the_recipe(desk):
    """The tail cannot say that it has no recording. It may have begun long before its last sign."""
    desk.recipe.listings["s-1"] = a_listing()
    found = desk.resolve(a_job(seen_at=NOON - timedelta(hours=21)))
    assert found == {an_id(): desk.recipe.listings["s-1"]}
    assert desk.resolve(a_job("s-2", seen_at=NOON - timedelta(hours=21))) == {}
    assert desk.resolve(a_job("s-2", seen_at=NOON - timedelta(hours=19)))[an_id("s-2")].final


def test_without_any_tail_it_is_read_first(desk):
    """The first job of a new stack may come before the first sweep."""
    desk.notes.notes.clear()
    assert desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()].final
    assert desk.swept == 1


def test_a_named_recording_that_nobody_lists_is_looked_for_closely(desk):
    """By the recipe, as the ladder asks for it; what is listed is not asked for again."""
    desk.knows(record(recording=recording("7")))
    desk.recipe.listings["s-2"] = a_listing(call="s-2", short=True)
    jobs = [a_job(named=["7"]), a_job("s-2", named=["8"]), a_job("s-3", named=["9"])]
    found = desk.resolve(*jobs, closely={an_id(), an_id("s-2")})
    assert desk.recipe.asked == [({"s-2"}, {"s-2"})]
    assert [leg.id for leg in found[an_id()].legs] == ["7"]
    assert found[an_id("s-2")].short
    assert found[an_id("s-3")].legs == ()


def test_a_recipe_that_fails_is_the_answer_for_its_calls_only(desk):
    """The others are known."""
    desk.knows(record(recording=recording("7")))
    desk.recipe.failure = Wait("429", seconds=60)
    found = desk.resolve(a_job(), a_job("s-2", named=["8"]), closely={an_id("s-2")})
    assert [leg.id for leg in found[an_id()].legs] == ["7"]
    assert found[an_id("s-2")] is desk.recipe.failure


def test_what_nobody_understands_is_named_beside_the_good_recordings(desk):
    """It is the call's own trouble, and no other's."""
    desk.knows(record(legs=[{"recording": {}}], recording=recording("7")))
    found = desk.resolve(a_job())[an_id()]
    assert [leg.id for leg in found.legs] == ["7"]
    assert [one.id for one in found.unreadable] == ["record rec, leg 1"]


def test_a_note_that_cannot_be_read_is_its_own_calls_error(desk):
    """The others of the batch are answered."""
    desk.knows(record(recording=recording("7")), call="s-2")
    read = desk.notes.read

    def refusing(key):
        if key == records_key(an_id()):
            raise Retry("the ledger cannot be read")
        return read(key)

    desk.notes.read = refusing
    found = desk.resolve(a_job(), a_job("s-2"))
    assert isinstance(found[an_id()], Retry)
    assert [leg.id for leg in found[an_id("s-2")].legs] == ["7"]


@pytest.mark.parametrize("answers", [{}, {an_id(): Failed("400")}])
def test_what_the_recipe_cannot_tell_stays_as_the_ledger_has_it(desk, answers):
    """A close look for one recording must not lose another."""
    desk.knows(record(recording=recording("7")))
    desk.recipe.listings |= answers
    found = desk.resolve(a_job(named=["7", "8"]), closely={an_id()})
    assert [leg.id for leg in found[an_id()].legs] == ["7"]


def test_a_clock_that_was_ahead_makes_nobody_wait_or_believe(desk):
    """Neither what it read to nor when it saw a call counts; the tail is read now."""
    ahead = timedelta(days=1)
    desk.read_to(NOON + ahead)
    desk.sweeps = [lambda: desk.knows(record(recording=recording("7")))]
    found = desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()]
    assert [leg.id for leg in found.legs] == ["7"]
    found = desk.resolve(a_job("s-2", seen_at=NOON + ahead))[an_id("s-2")]
    assert (found.final, desk.swept) == (True, 2)


def test_how_long_recordings_are_kept_is_as_the_account_says(desk):
    """Ninety days while nobody knows."""
    desk.knows(record(recording=recording("7")))
    ended_at = desk.resolve(a_job())[an_id()].ended_at
    assert desk.resolve(a_job())[an_id()].kept_until == ended_at + timedelta(days=90)
    desk.put(NOTE, {"days": 30})
    assert desk.resolve(a_job())[an_id()].kept_until == ended_at + timedelta(days=30)


def test_audio_comes_from_the_provider_itself(desk):
    """The tail knows of recordings, it does not have them."""
    leg = desk.provider.named_leg(a_job(), "7")
    assert leg.named_only
    with pytest.raises(NotYet), desk.provider.open_leg(leg):
        pass


class TestATailThatCannotBeRead:
    """Its last page has failed, or ended who read it."""

    def test_no_processor_reads_it(self, desk):
        """It may end whoever does, with all jobs of the batch; the sweeper sees to it."""
        tail = {"tries": 1, "failing": "503", "read_to": format_time(NOON - MINUTE)}
        desk.put(tail_key("ringex"), tail)
        found = desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()]
        assert isinstance(found, Wait)
        assert (desk.swept, found.seconds) == (0, 60)
        assert "503" in str(found)

    def test_what_was_stepped_over_is_asked_for_by_the_recipe(self, desk):
        """Of it the tail that has begun anew can say nothing."""
        desk.read_to(NOON, first=NOON - MINUTE)
        desk.recipe.listings["s-1"] = a_listing()
        found = desk.resolve(a_job(seen_at=NOON - PATIENCE))
        assert found == {an_id(): desk.recipe.listings["s-1"]}

    def test_while_nothing_can_be_read_no_job_spends_an_attempt(self, desk):
        """It is nothing that the job has done."""
        desk.put(tail_key("ringex"), {"failing": "503", "cursor": {"first": format_time(NOON)}})
        desk.recipe.failure = Retry("503")
        found = desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()]
        assert isinstance(found, Wait)
        desk.read_to(NOON, first=NOON)
        assert isinstance(desk.resolve(a_job(seen_at=NOON - PATIENCE))[an_id()], Retry)
