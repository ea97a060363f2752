"""The access log: who looks at which calls, when and why, written down before anything is read."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from legato.errors import Retry
from legato.evidence.access_log import ACTIONS, AccessLog, rebuild, to_json
from legato.ledger.undigested import listed
from legato.model import format_time
from legato.operations.catalogue_rebuild import Days, rebuild_accesses
from tests.fakes import NOON, FakeAccesses, FakeArchive, FakeClock, FakeLibrary, FakeNotes, an_id
from tests.unit.test_legal_hold import ALICE, BOB
from tests.unit.test_legal_hold import World as HoldWorld

SCHEMA = Draft202012Validator(json.loads(Path("docs/access.schema.json").read_text()))
DAY = timedelta(days=1)
CALL = {"provider": "ringex", "account": "1", "call": "s-1"}


class World:
    def __init__(self):
        self.archive, self.notes = FakeArchive(), FakeNotes()
        self.accesses, self.clock = FakeAccesses(), FakeClock()
        self.reason_required = True

    @property
    def work(self):
        return AccessLog(
            archive=self.archive,
            notes=self.notes,
            accesses=self.accesses,
            clock=self.clock,
            reason_required=self.reason_required,
        )

    def ask(self, action, *calls, by=ALICE, **fields):
        """Ask as HTTP does; return the status and what is said."""
        self.clock.advance(1)
        named = [an_id(call)._asdict() for call in calls]
        request = {"action": action, "calls": named, "reason": "subpoena"} | fields
        reply = self.work.answer(json.dumps(request).encode(), by=by)
        return reply.status, reply.body

    def records(self):
        return [json.loads(body) for body in self.archive.objects.data.values()]

    def between(self, begin=NOON - timedelta(days=1), end=NOON + timedelta(days=1)):
        return list(self.accesses.between(begin, end))


@pytest.fixture
def world():
    return World()


def test_an_access_is_a_record_that_will_be_chained(world):
    """With person, time, reason and calls, under the day and time of the access."""
    status, said = world.ask("get", "s-1", "s-2", details={"bytes": 7}, reason=" subpoena ")
    at = format_time(NOON + timedelta(seconds=1))
    key = f"access/2026/11/20/{at}-{said['id']}.json"
    assert (status, said) == (200, {"id": said["id"], "at": at, "by": ALICE, "key": key})
    assert list(world.archive.objects) == [key]
    [record] = world.records()
    SCHEMA.validate(record)
    assert record["calls"] == [CALL, CALL | {"call": "s-2"}]
    told = (record["by"], record["at"], record["action"], record["reason"])
    assert told == (ALICE, at, "get", "subpoena")
    assert record["details"] == {"bytes": 7}
    [announced] = listed(world.notes, until=world.clock.now())
    assert announced.stored == world.archive.find(key)[key]


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_makes_a_record_that_fits_the_schema(world, action):
    """The schema knows the same actions."""
    assert world.ask(action, "s-1")[0] == 200
    [record] = world.records()
    SCHEMA.validate(record)
    assert record["action"] == action


def test_it_is_looked_up_by_call_and_by_time(world):
    """The newest first; of a call only what is about it."""
    world.ask("show", "s-1")
    world.ask("export", "s-1", "s-2", by=BOB)
    assert [(one.action, one.by, one.calls) for one in world.accesses.of_call(an_id("s-1"))] == [
        ("export", BOB, (("ringex", "1", "s-1"),)),
        ("show", ALICE, (("ringex", "1", "s-1"),)),
    ]
    assert [one.action for one in world.accesses.of_call(an_id("s-1", provider="ringcx"))] == []
    [export, show] = world.between()
    assert export.calls == (("ringex", "1", "s-1"), ("ringex", "1", "s-2"))
    assert {export.key, show.key} == set(world.archive.objects)


def test_two_accesses_at_the_same_moment_are_two(world):
    """They have ids."""
    world.ask("show", "s-1")
    world.clock.advance(-1)
    world.ask("show", "s-1")
    assert len(world.records()) == len(world.between()) == 2


def test_a_call_that_is_named_twice_is_accessed_once(world):
    """A request may name it twice, and a ledger takes no key twice at once."""
    assert world.ask("get", "s-1", "s-1")[0] == 200
    assert world.records()[0]["calls"] == [CALL]


def test_an_export_may_name_no_call(world):
    """And takes a thousand."""
    assert world.ask("export")[0] == 200
    assert world.ask("exported", *map(str, range(1000)))[0] == 200
    status, said = world.ask("export", *map(str, range(1001)))
    assert (status, "more than 1000 calls" in said["message"]) == (400, True)


def test_a_reason_is_left_out_only_where_the_stack_lets_it(world):
    """By default nobody looks at a call without one."""
    assert world.ask("show", "s-1", reason=" ")[1] == {"message": "`reason` is missing"}
    assert world.records() == []
    world.reason_required = False
    assert world.ask("show", "s-1", reason="")[0] == 200
    SCHEMA.validate(world.records()[0])


def deep(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"show s-1", "the body is not JSON"),
        (b"{}", "`action` is missing"),
        (b'{"action": "hold"}', "`action` is one of show, restore"),
        (b'{"action": "show"}', "`calls` is missing"),
        (b'{"action": "show", "calls": {}}', "`calls` is not a list"),
        (b'{"action": "show", "calls": ["s-1"]}', "`calls` is a list of objects"),
        (b'{"action": "show", "calls": [{"call": "s-1"}]}', "`provider` is one of ringex"),
        (
            b'{"action": "show", "calls": [{"provider": "ringex", "call": "s"}]}',
            "`account` is missing",
        ),
        (b'{"action": "show", "calls": [{"provider": [], "call": "s"}]}', "`provider` is one of"),
        (
            b'{"action": "show", "calls": [{"provider": "ringex", "account": "1"}]}',
            "`call` is missing",
        ),
        (
            b'{"action": "show", "calls": '
            b'[{"provider": "ringex", "account": "1", "call": "s", "leg": "1"}]}',
            "nobody knows the field leg",
        ),
        (
            b'{"action": "show", "calls": '
            b'[{"provider": "ringex", "account": "1", "call": "\\ud800"}]}',
            "`call` is not a text",
        ),
        (b'{"action": "export", "reason": 1}', "`reason` is not a text"),
        (b'{"action": "export", "reason": "r", "case": "c"}', "nobody knows the field case"),
        (b'{"action": "export", "reason": "r", "details": []}', "`details` is not a JSON object"),
        (b'{"action": "export", "reason": "r", "details": {"a": NaN}}', "`details` is not a JSON"),
        (
            b'{"action": "export", "reason": "r", "details": {"a": "' + b"x" * 4096 + b'"}}',
            "`details` has more than 4096 bytes",
        ),
        (b'{"action": "export", "reason": "r", "by": "bob"}', "nobody knows the field by"),
        (b'{"action": "export", "reason": "' + b"r" * 2001 + b'"}', "`reason` is longer than 2000"),
        (b" " * 256 * 1024 + b"{}", "the body has more than 262144 bytes"),
    ],
)
def test_what_is_no_request_is_told(world, body, says):
    """By the field; who asks cannot be said at all."""
    reply = world.work.answer(body, by=ALICE)
    assert (reply.status, reply.outcome) == (400, "Refused")
    assert says in reply.body["message"]
    assert (world.records(), world.between()) == ([], [])


def test_details_that_are_nested_too_deeply_are_refused(world):
    """Wherever that is found out."""
    for levels in (3, 600):
        body = b'{"action": "export", "reason": "r", "details": ' + deep(levels) + b"}"
        reply = world.work.answer(body, by=ALICE)
        assert reply.status == (200 if levels == 3 else 400)
    assert "`details`" in reply.body["message"]


@pytest.mark.parametrize("refusing", ["archive", "accesses"])
def test_what_refuses_is_told_and_to_be_asked_again(world, refusing):
    """Then nothing may be read; the record may be there all the same."""
    getattr(world, refusing).refusal = Retry("AWS refuses")
    status, said = world.ask("show", "s-1")
    assert (status, "send the same request again" in said["message"]) == (503, True)
    assert world.between() == []


def test_nothing_of_the_reason_is_logged(world):
    """It may name people."""
    request = {"action": "show", "calls": [CALL], "reason": "a secret", "details": {"a": "secret"}}
    reply = world.work.answer(json.dumps(request).encode(), by=ALICE)
    assert "secret" not in json.dumps(reply.logged)
    assert (reply.logged["calls"], reply.logged["by"]) == (1, ALICE)
    assert reply.logged["key"] == reply.body["key"]


class TestSteps:
    @pytest.fixture
    def holds(self):
        return HoldWorld()

    def test_each_step_of_a_hold_is_an_access(self, holds):
        """Of the call, with the key of its own record."""
        holds.done("hold", reason="complaint")
        holds.done("request-release", reason="settled")
        holds.done("confirm-release", by=BOB, reason="")
        found = list(holds.accesses.of_call(an_id("s-1")))
        assert [(one.action, one.by, one.reason) for one in found] == [
            ("confirm-release", BOB, ""),
            ("request-release", ALICE, "settled"),
            ("hold", ALICE, "complaint"),
        ]
        keys = [key for key in holds.archive.objects if key.startswith("holds/")]
        assert sorted(one.key for one in found) == keys
        assert {one.case for one in found} == {"2026-117"}

    def test_a_step_that_is_taken_again_is_no_other_access(self, holds):
        """Whether the ledger's note of it was lost before, or not."""
        holds.accesses.refusal = Retry("DynamoDB refuses")
        assert holds.ask("hold")[0] == 503
        holds.accesses.refusal = None
        assert holds.done("hold")["repeated"] is True
        note = holds.notes.read("hold#ringex/1/s-1")
        holds.notes.write(replace(note, content=note.content | {"carried_out": 0}))
        holds.done("hold")
        assert len(holds.accesses.noted) == 1


class TestRebuild:
    def test_what_was_noted_is_noted_anew_from_the_records(self, world):
        """Of looks and of holds, in any order."""
        holds = HoldWorld()
        holds.accesses = world.accesses
        holds.done("hold")
        world.ask("show", "s-1")
        world.ask("export", "s-1", "s-2")
        bodies = [holds.archive.objects[key] for key in holds.archive.objects.below("holds/")]
        bodies += world.archive.objects.data.values()
        again = FakeAccesses()
        assert rebuild(reversed(bodies), again) == 3
        assert again.noted == world.accesses.noted
        assert rebuild(bodies, again) == 3
        assert again.noted == world.accesses.noted

    def test_of_some_days_only_what_was_written_then_is_noted_and_all_of_holds(self, world):
        """A hold is filed by its call, and not by its day."""
        holds, library = HoldWorld(), FakeLibrary()
        holds.done("hold")
        world.ask("show", "s-1")
        for archive in (world.archive, holds.archive):
            for key in archive.objects.below(""):
                library.put(key, archive.objects[key])
        day, noted = NOON.date(), {}
        for days in (None, Days(day, day), Days(day - DAY, day - DAY), Days(day + DAY, day + DAY)):
            again = FakeAccesses()
            rebuild_accesses(library, again, days=days)
            noted[days] = [access.action for access in again.noted.values()]
        assert [sorted(actions) for actions in noted.values()] == [
            ["hold", "show"],
            ["hold", "show"],
            ["hold"],
            ["hold"],
        ]

    def test_what_is_no_record_is_passed_over_and_logged(self, world, caplog):
        """One damaged record does not keep the others out."""
        world.ask("show", "s-1")
        broken = [b"\xff", b"[]", b"{}", b'{"step": 1}', b'{"step": "x", "provider": null}']
        again = FakeAccesses()
        assert rebuild([*broken, *world.archive.objects.data.values()], again) == 1
        assert again.noted == world.accesses.noted
        assert [record.message for record in caplog.records] == ["no access record"] * 5


def test_for_scripts_an_access_is_json(world):
    """With the names of its record."""
    world.ask("show", "s-1")
    [one] = world.between()
    [record] = world.records()
    assert json.loads(json.dumps(to_json(one))) == {
        **{name: record[name] for name in record if "version" not in name},
        "case": "",
        "key": one.key,
    }
