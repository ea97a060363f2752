"""Shows how far a backfill has come: bars on a terminal, else a line each half minute or wait."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn

from legato.cli.output import SpokenLog, console, in_short, say
from legato.cli.progress import Words
from legato.format import counted

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType

    from legato.operations import backfill
    from legato.operations.backfill import Backfill

LINE_EVERY = timedelta(seconds=30)


class Board:
    """A block in which `tell` shows what a backfill says of itself. Colours heed NO_COLOR."""

    def __init__(self, work: Backfill, *, dry_run: bool) -> None:
        self._clock = work.clock
        self._sent = "to send" if dry_run else "sent"
        shown = console()
        self._terminal = shown.is_terminal
        self._bars = Progress(
            Words(),
            BarColumn(),
            TaskProgressColumn(),
            Words("words"),
            console=shown,
            disable=not self._terminal,
        )
        self._tasks = {
            one.source: self._bars.add_task(one.source, total=1.0, words="")
            for one in work.stretches
        }
        self._told: dict[str, datetime] = {}
        self._handler = SpokenLog()

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._handler)
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()
        logging.getLogger().removeHandler(self._handler)

    def tell(self, progress: backfill.BackfillProgress) -> None:
        """Show a stretch as it is now."""
        source, words = progress.source, self._words(progress)
        if self._terminal:
            self._bars.update(self._tasks[source], completed=progress.share, words=words)
            return
        now, last = self._clock.now(), self._told.get(source)
        over = progress.done or progress.failed is not None
        waits = progress.waits_until is not None and progress.waits_until - now >= LINE_EVERY
        if over or waits or last is None or now - last >= LINE_EVERY:
            self._told[source] = now
            say(f"{source}: {progress.share:.0%}, {words}")

    def _words(self, progress: backfill.BackfillProgress) -> str:
        words = (
            f"{counted(progress.requests, 'request')}, {counted(progress.recordings, 'recording')} "
            f"of {counted(progress.calls, 'call')}, {counted(progress.jobs, 'job')} {self._sent}"
        )
        if progress.failed is not None:
            return f"{words}; given up: {in_short(progress.failed)}"
        if progress.waits_until is not None:
            return f"{words}; waits until {progress.waits_until:%H:%M:%S} UTC: {progress.reason}"
        return words
