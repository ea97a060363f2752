"""Days of a contact centre in virtual time, at the limits of production: nothing is lost."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.ringcx_days import Days


def legs_of(days):
    """Return the hash of every segment in the archive, by its id."""
    return {
        key.rpartition("/")[2].removesuffix(".wav"): hashlib.sha256(body).hexdigest()
        for key, body in days.archive.objects.items()
        if "/legs/" in key
    }


def sent_of(days):
    return {name: hashlib.sha256(body).hexdigest() for name, body in days.audio.items()}


def classes_of(days):
    return {days.archive.storage_classes[key] for key in days.archive.objects if "/legs/" in key}


def sealed_of(days):
    """Return the ids of the segments that the newest manifests name, by dialog."""
    return {
        entry.call: {
            leg["id"] for leg in json.loads(days.archive.objects[entry.manifest.key])["legs"]
        }
        for entry in days.ledger.entries.values()
        if entry.manifest
    }


def dialogs_of(ended):
    dialogs = {}
    for one in ended:
        dialogs.setdefault(one.dialog, set()).add(one.order.segment_id)
    return dialogs


def broken_rules(days):
    stats = days.world.stats.to_json()
    broken = {rule: count for rule, count in stats["rulesBroken"].items() if count}
    return broken | stats["tooManyRequests"]


def nothing_waits(days):
    return all(
        days.notes.first(f"unarchived#ringcx#{name}") is None for name in days.config.sub_accounts
    )


def test_faults_and_deaths_at_random_lose_nothing(tmp_path):
    """5,000 segments of 2,000 dialogs in three days: each in Glacier exactly once.

    One request of eight goes wrong, and the sweeper and the processor are killed at any step. Rows
    and recordings come late by minutes or hours.
    """
    days = Days(tmp_path, faults=1 / 8, deaths=0.003)
    ended = days.plan(segments=5000, dialogs=2000, days=3)
    days.run(ended)
    assert legs_of(days) == sent_of(days)
    assert classes_of(days) == {"GLACIER"}
    assert sealed_of(days) == dialogs_of(ended)
    assert {entry.status for entry in days.ledger.entries.values()} == {"archived"}
    assert days.world.stats.touched_young == 0
    assert broken_rules(days) == {}
    assert nothing_waits(days)
    assert days.deaths >= 100
    assert len(days.world.stats.to_json()["faults"]) >= 20


def test_on_usual_days_each_segment_is_fetched_once_and_the_limit_is_far(tmp_path):
    """Four windows an hour for each sub-account, and a few more for the second looks."""
    days = Days(tmp_path)
    ended = days.plan(segments=500, dialogs=200, days=1)
    days.run(ended)
    stats = days.world.stats.to_json()
    assert legs_of(days) == sent_of(days)
    assert set(Counter(stats["wholeDownloads"]).values()) == {1}
    assert days.queue.buried == []
    hours = (days.clock.seconds() - (ended[0].at - 86400)) / 3600
    assert stats["grants"]["Metadata"] <= 2 * hours * (4 + 1)
    assert stats["touchedYoung"] == 0
    assert broken_rules(days) == {}


def test_if_windows_go_by_the_start_of_a_dialog_long_ones_are_found_all_the_same(tmp_path):
    """It is not documented which time is compared: the second looks make up for it."""
    days = Days(tmp_path, settings={"comparedBy": "dialogStart"})
    ended = days.plan(segments=600, dialogs=100, days=1)
    days.run(ended)
    assert legs_of(days) == sent_of(days)
    assert sealed_of(days) == dialogs_of(ended)
    assert days.world.stats.touched_young == 0


def test_without_second_looks_such_dialogs_would_be_lost(tmp_path):
    """So the second looks are worth what they cost."""
    days = Days(tmp_path, settings={"comparedBy": "dialogStart"}, look_again_hours=())
    days.run(days.plan(segments=600, dialogs=100, days=1))
    assert legs_of(days).keys() < sent_of(days).keys()


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


def test_a_backfill_of_thirty_days_that_is_killed_again_and_again_ends_complete(tmp_path):
    """History from before the stack existed; the live sweeps go on beside it.

    A row that is wrong on its only reading is beyond it: what has settled is read once.
    """
    days = Days(tmp_path, faults=1 / 20, bad_rows=False)
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
    assert legs_of(days) == sent_of(days)
    assert sealed_of(days) == dialogs_of(past)
    assert broken_rules(days) == {}
    assert nothing_waits(days)
