"""The gate: never more than the limit, nobody starves, and a penalty holds for everybody."""

import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.clock import SystemClock
from legato.errors import Wait
from legato.gate import Gate, Limit
from tests.fakes import FakeClock, FakeNotes

KEY = "ringex#one#Heavy"


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def notes():
    return FakeNotes()


def a_gate(notes, clock):
    return Gate(notes, clock, limits={"Heavy": Limit(10, 60)}, sleep=clock.advance)


def entered(gate, *, turn=False):
    """Return 0 when granted, else the seconds to wait."""
    try:
        gate.enter(KEY, turn=turn)
    except Wait as wait:
        return wait.seconds if wait.turn else -1
    return 0


def test_ten_may_pass_and_the_eleventh_waits_for_the_first(notes, clock):
    """The window slides: each grant frees its own place."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        assert entered(gate) == 0
        clock.advance(3)
    assert entered(gate) == pytest.approx(60 * 1.02 - 30)


def test_all_functions_share_one_window(notes, clock):
    """Another gate on the same ledger sees the same grants."""
    for _ in range(10):
        a_gate(notes, clock).enter(KEY)
    assert entered(a_gate(notes, clock)) > 0
    a_gate(notes, clock).enter("ringex#two#Heavy")


def test_a_short_wait_is_slept(notes, clock):
    """Up to two seconds; nothing goes back to the queue for it."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        gate.enter(KEY)
    clock.advance(59.5)
    began = clock.now()
    assert entered(gate) == 0
    assert 1 < (clock.now() - began).total_seconds() <= 2


def test_a_promised_turn_is_not_taken_by_who_comes_later(notes, clock):
    """Old jobs before new: who had to wait passes first, and turns are spread over the window."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        gate.enter(KEY)
    waits = [entered(gate) for _ in range(30)]
    assert waits == sorted(waits)
    steps = [later - earlier for earlier, later in pairwise(waits)]
    assert steps == pytest.approx([6.12] * 29)

    clock.advance(waits[0])
    assert entered(gate) > 0, "a newcomer waits behind those who were promised a turn"
    assert entered(gate, turn=True) == 0


def test_a_turn_that_finds_no_room_keeps_its_place(notes, clock):
    """It waits for the next place, and books nothing."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        gate.enter(KEY)
    before = notes.read(f"gate#{KEY}")
    assert entered(gate, turn=True) > 2
    assert notes.read(f"gate#{KEY}") == before


def test_a_penalty_holds_for_everybody_and_is_never_shortened(notes, clock):
    """Not even for who was promised a turn."""
    gate = a_gate(notes, clock)
    gate.block(KEY, seconds=61)
    a_gate(notes, clock).block(KEY, seconds=5)
    clock.advance(30)
    assert entered(gate, turn=True) == pytest.approx(31)
    clock.advance(31)
    assert entered(gate, turn=True) == 0


def test_the_limit_is_learned(notes, clock):
    """From ten a minute to two in a second."""
    gate = a_gate(notes, clock)
    gate.learn(KEY, Limit(2, 1), remaining=2)
    assert [entered(gate) for _ in range(2)] == [0, 0]
    began = clock.now()
    assert entered(gate) == 0
    assert (clock.now() - began).total_seconds() == pytest.approx(1.05)


def test_calls_of_a_stranger_are_counted(notes, clock):
    """Fewer remain than we know of: somebody else uses the same user."""
    gate = a_gate(notes, clock)
    gate.enter(KEY)
    gate.learn(KEY, Limit(10, 60), remaining=2)
    assert [entered(gate) for _ in range(2)] == [0, 0]
    assert entered(gate) > 2


def test_nothing_is_written_where_nothing_is_learned(notes, clock):
    """Most answers say what is known."""
    gate = a_gate(notes, clock)
    gate.enter(KEY)
    version = notes.read(f"gate#{KEY}").version
    gate.learn(KEY, Limit(10, 60), remaining=9)
    assert notes.read(f"gate#{KEY}").version == version


def test_a_clock_that_is_off_stops_nobody_for_good(notes, clock):
    """Grants of a worker 30 s ahead count until they are old by our clock as well."""
    ahead = FakeClock()
    ahead.advance(30)
    for _ in range(10):
        a_gate(notes, ahead).enter(KEY)
    wait = entered(a_gate(notes, clock))
    assert wait == pytest.approx(30 + 60 * 1.02)
    clock.advance(wait)
    assert entered(a_gate(notes, clock), turn=True) == 0


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.booleans())
def test_no_span_ever_holds_more_than_the_limit(pauses, turn):
    """Whatever the rhythm of the calls."""
    clock, grants = FakeClock(), []
    gate = a_gate(FakeNotes(), clock)
    for pause in pauses:
        clock.advance(pause)
        if entered(gate, turn=turn) == 0:
            grants.append(clock.now().timestamp())
    for grant in grants:
        assert sum(1 for other in grants if grant <= other < grant + 60) <= 10


def test_many_workers_at_once_get_no_more_than_the_limit():
    """Fifty threads on one ledger: ten grants, and everybody has an answer."""
    lock, notes = threading.Lock(), FakeNotes()

    class Locked(FakeNotes):
        def read(self, key):
            return notes.read(key)

        def write(self, note):
            with lock:
                return notes.write(note)

    shared, clock, results = Locked(), SystemClock(), []

    def work():
        gate = Gate(shared, clock, limits={"Heavy": Limit(10, 60)}, sleep=lambda _: time.sleep(0))
        results.append(entered(gate, turn=True))

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(0) == 10
    assert len(results) == 50
