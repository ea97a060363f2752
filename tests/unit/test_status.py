"""`legato status`: what is well, what needs a person, and what cannot be found out."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import get_args

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.discovery import subscription
from legato.errors import Retry
from legato.evidence import digest, safeguards, timestamp
from legato.evidence.legal_hold import LIST as HOLDS
from legato.ledger import failures, gaps, removals, unarchived, undigested
from legato.ledger.listed_accounts import listed_accounts, note_accounts
from legato.ledger.listings import strays_list, tail_key
from legato.ledger.provider_health import failed as health_failed
from legato.ledger.provider_health import granted
from legato.ledger.rate_limit import Gate
from legato.ledger.sweep_remains import note_remains
from legato.model import CallState, Note, Trouble, TroubleKind, format_time
from legato.operations import calls_in_need
from legato.operations.overview import Followed, Overview
from legato.operations.status import status
from legato.ports import Beyond, Depth
from legato.providers.credentials import Forbidden, Pool, read_credentials
from legato.retrieval.restore.note import LIST as RESTORES
from legato.settings import Limit
from tests.fakes import NOON, FakeClock, FakeLedger, FakeLibrary, FakeNotes, a_job, an_id

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
REPORT = {
    "run": "daily",
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


def a_trouble(kind, reason, next_at=None):
    since = NOON - 2 * HOUR
    return Trouble(
        kind=kind, reason=reason, since=since, tried_at=NOON - MINUTE, tries=3, next_at=next_at
    )


class World:
    """A stack with RingEX, in which all is well."""

    def __init__(self):
        self.notes, self.clock = FakeNotes(), FakeClock()
        self.ledger, self.library = FakeLedger(), FakeLibrary()
        self.jobs, self.dead_letters = FakeQueue(12, 3, 1), FakeQueue()
        self.unknown = {}
        self.write(
            subscription.NOTE,
            subscription="sub-1",
            made_at="2026-11-01T00:00:00.000Z",
            healthy_at=format_time(NOON - 10 * MINUTE),
        )
        self.write(tail_key("ringex"), read_to=format_time(NOON - MINUTE))
        self.write(digest.HEAD, to=format_time(NOON - HOUR), key="digests/d.json")
        self.write(timestamp.NOTE, waiting=[])
        self.write(safeguards.NOTE, at=format_time(NOON - HOUR), differences=[])
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
        failures.noted(job, "too large", self.notes, self.clock)
        note = self.notes.read(f"failed#ringex/1/{call}")
        self.notes.write(replace(note, content=note.content | content))
        self.ledger.save(CallState(provider="ringex", account="1", call=call, status=state))

    def find(self, call, *names, found_at, since=None, **state):
        """Let a sweep have found a call, of which the ledger says `state`."""
        note = Note(key=f"records#ringex/1/{call}", content={"seen": format_time(found_at)})
        names, since = set(names or "r"), since or found_at
        self.notes.write(unarchived.found(note, names, watch="ringex", since=since))
        if state:
            fresh = self.ledger.load(an_id(call))
            self.ledger.save(replace(fresh, **state))

    def trouble(self, call, **troubles):
        """Let recordings of a call be in trouble, each with a kind and a reason."""
        self.fail(call, state="archived")
        state = self.ledger.load(an_id(call))
        self.ledger.save(
            replace(state, troubles={name: a_trouble(*one) for name, one in troubles.items()})
        )

    def overview(self):
        ringex = Followed(
            provider="ringex",
            tails=["ringex"],
            kept_days={"ringex": 90},
            late=15 * MINUTE,
            usual=14 * MINUTE,
            longest=DAY,
            jobs=self.jobs,
            dead_letters=self.dead_letters,
            gates={CREDENTIAL: (Limit(10, 60),)},
            accounts=listed_accounts("ringex", self.notes),
        )
        return Overview(
            stack="archive",
            followed=[ringex],
            ledger=self.ledger,
            notes=self.notes,
            library=self.library,
            clock=self.clock,
            keeps_subscription=True,
            witnessed=True,
            unknown=self.unknown,
        )

    def both(self):
        return {"notes": self.notes, "clock": self.clock}

    def looked(self):
        return status(self.overview())

    def listing(self, names, *, days_ago=0):
        """Let a sweep have listed these accounts, and none else."""
        clock = FakeClock(NOON - days_ago * DAY)
        note_accounts("ringex", names, whole=True, notes=self.notes, clock=clock)


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
    world.find("s-7", found_at=NOON - 5 * MINUTE)
    ended = shown(world)
    assert ended.exit_code == 0, ended.output
    assert ended.output.splitlines() == [
        "RingEX",
        "  found           ringex: known up to 1 min ago",
        "  subscription    sub-1",
        "  to be archived  oldest ringex/1/s-7, 5 min, 0% of its retention time",
        "  queue           12 waiting, 3 in progress, 1 delayed",
        "  dead letters    0",
        "  in trouble      0",
        f"  limit           {CREDENTIAL}: 3 of 10 in 60 s",
        "",
        "Archive",
        "  digests         up to 2026-11-20 11:00 UTC, 1 h ago",
        "  time stamps     every day has one",
        "  reconciled      2026-11-17 to 2026-11-20, at 2026-11-20 06:00 UTC: 2 missing",
        "                  of 2000 (1990 archived, 7 waiting, 1 failed)",
        "  held calls      1",
        "  restores        1 under way, 0 there",
        "",
        "All is well.",
    ]


def test_the_accounts_that_a_provider_lists_are_told(world):
    """Who is new since yesterday, and who is gone; all by name for scripts."""
    world.listing(["old", "gone"], days_ago=40)
    world.listing(["old"], days_ago=2)
    world.listing(["old", *(f"new-{number}" for number in range(10))])
    lines = shown(world).output.splitlines()
    assert lines[1:5] == [
        "  accounts        11 are listed; new since yesterday: new-0, new-1, new-2,",
        "                  new-3, new-4, new-5, new-6, new-7 and 2 more",
        "  accounts        not listed any more: gone",
        "  found           ringex: known up to 1 min ago",
    ]
    [said] = json.loads(shown(world, "--json").output)["providers"]
    assert said["accounts"]["listed"] == 11
    assert said["accounts"]["gone"] == {"gone": format_time(NOON - 2 * DAY)}
    world.clock.advance(6 * DAY.total_seconds())
    assert "gone" not in shown(world).output


def test_many_accounts_fit_on_one_screen(world):
    """One line for all lists and the fullest windows; a late list is named below."""
    names = [f"kazoo#{number:03}" for number in range(500)]
    for name in names[2:]:
        world.write(tail_key(name), read_to=format_time(NOON - MINUTE))
    world.write(tail_key(names[1]), read_to=format_time(NOON - HOUR))
    gate = Gate(world.notes, world.clock, limits={"Heavy": (Limit(10, 60),)}, sleep=lambda _: None)
    gate.enter(f"{names[7]}#Heavy")
    overview = world.overview()
    [one] = overview.followed
    many = replace(one, tails=names, gates={f"{name}#Heavy": (Limit(10, 60),) for name in names})
    world.overview = lambda: replace(overview, followed=[many])
    lines = shown(world).output.splitlines()
    assert any("500 lists, known up to 1 h ago at the latest, 1 of" in line for line in lines)
    assert f"  limit           {names[7]}#Heavy: 1 of 10 in 60 s" in lines
    assert len(lines) < 40
    assert any(names[1] in line for line in lines), "the late one is named"


def no_subscription(world):
    world.write(subscription.NOTE)


def flawed_subscription(world):
    world.write(subscription.NOTE, subscription="sub-1", flaw="it is blacklisted")


def unseen_subscription(world):
    healthy_at = format_time(NOON - 31 * MINUTE)
    world.write(subscription.NOTE, subscription="sub-1", healthy_at=healthy_at)


def failing_keeper(world):
    """The last one that it has replaced cannot be deleted."""
    since, healthy_at = format_time(NOON - 16 * MINUTE), format_time(NOON)
    told = {"failing": "503", "failing_since": since, "healthy_at": healthy_at}
    world.write(subscription.NOTE, subscription="sub-1", **told)


def old_tail(world):
    world.write(tail_key("ringex"), read_to=format_time(NOON - HOUR))


def unread_tail(world):
    del world.notes.notes[tail_key("ringex")]


def old_call(world):
    world.find("s-7", found_at=NOON - MINUTE, since=NOON - 70 * DAY)


def dead_letters(world):
    world.dead_letters = FakeQueue(waiting=1, taken=1)


def failed_call(world):
    world.fail("s-8")


def old_digest(world):
    world.write(digest.HEAD, to=format_time(NOON - 4 * HOUR), key="digests/d.json")


def no_stamp(world):
    world.write(timestamp.NOTE, waiting=[format_time(NOON - 3 * DAY), format_time(NOON - 2 * DAY)])


def not_compared(world):
    world.report(not_asked=[{"provider": "ringex", "what": "ringex", "reason": "403"}])


def never_reconciled(world):
    world.library.objects.clear()
    read_to, began_at = format_time(NOON - MINUTE), format_time(NOON - 3 * DAY)
    world.write(tail_key("ringex"), read_to=read_to, began_at=began_at)


def only_by_hand(world):
    not_reconciled(world)
    world.report(run="by-hand")


def never_digested(world):
    world.write(digest.HEAD)
    world.write("undigested#x", listed=(undigested.UNDIGESTED, format_time(NOON - 4 * HOUR)))


def not_reconciled(world):
    world.library.objects.clear()
    world.report(days_ago=3, ended_at=format_time(NOON - 3 * DAY))


def lost_ledger(world):
    world.library.put("calls/ringex/1/2026/11/19/s-1/manifest-1.json", b"{}")


@pytest.mark.parametrize(
    ("spoil", "what", "do"),
    [
        (no_subscription, "RingEX has no subscription", "sam remote invoke --stack-name archive"),
        (flawed_subscription, "sub-1: it is blacklisted", "KeeperFunction"),
        (unseen_subscription, "sub-1 was not seen to be healthy since 2026-11-20 11:29", "Keeper"),
        (failing_keeper, "sub-1 cannot be looked after: 503", "KeeperFunction"),
        (old_tail, "not been read up to its end since 2026-11-20 11", "--name SweeperFunction"),
        (unread_tail, "ringex was never read", "sam logs --stack-name archive"),
        (
            old_call,
            "ringex deletes ringex/1/s-7 on 2026-12-10, and it is",
            "legato retry ringex/1/s-7",
        ),
        (dead_letters, "ringex has 2 dead letters", "legato failed --provider ringex"),
        (
            failed_call,
            "ringex/1/s-8 failed at 2026-11-20 12:00 UTC: too large",
            "legato retry ringex/1/s-8",
        ),
        (old_digest, "no digest since 2026-11-20T08", "--name AuditorFunction"),
        (no_stamp, "ended at 2026-11-17T12:00:00.000Z has no", "--name AuditorFunction"),
        (lost_ledger, "the ledger has lost what the archive knows", "legato ledger rebuild"),
        (never_digested, "no digest was ever written, and evidence waits", "AuditorFunction"),
        (not_compared, "ringex was not compared with its list: 403", "legato reconcile --provider"),
        (not_reconciled, "not reconciled since 2026-11-17", "--name AuditorFunction"),
        (never_reconciled, "not reconciled since 2026-11-17", "--name AuditorFunction"),
        (only_by_hand, "not reconciled since 2026-11-17", "--name AuditorFunction"),
    ],
)
def test_what_needs_a_person_is_told_with_what_to_do(world, spoil, what, do):
    """And nothing else is, so that the exit code can ring a bell."""
    spoil(world)
    [need] = world.looked().needs
    assert what in need.what
    assert do in need.do
    ended = shown(world)
    assert ended.exit_code == Exit.NEEDS_PERSON == 3
    said, _, needs = ended.output.partition("Needs a person\n")
    assert need.what in " ".join(needs.split())
    assert f"    $ {need.do}\n" in needs
    assert "All is well" not in ended.output
    assert max(map(len, (said + needs).replace(need.do, "").splitlines())) <= 80
    told = json.loads(shown(world, "--json").output)
    assert (told["well"], told["needs"]) == (False, [need.to_json()])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda world: world.fail("s-8", "archived"),
        lambda world: world.fail("s-8", retried_at=format_time(NOON)),
        lambda world: world.report(missing=2),
        lambda world: world.write(timestamp.NOTE, waiting=[format_time(NOON - DAY)]),
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
    words = f"{CREDENTIAL}: 0 of 10 in 60 s, blocked until 2026-11-20 12:10 UTC"
    assert words in " ".join(ended.output.split())


def test_what_cannot_be_read_does_not_hide_the_rest(world):
    """Nobody can say then that all is well."""
    world.dead_letters.refusal = Retry("a queue does not say how much it holds: Throttling")
    world.unknown = {"limits of credentials": Retry("the secret cannot be read")}
    ended = shown(world)
    assert ended.exit_code == Exit.NEEDS_PERSON == 3
    assert "12 waiting" in ended.output
    assert "Not known\n  limits of credentials: the secret cannot be read\n" in ended.output
    assert "ringex: dead letters: a queue does not say how much it holds" in ended.output


def test_each_safeguard_that_differs_is_a_sentence():
    """With where to look for who did that."""
    world = World()
    missing = "the archive's policy: NoShorterLock is missing"
    world.write(safeguards.NOTE, at=format_time(NOON - HOUR), differences=[missing])
    [need] = status(world.overview()).needs
    assert need.what == f"{missing} since the deployment"
    assert "cloudtrail lookup-events" in need.do
    assert "s3.amazonaws.com" in need.do


def test_safeguards_that_nobody_compares_are_a_sentence():
    world = World()
    world.write(safeguards.NOTE, at=format_time(NOON - 2 * DAY - MINUTE), differences=[])
    [need] = status(world.overview()).needs
    assert need.what.startswith("what guards the archive was not compared since ")


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


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("refused", "is refused to us"),
        ("missing", "is not at the provider"),
        ("failing", "cannot be fetched"),
        ("limited", "is refused for its rate"),
        ("damaged", "came damaged"),
        ("short", "is shorter than the provider says"),
        ("unreadable", "is listed in words that nobody understands"),
        ("lost", "is lost"),
    ],
)
def test_each_recording_in_trouble_is_a_sentence(world, kind, words):
    """What, which, since when and why, although its call is archived."""
    world.trouble("s-8", r7=(kind, "the reason", NOON + HOUR))
    [need] = world.looked().needs
    since = "since 2026-11-20 10:00 UTC: the reason"
    assert need.what.startswith(f"ringex/1/s-8: recording r7 {words}")
    assert need.what.endswith(since)
    assert need.detail == "tried 3 times, again at 2026-11-20 13:00 UTC"
    said = need.to_json()
    assert (said["kind"], said["recording"], said["reason"]) == (kind, "r7", "the reason")
    assert said["since"] == "2026-11-20T10:00:00.000Z"


def test_a_call_whose_recordings_cannot_be_joined_is_a_sentence(world):
    """All of them are archived."""
    world.trouble("s-8", joined=("unjoined", "ffmpeg: no"))
    [need] = world.looked().needs
    assert need.what == (
        "ringex/1/s-8: the joined audio cannot be made since 2026-11-20 10:00 UTC: ffmpeg: no"
    )


def test_each_kind_of_trouble_has_its_words():
    """A kind without words would end the command."""
    assert calls_in_need.SAID.keys() == set(get_args(TroubleKind.__value__))


def test_what_is_not_there_at_the_first_try_needs_nobody(world):
    """Most of it comes at the second."""
    once = Trouble(
        kind="missing", reason="404", since=NOON, tried_at=NOON, tries=1, next_at=NOON + MINUTE
    )
    world.fail("s-8", state="waiting")
    world.ledger.save(replace(world.ledger.load(an_id("s-8")), troubles={"r": once}))
    assert world.looked().well
    again = replace(once, tries=2)
    world.ledger.save(replace(world.ledger.load(an_id("s-8")), troubles={"r": again}))
    assert kinds(world) == [("missing", "s-8")]


def test_the_first_ten_in_trouble_are_shown_and_the_rest_is_counted(world):
    """A script reads all of them."""
    for number in range(13):
        world.trouble(f"s-{number:02}", r=("refused", "403"))
    ended = shown(world)
    assert ended.output.count("is refused to us") == 10
    assert (
        "  and 3 more in trouble at ringex\n    $ legato failed --provider ringex\n" in ended.output
    )
    assert len(json.loads(shown(world, "--json").output)["needs"]) == 13


def test_a_long_reason_is_cut_in_the_sentence_and_whole_for_scripts(world):
    """Nobody reads a page of HTML on a terminal."""
    world.trouble("s-8", r=("failing", "so it is " * 100))
    [need] = world.looked().needs
    assert len(need.what) < 260
    assert need.reason == "so it is " * 100


def test_a_retry_of_which_nothing_comes_is_said_after_an_hour(world):
    """Its message may have been lost."""
    world.fail("s-8", retried_at=format_time(NOON))
    world.clock.advance(3600)
    kinds = {need.kind: need for need in world.looked().needs}
    assert kinds["failed"].detail == "nothing came of the retry at 2026-11-20 12:00 UTC"


def kinds(world):
    return [(need.kind, need.call) for need in world.looked().needs]


FOUND = NOON - 25 * MINUTE


def test_what_was_found_and_has_no_message_is_stuck(world):
    """The queue is empty, no worker holds it, and no message waits for its time."""
    granted("ringex", world.notes, world.clock)
    world.jobs = FakeQueue()
    world.find("s-7", "r1", "r2", "r3", "r4", found_at=FOUND, status="waiting", reason="503")
    [need] = world.looked().needs
    assert need.what == (
        "ringex/1/s-7: recording r1, r2, r3 and 1 more was found at 2026-11-20 11:35 UTC and is "
        "not archived, and nobody is at work on it: 503"
    )
    assert need.do == "legato reconcile --provider ringex --from 2026-11-20"


@pytest.mark.parametrize(
    ("queue", "state"),
    [
        (FakeQueue(waiting=1), {}),
        (FakeQueue(), {"lease_until": NOON + MINUTE}),
        (FakeQueue(), {"next_look_at": NOON + 10 * MINUTE}),
        (FakeQueue(), {"next_look_at": NOON - MINUTE}),
        (FakeQueue(), {"looked_at": NOON - MINUTE}),
    ],
    ids=["in the queue", "at work", "has its moment", "its moment just passed", "just looked at"],
)
def test_what_somebody_sees_to_is_not_stuck(world, queue, state):
    """Somebody holds it, or a message stands for it."""
    granted("ringex", world.notes, world.clock)
    world.jobs = queue
    world.find("s-7", found_at=FOUND, status="waiting", **state)
    assert world.looked().well


def test_more_calls_than_messages_are_stuck(world):
    """At least one of them has none, and nobody can say which."""
    granted("ringex", world.notes, world.clock)
    world.jobs = FakeQueue(waiting=1)
    world.find("s-6", found_at=FOUND)
    world.find("s-7", found_at=FOUND)
    assert kinds(world) == [("stuck", "s-6"), ("stuck", "s-7")]


def test_behind_others_in_the_queue_nobody_waits_for_more_than_half_a_day(world):
    """Its message may have been lost among them."""
    granted("ringex", world.notes, world.clock)
    world.find("s-7", found_at=NOON - 13 * HOUR)
    assert kinds(world) == [("stuck", "s-7")]


def test_a_queue_whose_workers_do_not_keep_up_is_one_sentence(world):
    """After three hours, however many calls stand in it; each of them has its message."""
    granted("ringex", world.notes, world.clock)
    for call in ("s-6", "s-7"):
        world.find(call, found_at=NOON - 3 * HOUR)
    assert world.looked().well
    world.clock.advance(1)
    granted("ringex", world.notes, world.clock)
    [need] = world.looked().needs
    assert need.what == (
        "ringex's queue is behind: ringex/1/s-6 waits in it for a worker since 2026-11-20 09:00 UTC"
    )
    assert (need.kind, need.detail) == ("backlog", "2 calls in all")


def test_what_takes_longer_than_all_its_tries_is_late_whatever_it_waits_for(world):
    """A message that comes back for ever is no progress."""
    granted("ringex", world.notes, world.clock)
    since = NOON - DAY - 6 * MINUTE
    world.find(
        "s-7", found_at=since, status="waiting", next_look_at=NOON + MINUTE, reason="not over"
    )
    [need] = world.looked().needs
    assert (need.kind, need.since) == ("late", since)
    assert need.what.endswith("is not archived, which takes too long: not over")


def test_a_provider_that_hands_out_nothing_while_calls_wait_stands_still(world):
    """Each call has a message and a moment, so none of them alone would be said."""
    for call in ("s-6", "s-7"):
        waits = {"status": "waiting", "next_look_at": NOON + MINUTE, "reason": "403"}
        world.find(call, found_at=FOUND, **waits)
    [need] = world.looked().needs
    assert need.what == (
        "ringex has handed out no recording since the beginning, and ringex/1/s-6 waits since "
        "2026-11-20 11:35 UTC"
    )
    assert (need.kind, need.reason, need.detail) == ("standstill", "403", "2 calls in all")
    granted("ringex", world.notes, world.clock)
    assert world.looked().well
    world.clock.advance(20 * 60)
    assert "standstill" in [need.kind for need in world.looked().needs]


def test_what_is_in_trouble_is_not_stuck_too(world):
    """One sentence each."""
    world.jobs = FakeQueue()
    world.trouble("s-8", r=("refused", "403"))
    world.find("s-8", found_at=FOUND)
    assert kinds(world) == [("refused", "s-8")]


def test_a_record_that_nobody_can_archive_is_said_for_as_long_as_the_provider_keeps_it(world):
    """Its dead letter is dropped after two weeks."""
    seen = format_time(NOON - 30 * DAY)
    world.write("stray#ringex#1", listed=(strays_list("ringex"), seen), record="A7", seen=seen)
    [need] = world.looked().needs
    assert need.what == (
        "ringex lists the recording of record A7 since 2026-10-21 12:00 UTC, and does not say of "
        "which call"
    )
    world.clock.advance(61 * 86400)
    assert "stray" not in [need.kind for need in world.looked().needs]


def test_a_credential_that_is_set_aside_is_said_until_it_is_accepted(world):
    """It is tried every quarter of an hour, and is no better in between."""
    secret = {"clientId": "c", "clientSecret": "s", "jwt": ["one", "two"]}
    one, two = read_credentials(secret, "ringex")
    pool = Pool(lambda: [one, two], world.notes, world.clock, provider="ringex")
    pool.set_aside(one, "GET /x answers 403", seconds=300, scope="content")
    # One recording that is refused says nothing of the other credential.
    pool.refused(two, Forbidden("GET /y answers 403"), recording="y", scope="content")
    [need] = world.looked().needs
    assert need.what == f"ringex refuses the credential {one.id}: GET /x answers 403"
    assert need.detail == "tried again at 2026-11-20 12:05 UTC"
    world.clock.advance(600)
    assert "credential" in [need.kind for need in world.looked().needs]
    world.clock.advance(301)
    assert "credential" not in [need.kind for need in world.looked().needs]


def test_a_credential_that_is_served_nothing_is_named_until_it_is_served(world):
    """While another one is: with its id, since when, and the last answer."""
    about = {"credential": "0a1b", "among": ("0a1b", "2c3d")}
    for _ in range(30):
        granted("ringex", world.notes, world.clock, **about | {"credential": "2c3d"})
        health_failed("ringex", world.notes, world.clock, reason="POST /token answers 503", **about)
        assert "credential" not in [need.kind for need in world.looked().needs]
        world.clock.advance(60)
    found = world.looked()
    [need] = [need for need in found.needs if need.kind == "credential"]
    assert need.what == (
        "ringex serves the credential 0a1b nothing since 2026-11-20 12:00 UTC, and serves another: "
        "POST /token answers 503"
    )
    assert need.do == (
        "sam logs --stack-name archive --name ProcessorFunction "
        """--filter '{ $.service = "processor" || $.service NOT EXISTS }'"""
    )
    assert found.said["providers"][0]["credentials_refused"] == 1
    granted("ringex", world.notes, world.clock, **about)
    assert "credential" not in [need.kind for need in world.looked().needs]


def test_a_tail_that_cannot_be_read_is_said_with_the_reason_before_it_is_late(world):
    """After the next sweep, not after the first fault."""
    fault = {"failing": "503", "failing_since": format_time(NOON - MINUTE)}
    world.write(tail_key("ringex"), read_to=format_time(NOON - 3 * MINUTE), **fault)
    assert world.looked().well
    world.clock.advance(61)
    [need] = world.looked().needs
    assert need.what == "ringex cannot be read since 2026-11-20 11:59 UTC: 503"


def a_gap(world, begin, end, **more):
    beyond = Beyond(begin=begin, end=end, cursor={}, **more)
    known = {"since": NOON - HOUR, "now": NOON, "reason": "503 from the call log"}
    gaps.step_over("ringex", beyond, notes=world.notes, **known)


def test_what_a_tail_stepped_over_is_said_with_its_bounds_until_it_is_read(world):
    """To the second, with since when and why, and what is done about it."""
    a_gap(world, NOON - 2 * HOUR, NOON - 2 * HOUR + timedelta(seconds=2))
    [need] = world.looked().needs
    assert (need.kind, need.provider, need.since) == ("gap", "ringex", NOON - HOUR)
    assert world.looked().said["providers"][0]["gaps"] == 1
    ended = shown(world)
    assert ended.exit_code == Exit.NEEDS_PERSON == 3
    lines = ended.output.splitlines()
    begin = lines.index("Needs a person")
    assert "  gaps            1" in lines[:begin]
    assert lines[begin + 1 : begin + 5] == [
        "  ringex has a gap from 2026-11-20 10:00:00 UTC to 2026-11-20 10:00:02 UTC,",
        "    which cannot be read since 2026-11-20 11:00 UTC: 503 from the call log",
        "    (asked for again, at least every hour)",
        "    $ legato reconcile --provider ringex --from 2026-11-20 --to 2026-11-20 --zone UTC",
    ]
    [gap] = gaps.gaps_of("ringex", world.notes)
    gaps.was_read(gap, now=NOON, notes=world.notes)
    assert world.looked().well


def test_a_gap_that_was_read_and_will_be_once_more_is_not_said(world):
    """Nothing of it is known to be missing."""
    a_gap(world, NOON - 2 * HOUR, NOON - HOUR, again_after=3 * HOUR, elsewhere=True)
    assert not world.looked().well
    [gap] = gaps.gaps_of("ringex", world.notes)
    gaps.was_read(gap, now=NOON, notes=world.notes)
    assert world.looked().well
    assert list(gaps.gaps_of("ringex", world.notes))


@pytest.mark.parametrize(
    ("note", "kind", "what"),
    [
        (
            {"refused": {"since": format_time(NOON - HOUR), "reason": "403"}},
            "removal refused",
            "ringex removes nothing for us: 403",
        ),
        (
            {
                "unproven": {
                    "ringex/1/s-8": {"since": format_time(NOON - HOUR), "reason": "it lacks"}
                }
            },
            "not removed",
            "ringex/1/s-8 is archived and stays at the provider: it lacks",
        ),
    ],
)
def test_what_is_not_removed_is_a_sentence_where_it_is_to_be(world, note, kind, what):
    world.write(removals.remover_key("ringex"), **note)
    assert world.looked().well, "nobody wants anything removed"
    overview = world.overview()
    removing = [replace(one, removes=True) for one in overview.followed]
    [need] = status(replace(overview, followed=removing)).needs
    assert (need.kind, need.what, need.since) == (kind, what, NOON - HOUR)


def test_of_a_backlog_of_many_accounts_each_is_looked_at_a_little(world):
    """The oldest of each, so that no run takes all memory."""
    granted("ringex", world.notes, world.clock)
    names = [f"kazoo#{number:03}" for number in range(200)]
    for name in names[:3]:
        for number in range(20):
            note = Note(key=f"records#kazoo/{name[6:]}/s-{number:02}", content={})
            since = NOON - 170 * DAY + number * DAY
            world.notes.write(unarchived.found(note, {"r"}, watch=name, since=since))
    overview = world.overview()
    many = replace(overview.followed[0], kept_days=dict.fromkeys(names, 180))
    waiting = calls_in_need.waiting(names, replace(overview, followed=[many]))
    assert [each.call.call for each in waiting] == 3 * [f"s-{n:02}" for n in range(10)]
    assert len(calls_in_need.waiting(names[:1], overview)) == 20


class Counting(FakeNotes):
    """Counts the requests that DynamoDB would be sent."""

    def __init__(self):
        super().__init__()
        self.requests = 0

    def read(self, key):
        self.requests += 1
        return super().read(key)

    def read_all(self, keys):
        wanted = list(keys)
        self.requests += -(-len(wanted) // 100)
        return [FakeNotes.read(self, key) for key in wanted]

    def listed(self, name, *, until):
        found = list(super().listed(name, until=until))
        self.requests += 1 + -(-len(found) // 100)
        yield from found

    def count(self, name, *, most):
        self.requests += 1
        return super().count(name, most=most)


def test_five_hundred_accounts_are_looked_at_with_few_requests(world):
    """The last sweep has seen which have a gap, or calls that are not archived."""
    names = [f"kazoo#{number:03}" for number in range(500)]
    notes = Counting()
    notes.notes, notes.lists = world.notes.notes, world.notes.lists
    world.notes = notes
    for name in names:
        world.write(tail_key(name), read_to=format_time(NOON - MINUTE))
    note = Note(key="records#kazoo/7/s-7", content={"seen": format_time(NOON)})
    since = NOON - 170 * DAY
    world.notes.write(unarchived.found(note, {"r"}, watch=names[7], since=since))
    beyond = Beyond(begin=NOON - HOUR, end=NOON, cursor={})
    known = {"since": NOON - HOUR, "now": NOON, "reason": "503"}
    gaps.step_over(names[8], beyond, notes=world.notes, **known)
    note_remains("ringex", gaps=[names[8]], unarchived=[names[7]], **world.both())
    overview = world.overview()
    [one] = overview.followed
    many = replace(one, tails=names, kept_days=dict.fromkeys(names, 180), gates={})
    notes.requests = 0
    found = status(replace(overview, followed=[many]))
    assert sorted(need.kind for need in found.needs) == ["deleted soon", "gap"]
    assert notes.requests <= 30
    world.clock.advance(16 * 60)
    notes.requests = 0
    status(replace(overview, followed=[many]))
    assert notes.requests > 1000, "what was seen so long ago is not believed: each account is asked"
