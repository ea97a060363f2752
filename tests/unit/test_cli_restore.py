"""The operator's command for restores: it says the price, asks, and never spends unasked."""

import json
import sys
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from legato.catalogue import index
from legato.cli.app import app
from legato.errors import Failed, Refused
from legato.retrieval.restore.survey import Restoring
from tests.fakes import NOON, FakeCatalogue
from tests.unit.test_restore import World

REASON = ("--reason", "subpoena 4711")


class FakeRecorder:
    def __init__(self):
        self.records = []
        self.refusal = None

    def record(self, action, calls, *, reason=None, details=None):
        if self.refusal:
            raise self.refusal
        self.records.append((action, list(calls), reason, details))
        return {"id": f"a{len(self.records)}", "keys": []}


class FakePlace:
    """Hands out a world whose S3 restores while somebody waits; or a terminal with a person."""

    def __init__(self, *, person=False):
        self.world = World()
        self.rows = FakeCatalogue()
        self.log = FakeRecorder()
        self.person = person

    def archive(self, name, *sizes, **how):
        row = self.world.call(name, *sizes, **how)
        index.enter(row, self.rows, list)
        return row

    def catalogue(self):
        if self.person:
            sys.stdin.isatty = lambda: True  # the runner's stream, and gone with it
        return self.rows

    def recorder(self):
        return self.log

    def restoring(self):
        def sleep(_seconds):
            self.world.library.arrive()

        world = self.world
        return Restoring(library=world.library, notes=world.notes, clock=world.clock, sleep=sleep)


@pytest.fixture
def place():
    return FakePlace()


def legato(place, *arguments, given=None):
    return CliRunner().invoke(app, ["restore", *arguments], obj=place, input=given)


def lines(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_without_a_person_it_states_prices_and_asks_s3_for_nothing(place):
    """Exit code 2 says what to add."""
    place.archive("s-1", 5 * 2**30, 5 * 2**30)
    shown = legato(place, "s-1", "--days", "30", *REASON)
    assert shown.exit_code == 2
    assert lines(shown.stdout) == [
        "ringcx/1/s-1: in cold storage (GLACIER, 2 of 2 objects)",
        "Tier Price Takes Objects GB",
        "Expedited $0.55 1 to 5 min; longer from 250 MB on 2 10.00",
        "Standard $0.33 3 to 5 h 2 10.00",
        "Bulk $0.23 5 to 12 h 2 10.00",
        "List prices of us-east-1, including the copies in S3 Standard for 30 days; your region "
        "and contract may differ.",
    ]
    assert shown.stderr == "legato: nothing was requested: add --tier and --yes\n"
    assert place.world.library.orders == {}
    assert place.log.records == []


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--tier", "Standard"], "add --yes to confirm"),
        (["--yes"], "add --tier"),
        (["--tier", "Expedited", "--yes"], "add --yes-expedited"),
    ],
)
def test_nothing_is_spent_unless_it_is_agreed_to(place, arguments, advice):
    place.archive("s-1", 10)
    shown = legato(place, "s-1", *arguments, *REASON)
    assert shown.exit_code == 2
    assert advice in shown.stderr
    assert place.world.library.orders == {}
    assert place.log.records == []


@pytest.mark.parametrize(
    ("tier", "more", "end"),
    [
        ("standard", [], "by 2026-11-20 17:00 UTC"),
        ("Bulk", [], "by 2026-11-21 00:00 UTC"),
        ("Expedited", ["--yes-expedited"], "by 2026-11-20 12:05 UTC"),
    ],
)
def test_what_is_agreed_to_is_asked_for_and_written_down(place, tier, more, end):
    """In the access log first."""
    place.archive("s-1", 10, 20)
    place.archive("s-2", 10, kept_in="GLACIER_IR")
    shown = legato(place, "s-1", "s-2", "--tier", tier, "--yes", *REASON, *more)
    assert shown.exit_code == 0, shown.output
    assert "ringcx/1/s-2: readable, needs no restore" in shown.stdout
    assert f"Requested 2 objects of 1 call from S3, readable {end}" in shown.stdout
    tier = tier.capitalize()
    assert [order for order, _ in place.world.library.orders.values()] == [tier, tier]
    details = {"tier": tier, "days": 7}
    told = ("restore", [("ringcx", "1", "s-1")], REASON[1], details)
    assert place.log.records == [told]
    [note] = place.world.notes.notes.values()
    assert note.content["request"] == "a1"


def test_what_cannot_be_written_down_is_not_asked_for(place):
    place.archive("s-1", 10)
    place.log.refusal = Refused("give a --reason: the access log keeps it")
    shown = legato(place, "s-1", "--tier", "Bulk", "--yes")
    assert (shown.exit_code, place.world.library.orders) == (2, {})
    assert "--reason" in shown.stderr


@pytest.mark.parametrize(
    ("typed", "more", "tier"),
    [
        ("bulk\n", [], "Bulk"),
        ("Expedited\nStandard\n", [], "Standard"),
        ("expedited\n", ["--yes-expedited"], "Expedited"),
        ("\n", [], None),
        ("y\n", ["--tier", "Bulk"], "Bulk"),
        ("n\n", ["--tier", "Bulk"], None),
    ],
)
def test_a_person_is_asked(typed, more, tier):
    """Which tier, or whether this one; Expedited is not to be had by a slip of the finger."""
    place = FakePlace(person=True)
    place.archive("s-1", 10)
    shown = legato(place, "s-1", *more, *REASON, given=typed)
    assert shown.exit_code == (0 if tier else 1), shown.output
    assert [order for order, _ in place.world.library.orders.values()] == ([tier] if tier else [])


def test_deep_archive_refuses_expedited(place):
    place.archive("s-1", 10, kept_in="DEEP_ARCHIVE")
    shown = legato(place, "s-1", "--tier", "Expedited", "--yes-expedited", "--yes", *REASON)
    assert shown.exit_code == 2
    assert "DEEP_ARCHIVE has no Expedited: use --tier Standard or Bulk" in shown.stderr


def test_what_is_there_or_on_its_way_is_said_and_not_asked_for(place):
    place.archive("s-1", 10)
    assert legato(place, "s-1", "--tier", "Bulk", "--yes", *REASON).exit_code == 0
    again = legato(place, "s-1", *REASON)
    assert (again.exit_code, again.stdout) == (0, "ringcx/1/s-1: being restored (Bulk)\n")
    place.world.library.arrive()
    again = legato(place, "s-1", *REASON)
    there = "ringcx/1/s-1: readable until 2026-11-27 12:00 UTC\n"
    assert (again.exit_code, again.stdout) == (0, there)
    assert len(place.log.records) == 1


def test_all_that_the_filters_find_is_restored(place):
    """Many calls are counted instead of listed."""
    for number in range(51):
        place.archive(f"s-{number}", 10)
    place.archive("s-x", 10, kept_in="GLACIER_IR")
    shown = legato(place, "--provider", "ringcx", "--tier", "Bulk", "--yes", *REASON)
    assert shown.exit_code == 0, shown.output
    counted = "52 calls, 0.00 GB. Needing no restore: 1, in cold storage: 51."
    assert shown.stdout.splitlines()[0] == counted
    assert len(place.world.library.orders) == 51


def test_what_s3_refuses_ends_with_1(place):
    row = place.archive("s-1", 10, 20)
    refused = f"{row.prefix}legs/1.wav"
    place.world.library.refusals[refused] = Failed("S3 has no room for Expedited now")
    shown = legato(place, "s-1", "--tier", "Bulk", "--yes", "--wait", *REASON)
    assert shown.exit_code == 1
    assert f"legato: {refused}: S3 has no room for Expedited now" in shown.stderr
    assert "S3 refused to restore 1 object: run the same command again" in shown.stderr


def test_wait_ends_when_all_can_be_read(place):
    """Off a terminal in plain lines."""
    place.archive("s-1", 10, 20)
    shown = legato(place, "s-1", "--tier", "Bulk", "--yes", "--wait", *REASON)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.endswith("ringcx/1/s-1: readable until 2026-11-27 12:00 UTC\n")
    assert "legato: Restoring: 0 of 2 objects\nlegato: Restoring: 2 of 2 objects" in shown.stderr


def test_interrupted_while_it_waits_says_that_the_restore_goes_on(place):
    """Asked with nothing but --wait, it waits for what others have asked for."""
    place.archive("s-1", 10)
    legato(place, "s-1", "--tier", "Bulk", "--yes", *REASON)

    def interrupted(*_keys):
        raise KeyboardInterrupt

    place.world.library.arrive = interrupted
    shown = legato(place, "s-1", "--wait")
    assert shown.exit_code == 130
    assert "the restore continues without this command: `legato restore --list`" in shown.stderr


def test_list_says_what_is_under_way_and_what_is_there(place):
    assert legato(place, "--list").stdout == "No restore is under way, and nothing is restored.\n"
    place.archive("s-1", 10)
    place.archive("s-2", 10, 20)
    legato(place, "s-1", "--tier", "Bulk", "--yes", *REASON)
    place.world.library.arrive()
    legato(place, "s-2", "--tier", "Standard", "--yes", *REASON)
    shown = legato(place, "--list")
    assert shown.exit_code == 0
    assert lines(shown.stdout)[1:] == [
        "ringcx/1/s-1 2026-11-20 12:00 UTC Bulk 1 of 1 readable until 2026-11-27 12:00 UTC",
        "ringcx/1/s-2 2026-11-20 12:00 UTC Standard 0 of 2 under way, by 2026-11-20 17:00 UTC",
    ]
    found = json.loads(legato(place, "--list", "--json").stdout)
    assert [(one["call"], one["done"], one["objects"]) for one in found] == [
        ("s-1", 1, 1),
        ("s-2", 0, 2),
    ]
    assert legato(place, "s-1", "--list").exit_code == 2


def test_json_says_all_of_it(place):
    """Nothing but JSON is on standard output."""
    place.archive("s-1", 10)
    shown = legato(place, "s-1", "--tier", "Bulk", "--yes", "--wait", "--json", *REASON)
    report = json.loads(shown.stdout)
    [call] = report["calls"]
    assert (call["call"], call["how"]) == ("s-1", "restored")
    assert call["until"] == (NOON + timedelta(days=7)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert [offer["tier"] for offer in report["offers"]] == ["Expedited", "Standard", "Bulk"]
    asked = {"provider": "ringcx", "account": "1", "call": "s-1"}
    assert report["asked"] == {"calls": [asked], "objects": 1, "refused": {}}


def test_a_tier_that_there_is_not_is_wrong_usage(place):
    shown = legato(place, "s-1", "--tier", "fast")
    assert shown.exit_code == 2
    assert "Expedited, Standard, Bulk" in shown.stderr
