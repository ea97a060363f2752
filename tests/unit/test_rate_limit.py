"""The gate: never more than the limit, nobody starves, and a penalty holds for everybody."""

import heapq
import math
import random
import threading
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.clock import SystemClock
from legato.errors import Wait
from legato.ledger.rate_limit import Gate
from legato.model import Priority
from legato.settings import Limit
from tests.fakes import NOON, FakeClock, FakeNotes, LockedNotes

KEY = "ringex#one#Heavy"
WINDOWS = "ringcx#one#Metadata"
BUCKET = "kazoo#one#Requests"
BOTH = (Limit(3, 60), Limit(9, 900))


def a_gate(notes, clock):
    limits = {"Heavy": (Limit(10, 60),), "Metadata": BOTH}
    return Gate(notes, clock, limits=limits, sleep=clock.advance)


def entered(gate, key=KEY, *, priority=Priority.NORMAL):
    """Return 0 when granted, else the seconds to wait."""
    try:
        gate.enter(key, priority=priority)
    except Wait as wait:
        return wait.seconds if wait.turn else -1
    return 0


def entered_behind(gate, key=KEY):
    """Return 0 when granted, else the seconds to wait; nothing is promised."""
    try:
        gate.enter(key, priority=Priority.BACKFILL)
    except Wait as wait:
        return -1 if wait.turn else wait.seconds
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
    assert entered(gate, priority=Priority.RESERVED) == 0


def test_a_turn_that_finds_no_room_keeps_its_place(notes, clock):
    """It waits for the next place, and books nothing."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        gate.enter(KEY)
    before = notes.read(f"gate#{KEY}")
    assert entered(gate, priority=Priority.RESERVED) > 2
    assert notes.read(f"gate#{KEY}") == before


def test_a_penalty_holds_for_everybody_and_is_never_shortened(notes, clock):
    """Not even for who was promised a turn."""
    gate = a_gate(notes, clock)
    gate.block(KEY, seconds=61)
    a_gate(notes, clock).block(KEY, seconds=5)
    clock.advance(30)
    assert entered(gate, priority=Priority.RESERVED) == pytest.approx(31)
    clock.advance(31)
    assert entered(gate, priority=Priority.RESERVED) == 0


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
    assert entered(a_gate(notes, clock), priority=Priority.RESERVED) == 0


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.sampled_from(Priority))
def test_no_span_ever_holds_more_than_the_limit(pauses, priority):
    """Whatever the rhythm of the calls."""
    clock, grants = FakeClock(), []
    gate = a_gate(FakeNotes(), clock)
    for pause in pauses:
        clock.advance(pause)
        if entered(gate, priority=priority) == 0:
            grants.append(clock.now().timestamp())
    for grant in grants:
        assert sum(1 for other in grants if grant <= other < grant + 60) <= 10


def test_of_two_windows_the_one_that_is_full_counts(notes, clock):
    """Three pass, the fourth waits for the minute, the tenth for the quarter of an hour."""
    gate = a_gate(notes, clock)
    for _ in range(3):
        assert [entered(gate, WINDOWS) for _ in range(3)] == [0, 0, 0]
        assert gate.wait(WINDOWS, priority=Priority.RESERVED) >= 61.2
        clock.advance(70)
    assert gate.wait(WINDOWS, priority=Priority.RESERVED) == pytest.approx(900 * 1.02 - 210)


def test_the_room_is_that_of_the_fuller_window(notes, clock):
    """It tells which credential is to be asked."""
    gate = a_gate(notes, clock)
    assert gate.wait(WINDOWS) == -3
    for _ in range(8):
        clock.advance(30)
        gate.enter(WINDOWS)
    clock.advance(62)
    assert gate.wait(WINDOWS) == -1
    assert gate.wait(WINDOWS, priority=Priority.BACKFILL) > 0


def crowd(arrivals, *, seconds=math.inf):
    """Let everybody come, and come again when told to; return the grants and the broken promises.

    `arrivals` are pairs of the second at which somebody comes and whether it goes behind.
    """
    notes, clock = FakeNotes(), FakeClock()
    gate = a_gate(notes, clock)
    grants, broken = [], []
    coming = [(at, number, False, behind) for number, (at, behind) in enumerate(arrivals)]
    heapq.heapify(coming)
    while coming and coming[0][0] < seconds:
        at, number, turn, behind = heapq.heappop(coming)
        clock.moment = max(clock.moment, NOON + timedelta(seconds=at))
        try:
            gate.enter(WINDOWS, priority=Priority.of(turn=turn, behind=behind))
        except Wait as wait:
            now = (clock.now() - NOON).total_seconds()
            if turn:
                broken.append(now)
            heapq.heappush(coming, (now + wait.seconds, number, wait.turn, behind))
        else:
            grants.append(((clock.now() - NOON).total_seconds(), behind))
    return grants, broken


def fullest(grants, seconds):
    """Return the largest number of grants in any span of so many seconds."""
    moments = [at for at, _ in grants]
    return max(sum(start <= at < start + seconds for at in moments) for start in moments)


ARRIVALS = st.lists(st.tuples(st.floats(0, 1200), st.booleans()), min_size=1, max_size=60)


@given(ARRIVALS)
def test_no_window_of_several_is_ever_too_full_and_everybody_passes(arrivals):
    """Whoever comes, in a hurry or not, and however many at once."""
    grants, _ = crowd(arrivals)
    assert len(grants) == len(arrivals)
    assert fullest(grants, 60) <= 3
    assert fullest(grants, 900) <= 9


@given(ARRIVALS)
def test_a_promise_holds_in_both_windows(arrivals):
    """Who comes back at the promised moment is let through, whoever else comes."""
    assert crowd(arrivals)[1] == []


def test_a_day_of_crowds_uses_all_that_both_windows_allow():
    """Nine in each quarter of an hour and its margin, and three in the first minute."""
    chance = random.Random(7)
    arrivals = [(chance.uniform(0, 86_400), False) for _ in range(2000)]
    grants, broken = crowd([(0, False)] * 9 + arrivals, seconds=86_400)
    assert len(grants) >= 9 * 86_400 // 918
    assert fullest(grants, 900) == 9
    assert fullest(grants, 60) == 3
    assert broken == []


def test_who_goes_behind_uses_all_but_one_call():
    """A backfill of a day, with nobody else there."""
    grants, _ = crowd([(0, True)] * 1000, seconds=86_400)
    assert len(grants) >= 8 * 86_400 // 918
    assert fullest(grants, 900) == 8
    assert fullest(grants, 60) == 2


@given(ARRIVALS)
def test_who_goes_behind_leaves_room_in_every_window(arrivals):
    """Right after it has passed, one call more could be made by somebody else."""
    grants, _ = crowd(arrivals)
    for number, (at, behind) in enumerate(grants):
        if behind:
            moments = [moment for moment, _ in grants[: number + 1]]
            assert sum(moment > at - 60 for moment in moments) <= 2
            assert sum(moment > at - 900 for moment in moments) <= 8


def test_a_tenth_of_a_larger_limit_is_for_the_others(notes, clock):
    """Nine of ten; the others find the tenth."""
    gate = a_gate(notes, clock)
    assert [entered_behind(gate) for _ in range(9)] == [0] * 9
    assert entered_behind(gate) > 0
    assert entered(gate) == 0


def test_who_goes_behind_does_not_take_what_was_promised(notes, clock):
    """Not even while there is room, because who was promised it is on the way."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        gate.enter(KEY)
    promised = entered(gate)
    clock.advance(promised)
    assert entered_behind(gate) > 0
    assert entered(gate, priority=Priority.RESERVED) == 0


def test_who_goes_behind_is_promised_nothing_and_hinders_nobody(notes, clock):
    """A newcomer waits as long as if nobody stood there."""
    gate = a_gate(notes, clock)
    for _ in range(10):
        gate.enter(KEY)
    for _ in range(100):
        entered_behind(gate)
    assert gate.wait(KEY) == pytest.approx(61.2)


def test_many_who_go_behind_come_back_one_by_one(notes, clock):
    """Not a thousand in the same second, most of them in vain."""
    gate = a_gate(notes, clock)
    gate.block(KEY, seconds=30)
    waits = [entered_behind(gate) for _ in range(20)]
    assert waits[0] == pytest.approx(30)
    assert [later - earlier for earlier, later in pairwise(waits)] == pytest.approx([6.8] * 19)


def test_a_limit_of_one_call_is_shared_all_the_same(notes, clock):
    """To leave room in it would be to leave all of it, and a backfill would never end."""
    gate = Gate(notes, clock, limits={"Heavy": (Limit(1, 60),)}, sleep=clock.advance)
    assert entered_behind(gate) == 0


def test_a_limit_that_is_learned_replaces_all(notes, clock):
    """What the provider says now counts more than what its documentation said."""
    gate = a_gate(notes, clock)
    gate.learn(WINDOWS, Limit(20, 60), remaining=20)
    assert [entered(gate, WINDOWS) for _ in range(20)] == [0] * 20
    assert entered(gate, WINDOWS) == pytest.approx(61.2)


class Bucket:
    """Kazoo's: 100 tokens, and 10 more in bulk each second."""

    def __init__(self, clock):
        self.clock, self.tokens, self.filled_at = clock, 100, clock.now()

    def take(self, tokens=1):
        seconds = int((self.clock.now() - self.filled_at).total_seconds())
        self.filled_at += timedelta(seconds=seconds)
        self.tokens = min(100, self.tokens + 10 * seconds) - tokens
        return self.tokens


def a_bucket_gate(notes, clock):
    return Gate(notes, clock, limits={"Requests": (Limit(50, 5),)}, sleep=clock.advance)


def entered_with(gate, calls, *, priority=Priority.RESERVED):
    """Return 0 when granted, else the seconds to wait."""
    try:
        gate.enter(BUCKET, calls=calls, priority=priority)
    except Wait as wait:
        return wait.seconds
    return 0


def test_a_heavy_call_takes_all_that_it_counts_for_or_nothing(notes, clock):
    """35 of 50 once, and what is left is for fifteen others."""
    gate = a_bucket_gate(notes, clock)
    assert entered_with(gate, 35) == 0
    before = notes.read(f"gate#{BUCKET}")
    assert entered_with(gate, 16) > 2
    assert notes.read(f"gate#{BUCKET}") == before
    assert gate.wait(BUCKET) == -15
    assert entered_with(gate, 15) == 0
    assert gate.wait(BUCKET) == pytest.approx(5.1)


def test_a_heavy_call_waits_until_enough_is_free(notes, clock):
    """Not until the first place is, nor until all are."""
    gate = a_bucket_gate(notes, clock)
    for _ in range(50):
        gate.enter(BUCKET)
        clock.advance(0.05)
    assert entered_with(gate, 20) == pytest.approx(5.1 - 2.5 + 19 * 0.05)


def test_a_heavy_call_that_is_promised_a_moment_finds_its_room_there(notes, clock):
    """Those who come later wait behind all that it counts for."""
    gate = a_bucket_gate(notes, clock)
    gate.enter(BUCKET, calls=50)
    promised = entered_with(gate, 35, priority=Priority.NORMAL)
    others = [entered_with(gate, 1, priority=Priority.NORMAL) for _ in range(16)]
    assert others[14] < promised + 5 < others[15]
    clock.advance(promised)
    assert entered_with(gate, 35) == 0


def test_a_call_that_counts_for_more_than_the_limit_passes_alone(notes, clock):
    """Else nobody could ever log in where little is allowed."""
    gate = a_gate(notes, clock)
    gate.enter(KEY)
    with pytest.raises(Wait) as wait:
        gate.enter(KEY, calls=35, priority=Priority.RESERVED)
    clock.advance(wait.value.seconds)
    gate.enter(KEY, calls=35, priority=Priority.RESERVED)
    assert entered(gate, priority=Priority.RESERVED) > 2


@given(st.lists(st.tuples(st.floats(0, 8), st.integers(1, 120)), min_size=1, max_size=40))
def test_fifty_in_five_seconds_never_empty_the_bucket(crowds):
    """Whatever the rhythm, however many come at once, and log-ins among them."""
    clock = FakeClock()
    gate, bucket = a_bucket_gate(FakeNotes(), clock), Bucket(clock)
    for pause, many in crowds:
        clock.advance(pause)
        for number in range(many):
            calls = 1 if number % 50 else 35
            if entered_with(gate, calls) == 0:
                assert bucket.take(calls) >= 0


def test_fifty_in_five_seconds_use_the_bucket_to_the_full():
    """All that ten a second give, less the gate's margin."""
    clock = FakeClock()
    gate, passed, began = a_bucket_gate(FakeNotes(), clock), 0, clock.now()
    while (clock.now() - began).total_seconds() < 600:
        wait = entered_with(gate, 1)
        passed += not wait
        clock.advance(wait)
    assert passed >= 9.8 * 600


STRANGERS = st.tuples(st.floats(0, 6), st.integers(0, 100), st.integers(1, 60))


@given(st.lists(STRANGERS, min_size=1, max_size=40))
def test_what_others_have_drawn_is_not_drawn_again(crowds):
    """After an answer that says what remains, no call finds the bucket empty until they return."""
    clock = FakeClock()
    gate, bucket = a_bucket_gate(FakeNotes(), clock), Bucket(clock)
    for pause, others, many in crowds:
        clock.advance(pause)
        bucket.take(min(others, bucket.take(0)))
        gate.correct(BUCKET, remaining=bucket.take(0))
        for _ in range(many):
            if entered_with(gate, 1) == 0:
                assert bucket.take() >= 0
                gate.correct(BUCKET, remaining=bucket.tokens)


def test_what_others_leave_is_used_to_the_full():
    """They take five a second, and we the other half of what the bucket is given."""
    clock = FakeClock()
    gate, bucket, passed, drawn = a_bucket_gate(FakeNotes(), clock), Bucket(clock), 0, 0
    bucket.take(100)
    while (elapsed := (clock.now() - NOON).total_seconds()) < 600:
        bucket.take(int(5 * elapsed) - drawn)
        drawn = int(5 * elapsed)
        if wait := entered_with(gate, 1):
            clock.advance(min(wait, 1))
        else:
            passed += 1
            gate.correct(BUCKET, remaining=bucket.take())
    assert 0.9 * 5 * 600 <= passed <= 5 * 600


def test_our_older_calls_set_no_room_free_that_others_have_taken(notes, clock):
    """Twenty of ours are about to be forgotten, and the bucket has no more for them."""
    gate = a_bucket_gate(notes, clock)
    gate.enter(BUCKET, calls=20)
    clock.advance(5)
    gate.correct(BUCKET, remaining=10)
    gate.enter(BUCKET, calls=10)
    clock.advance(0.2)
    assert gate.wait(BUCKET) == pytest.approx(4.9)


def test_what_remains_is_not_written_down_where_there_is_enough(notes, clock):
    """Alone, we always leave as much in the bucket as the limit allows."""
    gate = a_bucket_gate(notes, clock)
    gate.enter(BUCKET)
    version = notes.read(f"gate#{BUCKET}").version
    for remaining in (99, 50):
        gate.correct(BUCKET, remaining=remaining)
    assert notes.read(f"gate#{BUCKET}").version == version
    gate.correct(BUCKET, remaining=48)
    assert gate.wait(BUCKET) == -48


def test_our_calls_that_are_on_the_way_count_all_the_same(notes, clock):
    """The bucket that was looked at had not been asked for them yet."""
    gate = a_bucket_gate(notes, clock)
    gate.enter(BUCKET, calls=30)
    gate.correct(BUCKET, remaining=40)
    assert gate.wait(BUCKET) == -20


def test_what_remains_in_a_bucket_says_nothing_of_a_longer_window(notes, clock):
    """The quarter of an hour goes on counting what was called before the minute."""
    gate = a_gate(notes, clock)
    for _ in range(8):
        gate.enter(WINDOWS)
        clock.advance(30)
    gate.correct(WINDOWS, remaining=0)
    assert gate.wait(WINDOWS, priority=Priority.RESERVED) == pytest.approx(918 - 240)


def test_many_workers_at_once_get_no_more_than_the_limit():
    """Fifty threads on one ledger: ten grants, and everybody has an answer."""
    shared, clock, results = LockedNotes(), SystemClock(), []

    def work():
        gate = Gate(
            shared, clock, limits={"Heavy": (Limit(10, 60),)}, sleep=lambda _: time.sleep(0)
        )
        results.append(entered(gate, priority=Priority.RESERVED))

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(0) == 10
    assert len(results) == 50
