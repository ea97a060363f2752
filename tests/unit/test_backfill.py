"""A backfill reads all of the past once, whatever ends it, and is in nobody's way."""

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato import unarchived
from legato.backfill import SLICE, Backfill, backfill, estimate
from legato.errors import Barred, Failed, Retry
from legato.gate import Gate, Limit
from legato.providers.ringcx.stretch import RingcxStretch
from legato.providers.ringcx.tail import RingcxTail
from legato.sweep import records_key, sweep, tail_key
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes
from tests.unit.test_ringcx_tail import OVERLAP, SETTLE, FakeMetadata

LIMITS = (Limit(3, 60), Limit(9, 900))
QUARTER = 900
DAY = timedelta(days=1)


class Killed(BaseException):
    """Stands for Ctrl-C and for the power cut."""


class GatedMetadata(FakeMetadata):
    """Answers behind the real gate, and takes a second for it."""

    def __init__(self, world):
        super().__init__(world.clock)
        self.world = world
        self.calls = {}
        self.gate = Gate(world.notes, world.clock, limits={"Metadata": LIMITS}, sleep=self.doze)

    def doze(self, seconds):
        self.clock.advance(seconds)

    def interactions(self, sub_account, *, turn=False, behind=False, **window):
        self.gate.enter(f"ringcx#{sub_account}#Metadata", turn=turn, behind=behind)
        self.calls.setdefault(sub_account, []).append(self.clock.now())
        self.world.step()
        self.clock.advance(1)
        return super().interactions(sub_account, **window)


class MortalNotes(FakeNotes):
    def __init__(self, world):
        super().__init__()
        self.world = world

    def write(self, note):
        self.world.step()
        written = super().write(note)
        self.world.step()
        return written


class MortalJobs(FakeJobs):
    def __init__(self, world):
        super().__init__()
        self.world = world

    def send(self, job, *, delay):
        super().send(job, delay=delay)
        self.world.step()


class World:
    """A RingCX with one past; `dies_after` so many steps the process ends in the middle."""

    def __init__(self, sub_accounts=("99",), begin=NOON - 30 * DAY, limit=NOON - DAY):
        self.clock = FakeClock()
        self.dies_after = math.inf
        self.notes = MortalNotes(self)
        self.jobs = MortalJobs(self)
        self.metadata = GatedMetadata(self)
        self.sub_accounts, self.begin, self.limit = sub_accounts, begin, limit
        self.told = []
        self.meanwhile = None

    def step(self):
        self.dies_after -= 1
        if self.dies_after == 0:
            raise Killed

    def sleep(self, seconds):
        end = self.clock.now() + timedelta(seconds=seconds)
        while self.meanwhile and (quarter := self.next_quarter()) < end:
            self.clock.moment = max(quarter, self.clock.moment)
            self.meanwhile()
        self.clock.moment = max(end, self.clock.moment)
        self.step()

    def next_quarter(self):
        seconds = self.clock.now().timestamp()
        return self.clock.now() + timedelta(seconds=QUARTER - seconds % QUARTER)

    def work(self):
        stretches = [
            RingcxStretch(
                self.metadata,
                self.clock,
                sub_account=name,
                begin=self.begin,
                limit=self.limit,
                lag=SETTLE,
                overlap=OVERLAP,
            )
            for name in self.sub_accounts
        ]
        return Backfill(
            stretches=stretches,
            jobs=self.jobs,
            notes=self.notes,
            clock=self.clock,
            sleep=self.sleep,
            settle_seconds=5,
            limits=LIMITS,
            kept_days=dict.fromkeys(self.sub_accounts, 90),
        )

    def run(self, **options):
        return backfill(self.work(), tell=self.told.append, **options)

    def dialogs_every(self, span):
        moment = self.begin + timedelta(minutes=7)
        while moment < self.limit:
            self.metadata.ended(moment, segmentDurationMs=60_000)
            moment += span
        return {row["dialogId"] for _, row in self.metadata.rows}

    def sent(self):
        return [job.call for job, _ in self.jobs.sent]

    def breaks_a_limit(self):
        return any(
            later - sooner < timedelta(seconds=limit.seconds)
            for calls in self.metadata.calls.values()
            for limit in LIMITS
            for sooner, later in zip(calls, calls[limit.calls :], strict=False)
        )


@settings(max_examples=8, deadline=None)
@given(first=st.integers(1, 1900), second=st.integers(1, 1900))
def test_thirty_days_that_are_interrupted_twice_end_complete(first, second):
    """Each dialog gets its job, no window is left out, and no limit of RingCX is broken."""
    world = World()
    dialogs = world.dialogs_every(timedelta(hours=2))
    for steps in (first, second):
        world.dies_after = steps
        try:
            world.run()
        except Killed:
            world.clock.advance(1)
    world.dies_after = math.inf
    (progress,) = world.run()
    assert progress.done
    assert progress.share == 1
    assert set(world.sent()) == dialogs
    assert len(world.sent()) <= len(dialogs) + 2
    assert not world.breaks_a_limit()
    assert len(world.metadata.calls["99"]) <= 247 + 2


def test_an_interrupted_run_goes_on_at_its_cursor_as_soon_as_the_lease_has_lapsed():
    """Killed between the window and its cursor, it asks for that window again and no earlier."""
    world = World()
    world.dialogs_every(timedelta(hours=2))
    world.dies_after = 60
    with pytest.raises(Killed):
        world.run()
    asked, killed_at = len(world.metadata.asked), world.clock.now()
    (key,) = (key for key in world.notes.notes if "#backfill" in key)
    cursor = world.notes.read(key).content["cursor"]
    world.dies_after = math.inf
    world.run()
    begin, _ = world.metadata.asked[asked]
    assert begin.isoformat(timespec="milliseconds").startswith(cursor["begin"].rstrip("Z"))
    waited = world.metadata.calls["99"][asked] - killed_at
    assert waited <= SLICE + timedelta(seconds=11)


def test_a_finished_one_asks_nothing():
    """The same command again sees that nothing is left."""
    world = World()
    world.run()
    asked = len(world.metadata.asked)
    (ahead,) = estimate(world.work())
    (progress,) = world.run()
    assert (ahead.windows, ahead.share) == (0, 1)
    assert progress.done
    assert progress.windows == 0
    assert len(world.metadata.asked) == asked


def test_thirty_days_are_255_windows_and_take_eight_hours():
    """The estimate is what happens, and the limits are used to the full."""
    world = World(limit=NOON - timedelta(hours=1))
    world.begin = world.limit - 30 * DAY
    (ahead,) = estimate(world.work())
    began = world.clock.now()
    world.run()
    took = world.clock.now() - began
    assert ahead.windows == len(world.metadata.asked) == 255
    assert timedelta(hours=7.5) < ahead.takes < timedelta(hours=8.5)
    assert ahead.takes <= took <= 1.05 * ahead.takes


@pytest.mark.parametrize("minutes", [5, 10, 11, 180, 181, 350, 351, 1440])
def test_windows_are_estimated_exactly_where_none_is_full(minutes):
    """Whatever the length of the stretch."""
    world = World(limit=NOON - DAY + timedelta(minutes=minutes), begin=NOON - DAY)
    (ahead,) = estimate(world.work())
    world.run()
    assert ahead.windows == len(world.metadata.asked)


def test_a_live_sweep_never_waits_for_a_backfill():
    """Every quarter of an hour, in the middle of it, it is let through at once."""
    world = World()
    live = [NOON - timedelta(hours=1)]

    def live_sweep():
        began, first = world.clock.now(), live[0]
        tail = RingcxTail(
            world.metadata,
            world.clock,
            sub_account="99",
            key="",
            first=first,
            lag=SETTLE,
            overlap=OVERLAP,
        )
        swept = sweep(
            tail=tail,
            jobs=FakeJobs(),
            notes=world.notes,
            clock=world.clock,
            until=began + timedelta(seconds=120),
            settle=5,
        )
        assert swept.done
        assert world.clock.now() - began == timedelta(seconds=1)
        live.append(began)

    world.meanwhile = live_sweep
    (progress,) = world.run()
    assert progress.done
    assert len(live) > 30
    assert not world.breaks_a_limit()


def test_a_dry_run_writes_nothing_but_what_the_gate_must_know():
    """It reads the same, and says what a run would do and what is in the archive."""
    world = World(begin=NOON - 3 * DAY)
    dialogs = world.dialogs_every(timedelta(hours=2))
    world.limit = NOON - 2 * DAY
    world.run()
    sent, written = len(world.jobs.sent), dict(world.notes.notes)
    for dialog in ("s-v-0", "s-v-1"):
        key = records_key("ringcx", dialog)
        unarchived.archived(key, [dialog.replace("s-", "p-", 1)], world.notes)
        written[key] = world.notes.read(key)
    world.limit = NOON - DAY
    (progress,) = world.run(dry_run=True)
    assert progress.done
    assert len(world.jobs.sent) == sent
    changed = {key for key, note in world.notes.notes.items() if written.get(key) != note}
    assert changed == {"gate#ringcx#99#Metadata"}
    assert (progress.dialogs, progress.segments) == (len(dialogs), len(dialogs))
    assert (progress.known, progress.archived) == (12, 2)
    assert progress.jobs == len(dialogs) - 12
    assert progress.length == len(dialogs) * timedelta(minutes=1)
    assert progress.size == len(dialogs) * 1_920_000


def test_a_dry_run_counts_what_comes_again_once():
    """Rows of the overlap, and those of a window that is full and is asked for in pieces."""
    world = World(begin=NOON - 2 * DAY, limit=NOON - 2 * DAY + timedelta(hours=4))
    dialogs = world.dialogs_every(timedelta(seconds=10))
    (progress,) = world.run(dry_run=True)
    assert len(world.metadata.asked) > 4
    assert progress.segments == progress.dialogs == progress.jobs == len(dialogs)


def test_a_dry_run_does_not_keep_a_run_from_beginning_at_the_beginning():
    """Its cursor is forgotten with it."""
    world = World(begin=NOON - 2 * DAY)
    dialogs = world.dialogs_every(timedelta(hours=2))
    world.run(dry_run=True)
    world.run()
    assert set(world.sent()) == dialogs


def test_another_sub_account_is_read_while_one_waits():
    """Each has limits of its own, so two take hardly longer than one."""
    world = World(sub_accounts=("1", "2"), begin=NOON - 6 * DAY)
    (one, two) = estimate(world.work())
    began = world.clock.now()
    assert all(progress.done for progress in world.run())
    assert world.clock.now() - began < 1.2 * one.takes
    assert len(world.metadata.calls["1"]) == len(world.metadata.calls["2"]) == two.windows
    assert not world.breaks_a_limit()


class RefusingMetadata(GatedMetadata):
    def __init__(self, world, refused):
        super().__init__(world)
        self.refused = refused

    def interactions(self, sub_account, **window):
        if sub_account in self.refused:
            raise self.refused[sub_account]
        return super().interactions(sub_account, **window)


@pytest.mark.parametrize("error", [Barred("no permission", seconds=300), Failed("HTTP 404")])
def test_a_sub_account_that_refuses_us_is_given_up_and_the_others_are_read(error):
    """With the reason; it is not asked again and again."""
    world = World(sub_accounts=("1", "2"), begin=NOON - 2 * DAY)
    world.metadata = RefusingMetadata(world, {"1": error})
    refused, read = world.run()
    assert refused.failed is error
    assert not refused.done
    assert read.done


def test_passing_faults_are_waited_for_longer_each_time_and_not_for_ever():
    """Those that pass cost time; those that do not pass end the run."""
    world = World(begin=NOON - 2 * DAY)
    world.metadata = RefusingMetadata(world, {"99": Retry("503")})
    (progress,) = world.run()
    assert isinstance(progress.failed, Retry)
    assert timedelta(minutes=10) < world.clock.now() - NOON < timedelta(minutes=20)
    world.metadata.refused = {}
    assert world.run()[0].done


def test_a_queue_that_refuses_for_good_ends_the_run_and_the_limits_are_not_wasted():
    """The window whose jobs cannot be sent is asked for again, but not for ever."""
    world = World(begin=NOON - 2 * DAY)
    world.dialogs_every(timedelta(hours=2))
    world.jobs.refusal = Retry("the jobs queue refuses a message")
    (progress,) = world.run()
    assert progress.failed is world.jobs.refusal
    assert len(world.metadata.asked) < 10
    world.jobs.refusal = None
    world.run()
    assert len(world.sent()) == len(world.metadata.rows)


def test_an_error_that_a_person_must_mend_is_not_repeated():
    """A ledger that we may not write will not change its mind."""
    world = World(begin=NOON - 2 * DAY)
    world.metadata = RefusingMetadata(world, {"99": Retry("AccessDenied")})
    (progress,) = world.run(hopeless=lambda error: "AccessDenied" in str(error))
    assert progress.failed is not None
    assert world.clock.now() == NOON


def test_progress_is_told_with_what_was_found_and_how_long_it_waits():
    """The share grows to one, and a wait has an end."""
    world = World(begin=NOON - 3 * DAY)
    shares, waits = [], []

    def tell(progress):
        shares.append(progress.share)
        if progress.waits_until:
            waits.append((progress.waits_until - world.clock.now(), progress.reason))

    backfill(world.work(), tell=tell)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert any(timedelta(seconds=30) < wait < timedelta(seconds=QUARTER) for wait, _ in waits)
    assert all(reason for _, reason in waits)


def test_a_stretch_up_to_the_present_goes_on_from_where_it_ended():
    """Without an end the same command reads what has come since, and keeps its distance."""
    world = World(begin=NOON - timedelta(hours=6), limit=None)
    world.run()
    assert world.metadata.asked[-1][1] == NOON - SETTLE
    world.clock.advance(7200)
    asked = len(world.metadata.asked)
    world.run()
    begin, end = world.metadata.asked[asked]
    assert begin == NOON - SETTLE - OVERLAP
    assert timedelta() <= end - (NOON - SETTLE + timedelta(hours=2)) < timedelta(minutes=1)


def test_stretches_with_other_bounds_have_other_cursors():
    """And the live sweep has none of theirs."""
    world = World(begin=NOON - 3 * DAY)
    keys = {world.work().stretches[0].key}
    world.limit = NOON - 2 * DAY
    keys.add(world.work().stretches[0].key)
    assert len(keys | {"ringcx#99"}) == 3
    assert all(tail_key(key).startswith("tail#ringcx#99#backfill-2026-11-17") for key in keys)
