"""Months of a Kazoo cluster in virtual time: nothing is lost, and no bucket is ever empty."""

from tests.kazoo_months import Months, assert_nothing_lost, over_the_end_of_a_month


def test_three_months_with_faults_at_random_lose_nothing(tmp_path, seed):
    """3,000 recordings of 1,200 interactions in two accounts: each archived once."""
    months = Months(tmp_path, faults=0.08, seed=seed)
    stopped = months.plan(recordings=3000, interactions=1200, days=85)
    months.run(stopped)
    assert_nothing_lost(months)
    assert len(over_the_end_of_a_month(stopped)) >= 20
    assert len(months.world.stats.to_json()["faults"]) >= 10
