"""Archiving a batch of jobs: what ends where, whatever happens in between."""

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.archive import Message, archive
from legato.errors import Barred, NotYet, Retry, TooLarge, Wait
from legato.model import Job
from legato.policy import Policy
from tests.fakes import NOON, a_job, a_leg, a_listing, a_workshop

PREFIX = "calls/ringex/2026/11/20/s-1/"


@pytest.fixture
def shop(tmp_path):
    return a_workshop(tmp_path)


def run(shop, *jobs, minutes=15):
    """Hand the jobs over as a batch; return the report, and what SQS would deliver again."""
    failed = []

    @contextmanager
    def guard(ids):
        try:
            yield
        except Exception as error:
            failed.extend((name, error) for name in ids)

    messages = [
        Message(f"m{number}", job if isinstance(job, str) else job.to_message())
        for number, job in enumerate(jobs)
    ]
    until = shop.clock.now() + timedelta(minutes=minutes)
    report = archive(messages, shop=shop, until=until, guard=guard)
    return report, failed


def entry(shop, call="s-1"):
    return shop.ledger.load("ringex", "1", call)


def manifest(shop, revision=1, prefix=PREFIX):
    return json.loads(shop.archive.objects[f"{prefix}manifest-{revision}.json"])


def call_of(shop, *names):
    """Let the provider list a call of these legs, in this order, and serve them."""
    legs = [a_leg(name, minutes_ago=10 - number) for number, name in enumerate(names)]
    shop.provider.listings["s-1"] = a_listing(*legs)
    shop.provider.audio.update({name: f"mp3-{name}".encode() for name in names})


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
        assert (delay, job.attempt, job.looks) == (120, 0, 1)
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


def climb(shop, job):
    """Let the job come back as often as it wants, on time; return its waits in seconds."""
    delays = []
    run(shop, job)
    while own := [sent for sent, _ in shop.jobs.sent if sent.call == job.call]:
        [job] = own
        shop.jobs.sent.clear()
        wait = (job.not_before - shop.clock.now()).total_seconds()
        delays.append(wait)
        shop.clock.advance(wait)
        run(shop, job)
    return delays


class TestFailing:
    @pytest.mark.parametrize(
        ("audio", "reason"),
        [(b"<html>", "HTML"), (b"mp3cut", "middle"), (Retry("503"), "503")],
    )
    def test_a_fault_spends_attempts_and_then_fails_with_its_reason(self, shop, audio, reason):
        """Five attempts with growing waits, then the dead letters and the ledger say why."""
        call_of(shop, "a")
        shop.provider.audio["a"] = audio
        assert climb(shop, a_job()) == [60, 120, 240, 480]
        assert entry(shop).status == "failed"
        assert reason in entry(shop).reason
        [(_, why)] = shop.jobs.buried
        assert reason in why

    def test_a_dead_letter_that_is_moved_back_begins_anew(self, shop):
        """Once the cause is mended, nothing else needs to be done."""
        call_of(shop, "a")
        shop.provider.audio["a"] = Retry("503")
        climb(shop, a_job())
        [(body, _)] = shop.jobs.buried
        assert (Job.from_message(body).attempt, Job.from_message(body).looks) == (0, 0)
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, body)
        assert entry(shop).status == "archived"
        assert entry(shop).reason is None

    def test_damaged_audio_stays_as_evidence_and_out_of_the_joined_file(self, shop):
        """The good legs are sealed, the manifest names the bad one, and the call fails aloud."""
        call_of(shop, "a", "b", "c")
        shop.provider.audio["b"] = b"mp3cut"
        climb(shop, a_job())
        assert shop.archive.objects[f"{PREFIX}recording-1.mp3"] == b"mp3-amp3-c"
        [missing] = manifest(shop)["missing"]
        assert missing["leg"] == "b"
        assert missing["evidence"]["key"] == f"{PREFIX}legs/b.mp3"
        assert entry(shop).status == "failed"
        assert entry(shop).revision == 1

    def test_what_is_no_audio_is_not_kept(self, shop):
        """An error page is no evidence of a call."""
        call_of(shop, "a")
        shop.provider.audio["a"] = b"<html>"
        climb(shop, a_job())
        assert shop.archive.objects == {}

    def test_a_damaged_download_that_is_whole_later_is_archived(self, shop):
        """Nothing is written under the leg's key before the last attempt."""
        call_of(shop, "a")
        shop.provider.audio["a"] = b"mp3cut"
        run(shop, a_job())
        [(job, _)] = shop.jobs.sent
        shop.clock.advance(60)
        shop.provider.audio["a"] = b"mp3-a"
        run(shop, job)
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
        report, _ = run(shop, listed("b"))
        assert report.counts == {"CallArchived": 1}
        shop.clock.advance(121)
        report, _ = run(shop, waiting)
        assert report.counts == {"JobCovered": 1}

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
        """Its end is known: the end of its invocation."""
        held = entry(shop).changed(status="working", lease_until=NOON - timedelta(seconds=1))
        shop.ledger.save(held)
        call_of(shop, "a")
        run(shop, a_job())
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
        run(shop, a_job())
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
        known = shop.catalogue.row("ringex", "s-1")
        shop.catalogue.rows.clear()
        shop.ledger.save(entry(shop).changed(catalogued=0))
        run(shop, a_job(seen_at=NOON - timedelta(seconds=1)), minutes=30)
        shop.clock.advance(600)
        run(shop, a_job(seen_at=shop.clock.now() - timedelta(seconds=300)))
        assert shop.catalogue.row("ringex", "s-1") == known
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
        assert shop.catalogue.row("ringex", "s-1").revision == 1

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
        fields = {"call": call, "related": tuple(related)}
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
            prefix = f"calls/ringex/2026/11/20/{call}/"
            assert manifest(shop, state.revision, prefix)["related"] == [other]
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
        assert entry(shop, "s-1").related == {"s-2"}

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
