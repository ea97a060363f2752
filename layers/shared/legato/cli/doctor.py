"""`legato doctor`: everything that must be right in a running stack, tried out."""

from __future__ import annotations

import textwrap
import time
from itertools import groupby
from typing import TYPE_CHECKING

import typer

from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson
from legato.cli.output import say, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from legato.setup.findings import Finding

COLUMNS = 80
UNSAID_SECONDS = 3
HANG = 10
RUNS = "aws "
"""A remedy that begins so is a command, which is not folded: it is to be copied."""

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "doctor",
    help="""Try out everything that must be right, and say what to mend.

    The stack in AWS: its last deployment, configuration, mails, schedules, alarms, keys, and the
    webhook. Then each provider that it uses, with the stack's credentials: the log-in, what app and
    user may do, the accounts, and whether the newest recording can be fetched. The few requests
    count against the provider's rate limits. Nothing is changed or archived.

    A check that AWS or a provider does not allow is `unknown`, and names what lacks.
    `legato status` says what was archived, and what was not.

    \b
    Examples:
      legato doctor
      legato --local doctor --json
    """,
    ends=(Exit.NEEDS_PERSON,),
)
def examine(context: typer.Context, as_json: AsJson = False) -> None:
    from legato.setup.findings import State

    found = context.obj.findings(sleep=_wait)
    if as_json:
        found = list(found)
        write_json([one.to_json() for one in found])
    else:
        found = _shown(found)
    if any(one.state is not State.OK for one in found):
        raise typer.Exit(Exit.NEEDS_PERSON)


def _wait(seconds: float) -> None:
    if seconds > UNSAID_SECONDS:
        say(f"waiting {seconds:.0f} s: the stack itself uses the provider's limit", err=True)
    time.sleep(seconds)


def _shown(found: Iterable[Finding]) -> list[Finding]:
    """Show findings as they come, since some take seconds; return them."""
    shown = []
    for title, some in groupby(found, key=lambda one: one.subject.partition(" ")[0]):
        say(title)
        for one in some:
            shown.append(one)
            show_finding(one, one.subject.removeprefix(f"{title} "))
        say()
    counts = [(sum(each.state == state for each in shown), state) for state in ("wrong", "unknown")]
    if flaws := [f"{count} {state}" for count, state in counts if count]:
        say(f"{len(shown)} checks: {', '.join(flaws)}.")
    else:
        say(f"{len(shown)} checks: all is well.")
    return shown


def show_finding(one: Finding, subject: str) -> None:
    """Show what was looked at, as `subject` names it here, and what to do."""
    say_wrapped(f"  {one.state:<7} ", f"{subject}: {one.text}")
    if one.remedy.startswith(RUNS):
        say(f"{' ' * HANG}$ {one.remedy}")
    elif one.remedy:
        say_wrapped(f"{' ' * HANG}→ ", one.remedy)


def say_wrapped(begins: str, words: str) -> None:
    """Write words behind what a line begins with, in as many lines as they take."""
    for line in textwrap.wrap(
        words,
        COLUMNS,
        initial_indent=begins,
        subsequent_indent=" " * HANG,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        say(line)
