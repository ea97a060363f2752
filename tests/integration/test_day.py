"""Days in virtual time, with the limits of production: nothing is lost, no limit is ever broken.

Longer ones are in tests/soak.
"""

import random

import pytest

from local.simulators.ringex.calls import CallOrder, LegOrder
from tests.day import Day, assert_all_archived, break_at_random
from tests.fakes import an_id

FEW = {"sessions": 1500, "recorded": 140, "recordings": 180, "minutes": 4}


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    day = Day(tmp_path_factory.mktemp("usual"))
    return day, day.run(**FEW)


def test_every_recording_is_archived_and_no_limit_broken(usual):
    """Not a single 429, and nearly the whole allowance is used while there is work."""
    day, figures = usual
    assert (figures.archived, figures.empty, figures.other) == (140, 1360, 0)
    assert_all_archived(day, 180)
    assert (figures.too_many, figures.rules_broken) == (0, 0)
    assert figures.saturation >= 0.9
    assert day.queue.buried == []


def test_discovery_does_not_grow_with_the_number_of_calls(usual):
    """One request for each recording, and a few for the tail, whatever the number of sessions."""
    day, figures = usual
    requests = day.world.stats.to_json()["requests"]
    assert requests["content"] == {"200": 180}
    assert "call-log" not in requests
    assert figures.heavy <= 180 + 2 * figures.minutes + 15


def test_with_every_notification_lost_the_archive_is_the_same(tmp_path):
    """The webhook only makes it faster."""
    day = Day(tmp_path, notify=False)
    figures = day.run(**FEW)
    assert (figures.archived, figures.other, figures.too_many) == (140, 0, 0)
    assert_all_archived(day, 180)


def test_a_token_evicted_every_twenty_requests_loses_nothing(tmp_path):
    """One new token each time, and everything is archived."""
    day = Day(tmp_path)
    count = [0]

    def evict():
        count[0] += 1
        if count[0] % 20 == 0:
            day.world.sessions.close_all()

    day.line.before = evict
    figures = day.run(sessions=100, recorded=100, recordings=120, minutes=5)
    assert (figures.archived, figures.other, figures.too_many) == (100, 0, 0)
    assert figures.minted <= count[0] / 20 + 2


def test_faults_at_random_lose_nothing(tmp_path):
    """Errors, stalls, cut bodies, lost lines, evictions: in one request of eight."""
    day = Day(tmp_path)
    break_at_random(day, random.Random(1))
    figures = day.run(sessions=150, recorded=100, recordings=130, minutes=5)
    assert (figures.archived, figures.other) == (100, 0)
    assert_all_archived(day, 130)
    assert day.world.stats.to_json()["rulesBroken"]["penalty restarted"] == 0
    assert len(day.world.stats.to_json()["faults"]) >= 5


@pytest.mark.parametrize("skew", [-30, 30])
def test_a_clock_that_is_half_a_minute_off_loses_nothing(tmp_path, skew):
    """Neither the limit nor a call depends on our clock agreeing with RingCentral's."""
    day = Day(tmp_path, skew=skew)
    figures = day.run(sessions=200, recorded=60, recordings=80, minutes=5)
    assert (figures.archived, figures.empty, figures.other) == (60, 140, 0)
    assert (figures.too_many, figures.rules_broken) == (0, 0)


def test_a_record_rewritten_two_hours_later_makes_revision_two(tmp_path):
    """No notification says so: the tail shows the third leg, and revision 1 stays as it was."""
    day = Day(tmp_path, notify=False)
    leg = LegOrder(extension_id="401555101", seconds=1)
    session, _ = day.world.calls.place(
        CallOrder(legs=(leg,) * 3, seconds=60, legs_at_first=2, rewritten_after=7200)
    )
    nothing_else = {"sessions": 0, "recorded": 0, "recordings": 0, "minutes": 0}
    day.run(**nothing_else, quiet=60)
    state = day.ledger.load(an_id(session.id, account=day.world.config.account_id))
    assert (state.revision, len(state.legs)) == (1, 2)
    before = dict(day.archive.objects)

    day.run(**nothing_else, quiet=120)
    state = day.ledger.load(an_id(session.id, account=day.world.config.account_id))
    assert (state.status, state.revision, len(state.legs)) == ("archived", 2, 3)
    assert before.items() <= day.archive.objects.items()
