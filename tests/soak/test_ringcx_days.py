"""Days of a contact centre in virtual time, at the limits of production: nothing is lost."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.ringcx_days import (
    Days,
    assert_nothing_lost,
    broken_rules,
    legs_of,
    sent_of,
)


def test_faults_and_deaths_at_random_lose_nothing(tmp_path, seed):
    """5,000 segments of 2,000 dialogs in three days: each in Glacier exactly once.

    One request of eight goes wrong, and the sweeper and the processor are killed at any step. Rows
    and recordings come late by minutes or hours.
    """
    days = Days(tmp_path, faults=1 / 8, deaths=0.003, seed=seed)
    ended = days.plan(segments=5000, dialogs=2000, days=3)
    days.run(ended)
    assert_nothing_lost(days, ended)
    assert days.deaths >= 100
    assert len(days.world.stats.to_json()["faults"]) >= 20


@pytest.fixture(scope="module")
def rush(tmp_path_factory):
    """Let 1,800 segments end within ten minutes, as after a breakdown."""
    days = Days(tmp_path_factory.mktemp("rush"))
    start = days.clock.seconds()
    order = {"seconds": 30.0, "ready_after": 0, "listed_after": 0, "recorded_after": 0}
    ended = [
        replace(one, at=at, order=replace(one.order, starts_at=at - 30, **order))
        for number, one in enumerate(days.plan(segments=1800, dialogs=900, days=0.01))
        for at in [start + number / 3]
    ]
    granted = []
    grant = days.world.limits.grant

    def watched(who, group):
        grant(who, group)
        if group == "Recordings":
            granted.append(days.clock.seconds())

    days.world.limits.grant = watched
    days.run(sorted(ended, key=lambda one: one.at), quiet=timedelta(hours=1))
    return days, granted


def test_more_rows_than_an_answer_holds_are_all_found(rush):
    """Windows are halved until no answer is full, at the pace that RingCX allows."""
    days, _ = rush
    assert legs_of(days) == sent_of(days)
    assert broken_rules(days) == {}


def test_downloads_use_the_whole_limit_while_there_is_something_to_fetch(rush):
    """Two a second, and never one more."""
    _, granted = rush
    busiest = Counter(int((at - granted[0]) // 60) for at in granted)
    assert max(busiest.values()) == 120
    assert sorted(busiest.values())[-10] >= 110


def test_a_backfill_of_thirty_days_that_is_killed_again_and_again_ends_complete(tmp_path, seed):
    """History from before the stack existed; the live sweeps go on beside it.

    A row that is wrong on its only reading is beyond it: what has settled is read once.
    """
    days = Days(tmp_path, faults=1 / 20, bad_rows=False, seed=seed)
    begin = days.clock.now() - timedelta(days=31)
    shift = timedelta(days=31).total_seconds()
    past = [
        replace(
            one,
            at=one.at - shift,
            order=replace(
                one.order,
                starts_at=one.order.starts_at - shift,
                ready_after=0,
                listed_after=0,
                recorded_after=0,
            ),
        )
        for one in days.plan(segments=900, dialogs=400, days=30)
    ]
    days.run(past, quiet=timedelta())
    assert legs_of(days) == {}

    deaths, done = 0, False
    days._deadly = 0.002
    while not done:
        done = days.backfill(begin, begin + timedelta(days=30, hours=12))
        deaths += not done
        days.sweep()
        days._deadly = 0.002 if deaths < 4 else 0
    days._deadly = 0
    days.run([], quiet=timedelta(hours=26))
    assert deaths >= 2
    assert_nothing_lost(days, past)
