"""Segments that go straight into cold storage: listened to on their way, never read back."""

import hashlib
import json
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.archive import document
from legato.errors import Denied, NotAudio, NotYet, Retry, Unavailable, Wait
from legato.evidence.verify.schema import parsed
from legato.ingest import streaming
from legato.ingest.batch import Message, archive
from legato.ledger import unarchived
from legato.ledger.listings import records_key
from legato.model import CallState
from legato.providers.http_client import TIMEOUT
from legato.tuning import Policy
from tests.fakes import (
    NOON,
    FakeArchive,
    FakeClock,
    FakeJobs,
    FakeLedger,
    FakeNotes,
    FakeProvider,
    a_job,
    a_leg,
    a_listing,
    an_id,
    some_ports,
)
from tests.patience import PATIENCE_SECONDS

PREFIX = "calls/ringcx/1/2026/11/20/s-1/"


class KilledError(BaseException):
    """The process ends here."""


class Desk:
    def __init__(self, scratch, **policy):
        self.provider = FakeProvider(name="ringcx")
        self.archive = FakeArchive()
        self.ledger = FakeLedger()
        self.notes = FakeNotes()
        self.jobs = FakeJobs()
        self.clock = FakeClock()
        facts = {"apart": True, "storage_class": "GLACIER", "settle": 0}
        self.ports = some_ports(
            scratch,
            provider=self.provider,
            archive=self.archive,
            ledger=self.ledger,
            notes=self.notes,
            jobs=self.jobs,
            clock=self.clock,
            policy=Policy(**{**facts, **policy}),
        )

    def has(self, *names, call="s-1", **audio):
        legs = [a_leg(name, minutes_ago=30 - at) for at, name in enumerate(names)]
        self.provider.listings[call] = a_listing(*legs, call=call)
        self.provider.audio |= {name: f"wav {name}".encode() for name in names} | audio

    def work(self, *calls, guard=lambda _ids: nullcontext(), receives=1, **fields):
        jobs = [
            a_job(call, named=[leg.id for leg in self.provider.listings[call].legs])
            for call in calls or ("s-1",)
        ]
        messages = [
            Message(f"m-{at}", self.message(job, **fields), receives=receives)
            for at, job in enumerate(jobs)
        ]
        until = self.clock.now() + timedelta(minutes=15)
        return archive(messages, ports=self.ports, until=until, guard=guard)

    def forget(self):
        """Begin anew with the same dialog."""
        self.archive.objects.clear()
        self.archive.streamed.clear()
        self.ledger.entries.clear()
        self.notes.notes.clear()
        self.provider.fetched.clear()

    @staticmethod
    def message(job, **fields):
        message = json.loads(job.to_message()) | {"provider": "ringcx", **fields}
        return json.dumps(message)

    def state(self, call="s-1") -> CallState:
        return self.ledger.load(an_id(call, provider="ringcx"))

    def manifest(self, revision=1):
        return json.loads(self.archive.objects[f"{PREFIX}manifest-{revision}.json"])


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def test_segments_are_cold_at_once_and_stay_apart(desk, tmp_path):
    """Nothing is joined, nothing touches the disk, and what is small stays readable."""
    desk.has("a", "b", "c")
    desk.work()
    assert desk.archive.storage_classes == {
        f"{PREFIX}legs/a.wav": "GLACIER",
        f"{PREFIX}legs/b.wav": "GLACIER",
        f"{PREFIX}legs/c.wav": "GLACIER",
        f"{PREFIX}peaks-1.json": "STANDARD",
        f"{PREFIX}manifest-1.json": "STANDARD",
    }
    assert list(tmp_path.iterdir()) == []
    assert desk.state().status == "archived"


def test_the_manifest_names_the_bytes_that_came(desk):
    """Though the store itself does not say their SHA-256."""
    desk.has("a", "b")
    desk.work()
    manifest = desk.manifest()
    assert manifest["recording"] is None
    assert [leg["offset_ms"] for leg in manifest["legs"]] == [0, 5000]
    for leg in manifest["legs"]:
        body = desk.archive.objects[leg["key"]]
        assert leg["sha256"] == hashlib.sha256(body).hexdigest()
        assert leg["bytes"] == len(body)
    assert desk.state().legs == {leg["id"]: leg["sha256"] for leg in manifest["legs"]}


def test_a_dialog_of_one_segment_is_that_segment(desk):
    """As everywhere."""
    desk.has("a")
    desk.work()
    recording = desk.manifest()["recording"]
    assert (recording["how"], recording["key"]) == ("single", f"{PREFIX}legs/a.wav")


def test_a_segment_that_appears_later_makes_a_revision_without_reading_the_cold_ones(desk):
    """Their length, levels and peaks were written down when they passed by."""
    desk.has("a", "b")
    desk.work()
    desk.has("a", "b", "c")
    desk.work()
    first, second = desk.manifest(1), desk.manifest(2)
    assert second["legs"][:2] == first["legs"]
    assert second["supersedes"]["key"] == f"{PREFIX}manifest-1.json"
    assert json.loads(desk.archive.objects[f"{PREFIX}peaks-2.json"])["data"]
    assert desk.provider.fetched == ["a", "b", "c"]


@pytest.mark.parametrize("step", ["upload", "put_bytes", "save", "write"])
def test_a_worker_that_dies_at_any_step_fetches_no_segment_twice_that_was_stored(desk, step):
    """Whatever appeared in the archive is known by the ledger."""
    desk.has("a", "b")
    port = {"upload": desk.archive, "put_bytes": desk.archive}.get(step) or (
        desk.ledger if step == "save" else desk.notes
    )
    alive = getattr(port, step)

    left = [0]

    def dying(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise KilledError
        return alive(*arguments, **options)

    for death in (1, 2, 3):
        setattr(port, step, dying)
        left[0] = death
        with suppress(KilledError):
            desk.work()
        setattr(port, step, alive)
        stored = {key for key in desk.archive.objects if "/legs/" in key}
        fetched = len(desk.provider.fetched)
        desk.clock.advance(3600)
        desk.work(receives=2)
        assert len(desk.provider.fetched) - fetched == 2 - len(stored)
        assert desk.state().status == "archived"
        assert len(desk.manifest()["legs"]) == 2
        desk.forget()


def test_what_is_no_audio_stores_nothing(desk):
    """An error page behind a 200 is asked for again later."""
    desk.has("a", a=b"<html>please log in</html>")
    desk.work()
    assert desk.archive.objects == {}
    assert desk.state().troubles["a"].kind == "damaged"


def test_damaged_audio_is_kept_at_last_as_evidence_and_never_sealed_as_whole(desk):
    """The good segment is sealed, and the next good download takes the place of the bad one."""
    desk.has("a", "b", b=b"wav cut")
    for _ in range(7):
        desk.work()
        desk.clock.advance(48000)
    assert not any("/b" in key for key in desk.archive.objects)
    desk.work()
    assert [leg["id"] for leg in desk.manifest()["legs"]] == ["a"]
    assert desk.archive.objects["refused/ringcx/1/s-1/b-1"] == b"wav cut"
    assert desk.state().status == "failed"
    ((_, reason),) = desk.jobs.buried
    assert "b" in reason
    desk.has("a", "b", "c", b=b"wav cut")
    for _ in range(8):
        desk.work()
        desk.clock.advance(48000)
    [missing] = parsed(document.to_bytes(desk.manifest(2)), "manifest.schema.json")["missing"]
    assert missing["evidence"]["sha256"] == hashlib.sha256(b"wav cut").hexdigest()
    desk.has("a", "b", "c")
    desk.work()
    assert [leg["id"] for leg in desk.manifest(3)["legs"]] == ["a", "b", "c"]
    assert desk.state().status == "archived"


def test_a_segment_that_is_not_there_yet_waits_on_a_ladder(desk):
    """The others are stored in the meantime, and sealed when it is late."""
    desk.has("a", "b", b=NotYet("404"))
    desk.work()
    assert f"{PREFIX}legs/a.wav" in desk.archive.objects
    assert f"{PREFIX}manifest-1.json" not in desk.archive.objects
    for _ in range(2):
        desk.clock.advance(3600)
        desk.work()
    assert [leg["id"] for leg in desk.manifest()["legs"]] == ["a"]


def test_a_forbidden_segment_costs_no_other(desk):
    """The others are in cold storage and sealed at once, and the manifest names it."""
    desk.has("a", "b", "c", a=Denied("403"))
    desk.work()
    assert [leg["id"] for leg in desk.manifest()["legs"]] == ["b", "c"]
    assert [one["leg"] for one in desk.manifest()["missing"]] == ["a"]
    assert desk.archive.storage_classes[f"{PREFIX}legs/b.wav"] == "GLACIER"


@pytest.mark.parametrize("lacks", [(5, 5), (9, 5, 5)])
def test_what_lacks_a_little_of_what_its_header_promises_is_taken_when_it_lacks_the_same_again(
    desk, lacks
):
    """A cut lacks something else each time, and another fault before it proves nothing."""
    desk.has("a", a=Retry("503"))
    desk.work()
    desk.has("a")
    judge = desk.ports.stitcher.judge
    for lack in lacks:
        assert desk.archive.objects == {}
        desk.clock.advance(48000)
        desk.ports.stitcher.judge = lambda body, lack=lack: replace(judge(body), lacks_ms=lack)
        desk.work()
    assert desk.manifest()["legs"][0]["lacks_ms"] == 5
    assert desk.state().troubles == {}


def test_what_lacks_much_of_what_its_header_promises_is_taken_at_the_third_try(desk):
    """It lacks the same each time, so that is all there is; and somebody is told."""
    desk.has("a")
    judge = desk.ports.stitcher.judge
    desk.ports.stitcher.judge = lambda body: replace(judge(body), lacks_ms=7000)
    for _ in range(2):
        desk.work()
        assert desk.archive.objects == {}
        desk.clock.advance(3600)
    desk.work()
    [leg] = desk.manifest()["legs"]
    assert (leg["lacks_ms"], leg["short_ms"]) == (7000, 7000)
    assert desk.state().troubles["a"].kind == "short"


def test_what_is_cut_somewhere_else_each_time_is_never_taken(desk):
    """It is cut on its way: after the last try it is kept where it is in nobody's way."""
    desk.has("a")
    judge = desk.ports.stitcher.judge
    for lacks in range(7000, 7020):
        desk.ports.stitcher.judge = lambda body, lack=lacks: replace(judge(body), lacks_ms=lack)
        desk.work()
        if desk.state().status == "failed":
            break
        desk.clock.advance(90_000)
    assert desk.state().troubles["a"].kind == "damaged"
    assert [key for key in desk.archive.objects if not key.startswith("refused/")] == []
    assert len(desk.archive.objects) == 1


def test_a_segment_that_nobody_decodes_is_archived_as_it_came(desk):
    """And somebody is told that it cannot be heard."""
    desk.has("a", "b")
    judge = desk.ports.stitcher.judge

    def judged(body):
        facts = judge(body)
        return replace(facts, unsupported="AAC", duration_ms=0) if body[-1:] == b"a" else facts

    desk.ports.stitcher.judge = judged
    desk.work()
    assert [leg["unsupported"] for leg in desk.manifest()["legs"]] == ["AAC", None]
    trouble = desk.state().troubles["a"]
    assert (trouble.kind, trouble.reason) == ("unheard", "unsupported codec: AAC")
    assert desk.state().status == "archived"


def test_a_segment_that_is_too_short_is_fetched_again_and_then_said_to_be_short(tmp_path):
    """More than two per cent and two seconds: the third time it is taken, and somebody is told."""
    desk = Desk(tmp_path, lengths_stated=True)
    desk.has("a")  # "wav a" lasts five seconds
    (leg,) = desk.provider.listings["s-1"].legs
    desk.provider.listings["s-1"] = a_listing(replace(leg, announced_ms=9000))
    for _ in range(2):
        desk.work()
        assert desk.archive.objects == {}
        assert desk.state().troubles["a"].kind == "short"
        desk.clock.advance(3600)
    desk.work()
    assert desk.manifest()["legs"][0]["short_ms"] == 4000
    assert desk.state().status == "archived"
    (note,) = desk.notes.listed("failed#ringcx", until="9999")
    assert note.content["reason"] == "leg a: 4.0 s of it lack, as often as it was fetched"


def test_a_segment_over_the_limit_fails_with_its_name_and_leaves_nothing(tmp_path):
    """Somebody is told at once."""
    desk = Desk(tmp_path, max_leg_bytes=100)
    desk.has("a", a=b"wav" + bytes(200))
    desk.work()
    assert desk.archive.objects == {}
    ((_, reason),) = desk.jobs.buried
    assert "leg a is larger than the limit of 100 bytes" in reason


def test_a_segment_that_does_not_arrive_in_time_costs_an_attempt(desk):
    """It is not tried for ever."""
    desk.has("a")

    @contextmanager
    def slow(leg, *, turn=False):
        def pieces():
            yield b"wav" + bytes(5000)
            desk.clock.advance(890)
            yield b"more"

        yield pieces()

    desk.provider.open_leg = slow
    desk.work()
    assert "too slow" in desk.state().troubles["a"].reason
    assert desk.archive.objects == {}


def test_no_segment_is_begun_when_the_time_is_over(desk):
    """The next invocation begins with it; what is known of the first stands in the ledger."""
    desk.has("a", "b")
    opened = []

    @contextmanager
    def slow(leg, *, turn=False):
        opened.append(leg.id)
        desk.clock.advance(880)
        yield iter([b"wav" + bytes(5000)])

    desk.provider.open_leg = slow
    desk.work()
    assert opened == ["a"]
    [(job, delay)] = desk.jobs.sent
    assert (job.attempt, delay) == (0, 1)
    desk.clock.advance(1)
    desk.work()
    assert opened == ["a", "b"]


def test_a_read_that_stands_still_ends_before_the_invocation_does():
    """Else the worker is killed, and its whole batch waits to be handed out again."""
    assert timedelta(seconds=TIMEOUT.read + 10) < streaming.TIME_TO_REST


def test_a_refusal_of_the_store_is_a_passing_fault(desk):
    """Nothing of it appears."""
    desk.has("a")
    desk.archive.refusal = Unavailable("SlowDown")
    desk.work()
    assert desk.state().troubles == {}
    assert len(desk.jobs.sent) == 1


def test_other_bytes_under_the_same_key_are_a_loud_failure(desk):
    """Two workers, and RingCX sent them different recordings."""
    desk.has("a")
    upload = desk.archive.upload

    @contextmanager
    def beaten(key, **options):
        with upload(key, **options) as ours:
            desk.archive.put(key, b"wav of another worker", "GLACIER")
            yield ours

    desk.archive.upload = beaten
    desk.work()
    assert "already holds other bytes" in desk.jobs.buried[0][1]


def test_an_object_that_the_ledger_does_not_know_is_fetched_again(desk):
    """It cannot be read; the same bytes fit where it is, and say what it is."""
    desk.has("a")
    desk.work()
    note = next(key for key in desk.notes.notes if key.startswith("measured#"))
    del desk.notes.notes[note]
    desk.has("a", "b")
    desk.work()
    assert desk.provider.fetched == ["a", "a", "b"]
    assert [leg["id"] for leg in desk.manifest(2)["legs"]] == ["a", "b"]


def test_several_dialogs_are_worked_on_at_once(tmp_path):
    """Each download waits for all the others to have begun."""
    desk = Desk(tmp_path, at_once=4)
    together = threading.Barrier(4, timeout=PATIENCE_SECONDS)
    calls = [f"s-{number}" for number in range(4)]
    for call in calls:
        desk.has(f"leg-{call}", call=call)

    @contextmanager
    def meeting(leg, *, turn=False):
        together.wait()
        yield iter([b"wav"])

    desk.provider.open_leg = meeting
    report = desk.work(*calls)
    assert report.counts["CallArchived"] == 4


def test_one_dialog_that_fails_in_no_foreseen_way_stops_none_of_the_others(tmp_path):
    """The guard catches it, in whichever thread."""
    desk = Desk(tmp_path, at_once=4)
    for call in ("s-1", "s-2"):
        desk.has(f"leg-{call}", call=call)
    desk.provider.audio["leg-s-1"] = None
    failed = []

    @contextmanager
    def guard(ids):
        try:
            yield
        except TypeError:
            failed.extend(ids)

    report = desk.work("s-1", "s-2", guard=guard)
    assert failed == ["m-0"]
    assert report.counts["CallArchived"] == 1


@pytest.mark.parametrize("error", [Wait("not our turn", seconds=9), NotAudio("HTML")])
def test_what_keeps_one_segment_from_coming_is_no_loss_for_the_dialog(desk, error):
    """It comes back, and what is stored is not fetched again."""
    desk.has("a", "b", b=error)
    desk.work()
    desk.has("a", "b")
    desk.clock.advance(3600)
    desk.work()
    assert desk.state().status == "archived"
    assert desk.provider.fetched.count("a") == 1


def test_a_dialog_that_is_archived_leaves_the_list_of_those_that_are_not(desk):
    """So that the guard is quiet."""
    desk.has("a")
    note = desk.notes.read(records_key(an_id("s-1", provider="ringcx")))
    desk.notes.write(unarchived.found(note, {"a"}, watch="ringcx#1", since=NOON))
    assert unarchived.oldest("ringcx#1", desk.notes, desk.clock).call == an_id(provider="ringcx")
    desk.work()
    assert unarchived.oldest("ringcx#1", desk.notes, desk.clock) is None


@pytest.mark.parametrize(("at_once", "seconds"), [(4, 28), (1, 30)])
def test_who_was_promised_a_moment_comes_a_little_early_if_it_keeps_nobody_waiting(
    tmp_path, at_once, seconds
):
    """It sleeps the rest at the gate, while others are worked on."""
    desk = Desk(tmp_path, at_once=at_once)
    desk.has("a", a=Wait("not our turn", seconds=30, turn=True))
    desk.work()
    ((job, delay),) = desk.jobs.sent
    assert (job.turn, delay) == (True, seconds)
