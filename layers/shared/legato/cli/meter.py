"""Shows how far fetching is: a bar on a terminal, else a line now and then; on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from legato.get import megabytes

if TYPE_CHECKING:
    from types import TracebackType

    from legato import download

LINE_EVERY = 15
"""Seconds."""
NAME_WIDTH = 30
"""Columns. The end of a name tells the call, and leaves room for the bar."""


class Meter:
    """A block in which `tell` shows the file that is being fetched. Colours heed NO_COLOR."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False)
        self._terminal = console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            # What is for a script must not end up on the terminal.
            redirect_stdout=sys.stdout.isatty(),
            disable=not self._terminal,
        )
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
            typer.echo(f"legato: {megabytes(size)} to fetch", err=True)

    def tell(self, progress: download.Progress) -> None:
        """Show how far a file is."""
        if self._terminal:
            self._show(progress)
        elif time.monotonic() - self._told_at >= LINE_EVERY:
            self._told_at = time.monotonic()
            share = progress.done / max(1, progress.total)
            whole = megabytes(progress.total)
            typer.echo(f"legato: {progress.name}: {share:.0%} of {whole}", err=True)

    def _show(self, progress: download.Progress) -> None:
        if progress.name != self._name:
            self._name = progress.name
            short = len(progress.name) <= NAME_WIDTH
            shown = progress.name if short else f"…{progress.name[1 - NAME_WIDTH :]}"
            self._bars.reset(self._task, total=progress.total, description=shown, visible=True)
        self._bars.update(self._task, completed=progress.done)
