"""Months of a Kazoo cluster in virtual time: nothing is lost, and no bucket is ever empty.

Longer ones are in tests/soak.
"""

import pytest

from tests.kazoo_months import Months, assert_nothing_lost, legs_of, over_the_end_of_a_month


def test_over_the_end_of_a_month_faults_at_random_lose_nothing(tmp_path):
    """Two accounts, and each recording archived once."""
    months = Months(tmp_path, faults=0.08)
    stopped = months.plan(recordings=300, interactions=120, days=35)
    months.run(stopped)
    assert_nothing_lost(months)
    assert over_the_end_of_a_month(stopped)
    assert len(months.world.stats.to_json()["faults"]) >= 10


@pytest.fixture
def master(tmp_path):
    months = Months(tmp_path, version="master")
    stopped = months.plan(recordings=300, interactions=120, days=40)
    months.run(stopped)
    return months, over_the_end_of_a_month(stopped)


def test_what_kazoo_lists_and_cannot_hand_out_fails_with_its_reason(master):
    """The newer version files such a recording where nobody looks for it; all others are there."""
    months, lost = master
    assert lost
    assert months.audio.keys() - legs_of(months).keys() == lost
    failed = [entry for entry in months.ledger.entries.values() if entry.status == "failed"]
    assert all("over the end of a month" in entry.reason for entry in failed)
    assert len(months.queue.buried) == len(failed) > 0
