"""Months of a Kazoo cluster in virtual time: nothing is lost, and no bucket is ever empty."""

from datetime import UTC, datetime

import pytest

from tests.kazoo_months import Months


def legs_of(months):
    """Return the bytes of every recording in the archive, by its id."""
    return {
        key.rpartition("/")[2].removesuffix(".mp3"): body
        for key, body in months.archive.objects.items()
        if "/legs/" in key
    }


def over_the_end_of_a_month(stopped):
    """Return the ids of the recordings that began in one month and stopped in another."""
    return {one.order.id for one in stopped if _month(one.order.starts_at) != _month(one.at)}


def _month(seconds):
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m}"


def test_three_months_with_faults_at_random_lose_nothing(tmp_path):
    """3,000 recordings of 1,200 interactions in two accounts: each archived once."""
    months = Months(tmp_path, faults=0.08)
    stopped = months.plan(recordings=3000, interactions=1200, days=85)
    months.run(stopped)
    assert legs_of(months) == months.audio
    assert {entry.status for entry in months.ledger.entries.values()} == {"archived"}
    assert len(over_the_end_of_a_month(stopped)) >= 20
    stats = months.world.stats.to_json()
    assert stats["wholeDownloads"].keys() == months.audio.keys()
    assert set(stats["wholeDownloads"].values()) == {1}
    assert not stats["tooManyRequests"]
    assert not any(stats["rulesBroken"].values())
    assert len(stats["faults"]) >= 10
    assert all(
        months.notes.first(f"unarchived#kazoo#{account}") is None
        for account in months.config.accounts
    )


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
