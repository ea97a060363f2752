"""A ledger that was lost or set back is noticed before anything is sealed with it."""

import copy
from datetime import timedelta

import pytest

from legato.errors import Stale, Wait
from legato.ledger.birthmark import Birthmark, is_lost
from legato.model import Note
from tests.fakes import FakeArchive, FakeClock, FakeNotes, a_job, a_leg, a_listing, some_ports

MINUTE = timedelta(minutes=1)


class World:
    def __init__(self):
        self.archive, self.notes, self.clock = FakeArchive(), FakeNotes(), FakeClock()

    def worker(self):
        return Birthmark(self.archive, self.notes, self.clock, every=MINUTE)

    def seal(self, worker=None):
        """Archive something, if the ledger may be trusted."""
        (worker or self.worker()).check()
        self.archive.put(f"calls/{len(self.archive.objects)}", b"", "STANDARD")

    def go_on(self, minutes):
        for _ in range(minutes):
            self.seal()
            self.clock.advance(61)


@pytest.fixture
def world():
    return World()


def test_a_fresh_stack_marks_both(world):
    """Nothing is lost where nothing was archived."""
    world.seal()
    assert not is_lost(world.archive, world.notes)
    assert sum(key.startswith("ledger/births/") for key in world.archive.objects) == 1


def test_a_lost_ledger_stops_what_seals(world):
    """The jobs wait, and the sentence says what to do."""
    world.seal()
    world.notes.notes.clear()
    with pytest.raises(Wait, match="legato ledger rebuild"):
        world.seal()
    assert is_lost(world.archive, world.notes)


def test_the_ledger_of_another_archive_stops_what_seals(world):
    """Whoever has pointed the stack at it."""
    other = World()
    other.seal()
    world.seal()
    world.notes.notes = other.notes.notes
    with pytest.raises(Wait, match="lost what the archive knows"):
        world.seal()


@pytest.mark.parametrize("minutes", [1, 2, 10])
def test_a_ledger_that_was_set_back_stops_what_seals(world, minutes):
    """As soon as something was archived in a later minute than it knows of."""
    world.go_on(3)
    before = copy.deepcopy(world.notes.notes)
    world.go_on(minutes)
    world.seal()
    world.notes.notes = before
    assert is_lost(world.archive, world.notes)
    with pytest.raises(Wait, match="legato ledger rebuild"):
        world.seal()


def test_a_process_that_lives_on_notices_it_too(world):
    """Within a minute."""
    worker = world.worker()
    world.go_on(2)
    before = copy.deepcopy(world.notes.notes)
    world.go_on(5)
    world.seal(worker)
    world.notes.notes = before
    world.clock.advance(61)
    with pytest.raises(Wait):
        world.seal(worker)


def test_a_worker_that_dies_while_it_counts_on_is_no_alarm(world):
    """Before and after its mark is in the archive."""
    world.go_on(2)

    class Dies(FakeArchive):
        def __init__(self, *, after):
            super().__init__()
            self.after = after

        def put_bytes(self, key, body, *, media_type):
            if self.after:
                super().put_bytes(key, body, media_type=media_type)
            raise KeyboardInterrupt

    for after in (False, True):
        dying = Dies(after=after)
        dying.objects = world.archive.objects
        with pytest.raises(KeyboardInterrupt):
            Birthmark(dying, world.notes, world.clock, every=MINUTE).check()
        assert not is_lost(world.archive, world.notes)
        world.seal()
        world.clock.advance(61)


def test_others_that_count_on_meanwhile_are_no_alarm(world):
    """What was read of the ledger is old by the time that the archive is looked at."""
    world.go_on(2)

    class Slow(FakeNotes):
        raced = False

        def read(self, key):
            note = super().read(key)
            if not self.raced:
                self.raced = True
                for _ in range(3):
                    world.seal()
                    world.clock.advance(61)
            return note

    slow = Slow()
    slow.__dict__.update(world.notes.__dict__)
    Birthmark(world.archive, slow, world.clock, every=MINUTE).check()


def test_two_first_workers_agree(world):
    """The ledger has one id, whoever was faster."""

    class Beaten(FakeNotes):
        def write(self, note):
            if not self.notes:
                self.notes[note.key] = Note(key=note.key, content={**note.content}, version=1)
                raise Stale("somebody was faster")
            return super().write(note)

    world.notes = Beaten()
    world.seal()
    assert not is_lost(world.archive, world.notes)


def test_a_call_waits_while_the_ledger_is_lost(tmp_path, world):
    """At no attempt, and nothing of it is written."""
    from tests.unit.test_batch import run

    ports = some_ports(tmp_path, archive=world.archive, check_ledger=world.worker().check)
    world.archive.put("calls/x", b"", "STANDARD")
    ports.provider.listings["s-1"] = a_listing(a_leg("a"))
    ports.provider.audio["a"] = b"mp3"
    run(ports, a_job())
    [(job, delay)] = ports.jobs.sent
    assert (delay, job.attempt) == (300, 0)
    assert list(world.archive.objects) == ["calls/x"]
