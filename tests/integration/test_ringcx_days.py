"""Days of a contact centre in virtual time, at the limits of production: nothing is lost.

Longer ones are in tests/soak.
"""

from collections import Counter

from tests.ringcx_days import (
    Days,
    assert_nothing_lost,
    broken_rules,
    dialogs_of,
    legs_of,
    sealed_of,
    sent_of,
)


def test_faults_and_deaths_at_random_lose_nothing(tmp_path):
    """One request of eight goes wrong, and sweeper and processor are killed at any step."""
    days = Days(tmp_path, faults=1 / 8, deaths=0.01)
    ended = days.plan(segments=400, dialogs=160, days=0.5)
    days.run(ended)
    assert_nothing_lost(days, ended)
    assert days.deaths >= 30
    assert len(days.world.stats.to_json()["faults"]) >= 10


def test_on_usual_days_each_segment_is_fetched_once_and_the_limit_is_far(tmp_path):
    """Four windows an hour for each sub-account, and a few more for the second looks."""
    days = Days(tmp_path)
    ended = days.plan(segments=250, dialogs=100, days=0.5)
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
    ended = days.plan(segments=300, dialogs=50, days=0.5)
    days.run(ended)
    assert legs_of(days) == sent_of(days)
    assert sealed_of(days) == dialogs_of(ended)
    assert days.world.stats.touched_young == 0


def test_without_second_looks_such_dialogs_would_be_lost(tmp_path):
    """So the second looks are worth what they cost."""
    days = Days(tmp_path, settings={"comparedBy": "dialogStart"}, look_again_hours=())
    days.run(days.plan(segments=300, dialogs=50, days=0.5))
    assert legs_of(days).keys() < sent_of(days).keys()
