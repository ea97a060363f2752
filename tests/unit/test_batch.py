"""Archiving a batch of jobs: what ends where, whatever happens in between."""

import json
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.errors import (
    Barred,
    Denied,
    Failed,
    Limited,
    NotYet,
    Retry,
    TooLarge,
    Unavailable,
    Wait,
)
from legato.ingest.batch import Message, archive
from legato.ledger import named_recordings
from legato.ledger.provider_health import granted
from legato.ledger.troubles import MOST_DEATHS
from legato.model import Job, Unreadable
from legato.tuning import Policy
from tests.day import VirtualClock, VirtualQueue
from tests.fakes import NOON, a_job, a_leg, a_listing, an_id, some_ports

PREFIX = "calls/ringex/1/2026/11/20/s-1/"


@pytest.fixture
def ports(tmp_path):
    return some_ports(tmp_path)


def run(ports, *jobs, minutes=15, receives=(), prefix="m"):
    """Hand the jobs over as a batch; return the report, and what SQS would deliver again.

    `receives` says how often each message has come, by its number. Their ids begin with `prefix`.
    """
    failed, receives = [], dict(receives)

    @contextmanager
    def guard(ids):
        try:
            yield
        except Exception as error:
            failed.extend((name, error) for name in ids)

    messages = [
        Message(
            f"{prefix}{number}",
            job if isinstance(job, str) else job.to_message(),
            receives=receives.get(number, 1),
            receipt=f"r{number}",
        )
        for number, job in enumerate(jobs)
    ]
    until = ports.clock.now() + timedelta(minutes=minutes)
    report = archive(messages, ports=ports, until=until, guard=guard)
    return report, failed


def entry(ports, call="s-1"):
    return ports.ledger.load(an_id(call))


def manifest(ports, revision=1, prefix=PREFIX):
    return json.loads(ports.archive.objects[f"{prefix}manifest-{revision}.json"])


def call_of(ports, *names):
    """Let the provider list a call of these legs, in this order, and serve them."""
    legs = [a_leg(name, minutes_ago=10 - number) for number, name in enumerate(names)]
    ports.provider.listings["s-1"] = a_listing(*legs)
    ports.provider.audio.update({name: f"mp3-{name}".encode() for name in names})


def meanwhile(ports, act):
    """Let this happen once, while the audio of the next recording arrives."""
    open_leg = ports.provider.open_leg

    def opened(leg, *, turn=False):
        ports.provider.open_leg = open_leg
        act()
        return open_leg(leg, turn=turn)

    ports.provider.open_leg = opened


class TestArchived:
    def test_legs_are_joined_in_playing_order_and_sealed(self, ports):
        """The manifest names every leg, the joined file and their hashes; the ledger agrees."""
        call_of(ports, "a", "b", "c")
        run(ports, a_job())
        objects = ports.archive.objects
        assert objects[f"{PREFIX}recording-1.mp3"] == b"mp3-amp3-bmp3-c"
        assert [objects[f"{PREFIX}legs/{name}.mp3"] for name in "abc"] == [
            b"mp3-a",
            b"mp3-b",
            b"mp3-c",
        ]
        sealed = manifest(ports)
        assert [leg["id"] for leg in sealed["legs"]] == ["a", "b", "c"]
        assert [leg["offset_ms"] for leg in sealed["legs"]] == [0, 5000, 10000]
        assert sealed["recording"]["how"] == "copy"
        assert entry(ports).status == "archived"
        assert entry(ports).legs == {leg["id"]: leg["sha256"] for leg in sealed["legs"]}
        assert entry(ports).lease_until is None

    def test_a_single_leg_is_the_recording(self, ports):
        """Nothing is joined, so nothing is stored twice."""
        call_of(ports, "a")
        run(ports, a_job())
        assert sorted(ports.archive.objects) == [
            f"{PREFIX}legs/a.mp3",
            f"{PREFIX}manifest-1.json",
            f"{PREFIX}peaks-1.json",
        ]
        assert manifest(ports)["recording"]["key"] == f"{PREFIX}legs/a.mp3"
        assert manifest(ports)["recording"]["how"] == "single"

    def test_doubled_jobs_of_a_batch_are_one(self, ports):
        """Three messages, one look, one archived call, and all three acknowledged."""
        call_of(ports, "a")
        report, failed = run(ports, a_job(), a_job(), a_job())
        assert not failed
        assert report.counts["CallArchived"] == 1
        assert ports.provider.asked == [({"s-1"}, set())]
        assert ports.jobs.sent == []

    def test_a_late_double_costs_nothing(self, ports):
        """A job whose call was looked at after it settled asks the provider nothing."""
        call_of(ports, "a")
        run(ports, a_job())
        ports.clock.advance(60)
        report, _ = run(ports, a_job())
        assert report.counts == {"JobCovered": 1}
        assert len(ports.provider.asked) == 1

    def test_a_newer_sign_of_an_archived_call_is_looked_at_again(self, ports):
        """The call went on after the first look: its new leg makes revision 2, of all legs."""
        call_of(ports, "a")
        run(ports, a_job())
        before = dict(ports.archive.objects)
        ports.clock.advance(600)
        call_of(ports, "a", "b")
        run(ports, a_job(seen_at=ports.clock.now() - timedelta(seconds=120)))
        assert entry(ports).revision == 2
        assert [leg["id"] for leg in manifest(ports, 2)["legs"]] == ["a", "b"]
        assert manifest(ports, 2)["supersedes"]["key"] == f"{PREFIX}manifest-1.json"
        assert before.items() <= ports.archive.objects.items()
        assert ports.provider.fetched == ["a", "b"], "what is in the archive is not fetched again"

    def test_a_leg_that_the_provider_drops_stays_in_the_call(self, ports):
        """Revision 2 has the leg of revision 1, though the log does not list it any more."""
        call_of(ports, "a")
        run(ports, a_job())
        ports.clock.advance(600)
        ports.provider.listings["s-1"] = a_listing(a_leg("b", minutes_ago=5))
        ports.provider.audio["b"] = b"mp3-b"
        run(ports, a_job(seen_at=ports.clock.now() - timedelta(seconds=120)))
        assert [leg["id"] for leg in manifest(ports, 2)["legs"]] == ["a", "b"]

    def test_a_corrected_start_time_does_not_move_the_call(self, ports):
        """Every revision of a call lies in one folder."""
        call_of(ports, "a")
        run(ports, a_job())
        ports.clock.advance(600)
        legs = [a_leg("a", minutes_ago=60 * 24), a_leg("b")]
        ports.provider.listings["s-1"] = a_listing(*legs, started_at=NOON - timedelta(days=1))
        ports.provider.audio["b"] = b"mp3-b"
        run(ports, a_job(seen_at=ports.clock.now() - timedelta(seconds=120)))
        assert all(key.startswith(PREFIX) for key in ports.archive.objects)

    def test_one_broken_call_does_not_stop_the_others(self, ports):
        """What nobody foresaw concerns one call only, and only its messages come again."""
        ports.provider.listings = {
            f"s-{n}": a_listing(a_leg(f"l{n}"), call=f"s-{n}") for n in (1, 2)
        }
        ports.provider.audio = {"l1": b"mp3", "l2": b"mp3"}
        ports.ledger.save(entry(ports, "s-1").changed(prefix=42))
        report, failed = run(ports, a_job("s-1"), a_job("s-2"))
        assert [name for name, _ in failed] == ["m0"]
        assert entry(ports, "s-2").status == "archived"
        assert report.counts["CallArchived"] == 1


class TestWaiting:
    def test_a_call_that_is_not_over_waits_at_no_attempt(self, ports):
        """Five minutes, and neither an attempt nor a step of the ladder is spent."""
        ports.provider.listings["s-1"] = a_listing(a_leg("a"), ongoing=True)
        run(ports, a_job())
        [(job, delay)] = ports.jobs.sent
        assert (delay, job.attempt, job.looks) == (300, 0, 0)
        assert entry(ports).status == "waiting"

    def test_an_unlisted_call_takes_the_ladder_and_ends_empty(self, ports):
        """Two minutes, ten minutes, then the ledger says empty."""
        delays = climb(ports, a_job())
        assert delays == [120, 600]
        assert entry(ports).status == "empty"
        assert ports.jobs.buried == []

    def test_a_named_recording_is_waited_for_a_day_and_then_missed_aloud(self, ports):
        """A notification named it, so its absence is a failure that somebody is told about."""
        delays = climb(ports, a_job(named=["r1"]))
        assert sum(delays) == 24 * 3600
        assert entry(ports).status == "failed"
        [(body, reason)] = ports.jobs.buried
        assert Job.from_message(body).call == "s-1"
        assert "r1" in reason

    def test_a_named_recording_that_the_log_never_lists_is_fetched_by_its_id(self, ports):
        """The published fallback, tried when the ordinary ladder is over."""
        ports.provider.audio["r1"] = b"mp3"
        assert climb(ports, a_job(named=["r1"])) == [120, 600]
        assert entry(ports).status == "archived"
        assert manifest(ports)["legs"][0]["named_only"] is True

    def test_a_named_recording_too_short_to_be_kept_is_no_failure(self, ports):
        """The log says so by `shortRecording`, and shows it only to a look of its own."""
        ports.provider.listings["s-1"] = a_listing(short=True)
        assert climb(ports, a_job(named=["r1"])) == [120, 600]
        assert entry(ports).status == "empty"
        assert ports.provider.asked[-1] == ({"s-1"}, {"s-1"})

    def test_a_recording_that_is_not_ready_waits(self, ports):
        """404 for a young call is "not yet"; the other legs are safe in the meantime."""
        call_of(ports, "a", "b")
        ports.provider.audio["a"] = NotYet("404")
        run(ports, a_job())
        [(job, delay)] = ports.jobs.sent
        assert (delay, job.attempt, job.looks) == (120, 0, 0)
        assert f"{PREFIX}legs/b.mp3" in ports.archive.objects
        ports.clock.advance(121)
        ports.provider.audio["a"] = b"mp3-a"
        run(ports, job)
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["a", "b"]
        assert ports.provider.fetched.count("b") == 1

    def test_a_404_of_an_old_call_is_gone(self, ports):
        """Days after the call nothing appears any more."""
        old = a_listing(a_leg("a"), ended_at=NOON - timedelta(days=3))
        ports.provider.listings["s-1"] = old
        run(ports, a_job())
        assert entry(ports).status == "failed"

    def test_a_penalty_is_waited_out_at_no_attempt(self, ports):
        """A 429 spends neither an attempt nor a look, for every call of the batch."""
        ports.provider.failure = Wait("429", seconds=61)
        run(ports, a_job("s-1"), a_job("s-2"))
        assert [(job.attempt, job.looks, delay) for job, delay in ports.jobs.sent] == [
            (0, 0, 61)
        ] * 2

    def test_refused_credentials_lose_nothing_and_are_counted(self, ports):
        """A person must act; until then every job waits."""
        ports.provider.failure = Barred("401 OAU-146", seconds=300)
        report, _ = run(ports, a_job())
        assert report.counts == {"ProviderRefused": 1, "CallWaiting": 1}
        assert len(ports.jobs.sent) == 1

    def test_no_call_is_begun_at_the_end_of_the_invocation(self, ports):
        """What would not be finished goes back, at no attempt."""
        call_of(ports, "a")
        run(ports, a_job(), minutes=4)
        assert ports.provider.fetched == []
        [(job, delay)] = ports.jobs.sent
        assert (delay, job.attempt) == (1, 0)

    def test_a_wait_longer_than_a_queue_can_delay_is_taken_in_pieces(self, ports):
        """A message comes back every 15 minutes and is put back unread until it is due."""
        due = NOON + timedelta(hours=1)
        run(ports, replace(a_job(), not_before=due))
        [(job, delay)] = ports.jobs.sent
        assert (delay, job.not_before) == (900, due)
        assert ports.provider.asked == []

    def test_a_job_is_covered_by_another_that_waits(self, ports):
        """Two notifications of one call do not climb two ladders, but both are remembered."""
        run(ports, a_job())
        ports.jobs.sent.clear()
        ports.clock.advance(30)
        newer = a_job(seen_at=ports.clock.now() - timedelta(seconds=120), named=["r1"])
        report, _ = run(ports, newer)
        assert report.counts == {"JobCovered": 1}
        assert ports.jobs.sent == []
        assert entry(ports).named == {"r1"}

    def test_a_newer_sign_starts_the_ladder_anew(self, ports):
        """The recording that it announces may have only just ended."""
        run(ports, a_job())
        [(waiting, _)] = ports.jobs.sent
        ports.jobs.sent.clear()
        run(ports, a_job(seen_at=NOON))
        ports.clock.advance(120)
        run(ports, waiting)
        [(job, delay)] = ports.jobs.sent
        assert (job.looks, job.seen_at, delay) == (1, NOON, 120)


DAY_LADDER = [120, 600, 1800, 3600, 10800, 21600, 47880]


def works(ports):
    """Let the provider have granted something to somebody else."""
    granted("ringex", ports.notes, ports.clock)


def in_trouble(ports):
    return list(ports.notes.listed("failed#ringex", until="9999"))


def climb(ports, job, *, most=50, meanwhile=lambda: None):
    """Let the job come back as often as it wants, on time; return its waits in seconds.

    `meanwhile` is done before each of them. After the `most`, the job is still in the queue.
    """
    delays = []
    run(ports, job)
    while len(delays) < most and (
        own := [sent for sent, _ in ports.jobs.sent if sent.call == job.call]
    ):
        [job] = own
        ports.jobs.sent.clear()
        wait = (job.not_before - ports.clock.now()).total_seconds()
        delays.append(wait)
        ports.clock.advance(wait)
        meanwhile()
        run(ports, job)
    return delays


class TestFailing:
    @pytest.mark.parametrize(
        ("audio", "reason"),
        [
            (b"<html>", "HTML"),
            (b"mp3cut", "middle"),
            (NotYet("404"), "404"),
            (Denied("403"), "403"),
        ],
    )
    def test_a_recording_is_tried_for_a_day_and_then_fails_with_its_reason(
        self, ports, audio, reason
    ):
        """Then the dead letters and the ledger say why."""
        call_of(ports, "a")
        ports.provider.audio["a"] = audio
        assert climb(ports, a_job()) == DAY_LADDER
        assert entry(ports).status == "failed"
        assert reason in entry(ports).reason
        [(_, why)] = ports.jobs.buried
        assert reason in why

    def test_a_passing_fault_is_tried_again_soon(self, ports):
        """After a minute; from then on as seldom as all else, while the provider serves others."""
        call_of(ports, "a")
        ports.provider.audio["a"] = Retry("503")
        waits = climb(ports, a_job(), meanwhile=lambda: works(ports))
        assert waits == [60, *DAY_LADDER[1:]]
        assert entry(ports).status == "failed"

    def test_an_outage_of_the_provider_costs_a_recording_nothing(self, ports):
        """While nothing is granted to anybody the fault is not this recording's, for two days."""
        call_of(ports, "a")
        ports.provider.audio["a"] = Retry("503")
        waits = climb(ports, a_job(), most=100)
        assert waits == [60] * 100
        assert (entry(ports).troubles["a"].tries, entry(ports).troubles["a"].spent) == (101, 1)
        ports.clock.advance(timedelta(days=2).total_seconds())
        [(job, _)] = ports.jobs.sent
        ports.jobs.sent.clear()
        assert len(climb(ports, job)) == len(DAY_LADDER) - 1
        assert entry(ports).status == "failed"

    def test_an_outage_before_the_recordings_are_known_costs_no_attempt(self, ports):
        """The list answers 5xx for hours, and everything is archived afterwards."""
        call_of(ports, "a")
        ports.provider.failure = Retry("503")
        climb(ports, a_job(), most=50)
        [(job, _)] = ports.jobs.sent
        assert job.attempt == 1
        ports.provider.failure = None
        ports.clock.advance(3600)
        run(ports, job)
        assert entry(ports).status == "archived"

    def test_a_list_that_fails_for_one_call_alone_spends_its_attempts(self, ports):
        """The provider serves others, so it is this call's own failure."""
        ports.provider.listings["s-1"] = Retry("the answer is no JSON")
        assert climb(ports, a_job(), meanwhile=lambda: works(ports)) == [60, 120, 240, 480]
        assert entry(ports).status == "failed"

    def test_a_limit_that_holds_for_one_recording_alone_comes_to_an_end(self, ports):
        """429 for ever: twice it is waited out, then it is the recording's own failure."""
        call_of(ports, "a", "b")
        ports.provider.audio["a"] = Limited("429", seconds=61)
        waits = climb(ports, a_job(), meanwhile=lambda: works(ports))
        assert waits == [61, 61, *DAY_LADDER[2:]]
        assert entry(ports).status == "failed"
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["b"]

    def test_a_refused_recording_costs_no_other(self, ports):
        """The others are fetched and sealed at once, and the manifest names the refused one."""
        call_of(ports, "a", "b", "c")
        ports.provider.audio["a"] = Denied("403 for this one")
        run(ports, a_job())
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["b", "c"]
        assert [one["leg"] for one in manifest(ports)["missing"]] == ["a"]
        assert entry(ports).troubles["a"].kind == "refused"
        assert [note.content["reason"] for note in in_trouble(ports)] == ["leg a: 403 for this one"]
        [(job, _)] = ports.jobs.sent
        ports.provider.audio["a"] = b"mp3-a"
        ports.clock.advance(120)
        run(ports, job)
        assert [leg["id"] for leg in manifest(ports, 2)["legs"]] == ["a", "b", "c"]
        assert in_trouble(ports) == []
        assert entry(ports).troubles == {}

    def test_a_recording_that_nobody_can_read_costs_no_other(self, ports):
        """It is named where a person looks, and in the manifest."""
        call_of(ports, "a")
        odd = Unreadable(id="leg 2", reason="it has no id")
        listing = replace(ports.provider.listings["s-1"], unreadable=(odd,))
        ports.provider.listings["s-1"] = listing
        run(ports, a_job())
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["a"]
        assert manifest(ports)["missing"][0] == {
            "leg": "leg 2",
            "reason": "it has no id",
            "evidence": None,
        }
        [(_, reason)] = ports.jobs.buried
        assert reason == "leg leg 2: it has no id"
        assert len(in_trouble(ports)) == 1

    def test_named_recordings_that_never_come_keep_no_job_alive(self, ports):
        """Ten of them, of which each has its own ladder, and all end together."""
        names = [f"r{number}" for number in range(10)]
        waits = climb(ports, a_job(named=names))
        assert sum(waits) == 24 * 3600
        assert entry(ports).status == "failed"

    def test_a_named_recording_that_is_not_listed_keeps_none_that_is(self, ports):
        """The listed ones are in the archive before it is looked for elsewhere."""
        call_of(ports, "a")
        run(ports, a_job(named=["r1"]))
        assert f"{PREFIX}legs/a.mp3" in ports.archive.objects

    def test_a_call_said_to_go_on_for_ever_is_over_some_day(self, ports):
        """No call lasts longer than a day, whatever its records say."""
        call_of(ports, "a")
        ports.provider.listings["s-1"] = replace(ports.provider.listings["s-1"], ongoing=True)
        waits = climb(ports, a_job(), most=500)
        assert sum(waits) == pytest.approx(24 * 3600, abs=600)
        assert entry(ports).status == "archived"

    @pytest.mark.parametrize("known", [False, True])
    def test_what_came_before_its_worker_died_is_in_trouble_no_more(self, ports, known):
        """The leg is in the archive, sealed or not, and the ledger still waits for it."""
        call_of(ports, "a", "b")
        ports.provider.audio["a"] = NotYet("404")
        run(ports, a_job())
        [(job, _)] = ports.jobs.sent
        ports.provider.audio["a"] = b"mp3-a"
        ports.clock.advance(121)
        before = entry(ports)
        run(ports, job)
        if not known:
            del ports.archive.objects[f"{PREFIX}manifest-1.json"]
        ports.ledger.entries[before.id] = replace(before, version=entry(ports).version)
        ports.jobs.sent.clear()
        run(ports, job)
        assert (entry(ports).status, entry(ports).troubles) == ("archived", {})
        assert ports.jobs.sent == []

    def test_legs_that_cannot_be_joined_are_sealed_apart(self, ports):
        """Each is in the archive and can be heard; a person is told why they are not one."""

        class Clumsy(type(ports.stitcher)):
            def join(self, legs, target):
                raise Failed("ffmpeg: out of ideas")

        ports = replace(ports, stitcher=Clumsy())
        call_of(ports, "a", "b")
        run(ports, a_job())
        assert manifest(ports)["recording"] is None
        assert [leg["offset_ms"] for leg in manifest(ports)["legs"]] == [0, 5000]
        assert entry(ports).status == "archived"
        [note] = in_trouble(ports)
        assert "out of ideas" in note.content["reason"]

    def test_what_is_retried_by_a_person_is_asked_for_at_once(self, ports):
        """Also while the next try is hours away."""
        call_of(ports, "a")
        ports.provider.audio["a"] = Denied("403")
        climb(ports, a_job(), most=3)
        ports.jobs.sent.clear()
        ports.provider.audio["a"] = b"mp3-a"
        run(ports, a_job(hints={"retry": True}))
        assert entry(ports).status == "archived"

    def test_a_dead_letter_that_is_moved_back_begins_anew(self, ports):
        """Once the cause is mended, nothing else needs to be done."""
        call_of(ports, "a")
        ports.provider.audio["a"] = Denied("403")
        climb(ports, a_job())
        [(body, _)] = ports.jobs.buried
        assert (Job.from_message(body).attempt, Job.from_message(body).looks) == (0, 0)
        ports.provider.audio["a"] = b"mp3-a"
        run(ports, body)
        assert entry(ports).status == "archived"
        assert entry(ports).reason is None

    @pytest.mark.parametrize("body", [b"mp3cut", b"<html>"])
    def test_bytes_that_are_no_whole_recording_are_kept_apart(self, ports, body):
        """The good legs are sealed, the manifest names the bad one, and the call fails aloud."""
        call_of(ports, "a", "b", "c")
        ports.provider.audio["b"] = body
        climb(ports, a_job())
        assert ports.archive.objects[f"{PREFIX}recording-1.mp3"] == b"mp3-amp3-c"
        assert ports.archive.objects["refused/ringex/1/s-1/b-1"] == body
        assert entry(ports).status == "failed"
        assert entry(ports).revision == 1

    def test_what_came_damaged_never_blocks_what_is_good(self, ports):
        """A retry asks again, and the whole recording is archived in its place."""
        call_of(ports, "a")
        for body in (b"mp3cut", b"mp3cut too"):
            ports.provider.audio["a"] = body
            climb(ports, a_job(hints={"retry": True}))
        assert ports.archive.objects["refused/ringex/1/s-1/a-1"] == b"mp3cut"
        assert ports.archive.objects["refused/ringex/1/s-1/a-2"] == b"mp3cut too"
        ports.provider.audio["a"] = b"mp3-a"
        run(ports, a_job(hints={"retry": True}))
        assert ports.archive.objects[f"{PREFIX}legs/a.mp3"] == b"mp3-a"
        assert entry(ports).status == "archived"

    def test_a_leg_over_the_limit_fails_at_once(self, tmp_path):
        """No attempt makes it smaller."""
        ports = some_ports(tmp_path, policy=Policy(max_leg_bytes=4))
        call_of(ports, "a")
        run(ports, a_job())
        assert entry(ports).status == "failed"
        assert "limit of 4 bytes" in entry(ports).reason

    def test_audio_longer_than_the_limit_fails_at_once(self, ports):
        """The stitcher says so."""

        class Impatient(type(ports.stitcher)):
            def inspect(self, path):
                raise TooLarge("longer than 24 hours")

        ports = replace(ports, stitcher=Impatient())
        call_of(ports, "a")
        run(ports, a_job())
        assert "24 hours" in entry(ports).reason

    def test_records_that_nobody_understands_fail_only_their_own_call(self, ports):
        """The reason names the missing field."""
        ports.provider.listings = {
            "s-1": Retry("record 7 has no valid startTime"),
            "s-2": a_listing(a_leg("a"), call="s-2"),
        }
        ports.provider.audio["a"] = b"mp3-a"
        run(ports, a_job("s-1"), a_job("s-2"))
        assert entry(ports, "s-2").status == "archived"
        assert entry(ports, "s-1").reason == "record 7 has no valid startTime"

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("nonsense", "not valid JSON"),
            ("[]", "not a JSON object"),
            ('{"v": 2}', "version"),
            (replace(a_job(), provider="ringcx").to_message(), "in the queue of ringex"),
            (replace(a_job(), provider="zoom").to_message(), "'zoom'"),
            ('{"v": 1, "provider": "ringex", "account": "1"}', "`call`"),
        ],
    )
    def test_what_is_no_job_is_buried_with_its_reason(self, ports, body, reason):
        """The rest of the batch goes on."""
        call_of(ports, "a")
        _, failed = run(ports, body, a_job())
        [(buried, why)] = ports.jobs.buried
        assert buried == body
        assert reason in why
        assert not failed
        assert entry(ports).status == "archived"

    def test_a_job_is_not_acknowledged_when_its_successor_was_not_sent(self, ports):
        """A queue that refuses makes SQS deliver the message again."""
        ports.jobs.refusal = Retry("SQS is down")
        _, failed = run(ports, a_job())
        assert [name for name, _ in failed] == ["m0"]


class TestDeadly:
    """A message that came before may have killed the worker that had it."""

    def calls(self, ports, *names):
        for name in names:
            ports.provider.listings[name] = a_listing(a_leg(f"leg-{name}"), call=name)
            ports.provider.audio[f"leg-{name}"] = b"mp3"
        return [a_job(name) for name in names]

    def test_a_suspect_comes_last_and_alone_when_all_others_are_acknowledged(self, ports):
        """It takes none of its neighbours along, should it be deadly."""
        jobs = self.calls(ports, "s-1", "s-2", "s-3")
        deleted = []

        @contextmanager
        def deadly(leg, *, turn=False):
            if leg.id == "leg-s-1":
                deleted.extend(ports.jobs.deleted)
                raise KilledError
            yield iter([b"mp3"])

        ports.provider.open_leg = deadly
        with pytest.raises(KilledError):
            run(ports, *jobs, receives={0: 2})
        assert deleted == ["r1", "r2"]
        assert {entry(ports, name).status for name in ("s-2", "s-3")} == {"archived"}

    def test_suspects_follow_one_another_and_the_worst_comes_last(self, ports):
        """Each is acknowledged before the next is begun, so an outage makes no endless round."""
        jobs = self.calls(ports, "s-1", "s-2", "s-3")
        acknowledged = self.watched(ports)
        run(ports, *jobs, receives={0: 2, 1: 3, 2: 2})
        assert acknowledged == {"leg-s-3": [], "leg-s-1": ["r2"], "leg-s-2": ["r2", "r0"]}
        assert ports.jobs.deleted == ["r2", "r0", "r1"]
        assert ports.jobs.sent == []

    def test_what_is_not_begun_when_a_suspect_kills_is_left_as_it_is(self, ports):
        """The queue has it still, and hands it out again."""
        jobs = self.calls(ports, "s-1", "s-2", "s-3")
        self.watched(ports, deadly="leg-s-2")
        with pytest.raises(KilledError):
            run(ports, *jobs, receives={0: 2, 1: 2, 2: 2})
        assert entry(ports, "s-3").status == "archived"
        assert ports.jobs.deleted == ["r2"]
        assert (ports.jobs.sent, ports.jobs.buried) == ([], [])

    def test_a_suspect_that_fails_in_a_way_nobody_foresaw_is_not_acknowledged(self, ports):
        """The next one is worked on all the same."""
        jobs = self.calls(ports, "s-1", "s-2")
        ports.provider.audio["leg-s-2"] = None
        _, failed = run(ports, *jobs, receives={0: 2, 1: 2})
        assert [name for name, _ in failed] == ["m1"]
        assert ports.jobs.deleted == ["r0"]
        assert entry(ports, "s-1").status == "archived"

    def test_suspects_for_which_there_is_no_time_come_back_as_new_messages(self, ports):
        """At different moments; each remembers its crashes."""
        jobs = self.calls(ports, "s-1", "s-2", "s-3")
        self.watched(ports, seconds=310)
        run(ports, *jobs, receives={0: 2, 1: 2, 2: 2})
        assert {entry(ports, name).status for name in ("s-2", "s-3")} == {"archived"}
        [(job, delay)] = ports.jobs.sent
        assert (job.call, job.crashes) == ("s-1", 1)
        assert 1 <= delay <= 60
        assert ports.jobs.deleted == ["r2", "r1", "r0"]

    def test_who_came_very_often_is_in_nobody_elses_batch(self, ports):
        """So no neighbour uses up its receives: it goes back as a new message before others."""
        jobs = self.calls(ports, "s-1", "s-2", "s-3")
        acknowledged = self.watched(ports)
        run(ports, *jobs, receives={0: 6, 1: 2, 2: 8})
        assert acknowledged == {"leg-s-2": ["r0", "r2"]}
        assert [(job.call, job.crashes) for job, _ in ports.jobs.sent] == [("s-1", 5), ("s-3", 7)]

    def test_of_those_that_came_very_often_one_is_worked_on(self, ports):
        """The one that would be given up first."""
        jobs = self.calls(ports, "s-1", "s-2")
        run(ports, *jobs, receives={0: 6, 1: 8})
        assert entry(ports, "s-2").status == "archived"
        assert [(job.call, job.crashes) for job, _ in ports.jobs.sent] == [("s-1", 5)]

    def test_no_innocent_one_is_given_up_with_deadly_ones(self, tmp_path):
        """However many there are, each that can be archived is, and only the others are told of."""
        clock = VirtualClock(0)
        clock.advance = clock.sleep
        queue = VirtualQueue(clock)
        ports = some_ports(tmp_path, clock=clock, jobs=queue)
        names = [f"s-{number:02}" for number in range(30)]
        jobs = self.calls(ports, *names)
        deadly = {f"leg-{name}" for name in names[::3]}
        self.watched(ports, deadly=deadly)
        for job in jobs:
            queue.send(job, delay=0)
        while (due := queue.next_at()) is not None:
            clock.reach(due)
            batch = queue.take()
            with suppress(KilledError):
                until = clock.now() + timedelta(minutes=15)
                archive(batch, ports=ports, until=until, guard=nullcontext)
                batch = []
            queue.put_back(batch)
        assert {entry(ports, name).status for name in names} == {"archived", "failed"}
        assert {f"leg-{name}" for name in names if entry(ports, name).status == "failed"} == deadly
        assert all("leg leg-" in reason for _, reason in queue.buried)

    def watched(self, ports, *, deadly=(), seconds=0):
        """Note what is acknowledged when a leg is fetched, and let some end the worker."""
        acknowledged = {}
        opened = ports.provider.open_leg

        @contextmanager
        def open_leg(leg, *, turn=False):
            acknowledged[leg.id] = list(getattr(ports.jobs, "deleted", ()))
            if leg.id in deadly:
                raise KilledError
            with opened(leg, turn=turn) as pieces:
                yield pieces
            ports.clock.advance(seconds)

        ports.provider.open_leg = open_leg
        return acknowledged

    def test_who_is_set_apart_finds_the_call_free(self, ports):
        """The worker that held it by the old message is dead; a new one need not wait for it."""
        jobs = self.calls(ports, "s-1", "s-2")
        held = entry(ports, "s-1").changed(
            lease_until=NOON + timedelta(minutes=10), lease_messages=frozenset({"m0"})
        )
        ports.ledger.save(held)
        run(ports, *jobs, receives={0: 6, 1: 7})
        [(job, _)] = ports.jobs.sent
        run(ports, job)
        assert entry(ports, "s-1").status == "archived"

    def test_a_message_that_no_worker_survived_is_given_up_with_a_reason(self, ports):
        """SQS would bury it next time, without a word."""
        jobs = self.calls(ports, "s-1", "s-2")
        _, failed = run(ports, replace(jobs[0], crashes=7), jobs[1], receives={0: 3})
        [(body, reason)] = ports.jobs.buried
        assert Job.from_message(body).crashes == 0
        assert reason.startswith("9 workers ended on it without an answer")
        assert entry(ports, "s-1").status == "failed"
        assert len(in_trouble(ports)) == 1
        assert entry(ports, "s-2").status == "archived"
        assert failed == []

    def test_a_recording_that_ends_its_workers_keeps_no_other_out(self, ports):
        """The second death shows which one it is, and a third worker seals the call without it."""
        legs = [a_leg("leg-1", minutes_ago=12), a_leg("leg-2"), a_leg("leg-3", minutes_ago=8)]
        ports.provider.listings["s-1"] = a_listing(*legs)
        ports.provider.audio |= {"leg-1": b"mp3 1", "leg-3": b"mp3 3"}
        opened = ports.provider.open_leg
        deaths = []

        @contextmanager
        def deadly(leg, *, turn=False):
            if leg.id == "leg-2":
                deaths.append(leg.id)
                raise KilledError
            with opened(leg, turn=turn) as pieces:
                yield pieces

        ports.provider.open_leg = deadly
        for receives in (1, 2):
            with pytest.raises(KilledError):
                run(ports, a_job(), receives={0: receives})
            ports.clock.advance(5400)
        run(ports, a_job(), receives={0: 3})
        state = entry(ports)
        assert state.legs.keys() == {"leg-1", "leg-3"}
        assert state.troubles["leg-2"].kind == "deadly"
        [note] = in_trouble(ports)
        assert "a worker that fetched it died" in note.content["reason"]

        while entry(ports).status != "failed":
            [(job, _)] = ports.jobs.sent
            ports.jobs.sent.clear()
            ports.clock.moment = job.not_before
            with pytest.raises(KilledError):
                run(ports, job)
            ports.clock.advance(5400)
            run(ports, job, receives={0: 2})
        # The first one has told nobody what it was about to do.
        assert len(deaths) == 1 + MOST_DEATHS
        assert entry(ports).revision == 1

    def test_what_was_archived_before_its_worker_died_is_not_given_up(self, ports):
        """However often the message of a call that is done comes again."""
        jobs = self.calls(ports, "s-1")
        run(ports, *jobs)
        report, _ = run(ports, *jobs, receives={0: 10})
        assert report.counts == {"JobCovered": 1}
        assert (ports.jobs.buried, entry(ports).status) == ([], "archived")

    def test_who_survives_is_no_suspect_any_more(self, ports):
        """A job that was answered for begins to count anew."""
        [job] = self.calls(ports, "s-1")
        ports.provider.audio["leg-s-1"] = NotYet("404")
        run(ports, replace(job, crashes=3))
        [(waiting, _)] = ports.jobs.sent
        assert waiting.crashes == 0

    def test_what_nobody_foresaw_in_one_call_is_not_the_answer_for_its_batch(self, ports):
        """Each call is then asked about by itself."""
        jobs = self.calls(ports, "s-1", "s-2")
        resolve = ports.provider.resolve

        def odd(jobs, *, closely=()):
            if "s-1" in {job.call for job in jobs}:
                raise ZeroDivisionError
            return resolve(jobs, closely=closely)

        ports.provider.resolve = odd
        _, failed = run(ports, *jobs)
        assert [name for name, _ in failed] == ["m0"]
        assert entry(ports, "s-2").status == "archived"

    def test_a_ledger_that_cannot_be_read_costs_no_message_its_life(self, ports):
        """The job comes back as a new one."""

        class Down(type(ports.ledger)):
            def load(self, call):
                raise Unavailable("DynamoDB is down")

        ports = replace(ports, ledger=Down())
        _, failed = run(ports, a_job())
        assert failed == []
        assert [delay for _, delay in ports.jobs.sent] == [60]


class KilledError(BaseException):
    """The process ends here."""


class TestOngoing:
    """A notification names a recording while the call goes on."""

    def job(self, *names, **fields):
        return a_job(hints={"recordingIds": list(names), "ongoing": True}, **fields)

    def test_it_is_remembered_and_nobody_is_asked(self, ports):
        """Not even the queue keeps it."""
        report, _ = run(ports, self.job("r1"))
        assert report.counts == {"CallOngoing": 1}
        assert entry(ports).named == {"r1"}
        assert (ports.provider.asked, ports.jobs.sent) == ([], [])

    def test_it_is_fetched_when_the_call_has_ended_and_the_log_never_lists_it(self, ports):
        """The notification of the end need not name it again."""
        ports.provider.audio["r1"] = b"mp3"
        run(ports, self.job("r1"))
        assert climb(ports, a_job(seen_at=NOON)) == [120, 600]
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["r1"]

    def test_it_is_asked_for_even_if_nobody_says_that_the_call_has_ended(self, ports):
        """Once, when no call can last for so long."""
        ports.provider.audio["r1"] = b"mp3"
        run(ports, self.job("r1"))
        run(ports, self.job("r1"))
        assert named_recordings.ask("ringex", ports.jobs, ports.notes, ports.clock) == 0
        ports.clock.advance(24 * 3600)
        assert named_recordings.ask("ringex", ports.jobs, ports.notes, ports.clock) == 1
        assert named_recordings.ask("ringex", ports.jobs, ports.notes, ports.clock) == 0
        [(job, _)] = ports.jobs.sent
        ports.jobs.sent.clear()
        climb(ports, job)
        assert entry(ports).status == "archived"

    def test_one_that_comes_while_the_call_is_worked_on_disturbs_nobody(self, ports):
        """Notifications come in any order: it comes back when the worker has let go."""
        call_of(ports, "a")
        meanwhile(ports, lambda: run(ports, self.job("a"), prefix="n"))
        report, _ = run(ports, a_job())
        assert report.counts == {"CallArchived": 1}
        [(job, delay)] = ports.jobs.sent
        assert delay == 120
        run(ports, job)
        assert entry(ports).named == {"a"}
        assert entry(ports).status == "archived"

    def test_a_job_of_the_same_batch_that_ends_the_call_goes_on(self, ports):
        """In whichever order they came."""
        call_of(ports, "a")
        report, _ = run(ports, a_job(), self.job("a", seen_at=NOON))
        assert report.counts == {"CallArchived": 1}


class TestFollowed:
    """Where changes of the log are followed: what is listed is final, and more has its own job."""

    def test_a_call_that_will_not_be_listed_is_empty_at_once(self, ports):
        """Should it have a recording after all, that comes with a job of its own."""
        ports.provider.listings["s-1"] = a_listing(final=True)
        run(ports, a_job())
        assert entry(ports).status == "empty"
        assert ports.jobs.sent == []

    def test_a_recording_that_was_named_is_waited_for_all_the_same(self, ports):
        """Final is only what nobody has named."""
        ports.provider.listings["s-1"] = a_listing(final=True)
        delays = climb(ports, a_job(named=["r1"]))
        assert sum(delays) == 24 * 3600
        assert entry(ports).status == "failed"

    def test_a_call_that_goes_on_waits_all_the_same(self, ports):
        """Its records say so."""
        ports.provider.listings["s-1"] = a_listing(a_leg("a"), ongoing=True, final=True)
        run(ports, a_job())
        [(_, delay)] = ports.jobs.sent
        assert delay == 300

    def test_a_leg_that_is_listed_later_makes_a_revision(self, ports):
        """Of all legs, whatever was looked at before; the first revision stays as it is."""
        call_of(ports, "a", "b")
        run(ports, listed("a", "b", seen_at=NOON))
        before = dict(ports.archive.objects)
        call_of(ports, "a", "b", "c")
        report, _ = run(ports, listed("c", seen_at=NOON - timedelta(hours=1)))
        assert report.counts == {"CallArchived": 1}
        assert [leg["id"] for leg in manifest(ports, 2)["legs"]] == ["a", "b", "c"]
        assert before.items() <= ports.archive.objects.items()

    @pytest.mark.parametrize("settle", [0, 120])
    def test_a_listed_leg_is_never_covered_by_an_earlier_look(self, tmp_path, settle):
        """Found empty in the very moment in which the leg was listed, and sent without delay."""
        ports = some_ports(tmp_path, policy=Policy(settle=settle))
        ports.provider.listings["s-1"] = a_listing(final=True)
        run(ports, a_job(seen_at=NOON - timedelta(seconds=settle)))
        assert entry(ports).status == "empty"
        call_of(ports, "a")
        run(ports, listed("a", seen_at=NOON - timedelta(seconds=settle)))
        assert entry(ports).status == "archived"

    def test_a_listed_leg_is_never_covered_by_a_job_that_waits(self, ports):
        """That one may come back hours later; then nothing is left for it to do."""
        call_of(ports, "a")
        ports.provider.audio["a"] = NotYet("404")
        run(ports, listed("a"))
        [(waiting, _)] = ports.jobs.sent
        ports.jobs.sent.clear()
        call_of(ports, "a", "b")
        run(ports, listed("b"))
        [(second, _)] = ports.jobs.sent
        assert f"{PREFIX}legs/b.mp3" in ports.archive.objects
        ports.clock.advance(121)
        report, _ = run(ports, waiting)
        assert report.counts == {"CallArchived": 1}
        report, _ = run(ports, second)
        assert report.counts == {"JobCovered": 1}

    def test_the_job_that_waits_looks_after_what_it_does_not_name(self, ports):
        """Another job has left it a leg that is tried again; its own one is archived by then."""
        call_of(ports, "a", "b")
        ports.provider.audio["b"] = Denied("403")
        run(ports, listed("a"))
        [(waiting, delay)] = ports.jobs.sent
        report, _ = run(ports, listed("b"))
        assert report.counts == {"JobCovered": 1}
        ports.clock.advance(delay)
        ports.provider.audio["b"] = b"mp3-b"
        run(ports, waiting)
        assert [leg["id"] for leg in manifest(ports, 2)["legs"]] == ["a", "b"]

    def test_a_listed_leg_that_waits_goes_on_waiting(self, ports):
        """Its own job is not covered by itself."""
        call_of(ports, "a")
        ports.provider.audio["a"] = NotYet("404")
        assert sum(climb(ports, listed("a"))) == 24 * 3600

    def test_legs_that_are_archived_already_cost_nothing(self, ports):
        """The notification's job was faster."""
        call_of(ports, "a", "b")
        run(ports, a_job())
        report, _ = run(ports, listed("a", "b", seen_at=NOON + timedelta(seconds=30)))
        assert report.counts == {"JobCovered": 1}
        assert len(ports.provider.asked) == 1

    def test_a_leg_that_vanishes_before_it_was_fetched_is_not_forgotten(self, ports):
        """It was listed once, so it is fetched by its id, or missed aloud."""
        ports.provider.listings["s-1"] = a_listing(final=True)
        ports.provider.audio["a"] = b"mp3-a"
        climb(ports, listed("a"))
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["a"]

    def test_listed_legs_of_doubled_jobs_are_put_together(self, ports):
        """A newer notification in the batch does not make them wait for another job."""
        run(ports, a_job(named=["a"]))
        assert entry(ports).next_look_at
        call_of(ports, "a", "b")
        run(ports, listed("b"), a_job(seen_at=NOON + timedelta(seconds=1)), listed("a"))
        assert [leg["id"] for leg in manifest(ports)["legs"]] == ["a", "b"]


class TestOrder:
    def test_the_oldest_job_goes_first(self, ports):
        """Nothing that comes later overtakes it."""
        batch_of(ports, {"s-1": None, "s-2": None, "s-3": None})
        jobs = [a_job(f"s-{n}", seen_at=NOON - timedelta(minutes=n)) for n in (1, 2, 3)]
        run(ports, *jobs)
        assert ports.provider.fetched == ["s-3", "s-2", "s-1"]

    def test_what_the_provider_is_about_to_delete_goes_before_all(self, ports):
        """Less than ten days left, the soonest first; beyond that it is no hurry."""
        batch_of(ports, {"s-1": 9, "s-2": 3, "s-3": 11, "s-4": None})
        jobs = [a_job(f"s-{n}", seen_at=NOON - timedelta(minutes=n)) for n in (1, 2, 3, 4)]
        run(ports, *jobs)
        assert ports.provider.fetched == ["s-2", "s-1", "s-4", "s-3"]


def listed(*names, seen_at=NOON):
    """Return the job that the provider's list of changes makes of these legs."""
    return a_job(seen_at=seen_at, hints={"recordingIds": list(names), "listed": list(names)})


def batch_of(ports, calls):
    """List calls of one leg each, by the days for which the provider still keeps it."""
    for call, days in calls.items():
        kept_until = None if days is None else NOON + timedelta(days=days)
        ports.provider.listings[call] = a_listing(a_leg(call), call=call, kept_until=kept_until)
        ports.provider.audio[call] = b"mp3"


class TestCrashes:
    def test_a_call_that_another_worker_holds_comes_back(self, ports):
        """Nobody works on it twice, and the job is not lost."""
        held = entry(ports).changed(status="working", lease_until=NOON + timedelta(minutes=10))
        ports.ledger.save(held)
        run(ports, a_job())
        [(_, delay)] = ports.jobs.sent
        assert delay == 120
        assert ports.provider.asked == []

    def test_the_claim_of_a_dead_worker_lapses(self, ports):
        """Its end is known. Another message of the call takes it over, in a batch of its own."""
        held = entry(ports).changed(status="working", lease_until=NOON - timedelta(seconds=1))
        ports.ledger.save(held)
        call_of(ports, "a")
        run(ports, a_job())
        [(job, delay)] = ports.jobs.sent
        assert (job.crashes, delay) == (1, 1)
        assert ports.provider.asked == []
        run(ports, job)
        assert entry(ports).status == "archived"

    def test_whose_entry_was_written_meanwhile_lets_go_and_begins_anew(self, ports):
        """Whoever wrote it did not heed the claim, and nobody waits until that lapses."""
        call_of(ports, "a")
        meanwhile(ports, lambda: ports.ledger.save(entry(ports).changed(reason="written")))
        run(ports, a_job())
        [(job, delay)] = ports.jobs.sent
        assert delay == 1
        report, _ = run(ports, job, prefix="n")
        assert report.counts == {"CallArchived": 1}

    def test_who_finds_the_call_claimed_by_another_leaves_it_alone(self, ports):
        """Our claim had lapsed meanwhile: the other one goes on, and we look again later."""
        call_of(ports, "a")
        until = NOON + timedelta(minutes=30)
        theirs = {"lease_messages": frozenset({"other"}), "lease_until": until}
        meanwhile(ports, lambda: ports.ledger.save(entry(ports).changed(**theirs)))
        run(ports, a_job())
        assert [delay for _, delay in ports.jobs.sent] == [120]
        assert entry(ports).lease_messages == {"other"}

    def test_messages_come_again_when_the_invocation_is_over(self, ports):
        """Not only after the queue's own timeout, should this worker die."""
        call_of(ports, "a")
        run(ports, a_job(), a_job("s-2"), minutes=14.001)
        assert ports.jobs.redelivered == [(["r0", "r1"], 14 * 60 + 61)]

    def test_a_claim_outlives_the_wait_of_its_messages(self, ports):
        """They know of the crash, so they come before other messages of the call take it over."""
        call_of(ports, "a")
        ports.provider.failure = KilledError()
        with pytest.raises(KilledError):
            run(ports, a_job())
        [(_, after)] = ports.jobs.redelivered
        assert after == 16 * 60
        assert entry(ports).lease_until == NOON + timedelta(minutes=18)

    def test_who_came_very_often_comes_as_late_as_the_queue_has_it(self, ports):
        """An outage of AWS of several hours must not use up its receives."""
        call_of(ports, "a")
        run(ports, a_job(), a_job("s-2"), receives={0: 5, 1: 6})
        assert ports.jobs.redelivered == [(["r0"], 16 * 60)]

    def test_a_queue_that_does_not_hear_of_it_stops_nobody(self, ports):
        """Then a crash costs what the queue's own timeout says."""
        call_of(ports, "a")

        def refuse(receipts, *, after):
            raise Unavailable("SQS is down")

        ports.jobs.redeliver = refuse
        _, failed = run(ports, a_job())
        assert failed == []
        assert entry(ports).status == "archived"

    def test_a_redelivered_message_takes_over_at_once(self, ports):
        """The queue delivers no message while the invocation that took it is alive."""
        held = entry(ports).changed(
            status="working",
            lease_until=NOON + timedelta(minutes=10),
            lease_messages=frozenset({"m0"}),
        )
        ports.ledger.save(held)
        call_of(ports, "a")
        run(ports, a_job(), receives={0: 2})
        assert entry(ports).status == "archived"
        assert entry(ports).lease_messages == frozenset()

    def test_a_seal_that_the_ledger_does_not_know_is_adopted(self, ports):
        """The bucket is the truth: no second revision for the same legs."""
        call_of(ports, "a", "b")
        run(ports, a_job())
        ports.ledger.entries.clear()
        run(ports, a_job())
        assert entry(ports).revision == 1
        assert f"{PREFIX}manifest-2.json" not in ports.archive.objects
        assert entry(ports).status == "archived"

    def test_a_seal_that_the_catalogue_does_not_know_is_entered_there(self, ports):
        """The worker died in between, or its version of Legato had no catalogue."""
        call_of(ports, "a", "b")
        run(ports, a_job())
        known = ports.catalogue.row(an_id("s-1"))
        ports.catalogue.rows.clear()
        ports.ledger.save(entry(ports).changed(catalogued=0))
        run(ports, a_job(seen_at=NOON - timedelta(seconds=1)), minutes=30)
        ports.clock.advance(600)
        run(ports, a_job(seen_at=ports.clock.now() - timedelta(seconds=300)))
        assert ports.catalogue.row(an_id("s-1")) == known
        assert entry(ports).catalogued == 1
        assert entry(ports).revision == 1

    def test_a_catalogue_that_refuses_costs_an_attempt_and_no_second_revision(self, ports):
        call_of(ports, "a")
        ports.catalogue.refusal = Retry("no more now")
        run(ports, a_job())
        assert entry(ports).status == "waiting"
        ports.catalogue.refusal = None
        [(job, _)] = ports.jobs.sent
        ports.clock.advance(600)
        run(ports, job)
        assert (entry(ports).status, entry(ports).revision) == ("archived", 1)
        assert ports.catalogue.row(an_id("s-1")).revision == 1

    def test_what_an_interrupted_attempt_left_is_named_in_the_manifest(self, ports):
        """Another leg came in between, so the joined file has other bytes: nothing is replaced."""
        ports.archive.objects[f"{PREFIX}recording-1.mp3"] = b"mp3-a"
        call_of(ports, "a", "b")
        run(ports, a_job())
        assert ports.archive.objects[f"{PREFIX}recording-1.mp3"] == b"mp3-a"
        sealed = manifest(ports, 2)
        assert [leftover["key"] for leftover in sealed["abandoned"]] == [f"{PREFIX}recording-1.mp3"]
        assert sealed["supersedes"] is None
        assert entry(ports).revision == 2

    def test_other_bytes_under_a_leg_are_a_loud_failure(self, ports):
        """What lies in the archive is compared with the hash that was stored with it."""
        call_of(ports, "a")
        broken = FakeArchiveWithOtherHash()
        broken.objects[f"{PREFIX}legs/a.mp3"] = b"mp3-a"
        ports = replace(ports, archive=broken)
        run(ports, a_job())
        assert entry(ports).status == "failed"
        assert "legs/a.mp3" in entry(ports).reason


class FakeArchiveWithOtherHash(type(some_ports(None).archive)):
    def _described(self, key):
        return replace(super()._described(key), sha256="0" * 64)


class TestRelated:
    """A warm transfer is two calls, which name each other."""

    def place(self, ports, call, leg, related=()):
        fields = {"call": call, "related": tuple(map(an_id, related))}
        ports.provider.listings[call] = a_listing(a_leg(leg), **fields)
        ports.provider.audio[leg] = f"mp3-{leg}".encode()

    def settle(self, ports):
        """Let every job in the queue have its turn."""
        while ports.jobs.sent:
            jobs, ports.jobs.sent[:] = [job for job, _ in ports.jobs.sent], []
            ports.clock.advance(200)
            run(ports, *jobs)

    @pytest.mark.parametrize("order", [("s-1", "s-2"), ("s-2", "s-1")])
    def test_both_sides_name_each_other_whichever_was_archived_first(self, ports, order):
        """Only the records of s-1 tell of s-2; whoever is sealed without the other is revised."""
        self.place(ports, "s-1", "a", related=["s-2"])
        self.place(ports, "s-2", "b")
        for call in order:
            run(ports, a_job(call, seen_at=ports.clock.now() - timedelta(seconds=120)))
            ports.clock.advance(300)
        self.settle(ports)
        for call, other in (("s-1", "s-2"), ("s-2", "s-1")):
            state = entry(ports, call)
            assert state.status == "archived"
            prefix = f"calls/ringex/1/2026/11/20/{call}/"
            assert manifest(ports, state.revision, prefix)["related"] == [str(an_id(other))]
        assert entry(ports, "s-1").revision == 1
        assert entry(ports, "s-2").revision == (1 if order[0] == "s-1" else 2)

    def test_a_peer_that_is_named_after_the_call_was_sealed_is_not_forgotten(self, ports):
        """The notification of a warm transfer may come when the log has been read already."""
        self.place(ports, "s-1", "a")
        run(ports, a_job("s-1"))
        self.place(ports, "s-1", "a", related=["s-2"])
        late = a_job("s-1", hints={"peers": ["s-2"], "recordingIds": ["a"], "listed": ["a"]})
        report, _ = run(ports, late)
        assert report.counts["CallArchived"] == 1
        assert entry(ports, "s-1").related == {an_id("s-2")}

    def test_each_side_is_told_once(self, ports):
        """A look that finds nothing new sends no job."""
        self.place(ports, "s-1", "a", related=["s-2"])
        run(ports, a_job("s-1"))
        assert [job.call for job, _ in ports.jobs.sent] == ["s-2"]
        ports.jobs.sent.clear()
        ports.clock.advance(600)
        run(ports, a_job("s-1", seen_at=ports.clock.now() - timedelta(seconds=120)))
        assert ports.jobs.sent == []

    def test_a_side_that_was_never_recorded_ends_empty(self, ports):
        """Being named by another call makes no recording."""
        self.place(ports, "s-1", "a", related=["s-2"])
        run(ports, a_job("s-1"))
        self.settle(ports)
        assert entry(ports, "s-2").status == "empty"
