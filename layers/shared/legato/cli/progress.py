"""Shows how far a command is: a bar on a terminal, else a line now and then; on standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from legato.cli.output import console, say
from legato.format import volume
from legato.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from rich.progress import Task

    from legato.retrieval import download

LINE_EVERY = 15
"""Seconds."""
NAME_WIDTH = 30
"""Columns. The end of a name tells the call, and leaves room for the bar."""


class Words(TextColumn):
    """What a bar is about, or a field of what it shows."""

    def __init__(self, field: str | None = None) -> None:
        super().__init__("", markup=False)
        self._field = field

    def render(self, task: Task) -> Text:
        """Return it as text: rich would take brackets for its own marks."""
        text = task.description if self._field is None else task.fields[self._field]
        return Text(printable(text))


def bars(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """Return bars on standard error, none of which are shown off a terminal. Heeds NO_COLOR."""
    shown = console(err=True)
    return Progress(
        Words(),
        BarColumn(),
        *columns,
        console=shown,
        transient=transient,
        # What is for a script must not end up on the terminal.
        redirect_stdout=sys.stdout.isatty(),
        disable=not shown.is_terminal,
    )


@contextmanager
def counting(
    title: str, what: str, *, every: float = LINE_EVERY, quiet: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """Show how many are done, of how many: a bar, or a line in so many seconds.

    What is `quiet` is over too soon for either.
    """
    if quiet:
        yield lambda _done, _total: None
        return
    shown = bars(MofNCompleteColumn(), TimeElapsedColumn())
    task = shown.add_task(title, total=None)
    said_at, said = -every, -1

    def tell(done: int, total: int) -> None:
        nonlocal said_at, said
        shown.update(task, completed=done, total=total)
        late = time.monotonic() - said_at >= every
        if not shown.console.is_terminal and (late or (done == total and done != said)):
            said_at, said = time.monotonic(), done
            say(f"legato: {title}: {done} of {total} {what}", err=True)

    with shown:
        yield tell


class Meter:
    """A block in which `tell` shows the file that is being fetched."""

    def __init__(self) -> None:
        columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        self._bars = bars(*columns, transient=True)
        self._terminal = self._bars.console.is_terminal
        self._task = self._bars.add_task("", total=None, visible=False)
        self._name = ""
        self._told_at = 0.0

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def begin(self, size: int) -> None:
        """Say how much is to be fetched, in bytes."""
        self._told_at = time.monotonic()
        if size and not self._terminal:
            say(f"legato: {volume(size)} to fetch", err=True)

    def tell(self, progress: download.FileProgress) -> None:
        """Show how far a file is."""
        if self._terminal:
            self._show(progress)
        elif time.monotonic() - self._told_at >= LINE_EVERY:
            self._told_at = time.monotonic()
            share = progress.done / max(1, progress.total)
            whole = volume(progress.total)
            say(f"legato: {progress.name}: {share:.0%} of {whole}", err=True)

    def _show(self, progress: download.FileProgress) -> None:
        if progress.name != self._name:
            self._name = progress.name
            short = len(progress.name) <= NAME_WIDTH
            shown = progress.name if short else f"…{progress.name[1 - NAME_WIDTH :]}"
            self._bars.reset(self._task, total=progress.total, description=shown, visible=True)
        self._bars.update(self._task, completed=progress.done)
