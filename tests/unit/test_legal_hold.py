"""Legal holds: several cases, two people, evidence of every step, and no object that is missed."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from legato.errors import NotYet, Retry
from legato.evidence.legal_hold import LegalHolds, held, holds, inherited, read
from legato.ledger.accounts import siblings
from legato.ledger.listings import records_key
from legato.ledger.undigested import listed
from legato.model import Note, format_time, person
from tests.fakes import (
    NOON,
    FakeAccesses,
    FakeArchive,
    FakeCatalogue,
    FakeClock,
    FakeLedger,
    FakeNotes,
    an_id,
)

ROLE = "arn:aws:sts::123456789012:assumed-role"
ALICE, BOB = f"{ROLE}/AWSReservedSSO_Legal_01/alice", f"{ROLE}/AWSReservedSSO_Legal_01/bob"
PREFIX = "calls/ringex/1/2026/11/20/s-1/"
CASE = "2026-117"


class World:
    """A call of two revisions in the archive, and another one beside it."""

    def __init__(self):
        self.archive, self.ledger = FakeArchive(), FakeLedger()
        self.notes, self.clock = FakeNotes(), FakeClock()
        self.accesses = FakeAccesses()
        for name in ("legs/1.mp3", "manifest-1.json", "legs/2.mp3", "manifest-2.json"):
            self.archive.put(f"{PREFIX}{name}", b"x", "GLACIER")
        self.archive.put("calls/ringex/1/2026/11/20/s-10/legs/1.mp3", b"x", "GLACIER")
        self.know("s-1", prefix=PREFIX)

    @property
    def work(self):
        return LegalHolds(
            archive=self.archive,
            ledger=self.ledger,
            notes=self.notes,
            clock=self.clock,
            accesses=self.accesses,
            catalogue=FakeCatalogue(),
        )

    def writing(self, call):
        """Return the archive as who archives a call writes into it."""
        return inherited(an_id(call), archive=self.archive, ledger=self.ledger, notes=self.notes)

    def know(self, call, *, provider="ringex", account="1", prefix=None):
        state = self.ledger.load(an_id(call, provider=provider, account=account))
        siblings(state.id, self.notes)
        self.ledger.save(replace(state, prefix=prefix))

    def lease(self, *, seconds):
        """Let a worker be at the call."""
        until = self.clock.now() + timedelta(seconds=seconds)
        self.ledger.save(replace(self.ledger.load(an_id("s-1")), lease_until=until))

    def ask(self, action, *, by=ALICE, **fields):
        """Ask as HTTP does; return the status and what is said."""
        self.clock.advance(1)
        request = {"action": action, "call": "s-1", "case": CASE, "reason": "why"} | fields
        reply = self.work.answer(json.dumps(request).encode(), by=by)
        return reply.status, reply.body

    def done(self, action, **fields):
        status, said = self.ask(action, **fields)
        assert status == 200, said
        return said

    def objects(self):
        return {key for key in self.archive.objects if key.startswith(PREFIX)}

    def records(self):
        """Return the records in the archive, in their order."""
        keys = sorted(key for key in self.archive.objects if key.startswith("holds/"))
        return [json.loads(self.archive.objects[key]) for key in keys]

    def holds(self, **fields):
        return holds(self.notes, self.clock, **fields)


@pytest.fixture
def world():
    return World()


def test_a_hold_holds_every_object_of_every_revision(world):
    """And nothing of the call beside it, whose id begins the same."""
    said = world.done("hold")
    assert (said["held"], said["objects"], said["repeated"]) == (True, 4, False)
    assert world.archive.holds == world.objects()
    assert held(an_id("s-1"), world.notes)


def test_a_call_is_free_when_the_last_case_has_let_go(world):
    """Each case has its own reason and its own person."""
    world.done("hold")
    world.done("hold", by=BOB, case="tax", reason="audit")
    world.done("request-release")
    said = world.done("confirm-release", by=BOB)
    assert (said["held"], list(said["cases"])) == (True, ["tax"])
    assert world.archive.holds == world.objects()
    world.done("request-release", case="tax")
    said = world.done("confirm-release", by=BOB, case="tax")
    assert (said["held"], said["objects"]) == (False, 4)
    assert world.archive.holds == set()
    assert not held(an_id("s-1"), world.notes)


@pytest.mark.parametrize(
    "same",
    [
        ALICE,
        ALICE.replace("Legal_01", "Admin_02"),
        ALICE.replace("alice", "Alice"),
        "arn:aws:iam::123456789012:user/legal/alice",
    ],
)
def test_nobody_releases_alone(world, same):
    """Whichever role the person takes, under the same name."""
    world.done("hold", by=BOB)
    world.done("request-release")
    status, said = world.ask("confirm-release", by=same)
    assert status == 403
    assert "another person must confirm" in said["message"]
    assert world.archive.holds == world.objects()
    assert world.done("confirm-release", by=BOB)["held"] is False


def test_sessions_of_one_role_are_people():
    """As single sign-on names them; the account itself is one too."""
    assert person(ALICE) != person(BOB)
    assert person("arn:aws:iam::1:root") == "arn:aws:iam::1:root"


@pytest.mark.parametrize(
    ("before", "action", "by", "says"),
    [
        ([], "request-release", ALICE, "does not hold this call, which is not held"),
        (["hold"], "confirm-release", BOB, "no release from"),
        (["hold"], "withdraw-release", BOB, "no release from"),
        (["hold", "request-release"], "request-release", BOB, "alice requested this release"),
        (["hold"], "other", ALICE, "the case other does not hold this call, which is held for"),
    ],
)
def test_what_is_out_of_turn_is_refused_and_changes_nothing(world, before, action, by, says):
    """With what to do instead."""
    for step in before:
        world.done(step)
    records, entry = world.records(), world.notes.read("hold#ringex/1/s-1")
    fields = {"case": "other"} if action == "other" else {}
    status, said = world.ask("request-release" if fields else action, by=by, **fields)
    assert (status, says in said["message"]) == (409, True), said
    assert (world.records(), world.notes.read("hold#ringex/1/s-1")) == (records, entry)


def test_a_request_for_release_may_be_withdrawn(world):
    """Then nobody can confirm it."""
    world.done("hold")
    world.done("request-release")
    assert world.done("withdraw-release", by=BOB)["cases"][CASE]["release"] is None
    assert world.ask("confirm-release", by=BOB)[0] == 409
    assert world.archive.holds == world.objects()


def test_every_step_is_a_record_that_will_be_chained(world):
    """With person, reason and time, and which cases hold the call after it."""
    world.done("hold", reason="complaint")
    world.done("request-release", reason="settled")
    world.done("confirm-release", by=BOB, reason="")
    found = [(r["step"], r["action"], r["reason"], r["by"], r["held_by"]) for r in world.records()]
    assert found == [
        (1, "hold", "complaint", ALICE, [CASE]),
        (2, "request-release", "settled", ALICE, [CASE]),
        (3, "confirm-release", "", BOB, []),
    ]
    keys = {key for key in world.archive.objects if key.startswith("holds/")}
    at = format_time(NOON + timedelta(seconds=1))
    assert f"holds/ringex/1/s-1/{at}-1.json" in keys
    announced = list(listed(world.notes, until=world.clock.now()))
    assert {each.key for each in announced} == keys
    assert all(each.stored for each in announced)


def test_the_ledger_tells_the_state_and_the_way_there(world):
    """In one note."""
    world.done("hold", reason="complaint")
    world.done("request-release", reason="settled")
    content = world.notes.read("hold#ringex/1/s-1").content
    case = content["cases"][CASE]
    assert (case["reason"], case["by"]) == ("complaint", ALICE)
    assert (case["release"]["reason"], case["release"]["by"]) == ("settled", ALICE)
    assert [step["action"] for step in content["steps"]] == ["hold", "request-release"]


@pytest.mark.parametrize("action", ["hold", "request-release", "confirm-release"])
def test_the_same_again_is_no_other_step(world, action):
    """It only makes sure of it."""
    for step, by in (("hold", ALICE), ("request-release", ALICE), ("confirm-release", BOB)):
        world.done(step, by=by)
        if step == action:
            break
    before = world.records()
    assert world.done(action, by=by)["repeated"] is True
    assert world.records() == before


def test_a_case_may_hold_again_what_it_let_go(world):
    """That is another step."""
    for step, by in (("hold", ALICE), ("request-release", ALICE), ("confirm-release", BOB)):
        world.done(step, by=by)
    assert world.done("hold")["repeated"] is False
    assert world.archive.holds == world.objects()
    assert len(world.records()) == 4


@pytest.mark.parametrize("dies_at", range(6))
@pytest.mark.parametrize("action", ["hold", "confirm-release"])
def test_a_run_that_dies_is_made_up_for_when_it_is_repeated(world, action, dies_at):
    """Wherever it dies: the record first, then the objects, and nothing twice."""
    by = ALICE if action == "hold" else BOB
    if action != "hold":
        world.done("hold")
        world.done("request-release")
    before = len(world.records())
    world.archive = Dying(world.archive, dies_at)
    died = False
    try:
        died = world.ask(action, by=by)[0] == 503
    except Died:
        died = True
    world.archive = world.archive.archive
    assert died == (dies_at < 5)
    if dies_at < 3:
        assert len(world.records()) == before
    if died:
        assert [one.unfinished for one in world.holds()] == [True]
    said = world.done(action, by=by)
    assert said["held"] is (action == "hold")
    assert world.archive.holds == (world.objects() if action == "hold" else set())
    assert len(world.records()) == before + 1
    assert not any(one.unfinished for one in world.holds())


class Died(Exception):
    pass


class Dying:
    """An archive whose user dies, or that refuses, before or after it is asked to do something."""

    def __init__(self, archive, at):
        self.archive = archive
        self.at = at

    def put_bytes(self, *arguments, **named):
        self._step(0, Died)
        self._step(1, Retry)
        self._step(2, Died)
        return self.archive.put_bytes(*arguments, **named)

    def hold(self, prefix, *, on):
        self._step(3, Died)
        first = min(key for key in self.archive.objects if key.startswith(prefix))
        if self.at == 4:
            self.archive.hold(first, on=on)
            raise Retry("S3 refuses")
        return self.archive.hold(prefix, on=on)

    def _step(self, number, error):
        if self.at == number:
            raise error("died")


def test_a_hold_that_comes_while_another_lets_go_wins(world):
    """The objects are brought into line until the ledger has said the same all the while."""
    world.done("hold")
    world.done("request-release")
    meanwhile = [lambda: world.done("hold", by=BOB, case="tax")]
    plain = world.archive.hold

    def interrupted(prefix, *, on):
        done = plain(prefix, on=on)
        if meanwhile:
            meanwhile.pop()()
            plain(prefix, on=on)  # what was on its way all the time
        return done

    world.archive.hold = interrupted
    said = world.done("confirm-release", by=BOB)
    assert world.archive.holds == world.objects()
    assert list(world.notes.read("hold#ringex/1/s-1").content["cases"]) == ["tax"]
    assert said["held"] is True


class TestWhichCall:
    def test_one_that_is_not_archived_yet_may_be_held(self, world):
        """The sweep has found it; there is nothing to hold yet."""
        call = an_id("k-1", provider="kazoo")
        world.notes.write(Note(key=records_key(call), content={"records": {}}))
        siblings(call, world.notes)
        said = world.done("hold", call="k-1")
        assert (said["provider"], said["held"], said["objects"]) == ("kazoo", True, 0)

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("S-1", "ringex/1/s-1"),
            ("1", "ringex/1/s-1"),
            ('"s-1"', "ringex/1/s-1"),
            ("s%2D1", "ringex/1/s-1"),
            ("kazoo/s-1", "ringex/1/s-1"),
            ("ringex/2/s-1", "ringex/1/s-1"),
            (f"{PREFIX}manifest-1.json", "ringex/1/s-1"),
        ],
    )
    def test_one_that_nobody_knows_is_refused_with_what_may_be_meant(self, world, given, meant):
        """No call is held."""
        status, said = world.ask("hold", call=given)
        assert status == 404
        assert f"did you mean {meant}?" in said["message"]
        assert world.archive.holds == set()

    def test_one_of_which_nothing_is_known_needs_force(self, world):
        """And its address, which nobody can guess."""
        assert "is its id right?" in world.ask("hold", call="s-9")[1]["message"]
        status, said = world.ask("hold", call="s-9", force=True)
        assert (status, "give its address" in said["message"]) == (400, True)
        assert world.done("hold", call="ringcx/7/s-9", force=True)["held"] is True
        said = world.done("request-release", call="ringcx/7/s-9")
        assert (said["provider"], said["account"], said["call"]) == ("ringcx", "7", "s-9")

    def test_force_releases_nothing(self, world):
        """That nobody holds."""
        assert world.ask("request-release", call="ringex/1/s-9", force=True)[0] == 404

    @pytest.mark.parametrize(
        ("provider", "account", "told"),
        [("ringcx", "1", "ringcx/s-1"), ("ringex", "2", "ringex/2/s-1")],
    )
    def test_an_id_of_two_calls_needs_more_of_the_address(self, world, provider, account, told):
        """Both addresses are named, whether the provider or the account is another one."""
        world.know("s-1", provider=provider, account=account)
        status, said = world.ask("hold")
        assert status == 400
        assert f"name one of ringex/1/s-1, {provider}/{account}/s-1" in said["message"]
        assert world.archive.holds == set()
        done = world.done("hold", call=told)
        assert (done["provider"], done["account"]) == (provider, account)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"hold s-1", "the body is not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "`action` is missing"),
        (b'{"action": "free"}', "`action` is one of hold, request-release"),
        (b'{"action": "hold", "case": "c", "reason": "r"}', "`call` is missing"),
        (b'{"action": "hold", "call": "s", "case": " ", "reason": "r"}', "`case` is missing"),
        (b'{"action": "hold", "call": "s", "case": "c"}', "`reason` is missing"),
        (b'{"action": "hold", "call": "s", "case": "c", "reason": 1}', "`reason` is not a text"),
        (
            b'{"action": "hold", "call": "s", "case": "c", "reason": "r", "provider": "kazoo"}',
            "nobody knows the field provider",
        ),
        (b'{"action": "hold", "force": "yes"}', "`force` is true or false"),
        (
            b'{"action": "hold", "call": "s", "case": "c", "reason": "r", "by": "bob"}',
            "nobody knows the field by",
        ),
        (
            json.dumps({"action": "hold", "call": "s", "case": "c" * 201}).encode(),
            "`case` is longer than 200",
        ),
    ],
)
def test_what_is_no_request_is_told(world, body, says):
    """By the field; who asks cannot be said at all."""
    reply = world.work.answer(body, by=ALICE)
    assert (reply.status, reply.outcome) == (400, "Refused")
    assert says in reply.body["message"]


def test_a_store_that_refuses_is_told_and_to_be_asked_again(world):
    """With a status that says so."""
    world.archive.refusal = Retry("S3 refuses")
    status, said = world.ask("hold")
    assert (status, "send the same request again" in said["message"]) == (503, True)


def test_nothing_of_the_reason_is_logged(world):
    """It may name people."""
    request = {"action": "hold", "call": "s-1", "case": CASE, "reason": "a secret"}
    reply = world.work.answer(json.dumps(request).encode(), by=ALICE)
    assert "a secret" not in json.dumps(reply.logged)
    assert (reply.logged["call"], reply.logged["by"]) == ("s-1", ALICE)


class TestList:
    def test_all_holds_are_listed_by_case(self, world):
        """With who asked for a release."""
        world.know("s-0")
        world.done("hold", case="b")
        world.done("hold", case="a")
        world.done("hold", call="s-0", case="b")
        world.done("request-release", case="b", by=BOB)
        found = [(one.case, one.call, one.release and one.release["by"]) for one in world.holds()]
        assert found == [("a", "s-1", None), ("b", "s-0", None), ("b", "s-1", BOB)]
        assert [one.call for one in world.holds(case="a")] == ["s-1"]
        assert world.holds()[0].to_json()["reason"] == "why"

    def test_what_is_free_is_listed_no_more(self, world):
        """As long as no other case holds it."""
        world.done("hold")
        world.done("request-release")
        world.done("confirm-release", by=BOB)
        assert world.holds() == []


class TestInherited:
    """What the processor writes of a call, while it is held or becomes so."""

    def write(self, archive, name="legs/3.mp3"):
        archive.put_bytes(f"{PREFIX}{name}", b"new", media_type="audio/mpeg")

    def test_a_later_revision_is_held_from_its_first_object(self, world):
        """Before anybody looks again."""
        world.done("hold")
        with world.writing("s-1") as archive:
            self.write(archive)
            assert world.archive.holds == world.objects()

    def test_what_is_not_held_is_written_as_it_is(self, world):
        """And nothing is held afterwards."""
        with world.writing("s-1") as archive:
            self.write(archive)
        assert world.archive.holds == set()

    def test_a_hold_that_comes_in_between_is_not_missed(self, world):
        """What was written before it, and after it."""
        with world.writing("s-1") as archive:
            self.write(archive)
            world.done("hold")
            self.write(archive, "manifest-3.json")
        assert world.archive.holds == world.objects()

    def test_nor_by_a_worker_that_fails(self, world):
        """Its objects stay behind."""

        def work():
            with world.writing("s-1") as archive:
                world.done("hold")
                self.write(archive)
                raise NotYet("the other leg")

        with pytest.raises(NotYet):
            work()
        assert world.archive.holds == world.objects()

    def test_a_release_waits_for_the_worker_that_writes_under_hold(self, world):
        """The same request carries it out when that is done, and nothing is left held."""
        world.done("hold")
        world.done("request-release")
        world.lease(seconds=60)
        with world.writing("s-1") as archive:
            status, said = world.ask("confirm-release", by=BOB)
            assert (status, "stays held until" in said["message"]) == (503, True)
            self.write(archive)
        assert world.archive.holds == world.objects()
        assert [one.unfinished for one in world.holds()] == [True]
        world.clock.advance(60)
        world.done("confirm-release", by=BOB)
        assert world.archive.holds == set()
        assert world.holds() == []

    @pytest.mark.attacks("has the processor release what a case holds")
    def test_a_worker_never_releases(self, world):
        """Whatever the ledger says: it lost its hold while the worker wrote."""
        world.done("hold")
        world.done("request-release")
        with world.writing("s-1") as archive:
            self.write(archive)
            del world.notes.notes[f"hold#{an_id('s-1')}"]
        assert world.archive.holds == world.objects()

    def test_the_first_objects_of_a_call_are_held(self, world):
        """Which was held before anything was archived, or where it lies was known."""
        asked = read(
            b'{"action": "hold", "call": "ringex/1/s-2", "case": "c", "reason": "r","force": true}',
            by=ALICE,
        )
        world.work.hold(asked)
        prefix = PREFIX.replace("s-1", "s-2")
        with world.writing("s-2") as archive:
            world.know("s-2", prefix=prefix)
            archive.put_bytes(f"{prefix}legs/1.mp3", b"new", media_type="audio/mpeg")
            assert world.archive.holds == {f"{prefix}legs/1.mp3"}
        assert world.archive.holds == {f"{prefix}legs/1.mp3"}
