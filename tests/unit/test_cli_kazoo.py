"""The operator's command for Kazoo's webhooks: what it shows, asks, does, and how it ends."""

import sys

import pytest
from typer.testing import CliRunner

from legato.bootstrap.kazoo import hooking
from legato.cli.app import app
from legato.errors import Barred, Failed, Retry
from legato.receive import KAZOO_TOKEN
from tests.unit.test_cli import SWEEPER, forbidden
from tests.unit.test_hooks import ADDRESS, STRANGE, TOKEN, World

INSTALL, REMOVE = "install-hooks", "remove-hooks"


class FakePlace:
    """Hands out the world's, or an error."""

    def __init__(self, world, error=None):
        self.world = world
        self.error = error

    def hooking(self):
        if self.error:
            raise self.error
        return self.world.hooking()


class TerminalPlace(FakePlace):
    """The same, where what is typed comes from a person."""

    def hooking(self):
        sys.stdin.isatty = lambda: True  # the runner's stream, and gone with it
        return super().hooking()


@pytest.fixture
def world():
    """Four accounts, each in another state."""
    world = World("none", "right", "wrong", "two")
    world.webhooks.put("none", "theirs", uri=STRANGE)
    world.webhooks.put("right", "h1")
    world.webhooks.put("wrong", "h1", enabled=False, disable_reason="6 attempts")
    world.webhooks.put("two", "h1")
    world.webhooks.put("two", "h2")
    return world


def legato(place, *arguments, given=None):
    return CliRunner().invoke(app, ["kazoo", *arguments], obj=place, input=given)


def rows(ended):
    """Return the table's rows, with its columns' widths gone."""
    return [" ".join(line.split()) for line in ended.output.splitlines()]


@pytest.mark.parametrize("arguments", [[], [INSTALL], [REMOVE]])
def test_help_has_an_example_and_the_exit_codes(arguments):
    """Of every command."""
    shown = legato(None, *arguments, "--help")
    assert shown.exit_code == 0
    assert "Example" in shown.output
    assert "legato kazoo " in shown.output
    assert "0 done, 1 failed, 2 wrong usage, 130 interrupted" in shown.output


def test_it_shows_what_it_will_do_and_does_it(world):
    """A row for each account, then what was done in each that needed it."""
    ended = legato(FakePlace(world), INSTALL, "--yes")
    assert ended.exit_code == 0, ended.output
    assert f"Webhooks to {ADDRESS}:" in ended.output
    assert rows(ended)[1:6] == [
        "Account Plan Why",
        "none create there is none yet",
        "right leave it is as it should be",
        "wrong replace Kazoo has disabled it: 6 attempts",
        "two remove 1 one is enough",
    ]
    assert "wrong: new1 created, h1 removed." in ended.output
    assert "two: h2 removed." in ended.output
    assert "right:" not in ended.output
    assert "Notifications only make it faster" in ended.output
    assert TOKEN not in ended.output
    assert len(world.webhooks.log) == 4


def test_a_dry_run_changes_nothing(world):
    """Nor is a token made."""
    world.secret.value = {}
    ended = legato(FakePlace(world), INSTALL, "--dry-run")
    assert ended.exit_code == 0
    assert "none create there is none yet" in rows(ended)
    assert "Notifications" not in ended.output
    assert world.webhooks.log == []
    assert world.secret.value == {}


def test_a_token_that_was_made_is_not_shown(world):
    """It stands in the secret."""
    world.secret.value = {}
    ended = legato(FakePlace(world), INSTALL, "--yes")
    assert ended.exit_code == 0
    assert world.secret.value[KAZOO_TOKEN] not in ended.output


def test_remove_leaves_those_of_others(world):
    """Only what leads to us is gone."""
    ended = legato(FakePlace(world), REMOVE, "--yes")
    assert ended.exit_code == 0
    assert "two remove 2 it leads to our address" in rows(ended)
    assert "none leave there is none" in rows(ended)
    assert world.webhooks.kept["none"].keys() == {"theirs"}
    assert not any(world.webhooks.kept[name] for name in ("right", "wrong", "two"))


@pytest.mark.parametrize("command", [INSTALL, REMOVE])
@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0), ("", 130)])
def test_a_person_is_asked_first(world, command, answer, code):
    """Whoever says no, or leaves, has changed nothing."""
    ended = legato(TerminalPlace(world), command, given=answer)
    assert "Begin? [y/N]" in ended.output
    assert ended.exit_code == code, ended.output
    assert bool(world.webhooks.log) == (code == 0)


def test_an_account_that_is_refused_fails_the_run_and_the_others_are_done(world):
    """With what to do next."""
    world.webhooks.refusals["hooks", "right"] = [Barred("GET kazoo answers 403", seconds=900)]
    world.webhooks.refusals["create", "wrong"] = [Failed("PUT kazoo answers 400 uri: bad")]
    ended = legato(FakePlace(world), INSTALL, "--yes")
    assert ended.exit_code == 1
    assert "right none GET kazoo answers 403" in rows(ended)
    assert "right: failed." in ended.output
    assert (
        "legato: account right: GET kazoo answers 403: mend the part `kazoo` of the secret"
        in ended.output
    )
    assert "legato: account wrong: PUT kazoo answers 400 uri: bad: look whether" in ended.output
    assert "Notifications" not in ended.output
    assert [entry[:2] for entry in world.webhooks.log] == [("create", "none"), ("delete", "two")]


def test_what_fails_alike_in_many_accounts_is_said_once(world):
    """A key that is unknown is unknown everywhere."""
    for account in world.accounts:
        refusal = Barred("Kazoo mints no token: 404 bad identifier", seconds=300)
        world.webhooks.refusals["hooks", account] = [refusal]
    ended = legato(FakePlace(world), INSTALL)
    assert ended.exit_code == 1
    [line] = [line for line in ended.output.splitlines() if line.startswith("legato: ")]
    assert line.startswith("legato: account none, right, wrong, two: Kazoo mints no token")


def test_a_dry_run_that_could_not_look_fails(world):
    """It cannot say what a run would do."""
    world.webhooks.refusals["hooks", "two"] = [Retry("GET kazoo answers 503")]
    ended = legato(FakePlace(world), REMOVE, "--dry-run")
    assert ended.exit_code == 1
    assert "account two: GET kazoo answers 503: run the same command again" in ended.output


def test_a_permission_that_aws_does_not_give_is_named(world):
    """The secret cannot be written without it; no webhook was made."""
    world.secret.value = {}
    world.secret.refusal = Retry("the secret cannot be written")
    world.secret.refusal.__cause__ = forbidden("secretsmanager:PutSecretValue")
    ended = legato(FakePlace(world), INSTALL, "--yes")
    assert ended.exit_code == 1
    assert "AWS does not permit secretsmanager:PutSecretValue" in ended.output
    assert world.webhooks.log == []


def test_an_interruption_says_how_to_go_on(world):
    """What was done is done."""
    world.webhooks.refusals["create", "wrong"] = [KeyboardInterrupt()]
    ended = legato(FakePlace(world), INSTALL, "--yes")
    assert ended.exit_code == 130
    assert "legato: interrupted; run the same command to go on" in ended.output
    assert len(world.webhooks.log) == 1


def test_who_follows_a_part_of_an_account_is_told(world):
    """A webhook would tell of the whole account."""
    world.narrowed = ("two",)
    ended = legato(FakePlace(world), INSTALL, "--dry-run")
    assert "note: account two gets no webhook" in ended.output
    assert "note" not in legato(FakePlace(world), REMOVE, "--dry-run").output


def test_what_keeps_it_from_beginning_is_told_in_one_line(world):
    """Also an address of a stack that Kazoo cannot reach."""
    ended = legato(FakePlace(world, Failed("the stack does not use Kazoo")), INSTALL)
    assert (ended.exit_code, ended.output) == (1, "legato: the stack does not use Kazoo\n")
    world.address = "http://127.0.0.1:4600/webhook/kazoo"
    ended = legato(FakePlace(world), INSTALL)
    assert ended.exit_code == 1
    assert ended.output.startswith("legato: Kazoo cannot reach http://127.0.0.1:4600/")


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "deploy it with KazooUrl and KazooAccountIds"),
        ({"LEGATO_KAZOO_URL": "https://kazoo/v2"}, "deploy it with KazooAccountIds"),
    ],
)
def test_a_stack_without_kazoo_is_told_what_it_lacks(environment, says):
    """Before anything of AWS is asked."""
    with pytest.raises(Failed, match=f"{says}$"):
        hooking({**SWEEPER, **environment}, address=ADDRESS)
