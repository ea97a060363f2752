"""What failed is one list, and goes back into the queue without ever being lost."""

from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.app.kazoo import jobs_of
from legato.errors import Failed, Retry
from legato.ingest.batch import Message, archive
from legato.ingest.ports import one_job
from legato.ledger.failures import noted
from legato.model import Job
from legato.operations.failures import UNREADABLE, FailedCalls, FailureSource
from legato.ports import Letter
from tests.fakes import (
    NOON,
    FakeClock,
    FakeLedger,
    FakeNotes,
    FakeProvider,
    a_job,
    an_id,
    some_ports,
)

HOUR = timedelta(hours=1)
ARRIVED = '{"Records": [{"eventTime": "2026-11-20T11:00:00Z", "s3": {"object": {"key": "a.mp3"}}}]}'


class Killed(BaseException):
    """Stands for the power cut."""


class FakeDeadLetters:
    """Two queues in memory; `dies_after` so many steps the process ends."""

    def __init__(self):
        self.letters = []
        self.jobs = []
        self.hidden = False
        self.dies_after = None

    def add(self, body, reason="404", *, hours_ago=1):
        name = f"m-{len(self.letters)}"
        sent_at = NOON - hours_ago * HOUR
        self.letters.append(
            Letter(id=name, body=body, reason=reason, sent_at=sent_at, receipt=f"r-{name}")
        )

    @contextmanager
    def read(self):
        assert not self.hidden
        self.hidden = True
        try:
            yield list(self.letters)
        finally:
            self.hidden = False

    def put_back(self, body):
        self.jobs.append(body)
        self._step()

    def delete(self, letter):
        assert self.hidden, "a letter is deleted while it is in hand"
        self.letters.remove(letter)
        self._step()

    def _step(self):
        if self.dies_after is not None:
            self.dies_after -= 1
            if not self.dies_after:
                raise Killed


class World:
    def __init__(self):
        self.letters = FakeDeadLetters()
        self.ledger, self.notes, self.clock = FakeLedger(), FakeNotes(), FakeClock()

    def work(self, provider="ringex", jobs_of=one_job):
        source = FailureSource(provider=provider, letters=self.letters, jobs_of=jobs_of)
        return FailedCalls(sources=[source], ledger=self.ledger, notes=self.notes, clock=self.clock)

    def fail(self, call, reason="404", *, letter=True):
        """Fail a call as a worker does."""
        job = a_job(call)
        if letter:
            self.letters.add(job.to_message(), reason)
        noted(job, reason, self.notes, self.clock)
        state = self.ledger.load(an_id(call))
        self.ledger.save(replace(state, status="failed", reason=reason))


@pytest.fixture
def world():
    return World()


def calls(found):
    return [one.call for one in found]


def everything(found):
    return found


def test_a_call_that_fails_is_listed_by_its_worker(tmp_path, world):
    """With the job that tries it again, as if for the first time."""
    provider = FakeProvider(failure=Failed("400 bad request"))
    ports = some_ports(
        tmp_path,
        provider=provider,
        ledger=world.ledger,
        notes=world.notes,
        clock=world.clock,
    )

    @contextmanager
    def strict(_ids):
        yield

    until = NOON + HOUR
    archive(
        [Message("1", a_job("s-1", attempt=3).to_message())], ports=ports, until=until, guard=strict
    )
    [one] = world.work().listed()
    assert (one.call, one.account, one.reason) == ("s-1", "1", "400 bad request")
    assert (one.letters, one.since) == ((), NOON)
    assert Job.from_message(one.note.content["job"]).attempt == 0


def test_a_dead_letter_and_the_ledger_make_one_failure(world):
    """A letter alone is one too, and so is a call whose letter has expired."""
    world.fail("s-1")
    world.fail("s-2", letter=False)
    world.letters.add(a_job("s-3").to_message(), "killed each time", hours_ago=5)
    found = world.work().listed()
    assert [(one.call, len(one.letters), one.note is not None) for one in found] == [
        ("s-3", 1, False),
        ("s-1", 1, True),
        ("s-2", 0, True),
    ]
    assert found[0].reason == "killed each time"


def test_looking_takes_nothing_out(world):
    """As often as one likes."""
    world.fail("s-1")
    assert calls(world.work().listed()) == calls(world.work().listed()) == ["s-1"]
    assert len(world.letters.letters) == 1


@pytest.mark.parametrize("status", ["archived", "working"])
def test_what_the_ledger_says_is_not_failed_any_more_leaves_the_list(world, status):
    """It was tried again."""
    world.fail("s-1", letter=False)
    state = world.ledger.load(an_id("s-1"))
    world.ledger.save(replace(state, status=status))
    assert world.work().listed() == []
    assert world.notes.first("failed#ringex") is None


def test_what_is_no_job_is_shown_and_never_tried_again(world):
    """It would only come back."""
    world.letters.add("no job at all", "the job is not valid JSON")
    world.letters.add("nor this", "the job is not valid JSON")
    assert calls(world.work().listed()) == [UNREADABLE, UNREADABLE]
    ended = list(world.work().retry(chosen=everything))
    assert [bool(one.left) for one in ended] == [True, True]
    assert len(world.letters.letters) == 2
    assert world.letters.jobs == []


def test_a_retry_puts_a_fresh_job_into_the_queue_and_takes_the_letter_out(world):
    """It begins anew, however often it was tried."""
    world.fail("s-1")
    tired = a_job("s-2", attempt=4, looks=6, not_before=NOON + HOUR, turn=True)
    world.letters.add(tired.to_message())
    ended = list(world.work().retry(chosen=everything))
    assert [one.left for one in ended] == ["", ""]
    jobs = {job.call: job for job in map(Job.from_message, world.letters.jobs)}
    again = {"retry": True}
    assert jobs == {"s-1": a_job("s-1", hints=again), "s-2": a_job("s-2", hints=again)}
    assert world.letters.letters == []


def test_a_call_whose_letter_has_expired_is_tried_again_from_the_ledger(world):
    """A dead letter lives for two weeks."""
    world.fail("s-1", letter=False)
    list(world.work().retry(chosen=everything))
    [job] = map(Job.from_message, world.letters.jobs)
    assert job == a_job("s-1", hints={"retry": True})
    [one] = world.work().listed()
    assert one.retried_at == NOON
    world.fail("s-1")
    [one] = world.work().listed()
    assert one.retried_at is None


def test_what_is_not_chosen_stays(world):
    """One of two."""
    world.fail("s-1")
    world.fail("s-2")
    list(world.work().retry(chosen=lambda found: [one for one in found if one.call == "s-2"]))
    assert [Job.from_message(body).call for body in world.letters.jobs] == ["s-2"]
    assert calls(world.work().listed()) == ["s-1", "s-2"]
    assert [Job.from_message(letter.body).call for letter in world.letters.letters] == ["s-1"]


def test_what_s3_says_of_the_inbox_goes_back_as_it_was(world):
    """It is no job of ours, and becomes one."""
    world.letters.add(ARRIVED)
    work = world.work("kazoo", jobs_of)
    [call] = calls(work.listed())
    assert call.startswith("inbox-")
    list(work.retry(chosen=everything))
    assert (world.letters.jobs, world.letters.letters) == ([ARRIVED], [])


@pytest.mark.parametrize("step", range(1, 7))
def test_wherever_a_retry_is_killed_nothing_is_lost(world, step):
    """Each call is in the queue, or still in the dead letters, or in both."""
    for call in ("s-1", "s-2", "s-3"):
        world.fail(call)
    world.letters.dies_after = step
    with pytest.raises(Killed):
        list(world.work().retry(chosen=everything))
    bodies = [*world.letters.jobs, *(letter.body for letter in world.letters.letters)]
    assert {Job.from_message(body).call for body in bodies} == {"s-1", "s-2", "s-3"}
    assert not world.letters.hidden


def test_a_note_that_cannot_be_written_is_a_fault_that_passes(world):
    """The worker's message comes again then."""

    class Refusing(FakeNotes):
        def write(self, note):
            raise Retry("the ledger cannot be written")

    with pytest.raises(Retry):
        noted(a_job(), "404", Refusing(), world.clock)


def test_a_failure_for_scripts_has_these_fields(world):
    """They do not change."""
    world.fail("s-1")
    world.clock.advance(60)
    [one] = world.work().listed()
    assert one.to_json(world.clock.now()) == {
        "provider": "ringex",
        "account": "1",
        "call": "s-1",
        "reason": "404",
        "since": "2026-11-20T12:00:00.000Z",
        "age_seconds": 60,
        "dead_letters": 1,
        "in_ledger": True,
        "retried_at": None,
    }
