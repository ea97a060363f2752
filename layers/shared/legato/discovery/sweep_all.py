"""Go a round: sweep all of a provider's tails, and see how long the oldest find has been waiting.

A tail that the provider refuses, or that has no room left at the gate, keeps the others from
nothing. The guard is independent of the sweep: it looks at what is listed and not archived.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.discovery.reread import read_again
from legato.discovery.sweep import sweep
from legato.errors import LegatoError
from legato.ledger import named_recordings
from legato.ledger.sweep_remains import note_remains
from legato.ledger.unarchived import oldest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from legato.ledger.unarchived import Oldest
    from legato.ports import Clock, Follower, Jobs, Lists, SweepReport

log = logging.getLogger(__name__)

type Retention = Callable[[Collection[str]], Mapping[str, float]]
"""Says for how many days the provider keeps a recording, by the names of the tails' `watch`."""

URGENT_SHARE = 2 / 3
"""Of the time that the provider keeps a recording: the last third is for people to act."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What the sweeper works with.

    `tails` are asked for in each round, and whether the provider is to be asked for new accounts.
    Of those with one `watch` the first come first, where time or limits are short; so many watches
    are read `at_once`.
    """

    provider: str
    tails: Callable[[bool], Sequence[Follower]]
    jobs: Jobs
    notes: Lists
    clock: Clock
    settle_seconds: int
    rest: timedelta
    retention: Retention
    at_once: int = 1


@dataclass(slots=True, kw_only=True)
class RoundReport:
    """What a round did. `age` is how old the newest knowledge is, of the tails that are not late.

    `oldest` is how long ago the oldest call began that was found and is not archived;
    `retention_used` the greatest share of the provider's time that such a call has used up.
    """

    swept: bool = False
    records: int = 0
    calls: int = 0
    jobs: int = 0
    age: timedelta = field(default_factory=timedelta)
    stopped: list[str] = field(default_factory=list)
    oldest: timedelta = field(default_factory=timedelta)
    retention_used: float = 0.0


def sweep_all(work: Round, *, until: datetime, unfinished_only: bool = False) -> RoundReport:
    """Sweep each tail until shortly before `until`, then look at what is not archived yet.

    With `unfinished_only` the tails are left alone whose last run came to its end.
    """
    report, tails = RoundReport(), work.tails(not unfinished_only)

    def swept(some: Sequence[Follower]) -> list[tuple[Follower, SweepReport]]:
        return [(tail, _swept(tail, work, until, unfinished_only=unfinished_only)) for tail in some]

    gaps: set[str] = set()

    def read_gaps(some: Sequence[Follower]) -> list[tuple[Follower, SweepReport]]:
        return [(tail, reread) for tail in some for reread in _gaps_read(tail, work, until, gaps)]

    groups = _groups(tails, work)
    with ThreadPoolExecutor(work.at_once) as workers:
        # Gaps have the time that all tails have left.
        for step in (swept, read_gaps):
            for some in workers.map(step, groups):
                for tail, one in some:
                    _add(report, tail, one)
        try:
            report.jobs += named_recordings.ask(work.provider, work.jobs, work.notes, work.clock)
        except LegatoError as error:
            report.stopped.append(f"what notifications have named: {error}")
        watches = dict.fromkeys(tail.watch for tail in tails)
        waiting = workers.map(lambda watch: oldest(watch, work.notes, work.clock), watches)
        found = dict(zip(watches, waiting, strict=True))
        _guard(report, found, work)
    if work.at_once > 1:
        unarchived = [watch for watch, one in found.items() if one is not None]
        try:
            note_remains(
                work.provider, gaps=gaps, unarchived=unarchived, notes=work.notes, clock=work.clock
            )
        except LegatoError as error:
            report.stopped.append(f"what is left: {error}")
    return report


def _groups(tails: Sequence[Follower], work: Round) -> list[list[Follower]]:
    """Return the tails in groups, each of which is read in its order."""
    if work.at_once == 1:
        return [list(tails)]
    groups: dict[str, list[Follower]] = {}
    for tail in tails:
        groups.setdefault(tail.watch, []).append(tail)
    return list(groups.values())


def _swept(tail: Follower, work: Round, until: datetime, *, unfinished_only: bool) -> SweepReport:
    return sweep(
        tail=tail,
        jobs=work.jobs,
        notes=work.notes,
        clock=work.clock,
        until=until,
        settle=work.settle_seconds,
        rest=work.rest,
        unfinished_only=unfinished_only,
        beyond=tail.beyond,
    )


def _gaps_read(tail: Follower, work: Round, until: datetime, gaps: set[str]) -> list[SweepReport]:
    """Ask again for what the tail stepped over. It says nothing of the tail's age.

    `gaps` takes in the tail if something is left of it, or may be.
    """
    gaps.add(tail.key)
    try:
        reports, left = read_again(
            tail,
            jobs=work.jobs,
            notes=work.notes,
            clock=work.clock,
            until=until,
            settle=work.settle_seconds,
        )
    except LegatoError as error:
        return [SweepReport(stopped=error)]
    if not left:
        gaps.discard(tail.key)
    return [replace(report, age=timedelta()) for report in reports]


def _add(report: RoundReport, tail: Follower, swept: SweepReport) -> None:
    report.swept |= swept.began
    report.records += swept.records
    report.calls += swept.calls
    report.jobs += swept.jobs
    if not tail.late:
        report.age = max(report.age, swept.age)
    if swept.stopped is not None:
        report.stopped.append(f"{tail.key}: {swept.stopped}")


def _guard(report: RoundReport, waiting: Mapping[str, Oldest | None], work: Round) -> None:
    kept_days = work.retention(waiting.keys()) if waiting else {}
    for watch, found in waiting.items():
        if found is None:
            continue
        used = found.age / timedelta(days=kept_days[watch])
        report.oldest = max(report.oldest, found.age)
        report.retention_used = max(report.retention_used, used)
        if used >= URGENT_SHARE:
            extra = {"call": str(found.call), "watch": watch, "kept_days": kept_days[watch]}
            log.error("the provider is about to delete what is not archived", extra=extra)
