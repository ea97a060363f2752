"""Days in virtual time, with the limits of production: nothing is lost, no limit is ever broken."""

import hashlib
import random

import pytest

from local.simulators.ringex.calls import CallOrder, LegOrder
from local.simulators.ringex.faults import Fault
from tests.day import Day

FEW = {"sessions": 1500, "recorded": 140, "recordings": 180, "minutes": 4}


def archived(day):
    """Return the hash of every leg by its recording."""
    return {
        key.rpartition("/")[2].removesuffix(".mp3"): hashlib.sha256(body).hexdigest()
        for key, body in day.archive.objects.items()
        if "/legs/" in key
    }


def assert_all_archived(day, count):
    """So many recordings, and each as the provider has it."""
    found = archived(day)
    assert len(found) == len(day.world.recordings) == count
    heard = {name: day.world.recordings.known(name).audio for name in found}
    assert found == {
        name: hashlib.sha256(b"".join(audio.read(0, audio.size))).hexdigest()
        for name, audio in heard.items()
    }


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


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_at_random_lose_nothing(tmp_path, seed):
    """Errors, stalls, cut bodies, lost lines, evictions: in one request of eight."""
    day, dice = Day(tmp_path), random.Random(seed)

    def perhaps():
        day.world.faults.clear()
        if dice.random() > 1 / 8:
            return
        kind = dice.choice(["429", "500", "503", "stall", "truncate", "html", "evict", "drop"])
        if kind == "drop":
            day.line.drop = True
            return
        if kind.isdigit():
            fault = Fault(route="any", kind="status", status=int(kind), retry_after=30)
        else:
            fault = Fault(route="any", kind=kind, share=dice.random())
        day.world.faults.add(fault)

    day.line.before = perhaps
    figures = day.run(sessions=300, recorded=200, recordings=260, minutes=10, seed=seed)
    assert (figures.archived, figures.other) == (200, 0)
    assert_all_archived(day, 260)
    assert day.world.stats.to_json()["rulesBroken"]["penalty restarted"] == 0
    assert len(day.world.stats.to_json()["faults"]) >= 7


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
    state = day.ledger.load("ringex", "~", session.id)
    assert (state.revision, len(state.legs)) == (1, 2)
    before = dict(day.archive.objects)

    day.run(**nothing_else, quiet=120)
    state = day.ledger.load("ringex", "~", session.id)
    assert (state.status, state.revision, len(state.legs)) == ("archived", 2, 3)
    assert before.items() <= day.archive.objects.items()
