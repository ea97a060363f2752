"""`legato status`: what is well, what needs a person, and what cannot be found out."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from legato import digest, failed, keep, unarchived, witness
from legato.cli.app import app
from legato.errors import Retry
from legato.gate import Gate, Limit
from legato.hold import LIST as HOLDS
from legato.model import CallState, Note, format_time
from legato.restore.note import LIST as RESTORES
from legato.status import Depth, Followed, Overview, status
from legato.sweep import tail_key
from tests.fakes import NOON, FakeClock, FakeLedger, FakeLibrary, FakeNotes, a_job

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
REPORT = {
    "from": "2026-11-17T00:00:00.000Z",
    "to": "2026-11-20T00:00:00.000Z",
    "ended_at": "2026-11-20T06:00:00.000Z",
    "recorded": 2000,
    "archived": 1990,
    "waiting": 7,
    "failed": 1,
    "missing": 2,
    "missing_over_a_day": 0,
    "not_asked": [],
}
CREDENTIAL = "ringex#0123456789ab#Heavy"


class FakeQueue:
    def __init__(self, waiting=0, taken=0, delayed=0):
        self.held = Depth(waiting=waiting, taken=taken, delayed=delayed)
        self.refusal = None

    def depth(self):
        if self.refusal:
            raise self.refusal
        return self.held


class World:
    """A stack with RingEX, in which all is well."""

    def __init__(self):
        self.notes, self.clock = FakeNotes(), FakeClock()
        self.ledger, self.library = FakeLedger(), FakeLibrary()
        self.jobs, self.dead_letters = FakeQueue(12, 3, 1), FakeQueue()
        self.unknown = {}
        self.write(keep.NOTE, subscription="sub-1", made_at="2026-11-01T00:00:00.000Z")
        self.write(tail_key("ringex"), read_to=format_time(NOON - MINUTE))
        self.write(digest.HEAD, to=format_time(NOON - HOUR), key="digests/d.json")
        self.write(witness.NOTE, waiting=[])
        self.report()

    def write(self, key, /, *, listed=None, **content):
        self.notes.write(replace(self.notes.read(key), content=content, listed=listed))

    def report(self, *, days_ago=0, **changes):
        day = NOON - days_ago * DAY
        key = f"reports/{day:%Y/%m/%d}/reconciliation-{day:%Y%m%dT%H%M%SZ}.json"
        self.library.put(key, json.dumps(REPORT | changes).encode())
        self.library.put(key.replace(".json", ".html"), b"<html>")

    def fail(self, call, state="failed", **content):
        job = a_job(call)
        failed.noted(job, "too large", self.notes, self.clock)
        note = self.notes.read(f"failed#ringex/1/{call}")
        self.notes.write(replace(note, content=note.content | content))
        self.ledger.save(CallState(provider="ringex", account="1", call=call, status=state))

    def overview(self):
        ringex = Followed(
            provider="ringex",
            tails=["ringex"],
            kept_days={"ringex": 90},
            late=15 * MINUTE,
            jobs=self.jobs,
            dead_letters=self.dead_letters,
            gates={CREDENTIAL: (Limit(10, 60),)},
        )
        return Overview(
            stack="archive",
            followed=[ringex],
            ledger=self.ledger,
            notes=self.notes,
            library=self.library,
            clock=self.clock,
            keeper="archive-Keeper-1",
            witnessed=True,
            unknown=self.unknown,
        )

    def looked(self):
        return status(self.overview())


@pytest.fixture
def world():
    return World()


def shown(world, *arguments):
    return CliRunner().invoke(app, ["status", *arguments], obj=world)


def test_all_is_well_on_one_screen(world):
    """With the figures of each part."""
    gate = Gate(world.notes, world.clock, limits={"Heavy": (Limit(10, 60),)}, sleep=lambda _: None)
    for _ in range(3):
        gate.enter(CREDENTIAL)
    world.write("hold#ringex/1/s-1", listed=(HOLDS, format_time(NOON)))
    world.write("restore#ringcx/1/d-1", listed=(RESTORES, format_time(NOON)))
    since = NOON - 5 * MINUTE
    waiting = unarchived.found(Note(key="records#ringex/1/s-7"), {"r"}, watch="ringex", since=since)
    world.notes.write(waiting)
    ended = shown(world)
    assert ended.exit_code == 0, ended.output
    assert ended.output.splitlines() == [
        "RingEX",
        "  found           ringex: known up to 1 min ago",
        "  subscription    sub-1",
        "  to be archived  oldest ringex/1/s-7, 5 min, 0% of the time for which it is kept",
        "  queue           12 waiting, 3 at work, 1 for later",
        "  dead letters    0",
        "  failed calls    0",
        f"  limit           {CREDENTIAL}: 3 of 10 in 60 s",
        "",
        "Archive",
        "  digests         up to 2026-11-20T11:00:00.000Z, 1 h ago",
        "  time stamps     every day has one",
        "  reconciled      2026-11-17 to 2026-11-20, at 2026-11-20T06:00:00.000Z: "
        "2 missing of 2000 (1990 archived, 7 waiting, 1 failed)",
        "  held calls      1",
        "  restores        1 under way, 0 there",
        "",
        "All is well.",
    ]


def no_subscription(world):
    world.write(keep.NOTE)


def flawed_subscription(world):
    world.write(keep.NOTE, subscription="sub-1", flaw="it is blacklisted")


def old_tail(world):
    world.write(tail_key("ringex"), read_to=format_time(NOON - HOUR))


def unread_tail(world):
    del world.notes.notes[tail_key("ringex")]


def old_call(world):
    note = Note(key="records#ringex/1/s-7")
    since = NOON - 70 * DAY
    world.notes.write(unarchived.found(note, {"r"}, watch="ringex", since=since))


def dead_letters(world):
    world.dead_letters = FakeQueue(waiting=1, taken=1)


def failed_call(world):
    world.fail("s-8")


def old_digest(world):
    world.write(digest.HEAD, to=format_time(NOON - 4 * HOUR), key="digests/d.json")


def no_stamp(world):
    world.write(witness.NOTE, waiting=[format_time(NOON - 3 * DAY), format_time(NOON - 2 * DAY)])


def missing(world):
    world.report(missing_over_a_day=2)


def not_reconciled(world):
    world.library.objects.clear()
    world.report(days_ago=3, ended_at=format_time(NOON - 3 * DAY))


@pytest.mark.parametrize(
    ("spoil", "what", "do"),
    [
        (no_subscription, "RingEX has no subscription", "invoke --function-name archive-Keeper-1"),
        (flawed_subscription, "sub-1: it is blacklisted", "aws lambda invoke"),
        (old_tail, "not been read up to its end since 2026-11-20T11", "--name SweeperFunction"),
        (unread_tail, "ringex was never read", "sam logs --stack-name archive"),
        (old_call, "ringex deletes ringex/1/s-7 soon", "legato failed"),
        (dead_letters, "ringex has 2 dead letters", "legato failed --provider ringex"),
        (failed_call, "1 call of ringex failed", "legato failed --provider ringex"),
        (old_digest, "no digest since 2026-11-20T08", "--name AuditorFunction"),
        (no_stamp, "ended at 2026-11-17T12:00:00.000Z has no", "--name AuditorFunction"),
        (missing, "2 recordings have been missing", "legato reconcile --from 2026-11-17"),
        (not_reconciled, "not reconciled since 2026-11-17", "--name AuditorFunction"),
    ],
)
def test_what_needs_a_person_is_told_with_what_to_do(world, spoil, what, do):
    """And nothing else is, so that the exit code can ring a bell."""
    spoil(world)
    [(told, next_step)] = world.looked().needs
    assert what in told
    assert do in next_step
    ended = shown(world)
    assert ended.exit_code == 1
    assert f"Needs a person\n  {told}: `{next_step}`\n" in ended.output
    assert "All is well" not in ended.output
    said = json.loads(shown(world, "--json").output)
    assert (said["well"], said["needs"]) == (False, [{"what": told, "do": next_step}])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: world.fail("s-8", "archived"),
        lambda world: world.fail("s-8", retried_at=format_time(NOON)),
        lambda world: world.report(missing=2),
        lambda world: world.write(witness.NOTE, waiting=[format_time(NOON - DAY)]),
    ],
    ids=["archived by now", "tried again", "missing since today", "to be stamped soon"],
)
def test_what_may_mend_itself_needs_nobody(world, spoil):
    """Or somebody has seen to it already."""
    spoil(world)
    assert world.looked().well


def test_a_closed_gate_is_shown(world):
    """It opens by itself, so it needs nobody."""
    gate = Gate(world.notes, world.clock, limits={"Heavy": (Limit(10, 60),)}, sleep=lambda _: None)
    gate.block(CREDENTIAL, seconds=600)
    ended = shown(world)
    assert ended.exit_code == 0
    assert f"{CREDENTIAL}: 0 of 10 in 60 s, nobody until 2026-11-20 12:10 UTC" in ended.output


def test_what_cannot_be_read_does_not_hide_the_rest(world):
    """Nobody can say then that all is well."""
    world.dead_letters.refusal = Retry("a queue does not say how much it holds: Throttling")
    world.unknown = {"limits of credentials": Retry("the secret cannot be read")}
    ended = shown(world)
    assert ended.exit_code == 1
    assert "12 waiting" in ended.output
    assert "Not known\n  limits of credentials: the secret cannot be read\n" in ended.output
    assert "ringex: dead letters: a queue does not say how much it holds" in ended.output


def test_the_first_day_of_a_stack_needs_nobody():
    """Nothing was digested or reconciled yet, and no provider is used."""
    world = World()
    world.notes, world.library = FakeNotes(), FakeLibrary()
    overview = replace(world.overview(), followed=[])
    found = status(overview)
    assert (found.well, found.said["digests"], found.said["reconciliation"]) == (True, None, None)


def test_looking_changes_nothing(world):
    """Notes of calls that are settled stay for whoever settles them."""
    world.fail("s-8", "archived")
    before = dict(world.notes.notes)
    world.looked()
    assert world.notes.notes == before
