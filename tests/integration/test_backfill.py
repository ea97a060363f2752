"""A company's past in virtual time, at the limits of production: all of it is archived, once.

RingCX's past is in test_ringcx_days.py.
"""

import random
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from legato.ledger.listings import backfill_key
from legato.operations.backfill import Allowance, Backfill
from legato.providers.kazoo.recorded import KazooRecorded
from legato.providers.ringex.recorded import RingexRecorded
from legato.settings import Limit
from local.simulators.kazoo.calls import RecordingOrder
from local.simulators.ringex.calls import CallOrder, LegOrder
from tests.day import LIMITS, Day
from tests.kazoo_months import Months, Stopped

DAY = timedelta(days=1)


class KilledError(BaseException):
    """The process ends here: Ctrl-C, or a laptop that is closed."""


class Company:
    """Its past, and its present that goes on beside the backfill, which may die at any step."""

    def __init__(self, world, *, begin, end, deadly):
        self.world = world
        self.begin, self.end = begin, end
        self.deadly = deadly
        self.deaths = 0
        self.expected = None
        self.dice = random.Random(1)
        self._mortal = False
        for port, name in ((world.notes, "write"), (world.queue, "send")):
            setattr(port, name, self._dying(getattr(port, name)))

    def backfill(self):
        """Run the command once; return whether it came to its end."""
        world = self.world
        work = Backfill(
            provider=self.provider,
            stretches=self.stretches(),
            limit=self.end,
            jobs=world.queue,
            notes=world.notes,
            clock=world.clock,
            sleep=self._sleep,
            settle_seconds=5,
            listing=self.allowance,
            fetching=self.allowance,
            sample_pages=3,
            bytes_a_second=4000,
            sound="",
        )
        work.check()
        self.expected = self.expected or work.estimate()
        with self._may_die():
            return all(found.done for found in work.run(tell=lambda _: None))
        return False

    def until_done(self):
        while not self.backfill():
            self.world.clock.sleep(7)
            self.live()
            if self.deaths == 4:
                self.deadly = 0

    def live(self):
        """Let a call end, sweep, and work on what is in the queue."""
        mortal, self._mortal = self._mortal, False
        self.call_ends()
        self.sweep()
        if batch := self.world.queue.take():
            self.world._work(batch)
        self._mortal = mortal

    def _sleep(self, seconds):
        until = self.world.clock.seconds() + seconds
        self.live()
        self.world.clock.reach(until)

    @contextmanager
    def _may_die(self):
        self._mortal = True
        try:
            yield
        except KilledError:
            self.deaths += 1
        finally:
            self._mortal = False

    def _dying(self, step):
        def perhaps(*arguments, **options):
            self._perhaps_die()
            done = step(*arguments, **options)
            self._perhaps_die()
            return done

        return perhaps

    def _perhaps_die(self):
        if self._mortal and self.dice.random() < self.deadly:
            raise KilledError


class Ringex(Company):
    """1,300 recorded calls of 30 days, the last of which the tail finds as well."""

    provider = "ringex"
    allowance = Allowance(group="Heavy", limits=(Limit(4 * LIMITS["Heavy"], 60),))

    def __init__(self, scratch):
        day = Day(scratch, credentials=4, notify=False)
        now = day.clock.now()
        super().__init__(day, begin=now - 30 * DAY, end=now - DAY / 2, deadly=0.0015)
        self.live_calls = 0
        moments = [now.timestamp() - self.dice.uniform(0, 30 * 86400) for _ in range(1300)]
        for at in sorted(moments):
            day.clock._now = at
            self.call_ends()
        self.of_the_stretch = sum(at < self.end.timestamp() for at in moments)
        day.clock._now = now.timestamp()

    def stretches(self):
        return [
            RingexRecorded(
                self.world.api,
                self.world.account,
                begin=self.begin,
                end=self.end,
                kept=90 * DAY,
                key=backfill_key(self.begin, self.end),
                behind=True,
            )
        ]

    def call_ends(self):
        leg = LegOrder(extension_id="401555101", seconds=1)
        self.world.world.calls.place(CallOrder(legs=(leg,), seconds=60))
        self.live_calls += 1

    def sweep(self):
        self.world._sweep()

    def finish(self):
        self.world.run(sessions=10, recorded=10, recordings=10, minutes=5)
        self.live_calls += 10


@pytest.fixture(scope="module")
def ringex(tmp_path_factory):
    company = Ringex(tmp_path_factory.mktemp("ringex"))
    company.until_done()
    company.finish()
    return company


def test_a_month_of_ringex_that_is_killed_again_and_again_ends_complete(ringex):
    """Each call is archived once and each recording fetched once; no limit is broken."""
    world, stats = ringex.world, ringex.world.world.stats.to_json()
    assert ringex.deaths >= 2
    assert Counter(state.status for state in world.ledger.entries.values()) == {
        "archived": ringex.live_calls
    }
    assert {state.revision for state in world.ledger.entries.values()} == {1}
    assert stats["requests"]["content"] == {"200": ringex.live_calls}
    assert not stats["tooManyRequests"]
    assert not any(stats["rulesBroken"].values())
    assert world.queue.buried == []
    assert world.notes.first("unarchived#ringex") is None


def test_what_a_month_of_ringex_has_is_guessed_well(ringex):
    """A page has a thousand calls."""
    (expected,) = ringex.expected
    assert expected.recordings == pytest.approx(ringex.of_the_stretch, rel=0.1)
    assert expected.requests <= 4


class Kazoo(Company):
    """Two months and the days around them, with calls over the ends of months."""

    provider = "kazoo"
    allowance = Allowance(group="Requests", limits=(Limit(50, 5),))

    def __init__(self, scratch):
        months = Months(scratch)
        stopped = months.plan(recordings=1500, interactions=700, days=68)
        months.clock._now = stopped[0].order.starts_at
        begin = months.clock.now()
        for one in stopped:
            months.clock.reach(one.at)
            months._place(one)
        now = months.clock.now()
        super().__init__(months, begin=begin, end=now - DAY / 2, deadly=0.0015)
        self.over_the_end_of_a_month = [
            one for one in stopped if month(one.order.starts_at) != month(one.at)
        ]
        self.number = 0

    def stretches(self):
        return [
            KazooRecorded(
                self.world.api,
                self.world.clock,
                account=account,
                begin=self.begin,
                end=self.end,
                kept=180 * DAY,
                key=backfill_key(self.begin, self.end),
            )
            for account in self.world.config.accounts
        ]

    def call_ends(self):
        world, self.number = self.world, self.number + 1
        world.clock.sleep(1)  # Kazoo's times are whole seconds, and a call's id is its time
        at, account = world.clock.seconds() - 60, world.config.accounts[self.number % 2]
        name = f"{month(at)}-{self.number:030x}ff"
        world.audio[name] = b"mp3" + world.dice.randbytes(200)
        order = RecordingOrder(id=name, starts_at=at, seconds=60, audio=world.audio[name])
        interaction = f"{int(at) + 62_167_219_200}-ff{self.number:06x}"
        world._place(Stopped(at + 60, account, interaction, order))

    def sweep(self):
        self.world.sweep()

    def finish(self):
        self.world.run([], quiet=timedelta(hours=3))


def month(seconds):
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m}"


def test_two_months_of_kazoo_that_are_killed_again_and_again_end_complete(tmp_path):
    """In each account every recording is fetched once, also over the ends of months."""
    company = Kazoo(tmp_path)
    company.until_done()
    company.finish()
    world, stats = company.world, company.world.world.stats.to_json()
    legs = {
        key.rpartition("/")[2].removesuffix(".mp3"): body
        for key, body in world.archive.objects.items()
        if "/legs/" in key
    }
    assert company.deaths >= 2
    assert len(company.over_the_end_of_a_month) >= 10
    assert legs == world.audio
    assert stats["wholeDownloads"].keys() == world.audio.keys()
    assert set(stats["wholeDownloads"].values()) == {1}
    assert {state.status for state in world.ledger.entries.values()} == {"archived"}
    assert not stats["tooManyRequests"]
    assert not any(stats["rulesBroken"].values())
    assert world.queue.buried == []
    assert all(
        world.notes.first(f"unarchived#kazoo#{account}") is None
        for account in world.config.accounts
    )
