"""The operator's commands for what is missing and what failed: what they say and how they end."""

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.errors import Barred, Failed
from legato.model import Job
from legato.operations.past import Reconciling
from tests.fakes import a_job
from tests.unit.test_failures import World as FailedWorld
from tests.unit.test_reconcile import BEGIN, DAY, END, FakeRecorded, a_page
from tests.unit.test_reconcile import World as RecordedWorld


class FakePlace:
    """Hands out what a world has, or an error."""

    def __init__(self, world, error=None):
        self.world = world
        self.error = error
        self.asked_for = None

    def failed_calls(self, **asked_for):
        self.asked_for = asked_for
        if self.error:
            raise self.error
        return self.world.work()

    def reconciling(self, **asked_for):
        self.asked_for = asked_for
        world = self.world
        return Reconciling(
            name="by-hand",
            begin=asked_for["begin"],
            end=asked_for["end"],
            recorded=world.recorded,
            jobs={"ringex": world.jobs},
            ledger=world.ledger,
            notes=world.notes,
            memory=world.memory,
            archive=world.archive,
            clock=world.clock,
            sleep=world.sleep,
            settle_seconds=5,
            report_only=asked_for["report_only"],
        )


@pytest.fixture
def place():
    world = FailedWorld()
    world.fail("s-1", "404 for a week")
    world.fail("s-2", "the scratch disk is full")
    return FakePlace(world)


def legato(place, *arguments):
    return CliRunner().invoke(app, [*arguments], obj=place)


def queued(place):
    return [Job.from_message(body).call for body in place.world.letters.jobs]


def test_failed_lists_each_call_with_its_reason(place):
    """And how long ago it was, and what to do."""
    ended = legato(place, "failed", "--provider", "ringex")
    assert ended.exit_code == Exit.NEEDS_PERSON
    assert place.asked_for == {"providers": ["ringex"]}
    assert "s-1" in ended.output
    assert "404 for a week" in ended.output
    assert "1 dead letter, ledger" in ended.output
    assert "2 failed. Retry them with `legato retry CALL`" in ended.output


def test_failed_for_scripts_is_json_and_nothing_else(place):
    """An empty list where nothing failed."""
    ended = legato(place, "failed", "--json")
    assert [one["call"] for one in json.loads(ended.output)] == ["s-1", "s-2"]
    assert ended.exit_code == Exit.NEEDS_PERSON
    ended = legato(FakePlace(FailedWorld()), "failed", "--json")
    assert (json.loads(ended.output), ended.exit_code) == ([], Exit.DONE)


def test_nothing_failed_is_said():
    """And no empty table."""
    ended = legato(FakePlace(FailedWorld()), "failed")
    assert (ended.output, ended.exit_code) == ("Nothing failed.\n", Exit.DONE)


def test_retry_of_a_call_says_what_it_did(place):
    """The other one stays."""
    ended = legato(place, "retry", "s-2")
    assert ended.exit_code == 0
    assert ended.output == "ringex/1/s-2: queued again\n1 queued again.\n"
    assert queued(place) == ["s-2"]


def test_retry_of_all_and_by_reason(place):
    """The reason is a part of its text, in whatever case."""
    assert legato(place, "retry", "--error", "SCRATCH").exit_code == 0
    assert queued(place) == ["s-2"]
    assert legato(place, "retry", "--all").exit_code == 0
    assert queued(place) == ["s-2", "s-1", "s-2"]


def test_retry_of_an_id_that_failed_in_two_accounts_names_both(place):
    """Nothing is tried again before somebody says which one."""
    place.world.letters.add(a_job("s-2", account="2").to_message())
    for text in ("s-2", "ringex/s-2"):
        ended = legato(place, "retry", text)
        assert ended.exit_code == 2
        assert "several calls: name one of ringex/1/s-2, ringex/2/s-2" in ended.output
        assert queued(place) == []
    assert legato(place, "retry", "ringex/2/s-2").exit_code == 0
    assert [Job.from_message(body).account for body in place.world.letters.jobs] == ["2"]


def test_retry_of_a_call_that_did_not_fail_is_told(place):
    """Those that did are tried again all the same."""
    ended = legato(place, "retry", "s-1", "s-9")
    assert ended.exit_code == Exit.NOT_FOUND
    assert "legato: s-9 have not failed, or are unknown: see `legato failed`" in ended.output
    assert queued(place) == ["s-1"]


def test_retry_leaves_what_is_no_job_and_does_not_end_well(place):
    """Somebody has to look at it."""
    place.world.letters.add("no job")
    ended = legato(place, "retry", "--all")
    assert ended.exit_code == Exit.NEEDS_PERSON
    assert "ringex ?: not retried: it is no job" in ended.output
    assert "2 queued again." in ended.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["retry"], "say what to retry: calls by address or id, --error, or --all"),
        (["retry", "s-1", "--all"], "say what"),
        (["retry", "--all", "--error", "404"], "say what"),
        (["failed", "--provider", "zoom"], "'zoom' is not one of ringex, ringcx, kazoo"),
        (["reconcile"], "Missing option '--from'"),
        (
            ["reconcile", "--from", "someday"],
            "'someday' is not a time: write a day (2026-11-01,",
        ),
        (["reconcile", "--from", "2026-11-02", "--to", "2026-11-01"], "is not before --to"),
        (["reconcile", "--from", "2999-01-01"], "--from lies in the future"),
    ],
)
def test_wrong_usage_is_told_in_one_line(place, arguments, says):
    """And nothing is done."""
    ended = legato(place, *arguments)
    assert ended.exit_code == 2
    assert says in ended.output
    assert place.asked_for is None


def test_what_keeps_it_from_beginning_is_told_in_one_line():
    """With the exit code of a failure."""
    ended = legato(FakePlace(None, Failed("it was deployed from another version")), "failed")
    assert (ended.exit_code, ended.output) == (1, "legato: it was deployed from another version\n")


DAYS = ("--from", "2026-11-17", "--to", "2026-11-19")


def test_reconcile_shows_each_day_and_what_is_missing():
    """And does not end with 0 then. Both days are included."""
    world = RecordedWorld(FakeRecorded(a_page("s-1/1", "s-2/2")))
    world.seal("s-1", "1")
    place = FakePlace(world)
    ended = legato(place, "reconcile", *DAYS)
    assert ended.exit_code == Exit.NEEDS_PERSON
    assert place.asked_for == {
        "begin": BEGIN,
        "end": END,
        "providers": (),
        "report_only": False,
    }
    lines = [line.split() for line in ended.stdout.splitlines()]
    assert ["2026-11-19", "ringex", "2", "1", "0", "0", "1"] in lines
    assert "Missing: 1" in ended.stdout
    assert "nothing is known of its call" in ended.stdout
    assert "1 queued again." in ended.stdout
    assert "reports/2026/11/20/reconciliation-20261120T120000Z.json" in ended.stdout


def test_reconcile_ends_well_where_all_is_archived():
    """And says the same to a script, on its standard output alone."""
    world = RecordedWorld(FakeRecorded(a_page("s-1/1")))
    world.seal("s-1", "1")
    ended = legato(FakePlace(world), "reconcile", *DAYS, "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.stdout)["archived"] == 1
    assert "ringex: 1 pages read" in ended.stderr


def test_reconcile_says_what_could_not_be_asked():
    """A provider that is down is not a provider that recorded nothing."""
    world = RecordedWorld(FakeRecorded(Barred("403 access denied", seconds=900)))
    ended = legato(FakePlace(world), "reconcile", *DAYS, "--report-only")
    assert ended.exit_code == Exit.NEEDS_PERSON
    assert "Not asked: ringex: 403 access denied" in ended.stdout
    assert "ringex (not complete)" in ended.stdout
    assert world.jobs.sent == []


def test_reconcile_without_an_end_goes_to_the_present_day():
    """In UTC."""
    place = FakePlace(RecordedWorld(FakeRecorded(a_page())))
    today = datetime.now(UTC)
    legato(place, "reconcile", "--from", f"{today - 2 * DAY:%Y-%m-%d}")
    assert place.asked_for["end"].date() >= today.date()


@pytest.mark.parametrize("command", [["failed"], ["failed", "--json"], ["retry", "s-3\x1b[2J"]])
@pytest.mark.attacks("a reason and an id that command the terminal")
def test_no_reason_commands_the_terminal(place, command):
    """Providers word their reasons. Nor does one look like another line, or like markup."""
    hostile = "\x1b[2J\x9b31m\u202e[/bold] :smile:\nAll is well."
    place.world.fail("s-3", hostile)
    ended = legato(place, *command)
    assert all(line.isprintable() for line in ended.output.splitlines())
    assert "All is well." not in ended.output.splitlines()
    if command == ["failed"]:
        assert "[/bold] :smile: All is well." in ended.output
    if command[-1] == "--json":
        assert hostile in [one["reason"] for one in json.loads(ended.stdout)]


@pytest.mark.attacks("an account whose reason commands the terminal")
def test_no_reason_of_a_reconciliation_commands_the_terminal():
    """It says what could not be asked, and why."""
    world = RecordedWorld(FakeRecorded(Failed("\x1b[2Jno")))
    ended = legato(FakePlace(world), "reconcile", "--from", "2026-11-19", "--report-only")
    assert "[2Jno" in ended.output
    assert "\x1b" not in ended.output
