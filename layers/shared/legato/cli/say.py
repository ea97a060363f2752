"""How the command speaks: errors of one line with what to do next, and its exit codes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from legato.cli import INTERRUPTED
from legato.errors import LegatoError, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

FAILED, WRONG_USAGE = 1, 2
WIDE = 2000
"""Columns where nobody looks at a terminal: nothing is folded."""
EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted."


@contextmanager
def speaking(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn what ends a command into a line on standard error and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        end(interrupted, INTERRUPTED)
    except LegatoError as error:
        end(in_short(error), WRONG_USAGE if isinstance(error, Refused) else FAILED)


def in_short(error: LegatoError) -> str:
    """Return what an error says, or what to do about it if AWS is its cause."""
    return advised(error) or str(error)


def advised(error: LegatoError) -> str | None:
    """Return what a person has to do before AWS answers, or None if AWS is not the cause."""
    if error.__cause__ is None:
        return None
    from legato.aws.stack import advice

    return advice(error)


def end(line: str, code: int) -> NoReturn:
    """Leave with a line on standard error."""
    typer.echo(f"legato: {line}", err=True)
    raise typer.Exit(code)


def printable(text: str) -> str:
    """Replace what would command a terminal: whoever names things chooses these characters."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def moment(when: datetime) -> str:
    """Write a time in UTC, to the minute."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def write_json(said: Any) -> None:
    """Write what a script reads, on standard output."""
    typer.echo(json.dumps(said, ensure_ascii=False, indent=2))


def table_of(*columns: str) -> Table:
    """Return a table with these headings, to be filled."""
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False)


def console_for_tables() -> Console:
    """Return where tables are shown. Colours heed NO_COLOR."""
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDE
    return console
