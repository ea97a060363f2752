"""Days in virtual time, with the limits of production: nothing is lost, no limit is ever broken."""

import random

from tests.day import Day, assert_all_archived, break_at_random


def test_four_credentials_carry_nearly_four_times_as_much(tmp_path):
    """Each service user has its own allowance."""
    load = {"sessions": 250, "recorded": 250, "recordings": 300, "minutes": 1}
    (tmp_path / "one").mkdir()
    (tmp_path / "four").mkdir()
    one = Day(tmp_path / "one").run(**load)
    four = Day(tmp_path / "four", credentials=4).run(**load)
    assert four.archived == one.archived == 250
    assert four.too_many == 0
    assert four.recordings_per_minute >= 3.6 * one.recordings_per_minute


def test_faults_at_random_lose_nothing(tmp_path, seed):
    """Errors, stalls, cut bodies, lost lines, evictions: in one request of eight."""
    day = Day(tmp_path)
    break_at_random(day, random.Random(seed))
    figures = day.run(sessions=1500, recorded=1000, recordings=1300, minutes=50, seed=seed)
    assert (figures.archived, figures.other) == (1000, 0)
    assert_all_archived(day, 1300)
    assert day.world.stats.to_json()["rulesBroken"]["penalty restarted"] == 0
    assert len(day.world.stats.to_json()["faults"]) >= 7
