"""How a command ends: the numbers, what leads to each, and that each help says so."""

import re

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError
from typer.testing import CliRunner

from legato import errors
from legato.archive.library import Cold
from legato.catalogue.named import Ambiguous, UnknownCriterion
from legato.cli.app import app
from legato.cli.command import command
from legato.cli.exit_codes import COMMON, MEANINGS, Exit, exit_of
from legato.disk import Full
from legato.errors import Conflict, Failed, LegatoError, NotPermitted, Refused, Retry
from tests.unit.test_cli_help import COMMANDS

NUMBERS = {
    "DONE": 0,
    "FAILED": 1,
    "WRONG_USAGE": 2,
    "NEEDS_PERSON": 3,
    "COLD": 4,
    "NOT_FOUND": 5,
    "TAMPERED": 6,
    "NOT_PERMITTED": 7,
    "UNAVAILABLE": 8,
    "NO_STACK": 9,
    "INTERRUPTED": 130,
    "PIPE_CLOSED": 141,
}
CODES = {
    "LegatoError": Exit.FAILED,
    "Refused": Exit.WRONG_USAGE,
    "NotFound": Exit.NOT_FOUND,
    "Wait": Exit.UNAVAILABLE,
    "Limited": Exit.UNAVAILABLE,
    "Barred": Exit.NEEDS_PERSON,
    "Denied": Exit.FAILED,
    "NotYet": Exit.UNAVAILABLE,
    "Retry": Exit.UNAVAILABLE,
    "Unavailable": Exit.UNAVAILABLE,
    "ShortAudio": Exit.UNAVAILABLE,
    "NotAudio": Exit.UNAVAILABLE,
    "DamagedAudio": Exit.UNAVAILABLE,
    "Failed": Exit.FAILED,
    "TooLarge": Exit.FAILED,
    "Conflict": Exit.TAMPERED,
    "NotPermitted": Exit.NOT_PERMITTED,
    "NoStack": Exit.NO_STACK,
    "Stale": Exit.UNAVAILABLE,
}
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, LegatoError)
}


def an(kind):
    more = {"seconds": 5} if issubclass(kind, errors.Wait) else {}
    more |= {"extension": "mp3"} if issubclass(kind, errors.DamagedAudio) else {}
    return kind("why", **more)


def caused(error, cause):
    error.__cause__ = cause
    return error


def ended(error):
    """Run a command that raises an error; return how it ends."""
    made = typer.Typer()

    @command(made, "fail", help="Fail.")
    def fail() -> None:
        raise error

    return CliRunner().invoke(made, [])


def test_the_numbers_never_change():
    """Scripts go by them."""
    assert {code.name: code.value for code in Exit} == NUMBERS
    assert MEANINGS.keys() == set(Exit)


def test_every_kind_of_error_has_a_code():
    """A new kind has to be given one here."""
    assert {name: exit_of(an(kind)) for name, kind in KINDS.items()} == CODES


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Cold("cold"), Exit.COLD),
        (Full("full"), Exit.FAILED),
        (UnknownCriterion("which?"), Exit.NOT_FOUND),
        (Ambiguous("which of them?"), Exit.WRONG_USAGE),
        (caused(Failed("nothing was read"), NotPermitted("no")), Exit.NOT_PERMITTED),
        (caused(Failed("nothing was read"), Retry("503")), Exit.UNAVAILABLE),
        (caused(Retry("it broke"), Conflict("other bytes")), Exit.TAMPERED),
    ],
)
def test_what_lies_behind_an_error_counts(error, code):
    """The most telling kind of them."""
    assert exit_of(error) == code


def test_of_several_errors_the_most_telling_one_counts():
    """Whatever came first."""
    assert exit_of(Retry("503"), Conflict("other bytes"), Refused("no")) == Exit.TAMPERED


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (Refused("no"), Exit.WRONG_USAGE, "no"),
        (Retry("the ledger is busy"), Exit.UNAVAILABLE, "the ledger is busy: run the same command"),
        (Retry("send it again"), Exit.UNAVAILABLE, "send it again"),
        (KeyboardInterrupt(), Exit.INTERRUPTED, "interrupted"),
        (EOFError(), Exit.FAILED, "nobody answers on standard input"),
        (
            EndpointConnectionError(endpoint_url="https://sqs"),
            Exit.UNAVAILABLE,
            "sqs cannot be reached: check the network",
        ),
        (
            ClientError({"Error": {"Code": "AccessDenied"}}, "RestoreObject"),
            Exit.NOT_PERMITTED,
            "AWS does not permit s3:RestoreObject",
        ),
        (
            ClientError({"Error": {"Code": "ThrottlingException"}}, "Query"),
            Exit.UNAVAILABLE,
            "AWS takes no more requests now (throttled)",
        ),
    ],
)
def test_whatever_ends_a_command_is_one_line_and_a_code(error, code, says):
    """Also an error of AWS that nobody has put into our words."""
    found = ended(error)
    assert (found.exit_code, found.stdout) == (code, "")
    assert found.stderr.startswith(f"legato: {says}")
    assert found.stderr.count("\n") == 1


def test_a_reader_that_has_gone_is_told_nothing():
    """There is nobody to tell."""
    found = ended(BrokenPipeError())
    assert (found.exit_code, found.output) == (Exit.PIPE_CLOSED, "")


def test_a_flaw_of_ours_is_not_hidden():
    """It is no failure of AWS, and no wrong usage."""
    found = ended(ValueError("a flaw"))
    assert isinstance(found.exception, ValueError)


@pytest.mark.parametrize(
    "path", [path for path, one in COMMANDS.items() if one.callback], ids=" ".join
)
def test_every_help_lists_its_codes_with_their_meanings(path):
    """Those that all have, and its own; the command itself lists all there are."""
    shown = CliRunner().invoke(app, [*path[1:], "--help"]).output
    listed = re.findall(r"^ +(\d+)  (.*)$", shown.partition("Exit codes:\n")[2], re.MULTILINE)
    found = {Exit(int(code)) for code, _ in listed}
    assert listed == [(f"{code}", MEANINGS[code]) for code in sorted(found)]
    names = {option.name for option in COMMANDS[path].params}
    chooses = names & {"calls", "call"} or (path[-1] == "verify" and "call_id" in names)
    assert found >= COMMON
    assert (Exit.NOT_FOUND in found) == bool(chooses or len(path) == 1)
    assert len(path) > 1 or found == set(Exit)


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_h_is_help_everywhere(path):
    short, long = (CliRunner().invoke(app, [*path[1:], flag]) for flag in ("-h", "--help"))
    assert (short.exit_code, short.output) == (0, long.output)
    assert "-h, --help" in short.output
