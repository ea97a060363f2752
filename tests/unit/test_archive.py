"""Archiving a batch of jobs: what ends where, whatever happens in between."""

import json
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from legato import named
from legato.archive import Message, archive
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
from legato.model import Job, Unreadable
from legato.policy import Policy
from legato.provider_health import granted
from legato.troubles import MOST_DEATHS
from tests.day import VirtualClock, VirtualQueue
from tests.fakes import NOON, a_job, a_leg, a_listing, a_workshop, an_id

PREFIX = "calls/ringex/1/2026/11/20/s-1/"


@pytest.fixture
def shop(tmp_path):
    return a_workshop(tmp_path)


def run(shop, *jobs, minutes=15, receives=(), prefix="m"):
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
    until = shop.clock.now() + timedelta(minutes=minutes)
    report = archive(messages, shop=shop, until=until, guard=guard)
    return report, failed


def entry(shop, call="s-1"):
    return shop.ledger.load(an_id(call))


def manifest(shop, revision=1, prefix=PREFIX):
    return json.loads(shop.archive.objects[f"{prefix}manifest-{revision}.json"])


def call_of(shop, *names):
    """Let the provider list a call of these legs, in this order, and serve them."""
    legs = [a_leg(name, minutes_ago=10 - number) for number, name in enumerate(names)]
    shop.provider.listings["s-1"] = a_listing(*legs)
    shop.provider.audio.update({name: f"mp3-{name}".encode() for name in names})


def meanwhile(shop, act):
    """Let this happen once, while the audio of the next recording arrives."""
    open_leg = shop.provider.open_leg

    def opened(leg, *, turn=False):
        shop.provider.open_leg = open_leg
        act()
        return open_leg(leg, turn=turn)

    shop.provider.open_leg = opened


class TestArchived:
    def test_legs_are_joined_in_playing_order_and_sealed(self, shop):
        """The manifest names every leg, the joined file and their hashes; the ledger agrees."""
        call_of(shop, "a", "b", "c")
        run(shop, a_job())
        objects = shop.archive.objects
        assert objects[f"{PREFIX}recording-1.mp3"] == b"mp3-amp3-bmp3-c"
        assert [objects[f"{PREFIX}legs/{name}.mp3"] for name in "abc"] == [
            b"mp3-a",
            b"mp3-b",
            b"mp3-c",
        ]
        sealed = manifest(shop)
        assert [leg["id"] for leg in sealed["legs"]] == ["a", "b", "c"]
        assert [leg["offset_ms"] for leg in sealed["legs"]] == [0, 5000, 10000]
        assert sealed["recording"]["how"] == "copy"
        assert entry(shop).status == "archived"
        assert entry(shop).legs == {leg["id"]: leg["sha256"] for leg in sealed["legs"]}
        assert entry(shop).lease_until is None

    def test_a_single_leg_is_the_recording(self, shop):
        """Nothing is joined, so nothing is stored twice."""
        call_of(shop, "a")
        run(shop, a_job())
        assert sorted(shop.archive.objects) == [
            f"{PREFIX}legs/a.mp3",
            f"{PREFIX}manifest-1.json",
            f"{PREFIX}peaks-1.json",
        ]
        assert manifest(shop)["recording"]["key"] == f"{PREFIX}legs/a.mp3"
        assert manifest(shop)["recording"]["how"] == "single"

    def test_doubled_jobs_of_a_batch_are_one(self, shop):
        """Three messages, one look, one archived call, and all three acknowledged."""
        call_of(shop, "a")
        report, failed = run(shop, a_job(), a_job(), a_job())
        assert not failed
        assert report.counts["CallArchived"] == 1
        assert shop.provider.asked == [({"s-1"}, set())]
        assert shop.jobs.sent == []

    def test_a_late_double_costs_nothing(self, shop):
        """A job whose call was looked at after it settled asks the provider nothing."""
        call_of(shop, "a")
        run(shop, a_job())
        shop.clock.advance(60)
        report, _ = run(shop, a_job())
        assert report.counts == {"JobCovered": 1}
        assert len(shop.provider.asked) == 1

    def test_a_newer_sign_of_an_archived_call_is_looked_at_again(self, shop):
        """The call went on after the first look: its new leg makes revision 2, of all legs."""
        call_of(shop, "a")
        run(shop, a_job())
        before = dict(shop.archive.objects)
        shop.clock.advance(600)
        call_of(shop, "a", "b")
        run(shop, a_job(seen_at=shop.clock.now() - timedelta(seconds=120)))
        assert entry(shop).revision == 2
        assert [leg["id"] for leg in manifest(shop, 2)["legs"]] == ["a", "b"]
        assert manifest(shop, 2)["supersedes"]["key"] == f"{PREFIX}manifest-1.json"
        assert before.items() <= shop.archive.objects.items()
        assert shop.provider.fetched == ["a", "b"], "what is in the archive is not fetched again"

    def test_a_leg_that_the_provider_drops_stays_in_the_call(self, shop):
        """Revision 2 has the leg of revision 1, though the log does not list it any more."""
        call_of(shop, "a")
        run(shop, a_job())
        shop.clock.advance(600)
        shop.provider.listings["s-1"] = a_listing(a_leg("b", minutes_ago=5))
        shop.provider.audio["b"] = b"mp3-b"
        run(shop, a_job(seen_at=shop.clock.now() - timedelta(seconds=120)))
        assert [leg["id"] for leg in manifest(shop, 2)["legs"]] == ["a", "b"]

    def test_a_corrected_start_time_does_not_move_the_call(self, shop):
        """Every revision of a call lies in one folder."""
        call_of(shop, "a")
        run(shop, a_job())
        shop.clock.advance(600)
        legs = [a_leg("a", minutes_ago=60 * 24), a_leg("b")]
        shop.provider.listings["s-1"] = a_listing(*legs, started_at=NOON - timedelta(days=1))
        shop.provider.audio["b"] = b"mp3-b"
        run(shop, a_job(seen_at=shop.clock.now() - timedelta(seconds=120)))
        assert all(key.startswith(PREFIX) for key in shop.archive.objects)

    def test_one_broken_call_does_not_stop_the_others(self, shop):
        """What nobody foresaw concerns one call only, and only its messages come again."""
        shop.provider.listings = {
            f"s-{n}": a_listing(a_leg(f"l{n}"), call=f"s-{n}") for n in (1, 2)
        }
        shop.provider.audio = {"l1": b"mp3", "l2": b"mp3"}
        shop.ledger.save(entry(shop, "s-1").changed(prefix=42))
        report, failed = run(shop, a_job("s-1"), a_job("s-2"))
        assert [name for name, _ in failed] == ["m0"]
        assert entry(shop, "s-2").status == "archived"
        assert report.counts["CallArchived"] == 1


class TestWaiting:
    def test_a_call_that_is_not_over_waits_at_no_attempt(self, shop):
        """Five minutes, and neither an attempt nor a step of the ladder is spent."""
        shop.provider.listings["s-1"] = a_listing(a_leg("a"), ongoing=True)
        run(shop, a_job())
        [(job, delay)] = shop.jobs.sent
        assert (delay, job.attempt, job.looks) == (300, 0, 0)
        assert entry(shop).status == "waiting"

    def test_an_unlisted_call_takes_the_ladder_and_ends_empty(self, shop):
        """Two minutes, ten minutes, then the ledger says empty."""
        delays = climb(shop, a_job())
        assert delays == [120, 600]
        assert entry(shop).status == "empty"
        assert shop.jobs.buried == []

    def test_a_named_recording_is_waited_for_a_day_and_then_missed_aloud(self, shop):
        """A notification named it, so its absence is a failure that somebody is told about."""
        delays = climb(shop, a_job(named=["r1"]))
        assert sum(delays) == 24 * 3600
        assert entry(shop).status == "failed"
        [(body, reason)] = shop.jobs.buried
        assert Job.from_message(body).call == "s-1"
        assert "r1" in reason

    def test_a_named_recording_that_the_log_never_lists_is_fetched_by_its_id(self, shop):
        """The published fallback, tried when the ordinary ladder is over."""
        shop.provider.audio["r1"] = b"mp3"
        assert climb(shop, a_job(named=["r1"])) == [120, 600]
        assert entry(shop).status == "archived"
        assert manifest(shop)["legs"][0]["named_only"] is True

    def test_a_named_recording_too_short_to_be_kept_is_no_failure(self, shop):
        """The log says so by `shortRecording`, and shows it only to a look of its own."""
        shop.provider.listings["s-1"] = a_listing(short=True)
        assert climb(shop, a_job(named=["r1"])) == [120, 600]
        assert entry(shop).status == "empty"
        assert shop.provider.asked[-1] == ({"s-1"}, {"s-1"})

    def test_a_recording_that_is_not_ready_waits(self, shop):
        """404 for a young call is "not yet"; the other legs are safe in the meantime."""
        call_of(shop, "a", "b")
        shop.provider.audio["a"] = NotYet("404")
        run(shop, a_job())
        [(job, delay)] = shop.jobs.sent
        assert (delay, job.attempt, job.looks) == (120, 0, 0)
        assert f"{PREFIX}legs/b.mp3" in shop.archive.objects
        shop.clock.advance(121)
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, job)
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["a", "b"]
        assert shop.provider.fetched.count("b") == 1

    def test_a_404_of_an_old_call_is_gone(self, shop):
        """Days after the call nothing appears any more."""
        old = a_listing(a_leg("a"), ended_at=NOON - timedelta(days=3))
        shop.provider.listings["s-1"] = old
        run(shop, a_job())
        assert entry(shop).status == "failed"

    def test_a_penalty_is_waited_out_at_no_attempt(self, shop):
        """A 429 spends neither an attempt nor a look, for every call of the batch."""
        shop.provider.failure = Wait("429", seconds=61)
        run(shop, a_job("s-1"), a_job("s-2"))
        assert [(job.attempt, job.looks, delay) for job, delay in shop.jobs.sent] == [
            (0, 0, 61)
        ] * 2

    def test_refused_credentials_lose_nothing_and_are_counted(self, shop):
        """A person must act; until then every job waits."""
        shop.provider.failure = Barred("401 OAU-146", seconds=300)
        report, _ = run(shop, a_job())
        assert report.counts == {"ProviderRefused": 1, "CallWaiting": 1}
        assert len(shop.jobs.sent) == 1

    def test_no_call_is_begun_at_the_end_of_the_invocation(self, shop):
        """What would not be finished goes back, at no attempt."""
        call_of(shop, "a")
        run(shop, a_job(), minutes=4)
        assert shop.provider.fetched == []
        [(job, delay)] = shop.jobs.sent
        assert (delay, job.attempt) == (1, 0)

    def test_a_wait_longer_than_a_queue_can_delay_is_taken_in_pieces(self, shop):
        """A message comes back every 15 minutes and is put back unread until it is due."""
        due = NOON + timedelta(hours=1)
        run(shop, replace(a_job(), not_before=due))
        [(job, delay)] = shop.jobs.sent
        assert (delay, job.not_before) == (900, due)
        assert shop.provider.asked == []

    def test_a_job_is_covered_by_another_that_waits(self, shop):
        """Two notifications of one call do not climb two ladders, but both are remembered."""
        run(shop, a_job())
        shop.jobs.sent.clear()
        shop.clock.advance(30)
        newer = a_job(seen_at=shop.clock.now() - timedelta(seconds=120), named=["r1"])
        report, _ = run(shop, newer)
        assert report.counts == {"JobCovered": 1}
        assert shop.jobs.sent == []
        assert entry(shop).named == {"r1"}

    def test_a_newer_sign_starts_the_ladder_anew(self, shop):
        """The recording that it announces may have only just ended."""
        run(shop, a_job())
        [(waiting, _)] = shop.jobs.sent
        shop.jobs.sent.clear()
        run(shop, a_job(seen_at=NOON))
        shop.clock.advance(120)
        run(shop, waiting)
        [(job, delay)] = shop.jobs.sent
        assert (job.looks, job.seen_at, delay) == (1, NOON, 120)


DAY_LADDER = [120, 600, 1800, 3600, 10800, 21600, 47880]


def works(shop):
    """Let the provider have granted something to somebody else."""
    granted("ringex", shop.notes, shop.clock)


def in_trouble(shop):
    return list(shop.notes.listed("failed#ringex", until="9999"))


def climb(shop, job, *, most=50, meanwhile=lambda: None):
    """Let the job come back as often as it wants, on time; return its waits in seconds.

    `meanwhile` is done before each of them. After the `most`, the job is still in the queue.
    """
    delays = []
    run(shop, job)
    while len(delays) < most and (
        own := [sent for sent, _ in shop.jobs.sent if sent.call == job.call]
    ):
        [job] = own
        shop.jobs.sent.clear()
        wait = (job.not_before - shop.clock.now()).total_seconds()
        delays.append(wait)
        shop.clock.advance(wait)
        meanwhile()
        run(shop, job)
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
        self, shop, audio, reason
    ):
        """Then the dead letters and the ledger say why."""
        call_of(shop, "a")
        shop.provider.audio["a"] = audio
        assert climb(shop, a_job()) == DAY_LADDER
        assert entry(shop).status == "failed"
        assert reason in entry(shop).reason
        [(_, why)] = shop.jobs.buried
        assert reason in why

    def test_a_passing_fault_is_tried_again_soon(self, shop):
        """After a minute; from then on as seldom as all else, while the provider serves others."""
        call_of(shop, "a")
        shop.provider.audio["a"] = Retry("503")
        waits = climb(shop, a_job(), meanwhile=lambda: works(shop))
        assert waits == [60, *DAY_LADDER[1:]]
        assert entry(shop).status == "failed"

    def test_an_outage_of_the_provider_costs_a_recording_nothing(self, shop):
        """While nothing is granted to anybody the fault is not this recording's, for two days."""
        call_of(shop, "a")
        shop.provider.audio["a"] = Retry("503")
        waits = climb(shop, a_job(), most=100)
        assert waits == [60] * 100
        assert (entry(shop).troubles["a"].tries, entry(shop).troubles["a"].spent) == (101, 1)
        shop.clock.advance(timedelta(days=2).total_seconds())
        [(job, _)] = shop.jobs.sent
        shop.jobs.sent.clear()
        assert len(climb(shop, job)) == len(DAY_LADDER) - 1
        assert entry(shop).status == "failed"

    def test_an_outage_before_the_recordings_are_known_costs_no_attempt(self, shop):
        """The list answers 5xx for hours, and everything is archived afterwards."""
        call_of(shop, "a")
        shop.provider.failure = Retry("503")
        climb(shop, a_job(), most=50)
        [(job, _)] = shop.jobs.sent
        assert job.attempt == 1
        shop.provider.failure = None
        shop.clock.advance(3600)
        run(shop, job)
        assert entry(shop).status == "archived"

    def test_a_list_that_fails_for_one_call_alone_spends_its_attempts(self, shop):
        """The provider serves others, so it is this call's own failure."""
        shop.provider.listings["s-1"] = Retry("the answer is no JSON")
        assert climb(shop, a_job(), meanwhile=lambda: works(shop)) == [60, 120, 240, 480]
        assert entry(shop).status == "failed"

    def test_a_limit_that_holds_for_one_recording_alone_comes_to_an_end(self, shop):
        """429 for ever: twice it is waited out, then it is the recording's own failure."""
        call_of(shop, "a", "b")
        shop.provider.audio["a"] = Limited("429", seconds=61)
        waits = climb(shop, a_job(), meanwhile=lambda: works(shop))
        assert waits == [61, 61, *DAY_LADDER[2:]]
        assert entry(shop).status == "failed"
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["b"]

    def test_a_refused_recording_costs_no_other(self, shop):
        """The others are fetched and sealed at once, and the manifest names the refused one."""
        call_of(shop, "a", "b", "c")
        shop.provider.audio["a"] = Denied("403 for this one")
        run(shop, a_job())
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["b", "c"]
        assert [one["leg"] for one in manifest(shop)["missing"]] == ["a"]
        assert entry(shop).troubles["a"].kind == "refused"
        assert [note.content["reason"] for note in in_trouble(shop)] == ["leg a: 403 for this one"]
        [(job, _)] = shop.jobs.sent
        shop.provider.audio["a"] = b"mp3-a"
        shop.clock.advance(120)
        run(shop, job)
        assert [leg["id"] for leg in manifest(shop, 2)["legs"]] == ["a", "b", "c"]
        assert in_trouble(shop) == []
        assert entry(shop).troubles == {}

    def test_a_recording_that_nobody_can_read_costs_no_other(self, shop):
        """It is named where a person looks, and in the manifest."""
        call_of(shop, "a")
        odd = Unreadable(id="leg 2", reason="it has no id")
        listing = replace(shop.provider.listings["s-1"], unreadable=(odd,))
        shop.provider.listings["s-1"] = listing
        run(shop, a_job())
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["a"]
        assert manifest(shop)["missing"][0] == {
            "leg": "leg 2",
            "reason": "it has no id",
            "evidence": None,
        }
        [(_, reason)] = shop.jobs.buried
        assert reason == "leg leg 2: it has no id"
        assert len(in_trouble(shop)) == 1

    def test_named_recordings_that_never_come_keep_no_job_alive(self, shop):
        """Ten of them, of which each has its own ladder, and all end together."""
        names = [f"r{number}" for number in range(10)]
        waits = climb(shop, a_job(named=names))
        assert sum(waits) == 24 * 3600
        assert entry(shop).status == "failed"

    def test_a_named_recording_that_is_not_listed_keeps_none_that_is(self, shop):
        """The listed ones are in the archive before it is looked for elsewhere."""
        call_of(shop, "a")
        run(shop, a_job(named=["r1"]))
        assert f"{PREFIX}legs/a.mp3" in shop.archive.objects

    def test_a_call_said_to_go_on_for_ever_is_over_some_day(self, shop):
        """No call lasts longer than a day, whatever its records say."""
        call_of(shop, "a")
        shop.provider.listings["s-1"] = replace(shop.provider.listings["s-1"], ongoing=True)
        waits = climb(shop, a_job(), most=500)
        assert sum(waits) == pytest.approx(24 * 3600, abs=600)
        assert entry(shop).status == "archived"

    @pytest.mark.parametrize("known", [False, True])
    def test_what_came_before_its_worker_died_is_in_trouble_no_more(self, shop, known):
        """The leg is in the archive, sealed or not, and the ledger still waits for it."""
        call_of(shop, "a", "b")
        shop.provider.audio["a"] = NotYet("404")
        run(shop, a_job())
        [(job, _)] = shop.jobs.sent
        shop.provider.audio["a"] = b"mp3-a"
        shop.clock.advance(121)
        before = entry(shop)
        run(shop, job)
        if not known:
            del shop.archive.objects[f"{PREFIX}manifest-1.json"]
        shop.ledger.entries[before.id] = replace(before, version=entry(shop).version)
        shop.jobs.sent.clear()
        run(shop, job)
        assert (entry(shop).status, entry(shop).troubles) == ("archived", {})
        assert shop.jobs.sent == []

    def test_legs_that_cannot_be_joined_are_sealed_apart(self, shop):
        """Each is in the archive and can be heard; a person is told why they are not one."""

        class Clumsy(type(shop.stitcher)):
            def join(self, legs, target):
                raise Failed("ffmpeg: out of ideas")

        shop = replace(shop, stitcher=Clumsy())
        call_of(shop, "a", "b")
        run(shop, a_job())
        assert manifest(shop)["recording"] is None
        assert [leg["offset_ms"] for leg in manifest(shop)["legs"]] == [0, 5000]
        assert entry(shop).status == "archived"
        [note] = in_trouble(shop)
        assert "out of ideas" in note.content["reason"]

    def test_what_is_retried_by_a_person_is_asked_for_at_once(self, shop):
        """Also while the next try is hours away."""
        call_of(shop, "a")
        shop.provider.audio["a"] = Denied("403")
        climb(shop, a_job(), most=3)
        shop.jobs.sent.clear()
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, a_job(hints={"retry": True}))
        assert entry(shop).status == "archived"

    def test_a_dead_letter_that_is_moved_back_begins_anew(self, shop):
        """Once the cause is mended, nothing else needs to be done."""
        call_of(shop, "a")
        shop.provider.audio["a"] = Denied("403")
        climb(shop, a_job())
        [(body, _)] = shop.jobs.buried
        assert (Job.from_message(body).attempt, Job.from_message(body).looks) == (0, 0)
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, body)
        assert entry(shop).status == "archived"
        assert entry(shop).reason is None

    @pytest.mark.parametrize("body", [b"mp3cut", b"<html>"])
    def test_bytes_that_are_no_whole_recording_are_kept_apart(self, shop, body):
        """The good legs are sealed, the manifest names the bad one, and the call fails aloud."""
        call_of(shop, "a", "b", "c")
        shop.provider.audio["b"] = body
        climb(shop, a_job())
        assert shop.archive.objects[f"{PREFIX}recording-1.mp3"] == b"mp3-amp3-c"
        assert shop.archive.objects["refused/ringex/1/s-1/b-1"] == body
        assert entry(shop).status == "failed"
        assert entry(shop).revision == 1

    def test_what_came_damaged_never_blocks_what_is_good(self, shop):
        """A retry asks again, and the whole recording is archived in its place."""
        call_of(shop, "a")
        for body in (b"mp3cut", b"mp3cut too"):
            shop.provider.audio["a"] = body
            climb(shop, a_job(hints={"retry": True}))
        assert shop.archive.objects["refused/ringex/1/s-1/a-1"] == b"mp3cut"
        assert shop.archive.objects["refused/ringex/1/s-1/a-2"] == b"mp3cut too"
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, a_job(hints={"retry": True}))
        assert shop.archive.objects[f"{PREFIX}legs/a.mp3"] == b"mp3-a"
        assert entry(shop).status == "archived"

    def test_a_leg_over_the_limit_fails_at_once(self, tmp_path):
        """No attempt makes it smaller."""
        shop = a_workshop(tmp_path, policy=Policy(max_leg_bytes=4))
        call_of(shop, "a")
        run(shop, a_job())
        assert entry(shop).status == "failed"
        assert "limit of 4 bytes" in entry(shop).reason

    def test_audio_longer_than_the_limit_fails_at_once(self, shop):
        """The stitcher says so."""

        class Impatient(type(shop.stitcher)):
            def inspect(self, path):
                raise TooLarge("longer than 24 hours")

        shop = replace(shop, stitcher=Impatient())
        call_of(shop, "a")
        run(shop, a_job())
        assert "24 hours" in entry(shop).reason

    def test_records_that_nobody_understands_fail_only_their_own_call(self, shop):
        """The reason names the missing field."""
        shop.provider.listings = {
            "s-1": Retry("record 7 has no valid startTime"),
            "s-2": a_listing(a_leg("a"), call="s-2"),
        }
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, a_job("s-1"), a_job("s-2"))
        assert entry(shop, "s-2").status == "archived"
        assert entry(shop, "s-1").reason == "record 7 has no valid startTime"

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
    def test_what_is_no_job_is_buried_with_its_reason(self, shop, body, reason):
        """The rest of the batch goes on."""
        call_of(shop, "a")
        _, failed = run(shop, body, a_job())
        [(buried, why)] = shop.jobs.buried
        assert buried == body
        assert reason in why
        assert not failed
        assert entry(shop).status == "archived"

    def test_a_job_is_not_acknowledged_when_its_successor_was_not_sent(self, shop):
        """A queue that refuses makes SQS deliver the message again."""
        shop.jobs.refusal = Retry("SQS is down")
        _, failed = run(shop, a_job())
        assert [name for name, _ in failed] == ["m0"]


class TestDeadly:
    """A message that came before may have killed the worker that had it."""

    def calls(self, shop, *names):
        for name in names:
            shop.provider.listings[name] = a_listing(a_leg(f"leg-{name}"), call=name)
            shop.provider.audio[f"leg-{name}"] = b"mp3"
        return [a_job(name) for name in names]

    def test_a_suspect_comes_last_and_alone_when_all_others_are_acknowledged(self, shop):
        """It takes none of its neighbours along, should it be deadly."""
        jobs = self.calls(shop, "s-1", "s-2", "s-3")
        deleted = []

        @contextmanager
        def deadly(leg, *, turn=False):
            if leg.id == "leg-s-1":
                deleted.extend(shop.jobs.deleted)
                raise KilledError
            yield iter([b"mp3"])

        shop.provider.open_leg = deadly
        with pytest.raises(KilledError):
            run(shop, *jobs, receives={0: 2})
        assert deleted == ["r1", "r2"]
        assert {entry(shop, name).status for name in ("s-2", "s-3")} == {"archived"}

    def test_suspects_follow_one_another_and_the_worst_comes_last(self, shop):
        """Each is acknowledged before the next is begun, so an outage makes no endless round."""
        jobs = self.calls(shop, "s-1", "s-2", "s-3")
        acknowledged = self.watched(shop)
        run(shop, *jobs, receives={0: 2, 1: 3, 2: 2})
        assert acknowledged == {"leg-s-3": [], "leg-s-1": ["r2"], "leg-s-2": ["r2", "r0"]}
        assert shop.jobs.deleted == ["r2", "r0", "r1"]
        assert shop.jobs.sent == []

    def test_what_is_not_begun_when_a_suspect_kills_is_left_as_it_is(self, shop):
        """The queue has it still, and hands it out again."""
        jobs = self.calls(shop, "s-1", "s-2", "s-3")
        self.watched(shop, deadly="leg-s-2")
        with pytest.raises(KilledError):
            run(shop, *jobs, receives={0: 2, 1: 2, 2: 2})
        assert entry(shop, "s-3").status == "archived"
        assert shop.jobs.deleted == ["r2"]
        assert (shop.jobs.sent, shop.jobs.buried) == ([], [])

    def test_a_suspect_that_fails_in_a_way_nobody_foresaw_is_not_acknowledged(self, shop):
        """The next one is worked on all the same."""
        jobs = self.calls(shop, "s-1", "s-2")
        shop.provider.audio["leg-s-2"] = None
        _, failed = run(shop, *jobs, receives={0: 2, 1: 2})
        assert [name for name, _ in failed] == ["m1"]
        assert shop.jobs.deleted == ["r0"]
        assert entry(shop, "s-1").status == "archived"

    def test_suspects_for_which_there_is_no_time_come_back_as_new_messages(self, shop):
        """At different moments; each remembers its crashes."""
        jobs = self.calls(shop, "s-1", "s-2", "s-3")
        self.watched(shop, seconds=310)
        run(shop, *jobs, receives={0: 2, 1: 2, 2: 2})
        assert {entry(shop, name).status for name in ("s-2", "s-3")} == {"archived"}
        [(job, delay)] = shop.jobs.sent
        assert (job.call, job.crashes) == ("s-1", 1)
        assert 1 <= delay <= 60
        assert shop.jobs.deleted == ["r2", "r1", "r0"]

    def test_who_came_very_often_is_in_nobody_elses_batch(self, shop):
        """So no neighbour uses up its receives: it goes back as a new message before others."""
        jobs = self.calls(shop, "s-1", "s-2", "s-3")
        acknowledged = self.watched(shop)
        run(shop, *jobs, receives={0: 6, 1: 2, 2: 8})
        assert acknowledged == {"leg-s-2": ["r0", "r2"]}
        assert [(job.call, job.crashes) for job, _ in shop.jobs.sent] == [("s-1", 5), ("s-3", 7)]

    def test_of_those_that_came_very_often_one_is_worked_on(self, shop):
        """The one that would be given up first."""
        jobs = self.calls(shop, "s-1", "s-2")
        run(shop, *jobs, receives={0: 6, 1: 8})
        assert entry(shop, "s-2").status == "archived"
        assert [(job.call, job.crashes) for job, _ in shop.jobs.sent] == [("s-1", 5)]

    def test_no_innocent_one_is_given_up_with_deadly_ones(self, tmp_path):
        """However many there are, each that can be archived is, and only the others are told of."""
        clock = VirtualClock(0)
        clock.advance = clock.sleep
        queue = VirtualQueue(clock)
        shop = a_workshop(tmp_path, clock=clock, jobs=queue)
        names = [f"s-{number:02}" for number in range(30)]
        jobs = self.calls(shop, *names)
        deadly = {f"leg-{name}" for name in names[::3]}
        self.watched(shop, deadly=deadly)
        for job in jobs:
            queue.send(job, delay=0)
        while (due := queue.next_at()) is not None:
            clock.reach(due)
            batch = queue.take()
            with suppress(KilledError):
                until = clock.now() + timedelta(minutes=15)
                archive(batch, shop=shop, until=until, guard=nullcontext)
                batch = []
            queue.put_back(batch)
        assert {entry(shop, name).status for name in names} == {"archived", "failed"}
        assert {f"leg-{name}" for name in names if entry(shop, name).status == "failed"} == deadly
        assert all("leg leg-" in reason for _, reason in queue.buried)

    def watched(self, shop, *, deadly=(), seconds=0):
        """Note what is acknowledged when a leg is fetched, and let some end the worker."""
        acknowledged = {}
        opened = shop.provider.open_leg

        @contextmanager
        def open_leg(leg, *, turn=False):
            acknowledged[leg.id] = list(getattr(shop.jobs, "deleted", ()))
            if leg.id in deadly:
                raise KilledError
            with opened(leg, turn=turn) as pieces:
                yield pieces
            shop.clock.advance(seconds)

        shop.provider.open_leg = open_leg
        return acknowledged

    def test_who_is_set_apart_finds_the_call_free(self, shop):
        """The worker that held it by the old message is dead; a new one need not wait for it."""
        jobs = self.calls(shop, "s-1", "s-2")
        held = entry(shop, "s-1").changed(
            lease_until=NOON + timedelta(minutes=10), lease_messages=frozenset({"m0"})
        )
        shop.ledger.save(held)
        run(shop, *jobs, receives={0: 6, 1: 7})
        [(job, _)] = shop.jobs.sent
        run(shop, job)
        assert entry(shop, "s-1").status == "archived"

    def test_a_message_that_no_worker_survived_is_given_up_with_a_reason(self, shop):
        """SQS would bury it next time, without a word."""
        jobs = self.calls(shop, "s-1", "s-2")
        _, failed = run(shop, replace(jobs[0], crashes=7), jobs[1], receives={0: 3})
        [(body, reason)] = shop.jobs.buried
        assert Job.from_message(body).crashes == 0
        assert reason.startswith("9 workers ended on it without an answer")
        assert entry(shop, "s-1").status == "failed"
        assert len(in_trouble(shop)) == 1
        assert entry(shop, "s-2").status == "archived"
        assert failed == []

    def test_a_recording_that_ends_its_workers_keeps_no_other_out(self, shop):
        """The second death shows which one it is, and a third worker seals the call without it."""
        legs = [a_leg("leg-1", minutes_ago=12), a_leg("leg-2"), a_leg("leg-3", minutes_ago=8)]
        shop.provider.listings["s-1"] = a_listing(*legs)
        shop.provider.audio |= {"leg-1": b"mp3 1", "leg-3": b"mp3 3"}
        opened = shop.provider.open_leg
        deaths = []

        @contextmanager
        def deadly(leg, *, turn=False):
            if leg.id == "leg-2":
                deaths.append(leg.id)
                raise KilledError
            with opened(leg, turn=turn) as pieces:
                yield pieces

        shop.provider.open_leg = deadly
        for receives in (1, 2):
            with pytest.raises(KilledError):
                run(shop, a_job(), receives={0: receives})
            shop.clock.advance(5400)
        run(shop, a_job(), receives={0: 3})
        state = entry(shop)
        assert state.legs.keys() == {"leg-1", "leg-3"}
        assert state.troubles["leg-2"].kind == "deadly"
        [note] = in_trouble(shop)
        assert "a worker that fetched it died" in note.content["reason"]

        while entry(shop).status != "failed":
            [(job, _)] = shop.jobs.sent
            shop.jobs.sent.clear()
            shop.clock.moment = job.not_before
            with pytest.raises(KilledError):
                run(shop, job)
            shop.clock.advance(5400)
            run(shop, job, receives={0: 2})
        # The first one has told nobody what it was about to do.
        assert len(deaths) == 1 + MOST_DEATHS
        assert entry(shop).revision == 1

    def test_what_was_archived_before_its_worker_died_is_not_given_up(self, shop):
        """However often the message of a call that is done comes again."""
        jobs = self.calls(shop, "s-1")
        run(shop, *jobs)
        report, _ = run(shop, *jobs, receives={0: 10})
        assert report.counts == {"JobCovered": 1}
        assert (shop.jobs.buried, entry(shop).status) == ([], "archived")

    def test_who_survives_is_no_suspect_any_more(self, shop):
        """A job that was answered for begins to count anew."""
        [job] = self.calls(shop, "s-1")
        shop.provider.audio["leg-s-1"] = NotYet("404")
        run(shop, replace(job, crashes=3))
        [(waiting, _)] = shop.jobs.sent
        assert waiting.crashes == 0

    def test_what_nobody_foresaw_in_one_call_is_not_the_answer_for_its_batch(self, shop):
        """Each call is then asked about by itself."""
        jobs = self.calls(shop, "s-1", "s-2")
        resolve = shop.provider.resolve

        def odd(jobs, *, closely=()):
            if "s-1" in {job.call for job in jobs}:
                raise ZeroDivisionError
            return resolve(jobs, closely=closely)

        shop.provider.resolve = odd
        _, failed = run(shop, *jobs)
        assert [name for name, _ in failed] == ["m0"]
        assert entry(shop, "s-2").status == "archived"

    def test_a_ledger_that_cannot_be_read_costs_no_message_its_life(self, shop):
        """The job comes back as a new one."""

        class Down(type(shop.ledger)):
            def load(self, call):
                raise Unavailable("DynamoDB is down")

        shop = replace(shop, ledger=Down())
        _, failed = run(shop, a_job())
        assert failed == []
        assert [delay for _, delay in shop.jobs.sent] == [60]


class KilledError(BaseException):
    """The process ends here."""


class TestOngoing:
    """A notification names a recording while the call goes on."""

    def job(self, *names, **fields):
        return a_job(hints={"recordingIds": list(names), "ongoing": True}, **fields)

    def test_it_is_remembered_and_nobody_is_asked(self, shop):
        """Not even the queue keeps it."""
        report, _ = run(shop, self.job("r1"))
        assert report.counts == {"CallOngoing": 1}
        assert entry(shop).named == {"r1"}
        assert (shop.provider.asked, shop.jobs.sent) == ([], [])

    def test_it_is_fetched_when_the_call_has_ended_and_the_log_never_lists_it(self, shop):
        """The notification of the end need not name it again."""
        shop.provider.audio["r1"] = b"mp3"
        run(shop, self.job("r1"))
        assert climb(shop, a_job(seen_at=NOON)) == [120, 600]
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["r1"]

    def test_it_is_asked_for_even_if_nobody_says_that_the_call_has_ended(self, shop):
        """Once, when no call can last for so long."""
        shop.provider.audio["r1"] = b"mp3"
        run(shop, self.job("r1"))
        run(shop, self.job("r1"))
        assert named.ask("ringex", shop.jobs, shop.notes, shop.clock) == 0
        shop.clock.advance(24 * 3600)
        assert named.ask("ringex", shop.jobs, shop.notes, shop.clock) == 1
        assert named.ask("ringex", shop.jobs, shop.notes, shop.clock) == 0
        [(job, _)] = shop.jobs.sent
        shop.jobs.sent.clear()
        climb(shop, job)
        assert entry(shop).status == "archived"

    def test_one_that_comes_while_the_call_is_worked_on_disturbs_nobody(self, shop):
        """Notifications come in any order: it comes back when the worker has let go."""
        call_of(shop, "a")
        meanwhile(shop, lambda: run(shop, self.job("a"), prefix="n"))
        report, _ = run(shop, a_job())
        assert report.counts == {"CallArchived": 1}
        [(job, delay)] = shop.jobs.sent
        assert delay == 120
        run(shop, job)
        assert entry(shop).named == {"a"}
        assert entry(shop).status == "archived"

    def test_a_job_of_the_same_batch_that_ends_the_call_goes_on(self, shop):
        """In whichever order they came."""
        call_of(shop, "a")
        report, _ = run(shop, a_job(), self.job("a", seen_at=NOON))
        assert report.counts == {"CallArchived": 1}


class TestFollowed:
    """Where changes of the log are followed: what is listed is final, and more has its own job."""

    def test_a_call_that_will_not_be_listed_is_empty_at_once(self, shop):
        """Should it have a recording after all, that comes with a job of its own."""
        shop.provider.listings["s-1"] = a_listing(final=True)
        run(shop, a_job())
        assert entry(shop).status == "empty"
        assert shop.jobs.sent == []

    def test_a_recording_that_was_named_is_waited_for_all_the_same(self, shop):
        """Final is only what nobody has named."""
        shop.provider.listings["s-1"] = a_listing(final=True)
        delays = climb(shop, a_job(named=["r1"]))
        assert sum(delays) == 24 * 3600
        assert entry(shop).status == "failed"

    def test_a_call_that_goes_on_waits_all_the_same(self, shop):
        """Its records say so."""
        shop.provider.listings["s-1"] = a_listing(a_leg("a"), ongoing=True, final=True)
        run(shop, a_job())
        [(_, delay)] = shop.jobs.sent
        assert delay == 300

    def test_a_leg_that_is_listed_later_makes_a_revision(self, shop):
        """Of all legs, whatever was looked at before; the first revision stays as it is."""
        call_of(shop, "a", "b")
        run(shop, listed("a", "b", seen_at=NOON))
        before = dict(shop.archive.objects)
        call_of(shop, "a", "b", "c")
        report, _ = run(shop, listed("c", seen_at=NOON - timedelta(hours=1)))
        assert report.counts == {"CallArchived": 1}
        assert [leg["id"] for leg in manifest(shop, 2)["legs"]] == ["a", "b", "c"]
        assert before.items() <= shop.archive.objects.items()

    @pytest.mark.parametrize("settle", [0, 120])
    def test_a_listed_leg_is_never_covered_by_an_earlier_look(self, tmp_path, settle):
        """Found empty in the very moment in which the leg was listed, and sent without delay."""
        shop = a_workshop(tmp_path, policy=Policy(settle=settle))
        shop.provider.listings["s-1"] = a_listing(final=True)
        run(shop, a_job(seen_at=NOON - timedelta(seconds=settle)))
        assert entry(shop).status == "empty"
        call_of(shop, "a")
        run(shop, listed("a", seen_at=NOON - timedelta(seconds=settle)))
        assert entry(shop).status == "archived"

    def test_a_listed_leg_is_never_covered_by_a_job_that_waits(self, shop):
        """That one may come back hours later; then nothing is left for it to do."""
        call_of(shop, "a")
        shop.provider.audio["a"] = NotYet("404")
        run(shop, listed("a"))
        [(waiting, _)] = shop.jobs.sent
        shop.jobs.sent.clear()
        call_of(shop, "a", "b")
        run(shop, listed("b"))
        [(second, _)] = shop.jobs.sent
        assert f"{PREFIX}legs/b.mp3" in shop.archive.objects
        shop.clock.advance(121)
        report, _ = run(shop, waiting)
        assert report.counts == {"CallArchived": 1}
        report, _ = run(shop, second)
        assert report.counts == {"JobCovered": 1}

    def test_the_job_that_waits_looks_after_what_it_does_not_name(self, shop):
        """Another job has left it a leg that is tried again; its own one is archived by then."""
        call_of(shop, "a", "b")
        shop.provider.audio["b"] = Denied("403")
        run(shop, listed("a"))
        [(waiting, delay)] = shop.jobs.sent
        report, _ = run(shop, listed("b"))
        assert report.counts == {"JobCovered": 1}
        shop.clock.advance(delay)
        shop.provider.audio["b"] = b"mp3-b"
        run(shop, waiting)
        assert [leg["id"] for leg in manifest(shop, 2)["legs"]] == ["a", "b"]

    def test_a_listed_leg_that_waits_goes_on_waiting(self, shop):
        """Its own job is not covered by itself."""
        call_of(shop, "a")
        shop.provider.audio["a"] = NotYet("404")
        assert sum(climb(shop, listed("a"))) == 24 * 3600

    def test_legs_that_are_archived_already_cost_nothing(self, shop):
        """The notification's job was faster."""
        call_of(shop, "a", "b")
        run(shop, a_job())
        report, _ = run(shop, listed("a", "b", seen_at=NOON + timedelta(seconds=30)))
        assert report.counts == {"JobCovered": 1}
        assert len(shop.provider.asked) == 1

    def test_a_leg_that_vanishes_before_it_was_fetched_is_not_forgotten(self, shop):
        """It was listed once, so it is fetched by its id, or missed aloud."""
        shop.provider.listings["s-1"] = a_listing(final=True)
        shop.provider.audio["a"] = b"mp3-a"
        climb(shop, listed("a"))
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["a"]

    def test_listed_legs_of_doubled_jobs_are_put_together(self, shop):
        """A newer notification in the batch does not make them wait for another job."""
        run(shop, a_job(named=["a"]))
        assert entry(shop).next_look_at
        call_of(shop, "a", "b")
        run(shop, listed("b"), a_job(seen_at=NOON + timedelta(seconds=1)), listed("a"))
        assert [leg["id"] for leg in manifest(shop)["legs"]] == ["a", "b"]


class TestOrder:
    def test_the_oldest_job_goes_first(self, shop):
        """Nothing that comes later overtakes it."""
        batch_of(shop, {"s-1": None, "s-2": None, "s-3": None})
        jobs = [a_job(f"s-{n}", seen_at=NOON - timedelta(minutes=n)) for n in (1, 2, 3)]
        run(shop, *jobs)
        assert shop.provider.fetched == ["s-3", "s-2", "s-1"]

    def test_what_the_provider_is_about_to_delete_goes_before_all(self, shop):
        """Less than ten days left, the soonest first; beyond that it is no hurry."""
        batch_of(shop, {"s-1": 9, "s-2": 3, "s-3": 11, "s-4": None})
        jobs = [a_job(f"s-{n}", seen_at=NOON - timedelta(minutes=n)) for n in (1, 2, 3, 4)]
        run(shop, *jobs)
        assert shop.provider.fetched == ["s-2", "s-1", "s-4", "s-3"]


def listed(*names, seen_at=NOON):
    """Return the job that the provider's list of changes makes of these legs."""
    return a_job(seen_at=seen_at, hints={"recordingIds": list(names), "listed": list(names)})


def batch_of(shop, calls):
    """List calls of one leg each, by the days for which the provider still keeps it."""
    for call, days in calls.items():
        kept_until = None if days is None else NOON + timedelta(days=days)
        shop.provider.listings[call] = a_listing(a_leg(call), call=call, kept_until=kept_until)
        shop.provider.audio[call] = b"mp3"


class TestCrashes:
    def test_a_call_that_another_worker_holds_comes_back(self, shop):
        """Nobody works on it twice, and the job is not lost."""
        held = entry(shop).changed(status="working", lease_until=NOON + timedelta(minutes=10))
        shop.ledger.save(held)
        run(shop, a_job())
        [(_, delay)] = shop.jobs.sent
        assert delay == 120
        assert shop.provider.asked == []

    def test_the_claim_of_a_dead_worker_lapses(self, shop):
        """Its end is known. Another message of the call takes it over, in a batch of its own."""
        held = entry(shop).changed(status="working", lease_until=NOON - timedelta(seconds=1))
        shop.ledger.save(held)
        call_of(shop, "a")
        run(shop, a_job())
        [(job, delay)] = shop.jobs.sent
        assert (job.crashes, delay) == (1, 1)
        assert shop.provider.asked == []
        run(shop, job)
        assert entry(shop).status == "archived"

    def test_whose_entry_was_written_meanwhile_lets_go_and_begins_anew(self, shop):
        """Whoever wrote it did not heed the claim, and nobody waits until that lapses."""
        call_of(shop, "a")
        meanwhile(shop, lambda: shop.ledger.save(entry(shop).changed(reason="written")))
        run(shop, a_job())
        [(job, delay)] = shop.jobs.sent
        assert delay == 1
        report, _ = run(shop, job, prefix="n")
        assert report.counts == {"CallArchived": 1}

    def test_who_finds_the_call_claimed_by_another_leaves_it_alone(self, shop):
        """Our claim had lapsed meanwhile: the other one goes on, and we look again later."""
        call_of(shop, "a")
        until = NOON + timedelta(minutes=30)
        theirs = {"lease_messages": frozenset({"other"}), "lease_until": until}
        meanwhile(shop, lambda: shop.ledger.save(entry(shop).changed(**theirs)))
        run(shop, a_job())
        assert [delay for _, delay in shop.jobs.sent] == [120]
        assert entry(shop).lease_messages == {"other"}

    def test_messages_come_again_when_the_invocation_is_over(self, shop):
        """Not only after the queue's own timeout, should this worker die."""
        call_of(shop, "a")
        run(shop, a_job(), a_job("s-2"), minutes=14.001)
        assert shop.jobs.redelivered == [(["r0", "r1"], 14 * 60 + 61)]

    def test_a_claim_outlives_the_wait_of_its_messages(self, shop):
        """They know of the crash, so they come before other messages of the call take it over."""
        call_of(shop, "a")
        shop.provider.failure = KilledError()
        with pytest.raises(KilledError):
            run(shop, a_job())
        [(_, after)] = shop.jobs.redelivered
        assert after == 16 * 60
        assert entry(shop).lease_until == NOON + timedelta(minutes=18)

    def test_who_came_very_often_comes_as_late_as_the_queue_has_it(self, shop):
        """An outage of AWS of several hours must not use up its receives."""
        call_of(shop, "a")
        run(shop, a_job(), a_job("s-2"), receives={0: 5, 1: 6})
        assert shop.jobs.redelivered == [(["r0"], 16 * 60)]

    def test_a_queue_that_does_not_hear_of_it_stops_nobody(self, shop):
        """Then a crash costs what the queue's own timeout says."""
        call_of(shop, "a")

        def refuse(receipts, *, after):
            raise Unavailable("SQS is down")

        shop.jobs.redeliver = refuse
        _, failed = run(shop, a_job())
        assert failed == []
        assert entry(shop).status == "archived"

    def test_a_redelivered_message_takes_over_at_once(self, shop):
        """The queue delivers no message while the invocation that took it is alive."""
        held = entry(shop).changed(
            status="working",
            lease_until=NOON + timedelta(minutes=10),
            lease_messages=frozenset({"m0"}),
        )
        shop.ledger.save(held)
        call_of(shop, "a")
        run(shop, a_job(), receives={0: 2})
        assert entry(shop).status == "archived"
        assert entry(shop).lease_messages == frozenset()

    def test_a_seal_that_the_ledger_does_not_know_is_adopted(self, shop):
        """The bucket is the truth: no second revision for the same legs."""
        call_of(shop, "a", "b")
        run(shop, a_job())
        shop.ledger.entries.clear()
        run(shop, a_job())
        assert entry(shop).revision == 1
        assert f"{PREFIX}manifest-2.json" not in shop.archive.objects
        assert entry(shop).status == "archived"

    def test_a_seal_that_the_catalogue_does_not_know_is_entered_there(self, shop):
        """The worker died in between, or its version of Legato had no catalogue."""
        call_of(shop, "a", "b")
        run(shop, a_job())
        known = shop.catalogue.row(an_id("s-1"))
        shop.catalogue.rows.clear()
        shop.ledger.save(entry(shop).changed(catalogued=0))
        run(shop, a_job(seen_at=NOON - timedelta(seconds=1)), minutes=30)
        shop.clock.advance(600)
        run(shop, a_job(seen_at=shop.clock.now() - timedelta(seconds=300)))
        assert shop.catalogue.row(an_id("s-1")) == known
        assert entry(shop).catalogued == 1
        assert entry(shop).revision == 1

    def test_a_catalogue_that_refuses_costs_an_attempt_and_no_second_revision(self, shop):
        call_of(shop, "a")
        shop.catalogue.refusal = Retry("no more now")
        run(shop, a_job())
        assert entry(shop).status == "waiting"
        shop.catalogue.refusal = None
        [(job, _)] = shop.jobs.sent
        shop.clock.advance(600)
        run(shop, job)
        assert (entry(shop).status, entry(shop).revision) == ("archived", 1)
        assert shop.catalogue.row(an_id("s-1")).revision == 1

    def test_what_an_interrupted_attempt_left_is_named_in_the_manifest(self, shop):
        """Another leg came in between, so the joined file has other bytes: nothing is replaced."""
        shop.archive.objects[f"{PREFIX}recording-1.mp3"] = b"mp3-a"
        call_of(shop, "a", "b")
        run(shop, a_job())
        assert shop.archive.objects[f"{PREFIX}recording-1.mp3"] == b"mp3-a"
        sealed = manifest(shop, 2)
        assert [leftover["key"] for leftover in sealed["abandoned"]] == [f"{PREFIX}recording-1.mp3"]
        assert sealed["supersedes"] is None
        assert entry(shop).revision == 2

    def test_other_bytes_under_a_leg_are_a_loud_failure(self, shop):
        """What lies in the archive is compared with the hash that was stored with it."""
        call_of(shop, "a")
        broken = FakeArchiveWithOtherHash()
        broken.objects[f"{PREFIX}legs/a.mp3"] = b"mp3-a"
        shop = replace(shop, archive=broken)
        run(shop, a_job())
        assert entry(shop).status == "failed"
        assert "legs/a.mp3" in entry(shop).reason


class FakeArchiveWithOtherHash(type(a_workshop(None).archive)):
    def _described(self, key):
        return replace(super()._described(key), sha256="0" * 64)


class TestRelated:
    """A warm transfer is two calls, which name each other."""

    def place(self, shop, call, leg, related=()):
        fields = {"call": call, "related": tuple(map(an_id, related))}
        shop.provider.listings[call] = a_listing(a_leg(leg), **fields)
        shop.provider.audio[leg] = f"mp3-{leg}".encode()

    def settle(self, shop):
        """Let every job in the queue have its turn."""
        while shop.jobs.sent:
            jobs, shop.jobs.sent[:] = [job for job, _ in shop.jobs.sent], []
            shop.clock.advance(200)
            run(shop, *jobs)

    @pytest.mark.parametrize("order", [("s-1", "s-2"), ("s-2", "s-1")])
    def test_both_sides_name_each_other_whichever_was_archived_first(self, shop, order):
        """Only the records of s-1 tell of s-2; whoever is sealed without the other is revised."""
        self.place(shop, "s-1", "a", related=["s-2"])
        self.place(shop, "s-2", "b")
        for call in order:
            run(shop, a_job(call, seen_at=shop.clock.now() - timedelta(seconds=120)))
            shop.clock.advance(300)
        self.settle(shop)
        for call, other in (("s-1", "s-2"), ("s-2", "s-1")):
            state = entry(shop, call)
            assert state.status == "archived"
            prefix = f"calls/ringex/1/2026/11/20/{call}/"
            assert manifest(shop, state.revision, prefix)["related"] == [str(an_id(other))]
        assert entry(shop, "s-1").revision == 1
        assert entry(shop, "s-2").revision == (1 if order[0] == "s-1" else 2)

    def test_a_peer_that_is_named_after_the_call_was_sealed_is_not_forgotten(self, shop):
        """The notification of a warm transfer may come when the log has been read already."""
        self.place(shop, "s-1", "a")
        run(shop, a_job("s-1"))
        self.place(shop, "s-1", "a", related=["s-2"])
        late = a_job("s-1", hints={"peers": ["s-2"], "recordingIds": ["a"], "listed": ["a"]})
        report, _ = run(shop, late)
        assert report.counts["CallArchived"] == 1
        assert entry(shop, "s-1").related == {an_id("s-2")}

    def test_each_side_is_told_once(self, shop):
        """A look that finds nothing new sends no job."""
        self.place(shop, "s-1", "a", related=["s-2"])
        run(shop, a_job("s-1"))
        assert [job.call for job, _ in shop.jobs.sent] == ["s-2"]
        shop.jobs.sent.clear()
        shop.clock.advance(600)
        run(shop, a_job("s-1", seen_at=shop.clock.now() - timedelta(seconds=120)))
        assert shop.jobs.sent == []

    def test_a_side_that_was_never_recorded_ends_empty(self, shop):
        """Being named by another call makes no recording."""
        self.place(shop, "s-1", "a", related=["s-2"])
        run(shop, a_job("s-1"))
        self.settle(shop)
        assert entry(shop, "s-2").status == "empty"
