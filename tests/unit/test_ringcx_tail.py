"""Following RingCX's metadata: every window is read, none too early, and none is cut off unseen."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.discovery.sweep import sweep
from legato.errors import Retry, Wait
from legato.ledger.gaps import gaps_of
from legato.ledger.listings import records_key, tail_key
from legato.model import Priority, format_time
from legato.providers.ringcx.tail import FULL, LONGEST, RingcxTail
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, a_sweeper, an_id

SETTLE = timedelta(minutes=15)
OVERLAP = timedelta(minutes=10)


def a_row(number, ended_at, **fields):
    """Return a row of a recorded segment, which is alone in its dialog."""
    return {
        "dialogId": f"s-v-{number}",
        "segmentId": f"p-v-{number}",
        "channelClass": "VOICE",
        "hasRecording": True,
        "segmentStartTimeMs": format_time(ended_at - timedelta(seconds=60)),
        "segmentEndTimeMs": format_time(ended_at),
        **fields,
    }


class FakeMetadata:
    """Answers for windows as RingCX does: forward from their beginning, 400 rows at most."""

    def __init__(self, clock):
        self.clock = clock
        self.rows = []
        self.asked = []
        self.refusal = None
        self.bad = None

    def ended(self, moment, **fields):
        self.rows.append((moment, a_row(len(self.rows), moment, **fields)))

    def interactions(self, sub_account, *, begin, seconds, priority=Priority.NORMAL):
        if self.refusal:
            raise self.refusal
        end = begin + timedelta(seconds=seconds)
        assert begin.microsecond == 0
        assert timedelta(seconds=1) <= end - begin <= LONGEST
        self.asked.append((begin, end))
        if self.bad is not None and begin <= self.bad < end:
            raise Retry("503")
        found = [row for moment, row in self.rows if begin <= moment < end]
        return found[:FULL]


class Desk:
    def __init__(self, **fields):
        self.clock = FakeClock()
        self.metadata = FakeMetadata(self.clock)
        self.jobs = FakeJobs()
        self.notes = FakeNotes()
        self.fields = fields

    def tail(self):
        facts = {"key": "", "first": NOON - timedelta(hours=24), "lag": SETTLE, "overlap": OVERLAP}
        return RingcxTail(self.metadata, self.clock, sub_account="99", **facts | self.fields)

    def sweep(self, **options):
        return sweep(
            tail=self.tail(),
            jobs=self.jobs,
            notes=self.notes,
            clock=self.clock,
            until=self.clock.now() + timedelta(seconds=120),
            settle=5,
            **options,
        )

    def found(self):
        return {job.call for job, _ in self.jobs.sent}


def test_the_first_sweep_reads_a_day_in_windows_of_three_hours():
    """Forward from the beginning, overlapping by ten minutes, to fifteen minutes ago."""
    desk = Desk()
    report = desk.sweep()
    asked = desk.metadata.asked
    assert report.done
    assert asked[0] == (NOON - timedelta(hours=24), NOON - timedelta(hours=21))
    assert asked[-1][1] == NOON - SETTLE
    assert all(later[0] == sooner[1] - OVERLAP for sooner, later in itertools.pairwise(asked))
    assert len(asked) == 9


def test_the_next_sweep_reads_only_what_is_new():
    """A quarter of an hour, and the ten minutes before it once more."""
    desk = Desk()
    desk.sweep()
    desk.metadata.asked.clear()
    desk.clock.advance(900)
    desk.sweep()
    assert desk.metadata.asked == [(NOON - SETTLE - OVERLAP, NOON)]


def test_a_longer_overlap_is_only_over_what_was_read_a_moment_ago():
    """The first sweep of a day goes on in whole windows."""
    desk = Desk(overlap=timedelta(minutes=170))
    desk.metadata.ended(NOON - SETTLE - timedelta(minutes=150))
    desk.sweep()
    assert len(desk.metadata.asked) == 9
    desk.metadata.ended(NOON - SETTLE - timedelta(minutes=160))
    desk.clock.advance(300)
    desk.sweep()
    begin = NOON - SETTLE - timedelta(minutes=170)
    assert desk.metadata.asked[-1] == (begin, NOON - SETTLE + timedelta(seconds=300))
    assert desk.found() == {"s-v-0", "s-v-1"}


def test_nothing_is_asked_while_nothing_is_new():
    """Not even within the same second."""
    desk = Desk()
    desk.sweep()
    count = len(desk.metadata.asked)
    assert desk.sweep().done
    assert len(desk.metadata.asked) == count


def test_a_row_that_comes_again_in_the_overlap_makes_no_second_job():
    """It is known."""
    desk = Desk()
    desk.metadata.ended(NOON - SETTLE - timedelta(minutes=5))
    desk.sweep()
    desk.clock.advance(900)
    desk.sweep()
    assert [job.call for job, _ in desk.jobs.sent] == ["s-v-0"]
    assert len([1 for begin, end in desk.metadata.asked if end > NOON - SETTLE]) == 1


def test_a_segment_that_appears_late_in_the_overlap_is_found():
    """It had ended before the window was read, but was not listed then."""
    desk = Desk()
    desk.sweep()
    desk.metadata.ended(NOON - SETTLE - timedelta(minutes=9))
    desk.clock.advance(900)
    desk.sweep()
    assert desk.found() == {"s-v-0"}


def test_a_second_look_finds_what_was_listed_hours_late():
    """A tail with a longer lag reads the same time again; it asks for whole windows only."""
    late = Desk(key="#again-4h", first=NOON - timedelta(hours=4), lag=timedelta(hours=4))
    late.fields["least"] = LONGEST - OVERLAP
    assert late.sweep().done
    assert late.metadata.asked == []
    late.clock.advance(2 * 3600)
    late.sweep()
    assert late.metadata.asked == []
    late.metadata.ended(NOON - timedelta(hours=2))
    late.clock.advance(3600)
    late.sweep()
    assert late.metadata.asked == [(NOON - timedelta(hours=4), NOON - timedelta(hours=1))]
    assert late.found() == {"s-v-0"}


def test_a_recording_that_was_not_there_at_first_makes_a_job_on_the_second_look():
    """The row is known, its recording is new."""
    desk = Desk()
    moment = NOON - timedelta(hours=1)
    desk.metadata.ended(moment, hasRecording=False)
    desk.sweep()
    assert desk.found() == set()
    desk.metadata.rows[0] = (moment, a_row(0, moment))
    desk.fields = {"key": "#again-4h", "lag": timedelta(hours=4)}
    desk.clock.advance(4 * 3600)
    desk.sweep()
    assert desk.found() == {"s-v-0"}


def test_a_window_that_is_full_is_halved_until_it_is_not():
    """What an answer leaves out it does not say."""
    desk = Desk(first=NOON - SETTLE - timedelta(hours=1))
    for second in range(3000):
        desk.metadata.ended(NOON - SETTLE - timedelta(seconds=3600 - second))
    report = desk.sweep()
    assert report.done
    assert len(desk.found()) == 3000
    assert len(desk.jobs.sent) == 3000


def test_the_length_of_a_window_that_was_not_full_is_remembered():
    """The next one begins with it, and grows again where less is listed."""
    desk = Desk(first=NOON - SETTLE - timedelta(hours=1))
    for second in range(3000):
        desk.metadata.ended(NOON - SETTLE - timedelta(seconds=3600 - second))
    desk.sweep()
    desk.metadata.asked.clear()
    desk.clock.advance(12 * 3600)
    desk.sweep()
    lengths = [end - begin for begin, end in desk.metadata.asked]
    assert lengths[:3] == [timedelta(minutes=minutes) for minutes in (15, 30, 60)]
    assert LONGEST in lengths


def test_more_rows_in_two_seconds_than_an_answer_holds_are_told_and_passed(caplog):
    """There is nothing left to halve; what is listed is taken."""
    desk = Desk(first=NOON - SETTLE - timedelta(minutes=1))
    for _ in range(FULL + 50):
        desk.metadata.ended(NOON - SETTLE - timedelta(seconds=30))
    assert desk.sweep().done
    assert len(desk.found()) == FULL
    assert "a window is full" in caplog.text


def test_a_sweep_that_the_gate_ends_goes_on_where_it_stopped():
    """No window is read twice, and `unfinished_only` knows that there is something left."""
    desk = Desk()
    read = desk.metadata.interactions

    def three_only(*arguments, **options):
        if len(desk.metadata.asked) >= 3:
            raise Wait("it is not our turn", seconds=60, turn=True)
        return read(*arguments, **options)

    desk.metadata.interactions = three_only
    report = desk.sweep()
    assert isinstance(report.stopped, Wait)
    assert not report.done
    desk.metadata.interactions = read
    assert desk.sweep(unfinished_only=True).done
    assert len(desk.metadata.asked) == len(set(desk.metadata.asked)) == 9
    desk.clock.advance(900)
    desk.sweep(unfinished_only=True)
    assert len(desk.metadata.asked) == 9


def test_only_telephone_calls_count():
    """A chat that claims to have a recording is none of ours."""
    desk = Desk()
    desk.metadata.ended(NOON - timedelta(hours=1), channelClass="DIGITAL")
    desk.metadata.ended(NOON - timedelta(hours=1), hasRecording=False)
    desk.sweep()
    assert desk.found() == set()
    assert desk.jobs.buried == []


def test_segments_of_a_dialog_make_one_job():
    """With all their ids."""
    desk = Desk()
    for _ in range(3):
        desk.metadata.ended(NOON - timedelta(hours=1), dialogId="s-v-one")
    desk.sweep()
    ((job, _),) = desk.jobs.sent
    assert (job.call, job.account) == ("s-v-one", "99")
    assert job.listed == {"p-v-0", "p-v-1", "p-v-2"}


def test_a_row_with_the_older_spelling_of_its_id_is_a_segment_like_any_other():
    """`segmentID` stands in older documentation."""
    desk = Desk()
    desk.metadata.ended(NOON - timedelta(hours=1), segmentId=None, segmentID="p-v-old")
    desk.sweep()
    ((job, _),) = desk.jobs.sent
    assert job.named == {"p-v-old"}


@pytest.mark.parametrize("lacks", [{"dialogId": None}, {"segmentId": ""}])
def test_a_recorded_row_without_ids_is_shown_to_somebody_once(lacks):
    """Nobody can archive it; it is listed again in every overlap."""
    desk = Desk()
    desk.metadata.ended(NOON - SETTLE - timedelta(minutes=5), **lacks)
    desk.sweep()
    desk.clock.advance(300)
    desk.sweep()
    assert desk.found() == set()
    ((body, reason),) = desk.jobs.buried
    assert "without saying which call" in reason
    assert "segmentStartTimeMs" in body


def test_a_row_that_is_no_object_is_shown_and_does_not_stop_the_others():
    """One odd row must not hold up a whole sub-account."""
    desk = Desk()
    desk.metadata.ended(NOON - timedelta(hours=1))
    desk.metadata.rows.append((NOON - timedelta(hours=1), "odd"))
    assert desk.sweep().done
    assert desk.found() == {"s-v-0"}
    assert [body for body, _ in desk.jobs.buried] == ['{"row": "odd"}']


def test_a_stretch_of_the_past_is_read_to_its_end_and_no_further():
    """A backfill's jobs say that they are in no hurry."""
    start = NOON - timedelta(days=30)
    desk = Desk(key="#backfill", first=start, end=start + timedelta(hours=7), behind=True)
    desk.metadata.ended(start + timedelta(hours=6))
    desk.metadata.ended(start + timedelta(hours=8))
    assert desk.sweep().done
    assert desk.metadata.asked[-1][1] == start + timedelta(hours=7)
    ((job, _),) = desk.jobs.sent
    assert job.hints["behind"] is True
    count = len(desk.metadata.asked)
    assert desk.sweep().done
    assert len(desk.metadata.asked) == count


def test_what_is_found_is_listed_until_it_is_archived():
    """By the time at which its recording began."""
    desk = Desk()
    desk.metadata.ended(NOON - timedelta(hours=2))
    desk.metadata.ended(NOON - timedelta(hours=3))
    desk.sweep()
    note = desk.notes.first("unarchived#ringcx#99")
    assert note.key == records_key(an_id("s-v-1", provider="ringcx", account="99"))
    assert note.listed[1] == format_time(NOON - timedelta(hours=3, seconds=60))
    assert desk.notes.read(tail_key("ringcx#99")).content["cursor"]


@settings(max_examples=60, deadline=None)
@given(
    busy=st.lists(st.tuples(st.integers(0, 7200), st.integers(1, 900)), max_size=5),
    pauses=st.lists(st.integers(1, 5000), min_size=1, max_size=5),
)
def test_every_segment_is_found_whatever_the_load_and_the_pauses(busy, pauses):
    """Bursts are read in pieces, pauses in windows, and no segment falls between two."""
    desk = Desk(first=NOON - timedelta(hours=2))
    for offset, count in busy:
        for number in range(count):
            desk.metadata.ended(NOON - timedelta(seconds=offset - number / 2))
    for pause in pauses:
        desk.sweep()
        desk.clock.advance(pause)
    desk.clock.advance(8000)
    while not desk.sweep().done:
        pass
    begins = NOON - timedelta(hours=2)
    listed = {row["dialogId"] for moment, row in desk.metadata.rows if moment >= begins}
    assert desk.found() == listed


def test_a_clock_that_is_a_day_ahead_for_some_sweeps_loses_no_segment():
    """The tail goes back to where it was; what came meanwhile is found as soon as it is right."""
    desk = Desk()
    for sweep_number in range(60):
        desk.metadata.ended(NOON + sweep_number * timedelta(minutes=5))
        wrong = timedelta(days=1) if 20 <= sweep_number < 23 else timedelta()
        desk.clock.moment = NOON + sweep_number * timedelta(minutes=5) + wrong
        desk.sweep()
    desk.clock.moment = NOON + timedelta(hours=6)
    desk.sweep()
    assert len(desk.found()) == 60


class TestGaps:
    """A window that cannot be read."""

    def sweep(self, desk, tail, many):
        for _ in range(many):
            a_sweeper(tail, desk)(until=desk.clock.now() + timedelta(seconds=120))
            desk.clock.advance(60)

    def test_all_segments_but_those_of_the_bad_seconds_are_found(self):
        """Also those behind them, and those that end meanwhile."""
        desk = Desk(first=NOON - SETTLE - timedelta(hours=1))
        for minute in range(60):
            desk.metadata.ended(NOON - SETTLE - timedelta(minutes=minute))
        desk.metadata.bad = desk.metadata.rows[20][0]
        self.sweep(desk, desk.tail(), 5)
        assert desk.found() == {f"s-v-{n}" for n in range(60)} - {"s-v-20"}
        gaps = list(gaps_of("ringcx#99", desk.notes))
        assert gaps
        assert all(gap.end - gap.begin <= timedelta(seconds=2) for gap in gaps)

    def test_no_later_window_reaches_back_into_a_gap(self):
        """Its overlap would fail anew with each sweep."""
        desk = Desk(first=NOON - SETTLE - timedelta(hours=1), overlap=timedelta(minutes=10))
        desk.metadata.bad = NOON - SETTLE - timedelta(minutes=5)
        self.sweep(desk, desk.tail(), 5)
        tail = desk.notes.read(tail_key("ringcx#99")).content
        assert "failing" not in tail
        self.sweep(desk, desk.tail(), 12)
        assert "floor" not in desk.notes.read(tail_key("ringcx#99")).content["cursor"]

    def test_a_second_look_has_gaps_of_its_own(self):
        """What the first one has read shows that they are none of the list."""
        desk = Desk(first=NOON - timedelta(hours=8))
        late = {"key": "#again-4h", "lag": timedelta(hours=4), "first": NOON - timedelta(hours=8)}
        desk.metadata.bad = NOON - timedelta(hours=6)
        self.sweep(desk, desk.tail(), 5)
        desk.fields |= late
        looking = desk.tail()
        self.sweep(desk, looking, 3)
        desk.fields = {"first": NOON - timedelta(hours=8)}
        self.sweep(desk, desk.tail(), 1)
        self.sweep(desk, looking, 1)
        gaps = list(gaps_of("ringcx#99#again-4h", desk.notes))
        assert gaps
        assert all(gap.end - gap.begin <= timedelta(seconds=2) for gap in gaps)
