"""How the command speaks: the one place where it writes.

Most of what it says was written by callers and providers. All of it is made printable here, so no
command has to think of it; tests/template/test_output.py sees to it that none writes by itself.
"""

from __future__ import annotations

import csv
import errno
import io
import logging
import os
import sys
from contextlib import contextmanager
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from legato.cli.exit_codes import Exit, exit_of, understood
from legato.errors import LegatoError
from legato.printable import printable, printable_json, spreadsheet_cell

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from rich.console import Console

HINTS = {
    errno.EACCES: "choose another folder, or get the permission",
    errno.EIO: "check the disk or the terminal",
    errno.EMFILE: "raise the limit with `ulimit -n 1024`",
    errno.ENOENT: "check the name",
    errno.ENOSPC: "free some space, and run the same command again",
    errno.EROFS: "choose another folder",
}
"""What to do about the errors of a machine."""
WIDE = 2000
"""Columns where nobody looks at a terminal: nothing is folded."""


@contextmanager
def speaking(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn what ends a command into a line on standard error and an exit code."""
    try:
        yield
    except (KeyboardInterrupt, typer.Abort):
        end(interrupted, Exit.INTERRUPTED)
    except EOFError:
        end("nobody answers on standard input: run the command on a terminal", Exit.FAILED)
    except BrokenPipeError:
        raise typer.Exit(Exit.PIPE_CLOSED) from None
    except LegatoError as error:
        _end(error)
    except OSError as error:
        end(broken(error), Exit.FAILED)
    except Exception as error:
        from legato.aws.refusals import unanswered

        ours = unanswered(error)
        if ours is None:
            raise
        _end(ours)


def _end(error: LegatoError) -> NoReturn:
    code, words = exit_of(error), in_short(error)
    again = code is Exit.UNAVAILABLE and "again" not in words
    then = ", and" if "check " in words else ":"
    end(f"{words}{then} run the same command again" if again else words, code)


def broken(error: OSError) -> str:
    """Return what an error of this machine says: a file, a disk, a program."""
    name = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    hint = HINTS.get(error.errno or 0, "check the file, the folder and the disk")
    return f"{name}{error.strerror or error}: {hint}"


def in_short(error: LegatoError) -> str:
    """Return what an error says, or what to do about it if AWS is its cause."""
    return str(understood(error))


def say(line: str = "", *, err: bool = False) -> None:
    """Write a line on standard output, or on standard error; at a terminal, folded between words.

    An address, a path or a command stays whole, to be copied.
    """
    text = printable(line)
    stream = sys.stderr if err else sys.stdout
    if (
        stream is not None
        and stream.isatty()
        and len(text) > (width := get_terminal_size().columns)
    ):
        begins = text[: len(text) - len(text.lstrip())]
        folded = wrap(
            text,
            width,
            subsequent_indent=begins,
            break_long_words=False,
            break_on_hyphens=False,
        )
        text = "\n".join(folded)
    typer.echo(text, err=err)


def end(line: str, code: Exit) -> NoReturn:
    """Leave with a line on standard error."""
    say(f"legato: {line}", err=True)
    raise typer.Exit(code)


def asks() -> bool:
    """Say whether a person is there to answer: standard input is a terminal, and open."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirmed(question: str, *, default: bool = False, err: bool = False) -> bool:
    """Ask a person for yes or no; Enter means the default."""
    return typer.confirm(printable(question), default=default, err=err)


def answered(
    question: str, *, default: str, err: bool = False, shown: bool = True, hidden: bool = False
) -> str:
    """Ask a person for a word. `shown` is whether the default is, `hidden` echoes nothing."""
    return str(
        typer.prompt(
            printable(question), default=default, err=err, show_default=shown, hide_input=hidden
        )
    )


def moment(when: datetime) -> str:
    """Write a time in UTC, to the minute."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def write_json(said: Any) -> None:
    """Write what a script reads, on standard output."""
    typer.echo(printable_json(said, indent=2))


def write_csv(cells: Iterable[str]) -> None:
    """Write a line for spreadsheets, as RFC 4180 has it, on standard output."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(map(spreadsheet_cell, cells))
    typer.echo(text.getvalue().encode(), nl=False)


class ListTable:
    """A table to be filled. `numbers` are columns that stand to the right.

    What is in the column `whole` can be copied: where there is no room for it, it stands above the
    rest of its line instead of being folded.
    """

    def __init__(
        self, *columns: str, numbers: Collection[str] = (), whole: str | None = None
    ) -> None:
        self._columns = columns
        self._numbers = numbers
        self._whole = None if whole is None else columns.index(whole)
        self._rows: list[list[str]] = []

    def add(self, *cells: str) -> None:
        """Add a line."""
        self._rows.append([printable(cell) for cell in cells])

    def show(self, *, err: bool = False) -> None:
        """Write it. Columns that need more room than there is are folded."""
        from rich.table import Table
        from rich.text import Text

        shown = console(err=err)
        if self._whole is not None and self._width() > shown.width:
            self._show_apart(self._whole, shown.width, err=err)
            return
        table = Table(box=None, pad_edge=False)
        for name in self._columns:
            right = name in self._numbers
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for cells in self._rows:
            table.add_row(*map(Text, cells))
        shown.print(table)

    def _width(self) -> int:
        from rich.cells import cell_len

        columns = zip(self._columns, *self._rows, strict=True)
        return sum(max(map(cell_len, cells)) + 2 for cells in columns) - 2

    def _show_apart(self, whole: int, width: int, *, err: bool) -> None:
        for cells in self._rows:
            rest = [
                f"{name.lower()} {cell}"
                for at, (name, cell) in enumerate(zip(self._columns, cells, strict=True))
                if cell and at != whole
            ]
            say(cells[whole], err=err)
            for line in wrap(", ".join(rest), max(20, width - 2), break_long_words=False):
                say(f"  {line}", err=err)


def console(*, err: bool = False) -> Console:
    """Return where tables and bars are shown. Colours heed NO_COLOR."""
    from rich.console import Console

    found = Console(stderr=err, highlight=False, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = WIDE
    return found


class SpokenLog(logging.Handler):
    """What is logged, as lines on standard error."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Write what a record says."""
        for line in self.format(record).split("\n"):
            say(f"legato: {line}", err=True)


def speak_logs() -> None:
    """Let what nobody else handles be said: Python's own handler would write it as it came."""
    logging.lastResort = SpokenLog()
