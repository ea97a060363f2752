"""Following a provider's changes: nothing is found twice, and nothing is ever passed over."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.discovery.sweep import sweep
from legato.errors import Barred, Retry, Stale, TooLarge, Wait
from legato.ledger import unarchived
from legato.ledger.listings import records_key, strays_list, tail_key
from legato.model import Unreadable, format_time, parse_time
from legato.ports import Change, TailPage
from tests.fakes import NOON, FakeClock, FakeJobs, FakeNotes, an_id

SETTLE = 120


class FakeTail:
    """Holds pages, each by the cursor that leads to it; what is no page is raised."""

    name = key = watch = "ringex"
    behind = late = False

    def __init__(self, clock):
        self.clock = clock
        self.pages = {}
        self.asked = []
        self.turns = []

    def page(self, cursor, *, turn=False):
        self.asked.append(cursor.get("at", 0))
        self.turns.append(turn)
        page = self.pages.get(self.asked[-1], {})
        if isinstance(page, Exception):
            raise page
        read_to = None if page.get("more") else self.clock.now()
        nothing = {"changes": (), "cursor": {"at": self.asked[-1] + 1}, "more": False}
        return TailPage(**{**nothing, "read_to": read_to, **page})

    def holds(self, *changes, at=0, more=False, strays=()):
        """Put a page at a cursor."""
        self.pages[at] = {"changes": changes, "more": more, "strays": tuple(strays)}

    def recordings(self, records):
        return frozenset(name for record in records for name in record.get("recordings", ()))

    def unreadable(self, records):
        odd = [record["odd"] for record in records if "odd" in record]
        return [Unreadable(id=name, reason="legs that are no list") for name in odd]


def a_change(call="s-1", **records):
    """Return records of a call, by id: the recordings that they name, or the record itself."""
    return Change(
        id=an_id(call),
        records={
            name: {"id": name, "recordings": what} if isinstance(what, list) else what
            for name, what in records.items()
        },
    )


class Desk:
    def __init__(self):
        self.clock = FakeClock()
        self.jobs = FakeJobs()
        self.notes = FakeNotes()
        self.tail = FakeTail(self.clock)

    def sweep(self, *, seconds=120, rest=0):
        return sweep(
            tail=self.tail,
            jobs=self.jobs,
            notes=self.notes,
            clock=self.clock,
            until=self.clock.now() + timedelta(seconds=seconds),
            settle=SETTLE,
            rest=timedelta(seconds=rest),
        )

    def records(self, call="s-1"):
        return self.notes.read(records_key(an_id(call))).content.get("records", {})

    def note(self, call="s-1"):
        return self.notes.read(records_key(an_id(call)))

    def refuses(self, call, error):
        """Refuse the notes of the calls that begin so."""
        prefix, write = records_key(an_id(call)), FakeNotes.write

        def refused(note):
            if error is not None and note.key.startswith(prefix):
                raise error
            return write(self.notes, note)

        self.notes.write = refused

    def cursor(self):
        return self.notes.read(tail_key("ringex")).content

    @property
    def sent(self):
        return [(job.call, sorted(job.listed)) for job, _ in self.jobs.sent]


@pytest.fixture
def desk():
    return Desk()


class TestFinding:
    def test_a_recorded_call_is_written_down_and_becomes_a_job(self, desk):
        """The job names its recordings, and comes when the call has settled."""
        desk.tail.holds(a_change(r1=["a", "b"]))
        report = desk.sweep()
        [(job, delay)] = desk.jobs.sent
        assert (job.provider, job.account, job.call, job.seen_at) == ("ringex", "1", "s-1", NOON)
        assert (job.named, job.listed, delay) == ({"a", "b"}, {"a", "b"}, SETTLE)
        assert desk.records() == {"r1": {"id": "r1", "recordings": ["a", "b"]}}
        assert (report.records, report.calls, report.jobs) == (1, 1, 1)
        assert report.stopped is None

    def test_a_call_that_was_not_recorded_costs_nothing(self, desk):
        """Neither a message nor a write."""
        desk.tail.holds(a_change(r1=[]))
        desk.sweep()
        assert desk.jobs.sent == []
        assert set(desk.notes.notes) == {tail_key("ringex")}

    def test_a_record_that_comes_again_unchanged_makes_no_job(self, desk):
        """After an overlap, or after a reader that died."""
        desk.tail.holds(a_change(r1=["a"]))
        desk.tail.holds(a_change(r1=["a"]), at=1)
        desk.sweep()
        desk.sweep()
        assert len(desk.sent) == 1

    def test_a_rewritten_record_replaces_the_older_one(self, desk):
        """The leg that it gained makes a job, which names just that leg."""
        desk.tail.holds(a_change(r1=["a", "b"]))
        desk.sweep()
        desk.tail.holds(a_change(r1=["a", "b", "c"]), at=1)
        desk.clock.advance(7200)
        desk.sweep()
        assert desk.sent == [("s-1", ["a", "b"]), ("s-1", ["c"])]
        assert desk.jobs.sent[1][0].seen_at == desk.clock.now()
        assert desk.records() == {"r1": {"id": "r1", "recordings": ["a", "b", "c"]}}

    def test_another_record_of_the_call_is_put_beside_the_first(self, desk):
        """A transferred call may have a record for each extension."""
        desk.tail.holds(a_change(r1=["a"]))
        desk.tail.holds(a_change(r2=["b"]), at=1)
        desk.sweep()
        desk.sweep()
        assert sorted(desk.records()) == ["r1", "r2"]
        assert desk.sent == [("s-1", ["a"]), ("s-1", ["b"])]

    def test_a_call_that_loses_a_recording_is_written_down_without_a_job(self, desk):
        """What was still going on may turn out too short to be kept: its record must be known."""
        desk.tail.holds(a_change(r1=["a"]))
        desk.tail.holds(a_change(r1={"id": "r1", "shortRecording": True}), at=1)
        desk.sweep()
        desk.sweep()
        assert len(desk.sent) == 1
        assert desk.records() == {"r1": {"id": "r1", "shortRecording": True}}

    def test_a_recording_that_nobody_understands_becomes_a_job(self, desk):
        """It is told of there; the tail goes on."""
        desk.tail.holds(a_change("s-1", r1={"odd": "leg 2"}), a_change("s-2", r2=["a"]))
        report = desk.sweep()
        assert desk.sent == [("s-1", []), ("s-2", ["a"])]
        assert report.stopped is None
        assert desk.note().content["unarchived"] == [unarchived.UNCLEAR]

    def test_a_good_recording_beside_one_that_nobody_understands_is_named(self, desk):
        """And what is odd is listed until it is clear; it makes one job, however often it comes."""
        desk.tail.holds(a_change(r1={"recordings": ["a"], "odd": "leg 2"}))
        desk.tail.holds(a_change(r1={"recordings": ["a"], "odd": "leg 2", "more": 1}), at=1)
        desk.tail.holds(a_change(r1={"recordings": ["a", "b"]}), at=2)
        desk.sweep()
        desk.sweep()
        assert desk.sent == [("s-1", ["a"])]
        assert desk.note().content["unarchived"] == [unarchived.UNCLEAR, "a"]
        desk.sweep()
        assert desk.sent == [("s-1", ["a"]), ("s-1", ["b"])]
        assert desk.note().content["unarchived"] == ["a", "b"]

    def test_what_was_odd_and_is_no_recording_after_all_is_not_waited_for(self, desk):
        """Its record was rewritten without it."""
        desk.tail.holds(a_change(r1={"odd": "leg 2"}))
        desk.tail.holds(a_change(r1={"shortRecording": True}), at=1)
        desk.sweep()
        desk.sweep()
        assert desk.note().listed is None

    def test_a_call_of_very_many_recordings_names_none_of_them(self, desk):
        """A message of the queue has a limit; its job looks into the ledger."""
        desk.tail.holds(a_change("s-1", r1=[f"n{n}" for n in range(101)]))
        desk.tail.holds(a_change("s-2", r2=[f"n{n}" for n in range(100)]), at=1)
        desk.sweep()
        desk.sweep()
        assert [job.hints.get("many") for job, _ in desk.jobs.sent] == [True, None]
        assert [len(job.listed) for job, _ in desk.jobs.sent] == [0, 100]
        assert len(desk.note().content["unarchived"]) == 101

    def test_a_recording_of_no_call_is_a_dead_letter(self, desk):
        """Nobody can archive it, so somebody is told."""
        desk.tail.holds(strays=[{"id": "r9"}])
        desk.sweep()
        [(body, reason)] = desk.jobs.buried
        assert json.loads(body) == {"id": "r9"}
        assert "which call" in reason
        assert desk.cursor()["cursor"] == {"at": 1}
        [note] = desk.notes.listed(strays_list("ringex"), until=format_time(NOON))
        assert note.content == {"record": "r9", "seen": format_time(NOON)}

    def test_a_recording_of_no_call_that_is_no_small_one_is_a_dead_letter_in_short(self, desk):
        """SQS takes no more than 256 KiB, and would refuse it for ever."""
        desk.tail.holds(strays=[{"id": "r9", "x": "é" * 10**6}])
        assert desk.sweep().stopped is None
        [(body, _)] = desk.jobs.buried
        assert len(body.encode()) < 200_000
        assert '"r9' in json.loads(body)["beginning"]


class TestOneCallAlone:
    """What is wrong with one call stops no other."""

    def test_records_that_are_more_than_a_note_holds_are_told_and_passed(self, desk):
        """Once, and with a few of the recordings; the calls after it are found."""
        many = [f"n{n}" for n in range(3500)]
        desk.tail.holds(a_change("s-1", r1=many), a_change("s-2", r2=["b"]))
        desk.tail.holds(a_change("s-1", r1=many), at=1)
        desk.refuses("s-1", TooLarge("412,345 bytes are more than an item holds"))
        assert desk.sweep().stopped is None
        assert desk.sweep().stopped is None
        assert ("s-2", ["b"]) in desk.sent
        [(body, reason)] = desk.jobs.buried
        assert "412,345 bytes" in reason
        told = json.loads(body)
        assert (told["provider"], told["account"], told["call"]) == ("ringex", "1", "s-1")
        assert len(told["recordings"]) == 100

    def test_a_note_that_is_refused_again_and_again_is_its_own_calls(self, desk):
        """The page is read again twice; then the call is told of, and the tail goes on."""
        desk.tail.holds(a_change("s-1", r1=["a"]), a_change("s-2", r2=["b"]))
        desk.refuses("s-1", Retry("the ledger cannot be written"))
        for _ in range(2):
            report = desk.sweep()
            assert "cannot be written" in str(report.stopped)
            assert "cursor" not in desk.cursor()
            assert desk.records("s-2")
        report = desk.sweep()
        assert report.stopped is None
        assert desk.cursor()["cursor"] == {"at": 1}
        assert "refused" not in desk.cursor()
        [(body, reason)] = desk.jobs.buried
        assert json.loads(body)["call"] == "s-1"
        assert "cannot be written" in reason

    def test_a_refusal_that_passes_is_forgotten(self, desk):
        """It counts only if it comes again at once."""
        desk.tail.holds(a_change("s-1", r1=["a"]))
        desk.refuses("s-1", Retry("the ledger cannot be written"))
        desk.sweep()
        desk.sweep()
        desk.refuses("", None)
        assert desk.sweep().stopped is None
        assert desk.jobs.buried == []
        assert desk.records()
        assert "refused" not in desk.cursor()

    def test_a_ledger_that_refuses_all_is_nobodys_own(self, desk):
        """No call is given up, and nobody waits for each of a thousand."""
        desk.tail.holds(*[a_change(f"s-{n}", r=["a"]) for n in range(1000)])
        desk.refuses("s-", Retry("the ledger cannot be written"))
        for _ in range(5):
            assert isinstance(desk.sweep().stopped, Retry)
        assert desk.jobs.buried == []
        assert {call for call, _ in desk.sent} == {f"s-{n}" for n in range(6)}
        desk.refuses("", None)
        assert desk.sweep().stopped is None

    def test_a_queue_that_refuses_is_nobodys_own(self, desk):
        """However often: the job of the call is sent in the end."""
        desk.tail.holds(a_change("s-1", r1=["a"]))
        desk.jobs.refusal = Retry("SQS is down")
        for _ in range(5):
            assert isinstance(desk.sweep().stopped, Retry)
        desk.jobs.refusal = None
        assert desk.sweep().stopped is None
        assert desk.sent == [("s-1", ["a"])]

    def test_a_fault_of_the_list_ends_the_run_after_its_page_is_taken_in(self, desk):
        """What was read is kept, and the next run goes on after it."""
        desk.tail.holds(a_change("s-1", r1=["a"]), more=True)
        desk.tail.pages[0]["fault"] = Retry("the list has no end")
        report = desk.sweep()
        assert (str(report.stopped), report.done) == ("the list has no end", False)
        assert desk.sent == [("s-1", ["a"])]
        assert desk.cursor()["cursor"] == {"at": 1}
        assert desk.cursor()["unfinished"]


class TestClock:
    """A clock that was a day ahead during some sweeps loses nothing."""

    def test_the_tail_goes_back_to_where_it_was_before(self, desk):
        """And is read at once, though it seems to have been read tomorrow."""
        desk.sweep(rest=50)
        desk.clock.advance(86_400)
        desk.sweep(rest=50)
        assert desk.tail.asked == [0, 1]
        desk.clock.advance(60 - 86_400)
        desk.tail.holds(a_change(r1=["a"]), at=1)
        report = desk.sweep(rest=50)
        assert desk.tail.asked == [0, 1, 1]
        assert desk.sent == [("s-1", ["a"])]
        assert (report.age, report.stopped) == (timedelta(), None)
        assert parse_time(desk.cursor()["read_to"]) == desk.clock.now()

    def test_also_after_hours_with_the_wrong_time(self, desk):
        """A place of each hour is known, the last of the right time among them."""
        for _ in range(30):
            desk.sweep()
            desk.clock.advance(300)
        right = desk.cursor()["cursor"]
        desk.clock.advance(86_400)
        for _ in range(30):
            desk.sweep()
            desk.clock.advance(300)
        assert len(desk.cursor()["checkpoints"]) <= 6
        desk.clock.advance(-86_400)
        desk.tail.asked.clear()
        desk.sweep()
        assert desk.tail.asked == [right["at"]]

    def test_without_any_such_place_the_tail_begins_at_its_beginning(self, desk):
        """As on the first day: what is known already makes no job."""
        desk.clock.advance(86_400)
        desk.tail.holds(a_change(r1=["a"]))
        desk.sweep()
        desk.sweep()
        desk.clock.advance(-86_400)
        report = desk.sweep()
        assert desk.tail.asked == [0, 1, 0]
        assert len(desk.sent) == 1
        assert report.age == timedelta()

    def test_a_clock_that_is_a_little_ahead_is_none_that_is_wrong(self, desk):
        """No two are alike."""
        desk.clock.advance(200)
        desk.sweep()
        desk.clock.advance(-200)
        desk.sweep()
        assert desk.tail.asked == [0, 1]

    def test_a_lease_that_is_longer_than_any_reader_lives_is_not_believed(self, desk):
        """Its reader had a wrong clock, and died."""
        desk.clock.advance(86_400)
        desk.tail.pages[0] = KeyError("killed")
        with pytest.raises(KeyError):
            desk.sweep(seconds=900)
        desk.tail.pages.clear()
        desk.clock.advance(-86_400)
        report = desk.sweep()
        assert (report.busy, report.stopped) == (False, None)

    def test_nothing_is_listed_as_if_it_were_to_begin(self, desk):
        """It would come after all others until tomorrow."""
        change = a_change(r1=["a"])
        desk.tail.holds(replace(change, began_at=NOON + timedelta(hours=20)))
        desk.sweep()
        assert parse_time(desk.note().listed[1]) == NOON


class TestCursor:
    def test_a_sweep_goes_on_while_there_is_more(self, desk):
        """Up to the end, and the next one begins there."""
        desk.tail.holds(a_change("s-1", r1=["a"]), more=True)
        desk.tail.holds(a_change("s-2", r2=["b"]), at=1)
        desk.sweep()
        desk.sweep()
        assert desk.tail.asked == [0, 1, 2]
        assert parse_time(desk.cursor()["read_to"]) == NOON

    def test_the_age_is_that_of_what_is_known(self, desk):
        """An end that was reached makes it young; one that was not leaves it as old as it was."""
        assert desk.sweep().age == timedelta()
        desk.clock.advance(600)
        desk.tail.pages[1] = Retry("503")
        assert desk.sweep().age == timedelta(seconds=600)
        del desk.tail.pages[1]
        assert desk.sweep().age == timedelta()

    def test_before_the_first_end_the_age_counts_from_the_first_try(self, desk):
        """A stack whose secret was never filled in must not look young."""
        desk.tail.pages[0] = Barred("no clientId", seconds=300)
        desk.sweep()
        desk.clock.advance(900)
        assert desk.sweep().age == timedelta(seconds=900)

    @pytest.mark.parametrize("error", [Wait("429", seconds=60), Retry("503")])
    def test_what_ends_a_run_early_costs_nothing_but_time(self, desk, error):
        """The next one goes on where it stopped."""
        desk.tail.holds(a_change("s-1", r1=["a"]), more=True)
        desk.tail.pages[1] = error
        assert desk.sweep().stopped is error
        desk.tail.holds(a_change("s-2", r2=["b"]), at=1)
        assert desk.sweep().stopped is None
        assert desk.tail.asked == [0, 1, 1]
        assert desk.sent == [("s-1", ["a"]), ("s-2", ["b"])]

    @pytest.mark.parametrize("error", [Barred("403", seconds=900), Retry("503")])
    def test_a_tail_that_cannot_be_read_says_since_when_and_why(self, desk, error):
        """Until it is read to its end; who only waits for the gate changes nothing."""
        desk.tail.pages[0] = error
        desk.sweep()
        desk.clock.advance(60)
        desk.sweep()
        desk.tail.pages[0] = Wait("not our turn", seconds=60)
        desk.sweep()
        told = desk.cursor()
        assert (told["failing"], told["failing_since"]) == (str(error), format_time(NOON))
        del desk.tail.pages[0]
        desk.sweep()
        assert "failing" not in desk.cursor()
        assert "failing_since" not in desk.cursor()

    def test_the_cursor_stays_when_a_job_cannot_be_sent(self, desk):
        """And so does the record: the next run sends the job."""
        desk.tail.holds(a_change(r1=["a"]))
        desk.jobs.refusal = Retry("SQS is down")
        assert isinstance(desk.sweep().stopped, Retry)
        assert "cursor" not in desk.cursor()
        assert desk.records() == {}
        desk.jobs.refusal = None
        desk.sweep()
        assert desk.sent == [("s-1", ["a"])]
        assert desk.cursor()["cursor"] == {"at": 1}

    def test_the_cursor_stays_when_a_record_cannot_be_written(self, desk):
        """The job goes out twice, which costs a look and loses nothing."""
        desk.tail.holds(a_change(r1=["a"]))
        write = desk.notes.write
        desk.notes.write = refusing(write, "records#", times=1)
        assert isinstance(desk.sweep().stopped, Retry)
        assert "cursor" not in desk.cursor()
        desk.sweep()
        assert desk.sent == [("s-1", ["a"])] * 2
        assert desk.records()

    def test_no_page_is_begun_that_cannot_be_finished(self, desk):
        """The rest is the next run's."""
        desk.tail.holds(a_change(r1=["a"]))
        report = desk.sweep(seconds=20)
        assert desk.tail.asked == []
        assert "no time left" in str(report.stopped)

    def test_a_page_that_takes_too_long_is_read_again(self, desk):
        """What is written of it already is not sent twice."""
        desk.tail.holds(*[a_change(f"s-{n}", r=["a"]) for n in range(4)])
        send = desk.jobs.send

        def slowly(job, *, delay):
            desk.clock.advance(50)
            send(job, delay=delay)

        desk.jobs.send = slowly
        assert "no time left" in str(desk.sweep().stopped)
        assert "cursor" not in desk.cursor()
        desk.sweep()
        assert [call for call, _ in desk.sent] == ["s-0", "s-1", "s-2", "s-3"]
        assert desk.cursor()["cursor"] == {"at": 1}

    def test_a_tail_that_was_just_read_is_left_alone(self, desk):
        """Each read costs the provider's budget; whoever asks is told how long."""
        desk.sweep(rest=50)
        desk.clock.advance(49)
        report = desk.sweep(rest=50)
        assert (report.age, report.rests) == (timedelta(seconds=49), timedelta(seconds=1))
        desk.clock.advance(1)
        assert not desk.sweep(rest=50).rests
        assert desk.tail.asked == [0, 1]

    def test_a_turn_that_was_promised_is_taken_the_next_time(self, desk):
        """Downloads cannot keep the sweep away from the provider."""
        desk.tail.pages[0] = Wait("not our turn", seconds=20, turn=True)
        desk.sweep()
        desk.sweep()
        del desk.tail.pages[0]
        desk.sweep()
        desk.sweep()
        assert desk.tail.turns == [False, True, True, False]


class TestReaders:
    def test_one_reads_at_a_time(self, desk):
        """The other one is told so, and asks nothing."""
        others = []

        def meanwhile(cursor, *, turn=False):
            desk.tail.page = page
            others.append(desk.sweep())
            return page(cursor, turn=turn)

        page, desk.tail.page = desk.tail.page, meanwhile
        assert not desk.sweep().busy
        assert others[0].busy
        assert desk.tail.asked == [0]

    def test_two_that_begin_at_the_same_moment_are_one(self, desk):
        """Whoever writes first reads."""
        read = desk.notes.read

        def overtaken(key):
            note = read(key)
            if key == tail_key("ringex") and note.version == 0:
                desk.notes.read = read
                desk.sweep()
            return note

        desk.notes.read = overtaken
        assert desk.sweep().busy
        assert desk.tail.asked == [0]

    def test_a_dead_reader_loses_the_lease_at_its_end(self, desk):
        """Its invocation was over then, whatever became of it."""
        desk.tail.pages[0] = KeyError("killed")
        with pytest.raises(KeyError):
            desk.sweep(seconds=120)
        del desk.tail.pages[0]
        desk.clock.advance(119)
        assert desk.sweep().busy
        desk.clock.advance(1)
        assert not desk.sweep().busy
        assert desk.tail.asked == [0, 0]

    def test_a_reader_that_was_overtaken_moves_no_cursor_and_frees_no_lease(self, desk):
        """It stood still for longer than its lease; the other one's work stays."""
        page = desk.tail.page
        desk.tail.holds(a_change(r1=["a"]))

        def late(cursor, *, turn=False):
            desk.tail.page = page
            found = page(cursor, turn=turn)
            desk.clock.advance(121)
            desk.tail.pages[0] = KeyError("the other one is killed")
            with pytest.raises(KeyError):
                desk.sweep(seconds=600)
            desk.clock.advance(-10)
            return found

        desk.tail.page = late
        report = desk.sweep(seconds=120)
        assert isinstance(report.stopped, Stale)
        assert "cursor" not in desk.cursor()
        assert "lease_until" in desk.cursor()

    def test_a_record_that_another_writes_in_between_is_merged(self, desk):
        """Neither's is lost, and one job is enough."""
        desk.tail.holds(a_change(r1=["a"]))
        read, key = desk.notes.read, records_key(an_id("s-1"))

        def overtaken(name):
            note = read(name)
            if name == key:
                desk.notes.read = read
                other = {"records": {"r2": {"id": "r2", "recordings": ["b"]}}}
                desk.notes.write(type(note)(key=key, content=other))
            return note

        desk.notes.read = overtaken
        assert desk.sweep().stopped is None
        assert sorted(desk.records()) == ["r1", "r2"]
        assert desk.sent == [("s-1", ["a"])]


class TestCrashes:
    def test_a_reader_may_die_after_every_single_step(self):
        """The next one leaves nothing out: every job went out, every record stands."""
        steps = len(dying_after(None))
        assert steps > 10
        for number in range(1, steps + 1):
            dying_after(number)


def dying_after(number):
    """Let a reader die after so many steps and another one finish; return the steps taken."""
    desk = Desk()
    desk.tail.holds(a_change("s-1", r1=["a"]), a_change("s-2", r2=["b"]), more=True)
    desk.tail.holds(a_change("s-1", r1=["a", "c"]), a_change("s-3", r3=["d"]), at=1)
    taken = []

    def watched(step, does):
        def run(*args, **kwargs):
            result = does(*args, **kwargs)
            taken.append(step)
            if len(taken) == number:
                raise KeyboardInterrupt
            return result

        return run

    for port, method in ((desk.tail, "page"), (desk.jobs, "send"), (desk.notes, "write")):
        setattr(port, method, watched(method, getattr(port, method)))
    if number is not None:
        with pytest.raises(KeyboardInterrupt):
            desk.sweep()
        desk.clock.advance(120)
    assert desk.sweep().stopped is None, taken
    assert {("s-1", "a"), ("s-2", "b"), ("s-1", "c"), ("s-3", "d")} == {
        (call, name) for call, names in desk.sent for name in names
    }, taken
    assert set(desk.records("s-1")["r1"]["recordings"]) == {"a", "c"}, taken
    assert [bool(desk.records(call)) for call in ("s-2", "s-3")] == [True, True], taken
    assert desk.cursor()["cursor"]["at"] >= 2, taken
    return taken


def refusing(write, prefix, *, times):
    left = [times]

    def refused(note):
        if note.key.startswith(prefix) and left[0]:
            left[0] -= 1
            raise Retry("DynamoDB is down")
        return write(note)

    return refused
