"""A backfill reads all of the past once, whatever ends it, and is in nobody's way."""

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.discovery.sweep import sweep
from legato.errors import Barred, Failed, Refused, Retry, Stale
from legato.ledger import unarchived
from legato.ledger.listings import backfill_key, records_key, tail_key
from legato.ledger.rate_limit import Gate
from legato.model import Priority, format_time, parse_time
from legato.operations.backfill import (
    SLICE,
    Allowance,
    Backfill,
    check_days,
    takes,
)
from legato.providers.kazoo.documents import to_gregorian
from legato.providers.kazoo.recorded import KazooRecorded
from legato.providers.ringcx.recorded import RingcxRecorded
from legato.providers.ringcx.tail import RingcxTail
from legato.providers.ringex.call_log import listing
from legato.providers.ringex.recorded import RingexRecorded
from legato.settings import Limit
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, a_job, a_ringex_account, an_id
from tests.unit.test_kazoo_tail import FakeRecordings
from tests.unit.test_ringcx_tail import OVERLAP, SETTLE, FakeMetadata
from tests.unit.test_ringex_call_log import record, recording

LIMITS = (Limit(3, 60), Limit(9, 900))
HEAVY = (Limit(10, 60),)
REQUESTS = (Limit(50, 5),)
QUARTER = 900
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Killed(BaseException):
    """Stands for Ctrl-C and for the power cut."""


class GatedMetadata(FakeMetadata):
    """Answers behind the real gate, and takes a second for it."""

    def __init__(self, world):
        super().__init__(world.clock)
        self.world = world
        self.calls = world.calls

    def interactions(self, sub_account, *, priority=Priority.NORMAL, **window):
        self.world.ask(f"ringcx#{sub_account}#Metadata", sub_account, priority=priority)
        return super().interactions(sub_account, **window)


class CallLog:
    """Answers as RingCentral does: the newest first, a page at a time. What ends a range is out."""

    PAGE = 20

    def __init__(self, world):
        self.world = world
        self.records = []
        self.asked = []
        self.in_order = True

    def get(self, path, params, *, priority=Priority.NORMAL):
        assert path.endswith("/call-log")
        assert (params["view"], params["recordingType"], params["perPage"]) == (
            "Detailed",
            "All",
            1000,
        )
        self.world.ask("ringex#1#Heavy", "ringex", priority=priority)
        self.asked.append(params)
        begin, end = params["dateFrom"], params["dateTo"]
        found = [one for one in self.records if begin <= one["startTime"] < end]
        found.sort(key=lambda one: one["startTime"], reverse=self.in_order)
        first = (params["page"] - 1) * self.PAGE
        more = {"nextPage": {"uri": "…"}} if found[first + self.PAGE :] else {}
        return {"records": found[first : first + self.PAGE], "navigation": more}

    def ended(self, moment):
        name = f"{len(self.records)}"
        self.records.append(
            record(
                format_time(moment),
                id=f"rec-{name}",
                telephonySessionId=f"s-{name}",
                duration=60,
                recording=recording(name),
            )
        )
        return f"s-{name}"


class GatedRecordings(FakeRecordings):
    def __init__(self, world):
        super().__init__()
        self.world = world

    def recordings(self, account, *, priority=Priority.NORMAL, **window):
        self.world.ask(f"kazoo#{account}#Requests", account, priority=priority)
        return super().recordings(account, **window)


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

    provider = "ringcx"
    listing = Allowance(group="Metadata", limits=LIMITS)
    sample_pages = 0
    bytes_a_second = 32_000

    def __init__(self, sub_accounts=("99",), begin=NOON - 30 * DAY, limit=NOON - DAY):
        self.clock = FakeClock()
        self.dies_after = math.inf
        self.notes = MortalNotes(self)
        self.jobs = MortalJobs(self)
        self.calls = {}
        limits = {"Metadata": LIMITS, "Heavy": HEAVY, "Requests": REQUESTS}
        self.gate = Gate(self.notes, self.clock, limits=limits, sleep=self.clock.advance)
        self.metadata = GatedMetadata(self)
        self.sub_accounts, self.begin, self.limit = sub_accounts, begin, limit
        self.told = []
        self.meanwhile = None

    def ask(self, key, source, *, priority):
        self.gate.enter(key, priority=priority)
        self.calls.setdefault(source, []).append(self.clock.now())
        self.step()
        self.clock.advance(1)

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

    def stretches(self):
        return [
            RingcxRecorded(
                self.metadata,
                self.clock,
                sub_account=name,
                begin=self.begin,
                end=self.limit or self.clock.now(),
                lag=SETTLE,
                overlap=OVERLAP,
                kept=90 * DAY,
                key=backfill_key(self.begin, self.limit),
                margin=timedelta(),
            )
            for name in self.sub_accounts
        ]

    def work(self):
        stretches = self.stretches()
        return Backfill(
            provider=self.provider,
            stretches=stretches,
            limit=self.limit,
            jobs=self.jobs,
            notes=self.notes,
            clock=self.clock,
            sleep=self.sleep,
            settle_seconds=5,
            listing=self.listing,
            fetching=Allowance(group="Recordings", limits=(Limit(120, 60),)),
            sample_pages=self.sample_pages,
            bytes_a_second=self.bytes_a_second,
            sound="as it is here",
        )

    def run(self, **options):
        return self.work().run(tell=self.told.append, **options)

    def ends(self, span):
        moment = self.begin + timedelta(minutes=7)
        while moment < (self.limit or NOON):
            yield moment
            moment += span

    def dialogs_every(self, span):
        for moment in self.ends(span):
            self.metadata.ended(moment, segmentDurationMs=60_000)
        return {row["dialogId"] for _, row in self.metadata.rows}

    def sent(self):
        return [job.call for job, _ in self.jobs.sent]

    def breaks_a_limit(self):
        return any(
            later - sooner < timedelta(seconds=limit.seconds)
            for calls in self.calls.values()
            for limit in self.listing.limits
            for sooner, later in zip(calls, calls[limit.calls :], strict=False)
        )


class RingexWorld(World):
    """A company's call log; the others are told apart by it."""

    provider = "ringex"
    listing = Allowance(group="Heavy", limits=HEAVY)
    sample_pages = 3

    def __init__(self, **span):
        super().__init__(**span)
        self.log = CallLog(self)

    def stretches(self):
        return [
            RingexRecorded(
                self.log,
                a_ringex_account(),
                begin=self.begin,
                end=min(self.limit or self.clock.now(), self.clock.now()),
                kept=90 * DAY,
                key=backfill_key(self.begin, self.limit),
                overlap=4 * HOUR,
                behind=True,
            )
        ]

    def dialogs_every(self, span):
        return {self.log.ended(moment) for moment in self.ends(span)}


class KazooWorld(World):
    """One account of a Kazoo, over the end of a month."""

    provider = "kazoo"
    listing = Allowance(group="Requests", limits=REQUESTS)
    sample_pages = 10

    def __init__(self, **span):
        super().__init__(**span)
        self.source = GatedRecordings(self)

    def stretches(self):
        return [
            KazooRecorded(
                self.source,
                self.clock,
                account="a" * 32,
                begin=self.begin,
                end=min(self.limit or self.clock.now(), self.clock.now()),
                kept=180 * DAY,
                key=backfill_key(self.begin, self.limit),
            )
        ]

    def dialogs_every(self, span):
        return {self.ended(moment) for moment in self.ends(span)}

    def ended(self, moment):
        number = len(self.source.saved)
        call = f"{to_gregorian(moment)}-{number:08x}"
        document = {
            "id": f"{moment:%Y%m}-{number}",
            "interaction_id": call,
            "start": to_gregorian(moment),
            "duration_ms": 60_000,
        }
        self.source.saved.append((moment + timedelta(minutes=1), document))
        return call


EVERY = [World, RingexWorld, KazooWorld]


@pytest.mark.parametrize("kind", EVERY)
@settings(max_examples=8, deadline=None)
@given(first=st.integers(1, 1900), second=st.integers(1, 1900))
def test_thirty_days_that_are_interrupted_twice_end_complete(kind, first, second):
    """Each call gets its job, which goes behind; nothing is left out, and no limit is broken."""
    world = kind()
    dialogs = world.dialogs_every(timedelta(hours=2))
    for steps in (first, second):
        world.dies_after = steps
        try:
            world.run()
        except Killed:
            world.clock.advance(1)
    world.dies_after = math.inf
    world.work().check()
    (progress,) = world.run()
    assert progress.done
    assert progress.share == 1
    assert set(world.sent()) == dialogs
    assert len(world.sent()) <= len(dialogs) + 2
    assert all(job.hints["behind"] for job, _ in world.jobs.sent)
    assert not world.breaks_a_limit()
    least = {"ringcx": 247, "ringex": 19, "kazoo": 181}[world.provider]
    (calls,) = world.calls.values()
    assert len(calls) <= least + 2


def test_an_interrupted_run_goes_on_at_its_cursor_as_soon_as_the_lease_has_lapsed():
    """Killed between the window and its cursor, it asks for that window again and no earlier."""
    world = World()
    world.dialogs_every(timedelta(hours=2))
    world.dies_after = 60
    with pytest.raises(Killed):
        world.run()
    asked, killed_at = len(world.metadata.asked), world.clock.now()
    (key,) = (key for key in world.notes.notes if key.startswith("tail#"))
    cursor = world.notes.read(key).content["cursor"]
    world.dies_after = math.inf
    world.run()
    begin, _ = world.metadata.asked[asked]
    assert begin.isoformat(timespec="milliseconds").startswith(cursor["begin"].rstrip("Z"))
    waited = world.calls["99"][asked] - killed_at
    assert waited <= SLICE + timedelta(seconds=11)


def asked_of(world):
    return sum(map(len, world.calls.values()))


@pytest.mark.parametrize("kind", EVERY)
def test_a_finished_one_asks_nothing(kind):
    """The same command again sees that nothing is left."""
    world = kind()
    world.run()
    asked = asked_of(world)
    (ahead,) = world.work().estimate()
    (progress,) = world.run()
    assert (ahead.requests, ahead.share) == (0, 1)
    assert progress.done
    assert progress.requests == 0
    assert asked_of(world) == asked


def test_thirty_days_are_255_windows_and_take_eight_hours():
    """The estimate is what happens, and the limits are used to the full."""
    world = World(limit=NOON - timedelta(hours=1))
    world.begin = world.limit - 30 * DAY
    (ahead,) = world.work().estimate()
    expected = takes(world.listing, [ahead], lambda one: one.requests)
    began = world.clock.now()
    world.run()
    took = world.clock.now() - began
    assert ahead.requests == len(world.metadata.asked) == 255
    assert timedelta(hours=7.5) < expected < timedelta(hours=8.5)
    assert expected <= took <= 1.05 * expected


@pytest.mark.parametrize("minutes", [5, 10, 11, 180, 181, 350, 351, 1440])
def test_windows_are_estimated_exactly_where_none_is_full(minutes):
    """Whatever the length of the stretch."""
    world = World(limit=NOON - DAY + timedelta(minutes=minutes), begin=NOON - DAY)
    (ahead,) = world.work().estimate()
    world.run()
    assert ahead.requests == len(world.metadata.asked)


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
        key = records_key(an_id(dialog, provider="ringcx", account="99"))
        unarchived.archived(key, [dialog.replace("s-", "p-", 1)], world.notes)
        written[key] = world.notes.read(key)
    world.limit = NOON - DAY
    (progress,) = world.run(dry_run=True)
    assert progress.done
    assert len(world.jobs.sent) == sent
    changed = {key for key, note in world.notes.notes.items() if written.get(key) != note}
    assert changed == {"gate#ringcx#99#Metadata"}
    assert (progress.calls, progress.recordings) == (len(dialogs), len(dialogs))
    assert (progress.known, progress.archived) == (12, 2)
    assert progress.jobs == len(dialogs) - 12
    assert progress.length == len(dialogs) * timedelta(minutes=1)


def test_a_dry_run_counts_what_comes_again_once():
    """Rows of the overlap, and those of a window that is full and is asked for in pieces."""
    world = World(begin=NOON - 2 * DAY, limit=NOON - 2 * DAY + timedelta(hours=4))
    dialogs = world.dialogs_every(timedelta(seconds=10))
    (progress,) = world.run(dry_run=True)
    assert len(world.metadata.asked) > 4
    assert progress.recordings == progress.calls == progress.jobs == len(dialogs)


@pytest.mark.parametrize("kind", EVERY)
def test_a_dry_run_does_not_keep_a_run_from_beginning_at_the_beginning(kind):
    """Its cursor is forgotten with it."""
    world = kind(begin=NOON - 2 * DAY)
    dialogs = world.dialogs_every(timedelta(hours=2))
    world.run(dry_run=True)
    world.run()
    assert set(world.sent()) == dialogs


def test_another_sub_account_is_read_while_one_waits():
    """Each has limits of its own, so two take hardly longer than one."""
    world = World(sub_accounts=("1", "2"), begin=NOON - 6 * DAY)
    (one, two) = world.work().estimate()
    began = world.clock.now()
    assert all(progress.done for progress in world.run())
    expected = takes(world.listing, [one, two], lambda each: each.requests)
    assert world.clock.now() - began < 1.2 * expected
    assert len(world.calls["1"]) == len(world.calls["2"]) == two.requests
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


def test_a_cursor_that_somebody_else_wrote_in_between_is_read_anew():
    """That costs a window, and never the run."""
    world = World(begin=NOON - 2 * DAY)
    dialogs = world.dialogs_every(timedelta(hours=2))
    write, contested = world.notes.write, [Stale("changed in between")]

    def written(note):
        if contested and note.key.startswith("tail#") and "cursor" in note.content:
            raise contested.pop()
        return write(note)

    world.notes.write = written
    (progress,) = world.run()
    assert contested == []
    assert progress.done
    assert set(world.sent()) == dialogs


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

    world.work().run(tell=tell)
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


def of_other_days(world, **days):
    """Return the world's work for other days, with the same notes."""
    world.begin, world.limit = days["begin"], days["limit"]
    return world.work()


@pytest.mark.parametrize("kind", EVERY)
def test_one_of_other_days_that_is_unfinished_is_named(kind):
    """With how to go on with it; a dry run is in nobody's way, and one may be given up."""
    world = kind(begin=NOON.replace(hour=0) - 3 * DAY, limit=NOON.replace(hour=0) - DAY)
    world.dialogs_every(HOUR)
    world.dies_after = 20
    with pytest.raises(Killed):
        world.run()
    world.dies_after = math.inf
    world.work().check()
    other = of_other_days(world, begin=NOON - 5 * DAY, limit=NOON - 4 * DAY)
    days = "--from 2026-11-17 --to 2026-11-18 --zone UTC"
    says = f"`legato backfill {world.provider} {days}`.*--discard-unfinished"
    with pytest.raises(Refused, match=says):
        other.check()
    other.check(dry_run=True)
    other.check(discard=True)
    assert all(progress.done for progress in other.run(tell=world.told.append))
    of_other_days(world, begin=NOON - 7 * DAY, limit=NOON - 6 * DAY).check()


def test_what_is_killed_before_its_first_page_is_unfinished_too():
    """It is written down first of all."""
    world = World(begin=NOON - 3 * DAY)
    world.dies_after = 3
    with pytest.raises(Killed):
        world.run()
    with pytest.raises(Refused, match=r"--from 2026-11-17T12:00:00.000Z --to 2026-11-19T"):
        of_other_days(world, begin=NOON - 5 * DAY, limit=NOON - 4 * DAY).check()
    with pytest.raises(Refused, match="unfinished"):
        of_other_days(world, begin=NOON - 3 * DAY, limit=None).check()


def test_days_that_the_provider_has_forgotten_are_refused_with_the_first_that_it_has():
    """But what was begun in time may go on later."""
    world = World(begin=NOON - 91 * DAY)
    with pytest.raises(
        Refused, match=r"for 90 days: .* before 2026-08-22; write --from 2026-08-22"
    ):
        world.work().check()
    world.begin = (NOON - 90 * DAY).replace(hour=0)
    world.work().check()
    world.dies_after = 60
    with pytest.raises(Killed):
        world.run()
    world.clock.moment += 5 * DAY
    world.work().check()


def test_days_to_come_are_refused_and_today_is_not():
    """Its last moment is still to come, and up to now there is something."""
    tomorrow = NOON.replace(hour=0) + DAY
    check_days(NOON - DAY, tomorrow, now=NOON)
    check_days(NOON - DAY, None, now=NOON)
    with pytest.raises(Refused, match="--to lies in the future: today is 2026-11-20"):
        check_days(NOON - DAY, NOON + 26 * HOUR, now=NOON)
    with pytest.raises(Refused, match="--from lies in the future"):
        check_days(NOON, None, now=NOON)


@pytest.mark.parametrize("kind", [RingexWorld, KazooWorld])
def test_how_much_there_is_is_guessed_from_the_first_pages(kind):
    """Of calls that come evenly the guess is good; it is taken from no more than a few pages."""
    world = kind()
    dialogs = world.dialogs_every(HOUR)
    (ahead,) = world.work().estimate()
    assert asked_of(world) == world.sample_pages
    assert {key.partition("#")[0] for key in world.notes.notes} == {"gate"}
    assert world.jobs.sent == []
    before = asked_of(world)
    world.run()
    assert ahead.sampled == {"ringex": 58, "kazoo": 20}[world.provider]
    assert ahead.recordings == pytest.approx(len(dialogs), rel=0.1)
    assert ahead.requests == pytest.approx(asked_of(world) - before, rel=0.15)


def test_a_sample_that_reads_all_there_is_knows_it():
    """And it goes on from what was read before."""
    world = RingexWorld(begin=NOON - 3 * DAY)
    dialogs = world.dialogs_every(timedelta(hours=2))
    (ahead,) = world.work().estimate()
    assert (ahead.recordings, ahead.sampled, ahead.requests) == (len(dialogs), len(dialogs), 2)
    assert (ahead.share, ahead.watch) == (0, "ringex")


def test_what_cannot_be_sampled_is_not_guessed():
    """The gate is closed: a run waits for it, a guess does not."""
    world = RingexWorld(begin=NOON - 3 * DAY)
    world.gate.block("ringex#1#Heavy", seconds=300)
    (ahead,) = world.work().estimate()
    assert (ahead.recordings, ahead.requests) == (None, 1)
    assert world.calls == {}


def test_stretches_that_share_a_limit_take_longer_and_others_do_not():
    """The users of one account of Kazoo have one bucket."""
    world = KazooWorld()
    (one,) = world.work().estimate()
    allowance = Allowance(group="Requests", limits=(Limit(10, 60),))
    alone = takes(allowance, [one], lambda _: 100)
    assert alone == timedelta(minutes=11)
    assert takes(allowance, [one, one], lambda _: 100) == timedelta(minutes=22)
    world = World(sub_accounts=("1", "2"))
    assert takes(allowance, world.work().estimate(), lambda _: 100) == alone


class TestRingex:
    def test_a_thousand_calls_a_request_and_a_recording_for_each(self):
        """What came with the page before is told from what is new."""
        world = RingexWorld(begin=NOON - 2 * DAY)
        dialogs = world.dialogs_every(timedelta(minutes=10))
        (progress,) = world.run()
        assert (progress.recordings, progress.calls) == (len(dialogs), len(dialogs))
        assert progress.requests == len(world.log.asked) <= len(dialogs) / 19 + 1

    def test_recordings_that_are_removed_meanwhile_hide_no_others(self):
        """By page numbers, as many would slip through."""
        world = RingexWorld(begin=NOON - 2 * DAY)
        dialogs = world.dialogs_every(timedelta(minutes=10))
        log = world.log

        def removed(progress):
            taken = {job.call for job, _ in world.jobs.sent}
            log.records = [one for one in log.records if one["telephonySessionId"] not in taken]

        world.work().run(tell=removed)
        assert set(world.sent()) == dialogs

    def test_more_calls_in_a_second_than_a_page_has_are_read_by_its_number(self):
        """Going back in time would go nowhere."""
        world = RingexWorld(begin=NOON - 2 * DAY)
        calls = {world.log.ended(NOON - 30 * HOUR) for _ in range(70)}
        calls |= {world.log.ended(NOON - 31 * HOUR) for _ in range(30)}
        world.run()
        assert set(world.sent()) == calls
        assert len(world.log.asked) <= 8

    def test_a_log_in_another_order_is_read_by_page_numbers(self):
        """Its order is what is seen, and not what is promised."""
        world = RingexWorld(begin=NOON - 2 * DAY)
        dialogs = world.dialogs_every(timedelta(minutes=10))
        world.log.in_order = False
        (progress,) = world.run()
        assert progress.done
        assert set(world.sent()) == dialogs
        assert [asked["page"] for asked in world.log.asked] == list(
            range(1, len(world.log.asked) + 1)
        )

    def test_a_stretch_up_to_the_present_goes_on_from_where_it_ended(self):
        """With what began shortly before, whose end nobody knew of then."""
        world = RingexWorld(begin=NOON - 2 * DAY, limit=None)
        dialogs = world.dialogs_every(timedelta(hours=2))
        world.run()
        asked = len(world.log.asked)
        world.clock.moment += DAY
        dialogs.add(world.log.ended(NOON + HOUR))
        dialogs.add(world.log.ended(NOON - HOUR))
        world.run()
        assert set(world.sent()) == dialogs
        (new,) = world.log.asked[asked:]
        assert parse_time(new["dateFrom"]) < NOON - HOUR
        world.run()
        assert len(world.log.asked) == asked + 2, "a moment later, a moment is left"

    def test_what_has_come_since_an_interrupted_run_began_is_read_as_well(self):
        """Up to the present is up to that of the run that ends."""
        world = RingexWorld(begin=NOON - 2 * DAY, limit=None)
        dialogs = world.dialogs_every(HOUR)
        world.dies_after = 80
        with pytest.raises(Killed):
            world.run()
        world.dies_after = math.inf
        world.clock.moment += DAY
        dialogs.add(world.log.ended(NOON + HOUR))
        world.run()
        assert set(world.sent()) == dialogs

    def test_downloads_go_behind_too(self):
        """The job says so, and its legs do."""
        records = [record(recording=recording("7"))]
        (behind,) = listing(a_job(hints={"behind": True}), records, retention=DAY).legs
        (other,) = listing(a_job(), records, retention=DAY).legs
        assert (behind.behind, other.behind) == (True, False)


class TestKazoo:
    @pytest.mark.parametrize("days", [2, 20, 31, 45, 90, 170])
    def test_windows_are_estimated_exactly_where_each_is_a_page(self, days):
        """Whatever the length of the stretch, and with the later months by themselves."""
        world = KazooWorld(begin=NOON - days * DAY)
        world.sample_pages = 0
        world.ended(NOON - 30 * HOUR)
        (ahead,) = world.work().estimate()
        world.run()
        assert ahead.requests == len(world.source.asked)

    def test_the_first_moment_of_a_month_is_looked_for_in_the_month_before_too(self):
        """A call over the end of the month may lie in either."""
        world = KazooWorld(begin=NOON.replace(day=1, hour=0), limit=NOON.replace(day=3, hour=0))
        dialogs = world.dialogs_every(HOUR)
        world.run()
        assert set(world.sent()) == dialogs
        assert min(begin for begin, *_ in world.source.asked).month == 10

    def test_a_stretch_up_to_the_present_goes_on_from_where_it_ended(self):
        """A window reaches back by as long as a recording can be."""
        world = KazooWorld(begin=NOON - 2 * DAY, limit=None)
        dialogs = world.dialogs_every(timedelta(hours=2))
        world.run()
        world.clock.moment += DAY
        dialogs.add(world.ended(NOON + HOUR))
        asked = len(world.source.asked)
        world.run()
        assert set(world.sent()) == dialogs
        assert NOON - 4 * HOUR < world.source.asked[asked][0] < NOON
