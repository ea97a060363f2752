"""`legato doctor`: what it shows on 80 columns, and how it ends."""

import json

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.errors import NoStack, NotPermitted
from legato.setup.findings import ok, unknown, wrong

WELL = [ok("Stack state", "It is complete."), ok("RingEX log-in", "It is accepted.")]
LONG = "word " * 60
WRONG = wrong("RingEX scopes", f"The app lacks one. {LONG}", f"Add it. {LONG}")
COMMAND = "aws lambda invoke --function-name " + "x" * 90
UNKNOWN = unknown("Kazoo log-in", "It is not known.", COMMAND)


class FakeStack:
    def __init__(self, found):
        self.found = found

    def findings(self, *, sleep):
        sleep(0)
        for each in self.found:
            if isinstance(each, Exception):
                raise each
            yield each


def doctor(found, *arguments):
    return CliRunner().invoke(app, ["doctor", *arguments], obj=FakeStack(found))


def test_where_all_is_well_it_ends_with_0():
    """Each subject under its heading."""
    ended = doctor(WELL)
    assert ended.exit_code == Exit.DONE
    assert ended.output.splitlines() == [
        "Stack",
        "  ok      state: It is complete.",
        "",
        "RingEX",
        "  ok      log-in: It is accepted.",
        "",
        "2 checks: all is well.",
    ]


@pytest.mark.parametrize("flaw", [WRONG, UNKNOWN])
def test_what_is_not_well_needs_a_person(flaw):
    """What is unknown is not well either."""
    assert doctor([*WELL, flaw]).exit_code == Exit.NEEDS_PERSON
    assert doctor([*WELL, flaw], "--json").exit_code == Exit.NEEDS_PERSON


def test_lines_fit_into_80_columns_but_for_commands():
    """Which are to be copied."""
    lines = doctor([WRONG, UNKNOWN]).output.splitlines()
    assert f"          $ {COMMAND}" in lines
    assert all(len(line) <= 80 for line in lines if COMMAND not in line)
    assert any(line.startswith("          → Add it.") for line in lines)
    assert lines[-1] == "2 checks: 1 wrong, 1 unknown."


def test_scripts_get_json():
    """All of it."""
    ended = doctor([WELL[0], WRONG], "--json")
    assert json.loads(ended.output) == [WELL[0].to_json(), WRONG.to_json()]


@pytest.mark.parametrize(
    ("error", "code"),
    [(NoStack("there is none"), Exit.NO_STACK), (NotPermitted("log in"), Exit.NOT_PERMITTED)],
)
def test_without_a_stack_to_look_at_it_ends_as_other_commands_do(error, code):
    """With a line on standard error."""
    ended = doctor([error])
    assert ended.exit_code == code
    assert str(error) in ended.stderr
    assert doctor([error], "--json").exit_code == code


def test_what_a_provider_says_cannot_command_the_terminal():
    """It may hold anything."""
    assert "\x1b" not in doctor([ok("Kazoo log-in", "\x1b[31mred")]).output
