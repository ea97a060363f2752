"""Backfill: archive what a provider still has of a stretch of the past.

A sweep with an end, and behind all others: it takes what the live one leaves of the provider's
limits, and its jobs give way to younger ones. It goes in slices, each under a short lease, and its
cursor stands in the ledger: whatever ends a run, the next one goes on where it stopped, and a job
too many is the worst that comes of it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato.errors import Barred, LegatoError, Retry, Stale, Wait
from legato.sweep import Tail, records_key, sweep, tail_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from legato.gate import Limit
    from legato.model import Job, Json, Note
    from legato.ports import Clock, Jobs, Notes
    from legato.sweep import Page, SweepReport

SLICE = timedelta(seconds=90)
"""How long a lease lasts. The next run waits for that of a killed one, so it is short."""
BUSY_SECONDS = 10
RETRY_SECONDS = (5, 15, 60, 180, 300, 300)
"""The waits between tries after passing faults. A window that was taken in begins them anew."""
REMEMBERED = 10_000
"""How many segments and calls are known by name, so that none counts twice.

Those of neighbouring windows are enough: they overlap, and a full one is asked for in pieces.
"""
BYTES_A_SECOND = 2 * 2 * 8000
"""Of a recording with two channels in PCM16 at 8 kHz, as RingCX has them; 1.92 MB a minute."""


class Stretch(Tail, Protocol):
    """What a provider has of the time from `begin` to `end`."""

    sub_account: str
    begin: datetime
    end: datetime

    def reached(self, cursor: Json) -> datetime:
        """Return the moment up to which a reader with this cursor has read everything."""
        ...

    def windows(self, cursor: Json) -> int:
        """Return how many requests are left to its end, at least."""
        ...

    def length(self, record: Json) -> timedelta:
        """Return how long a record's recording is, or no time if it does not say so."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a backfill works with, and what limits it.

    `limits` is what the provider allows for each of the stretches, `kept_days` how long it keeps
    recordings, by sub-account.
    """

    stretches: Sequence[Stretch]
    jobs: Jobs
    notes: Notes
    clock: Clock
    sleep: Callable[[float], None]
    settle_seconds: int
    limits: Sequence[Limit]
    kept_days: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come in one stretch, and what it has found there.

    All counts are of this run. `segments` have a recording, of `length` in all, and belong to
    `dialogs`; only a dry run looks how many of these are `known`, and `archived`. `jobs` were sent,
    or would be. `waits_until` comes with its `reason`. It is over when `done`, or when it `failed`.
    """

    sub_account: str
    begin: datetime
    end: datetime
    reached: datetime
    windows: int = 0
    segments: int = 0
    dialogs: int = 0
    known: int = 0
    archived: int = 0
    jobs: int = 0
    buried: int = 0
    length: timedelta = field(default_factory=timedelta)
    waits_until: datetime | None = None
    reason: str = ""
    done: bool = False
    failed: LegatoError | None = None

    @property
    def share(self) -> float:
        """The part of the stretch that is read, 0 to 1."""
        return min(1.0, (self.reached - self.begin) / (self.end - self.begin))

    @property
    def size(self) -> int:
        """About how many bytes the recordings have."""
        return int(self.length.total_seconds() * BYTES_A_SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is left of a stretch: so many windows, which take so long if none of them is full."""

    sub_account: str
    share: float
    windows: int
    takes: timedelta


def estimate(work: Backfill, *, dry_run: bool = False) -> list[Estimate]:
    """Say what is left to do, without asking the provider. A dry run begins at the beginning."""
    estimates = []
    for stretch in work.stretches:
        cursor = {} if dry_run else _cursor(stretch, work.notes)
        windows = stretch.windows(cursor)
        estimates.append(
            Estimate(
                sub_account=stretch.sub_account,
                share=(stretch.reached(cursor) - stretch.begin) / (stretch.end - stretch.begin),
                windows=windows,
                takes=_takes(windows, work.limits),
            )
        )
    return estimates


def backfill(
    work: Backfill,
    *,
    tell: Callable[[Progress], None],
    dry_run: bool = False,
    hopeless: Callable[[LegatoError], bool] = lambda _: False,
) -> list[Progress]:
    """Read all stretches to their ends, and report on each; `tell` hears of every step.

    One that has to wait lets the others go on. One is given up when the provider refuses us, when
    passing faults do not pass, and after an error of which `hopeless` says that it is no use to
    repeat it. A dry run reads the same, and sends and writes nothing but what the gate must know.
    """
    notes = _Overlay(work.notes) if dry_run else work.notes
    walks = [_Walk(stretch, work, notes, tell, dry_run=dry_run) for stretch in work.stretches]
    while going := [walk for walk in walks if not walk.over]:
        walk = min(going, key=lambda one: one.not_before)
        seconds = (walk.not_before - work.clock.now()).total_seconds()
        if seconds > 0:
            work.sleep(seconds)
        walk.go_on(hopeless)
    return [walk.progress for walk in walks]


class _Walk:
    """One stretch on its way. It is the tail that the sweep reads, and counts what comes along."""

    def __init__(
        self,
        stretch: Stretch,
        work: Backfill,
        notes: Notes,
        tell: Callable[[Progress], None],
        *,
        dry_run: bool,
    ) -> None:
        self.name = stretch.name
        self.key = f"{stretch.key}-dry" if dry_run else stretch.key
        self.watch = stretch.watch
        self.behind = stretch.behind
        self.late = stretch.late
        self.progress = Progress(
            sub_account=stretch.sub_account,
            begin=stretch.begin,
            end=stretch.end,
            reached=stretch.begin,
        )
        self.not_before = work.clock.now()
        self._stretch = stretch
        self._work = work
        self._notes = notes
        self._tell = tell
        self._dry_run = dry_run
        self._jobs = _Counted(None if dry_run else work.jobs, self.progress)
        self._segments: _Recent[bool] = _Recent()
        self._dialogs: _Recent[bool] = _Recent()
        self._cursor: Json | None = None
        self._tries = 0

    @property
    def over(self) -> bool:
        return self.progress.done or self.progress.failed is not None

    def go_on(self, hopeless: Callable[[LegatoError], bool]) -> None:
        """Read for the time of a slice, or until the gate is closed."""
        self.progress.waits_until, self.progress.reason = None, ""
        try:
            swept = sweep(
                tail=self,
                jobs=self._jobs,
                notes=self._notes,
                clock=self._work.clock,
                until=self._work.clock.now() + SLICE,
                settle=self._work.settle_seconds,
            )
        except LegatoError as error:
            self._stopped(error, hopeless)
        else:
            self._swept(swept, hopeless)
        self._tell(self.progress)

    def page(self, cursor: Json, *, turn: bool = False) -> Page:
        """Return the stretch's next page, which is counted."""
        if cursor != self._cursor:
            # Not before: a page that cannot be taken in would be asked for again for ever.
            self._cursor, self._tries = cursor, 0
        self.progress.reached = max(self.progress.reached, self._stretch.reached(cursor))
        self._tell(self.progress)
        page = self._stretch.page(cursor, turn=turn)
        if page.cursor != cursor:
            self.progress.windows += 1
        for change in page.changes:
            self._count(change.call, change.records)
        return page

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        return self._stretch.recordings(records)

    def _count(self, call: str, records: Mapping[str, Json]) -> None:
        found = {name: one for name, one in records.items() if self.recordings([one])}
        if not found:
            return
        if call not in self._dialogs:
            if self._dry_run:
                self._look_up(call, self.recordings(found.values()))
            self.progress.dialogs += 1
        self._dialogs[call] = True
        for name, record in found.items():
            if (segment := f"{call}/{name}") not in self._segments:
                self.progress.segments += 1
                self.progress.length += self._stretch.length(record)
            self._segments[segment] = True

    def _look_up(self, call: str, recordings: frozenset[str]) -> None:
        """See what the ledger itself knows of a call."""
        note = self._work.notes.read(records_key(self.name, call))
        if note.version and recordings <= self.recordings(note.content["records"].values()):
            self.progress.known += 1
            self.progress.archived += not note.content.get("unarchived")

    def _swept(self, swept: SweepReport, hopeless: Callable[[LegatoError], bool]) -> None:
        if swept.done:
            self.progress.reached = self.progress.end
            self.progress.done = True
        elif swept.stopped is not None:
            self._stopped(swept.stopped, hopeless)
        else:
            self._wait(BUSY_SECONDS, "another run is at work here, or was killed a moment ago")

    def _stopped(self, error: LegatoError, hopeless: Callable[[LegatoError], bool]) -> None:
        passes = isinstance(error, Wait | Retry | Stale) and not isinstance(error, Barred)
        if not passes or hopeless(error):
            self.progress.failed = error
        elif isinstance(error, Wait):
            self._wait(error.seconds, str(error))
        elif self._tries == len(RETRY_SECONDS):
            self.progress.failed = error
        else:
            self._wait(RETRY_SECONDS[self._tries], str(error))
            self._tries += 1

    def _wait(self, seconds: float, reason: str) -> None:
        self.not_before = self._work.clock.now() + timedelta(seconds=seconds)
        self.progress.waits_until, self.progress.reason = self.not_before, reason


class _Counted:
    """Counts the jobs on their way to the queue, if there is one."""

    def __init__(self, jobs: Jobs | None, progress: Progress) -> None:
        self._jobs = jobs
        self._progress = progress

    def send(self, job: Job, *, delay: int) -> None:
        if self._jobs is not None:
            self._jobs.send(job, delay=delay)
        self._progress.jobs += 1

    def bury(self, body: str, *, reason: str) -> None:
        if self._jobs is not None:
            self._jobs.bury(body, reason=reason)
        self._progress.buried += 1


class _Recent[T](OrderedDict[str, T]):
    """What was written last, and not all that ever was: memory must not grow with the past."""

    def __setitem__(self, name: str, value: T) -> None:
        super().__setitem__(name, value)
        self.move_to_end(name)
        if len(self) > REMEMBERED:
            self.popitem(last=False)


class _Overlay:
    """Notes of which the written ones stay in memory, and the others are those of the ledger."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._written: _Recent[Note] = _Recent()

    def read(self, key: str) -> Note:
        return self._written.get(key) or self._notes.read(key)

    def write(self, note: Note) -> Note:
        written = replace(note, version=note.version + 1)
        self._written[note.key] = written
        return written

    def first(self, name: str) -> Note | None:
        return self._notes.first(name)


def _cursor(stretch: Stretch, notes: Notes) -> Json:
    cursor: Json = notes.read(tail_key(stretch.key)).content.get("cursor", {})
    return cursor


def _takes(windows: int, limits: Sequence[Limit]) -> timedelta:
    """Return how long so many calls take who go behind and have the gate for themselves."""
    spans = ((max(0, windows - 1) // limit.spared().calls) * limit.seconds for limit in limits)
    return timedelta(seconds=max(spans))
