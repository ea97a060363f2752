"""Days in virtual time, of which some recordings were lost: each is named, and fetched again."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from legato.ledger.listings import records_key
from legato.operations.past import Reconciling
from legato.operations.reconcile import reconcile
from legato.providers.kazoo.recorded import KazooRecorded
from legato.providers.ringcx.recorded import RingcxRecorded
from legato.providers.ringex.recorded import RingexRecorded
from tests.day import Day
from tests.fakes import FakeNotes
from tests.kazoo_months import Months
from tests.ringcx_days import SETTLE, Days

DAY = timedelta(days=1)
NOTHING = {"sessions": 0, "recorded": 0, "recordings": 0, "minutes": 0}


class Ringex:
    """A day of 1,000 recordings."""

    name = "ringex"
    lost = SimpleNamespace(unknown=15, entries=5, objects=2)

    def __init__(self, scratch):
        self.world = Day(scratch, credentials=4)
        self.begin = midnight(self.world.clock.now())
        self.end = self.begin + DAY
        self.world.run(sessions=900, recorded=800, recordings=1000, minutes=30)
        self.world.clock.reach((self.end + timedelta(hours=5)).timestamp())

    def recorded(self):
        return [
            RingexRecorded(
                self.world.api,
                self.world.account,
                begin=self.begin,
                end=self.end,
                kept=90 * DAY,
            )
        ]

    def go_on(self):
        self.world.run(**NOTHING)

    def heavy(self):
        return self.world.world.stats.to_json()["grants"]["Heavy"]


class Ringcx:
    """A day and a half of two sub-accounts."""

    name = "ringcx"
    heavy = staticmethod(lambda: 0)
    lost = SimpleNamespace(unknown=12, entries=3, objects=1)

    def __init__(self, scratch):
        self.world = Days(scratch)
        self.begin = midnight(self.world.clock.now())
        self.end = self.begin + 2 * DAY
        self.world.run(self.world.plan(segments=400, dialogs=170, days=0.9))

    def recorded(self):
        return [
            RingcxRecorded(
                self.world.api,
                self.world.clock,
                sub_account=name,
                begin=self.begin,
                end=self.end,
                lag=SETTLE,
                overlap=timedelta(minutes=10),
                kept=90 * DAY,
            )
            for name in self.world.config.sub_accounts
        ]

    def go_on(self):
        self.world.run([], quiet=timedelta(hours=1))


class Kazoo:
    """Over the ends of two months: three databases of each account, and more than one window."""

    name = "kazoo"
    heavy = staticmethod(lambda: 0)
    lost = SimpleNamespace(unknown=10, entries=3, objects=2)

    def __init__(self, scratch):
        self.world = Months(scratch)
        self.begin = datetime(2026, 9, 29, tzinfo=UTC)
        self.end = datetime(2026, 11, 2, tzinfo=UTC)
        self.world.clock._now = self.begin.timestamp()
        self.world.run(self.world.plan(recordings=600, interactions=300, days=3))

    def recorded(self):
        return [
            KazooRecorded(
                self.world.api,
                self.world.clock,
                account=account,
                begin=self.begin,
                end=self.end,
                kept=180 * DAY,
            )
            for account in self.world.config.accounts
        ]

    def go_on(self):
        self.world.run([], quiet=timedelta(hours=1))


def midnight(moment):
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def run(company, **options):
    world = company.world
    world.clock.sleep(60)
    return reconcile(
        Reconciling(
            name="test",
            begin=company.begin,
            end=company.end,
            recorded=company.recorded(),
            jobs={company.name: world.queue},
            ledger=world.ledger,
            notes=world.notes,
            memory=FakeNotes(),
            archive=world.archive,
            clock=world.clock,
            sleep=world.clock.sleep,
            settle_seconds=5,
            **options,
        )
    )


def legs_of(world):
    return {key: body for key, body in world.archive.objects.items() if "/legs/" in key}


def revisions_of(world):
    return {call: state.revision for call, state in world.ledger.entries.items()}


def lose(company):
    """Lose recordings in three ways; return what names them."""
    world, lost = company.world, company.lost
    single = [state for _, state in sorted(world.ledger.entries.items()) if len(state.legs) == 1]
    joined = [state for _, state in sorted(world.ledger.entries.items()) if len(state.legs) > 1]
    named = set()
    for state in single[: lost.unknown + lost.entries]:
        del world.ledger.entries[state.id]
        named |= {(state.provider, state.call, leg) for leg in state.legs}
    for state in single[: lost.unknown]:
        del world.notes.notes[records_key(state.id)]
        for key in [key for key in world.archive.objects if key.startswith(state.prefix)]:
            del world.archive.objects[key]
    for state in joined[: lost.objects]:
        leg = min(state.legs)
        [key] = [key for key in legs_of(world) if key.startswith(f"{state.prefix}legs/{leg}.")]
        del world.archive.objects[key]
        named.add((state.provider, state.call, leg))
    return named


def names_of(found):
    return {(one.provider, one.call, one.recording) for one in found}


@pytest.mark.parametrize("kind", [Ringex, Ringcx, Kazoo])
def test_what_was_lost_is_named_fetched_again_and_then_nothing_is_missing(tmp_path, kind):
    """2,000 recordings of three providers: 37 unknown, 11 without an entry, 5 without an object."""
    company = kind(tmp_path)
    world = company.world
    before = legs_of(world)
    heavy = company.heavy()
    clean = run(company, report_only=True)
    assert company.heavy() - heavy <= 5, "a page of RingEX's call log holds a thousand calls"
    assert (len(clean.found), clean.missing, clean.failed) == (len(before), [], [])

    revisions = revisions_of(world)
    named = lose(company)
    assert len(named) == sum(vars(company.lost).values())
    sealed = {key: body for key, body in world.archive.objects.items() if "/manifest-" in key}
    sent = world.queue.sent
    only = run(company, report_only=True)
    assert names_of(only.missing) == named
    assert world.queue.sent == sent

    report = run(company)
    assert names_of(report.missing) == named
    assert (report.queued, report.failed, report.not_asked) == (len(named), [], ())
    assert {one.times_seen for one in report.missing} == {2}
    company.go_on()

    after = run(company)
    assert (len(after.found), after.missing, after.failed) == (len(before), [], [])
    assert after.counts == {"archived": len(before)}
    assert legs_of(world) == before
    assert sealed.items() <= world.archive.objects.items(), "nothing that was sealed was touched"
    raised = [call for call, number in revisions_of(world).items() if number != revisions[call]]
    assert len(raised) == company.lost.objects, "what was sealed anew is another revision"
    assert world.queue.buried == []


def test_the_three_companies_have_2000_recordings_and_lose_53():
    """What the test above adds up to."""
    lost = [vars(kind.lost) for kind in (Ringex, Ringcx, Kazoo)]
    assert [sum(one[way] for one in lost) for way in ("unknown", "entries", "objects")] == [
        37,
        11,
        5,
    ]
