"""The tail against the simulator, whose every answer is held against RingCentral's description."""

from datetime import UTC, datetime, timedelta

import pytest

from legato.discovery.sweep import sweep
from legato.errors import Barred, Failed
from legato.ledger.listings import records_key
from legato.model import Priority
from legato.providers.ringex.api import EXTRACT_SYNC
from legato.providers.ringex.tail import RingexTail
from tests.fakes import FakeJobs, FakeNotes, a_ringex_account, an_id
from tests.integration.simulators.ringex_driver import driving

HOURS = timedelta(hours=1)
LEGS = [{"duration": 60}]


class Follower:
    """Sweeps the simulator by its clock."""

    def __init__(self, ringex):
        self.ringex = ringex
        self.jobs = FakeJobs()
        self.notes = FakeNotes()
        self.refused = False
        self.tail = RingexTail(self, a_ringex_account(), self, first=24 * HOURS, overlap=4 * HOURS)

    def now(self):
        return datetime.fromtimestamp(self.ringex.clock.now, UTC)

    def get(self, path, params, *, priority=Priority.NORMAL):
        if self.refused and path == EXTRACT_SYNC:
            raise Barred("answers 403 CMN-408", seconds=60)
        answer = self.ringex.ask(path, params=params)
        if answer.status_code == 400:
            raise Failed(f"answers 400 {answer.json()['errorCode']}")
        return answer.raise_for_status().json()

    def sweep(self):
        until = self.now() + timedelta(seconds=120)
        return sweep(
            tail=self.tail, jobs=self.jobs, notes=self.notes, clock=self, until=until, settle=0
        )

    def requests(self):
        return sum(self.ringex.stats()["requests"]["call-log-extract-sync"].values())

    def records(self, call):
        return self.notes.read(records_key(an_id(call, account="401555000"))).content["records"]


@pytest.fixture
def follower():
    with driving() as ringex:
        yield Follower(ringex)


def test_every_recorded_call_is_found_once_over_many_pages(follower):
    """2,100 calls, a third of them recorded, in three requests; one more request finds nothing."""
    recorded = set()
    for number in range(2100):
        placed = follower.ringex.place(legs=[] if number % 3 else LEGS, emit=False)
        if not number % 3:
            recorded.add(placed["telephonySessionId"])
        follower.ringex.clock.now += 0.5
    report = follower.sweep()
    assert (report.calls, report.jobs, report.age) == (2100, 700, timedelta())
    assert follower.requests() == 3
    follower.sweep()
    assert follower.requests() == 4
    calls = [job.call for job, _ in follower.jobs.sent]
    assert len(calls) == len(set(calls))
    assert set(calls) == recorded
    assert {job.account for job, _ in follower.jobs.sent} == {"401555000"}


def test_a_record_that_is_rewritten_is_found_again(follower):
    """Two hours after the call, under the same id, with a third leg."""
    placed = follower.ringex.place(
        legs=LEGS * 3, legsAtFirst=2, rewrittenAfter=2 * 3600, emit=False
    )
    first, second, third = placed["recordingIds"]
    follower.sweep()
    follower.ringex.clock.now += 2 * 3600
    follower.ringex.log_in()
    follower.sweep()
    listed = [job.listed for job, _ in follower.jobs.sent]
    assert listed == [{first, second}, {third}]
    assert list(follower.records(placed["telephonySessionId"])) == placed["recordIds"]


def test_an_expired_token_loses_nothing(follower):
    """What came while nobody could sweep is found, what was known makes no second job."""
    follower.ringex.place(legs=LEGS, emit=False)
    follower.sweep()
    follower.ringex.world.config.sync_token_seconds = 3600
    follower.ringex.clock.now += 30 * 60
    missed = follower.ringex.place(legs=LEGS, emit=False)["telephonySessionId"]
    follower.ringex.clock.now += 3 * 24 * 3600
    follower.ringex.log_in()
    report = follower.sweep()
    assert (report.stopped, report.jobs) == (None, 1)
    assert follower.jobs.sent[-1][0].call == missed
    assert follower.ringex.stats()["requests"]["call-log-extract-sync"]["400"] == 1


def test_a_call_that_runs_is_found_when_it_ends(follower):
    """While it runs it has no recording; a sweep in between costs no write."""
    placed = follower.ringex.place(legs=LEGS, inProgress=600, emit=False)
    follower.sweep()
    assert follower.jobs.sent == []
    follower.ringex.clock.now += 601
    follower.sweep()
    assert [job.call for job, _ in follower.jobs.sent] == [placed["telephonySessionId"]]


def test_who_is_refused_the_list_of_changes_is_followed_in_the_call_log(follower):
    """Nothing is missed when it begins, while it lasts over pages, and when it ends."""
    clock, recorded = follower.ringex.clock, []

    def place(**more):
        placed = follower.ringex.place(legs=LEGS, emit=False, **more)["telephonySessionId"]
        recorded.append(placed)
        clock.now += 1

    place()
    follower.sweep()
    follower.refused = True
    place(inProgress=1800)
    for _ in range(1100):
        place()
    clock.now += 60
    report = follower.sweep()
    assert (report.stopped, report.age) == (None, timedelta())
    assert len(follower.jobs.sent) == 1101
    clock.now += 1800
    follower.sweep()
    assert {job.call for job, _ in follower.jobs.sent} == {*recorded}
    assert follower.notes.read("tail#ringex").content["cursor"]["listed_since"]
    place()
    follower.refused = False
    report = follower.sweep()
    assert (report.stopped, report.jobs) == (None, 1)
    assert len(follower.jobs.sent) == len(recorded)
    assert "listed_since" not in follower.notes.read("tail#ringex").content["cursor"]
