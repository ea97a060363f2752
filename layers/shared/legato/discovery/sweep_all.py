"""Sweep all of a provider's tails, and see how long the oldest find has been waiting.

A tail that the provider refuses, or that has no room left at the gate, keeps the others from
nothing. The guard is independent of the sweep: it looks at what is listed and not archived.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from legato.discovery.reread import read_again
from legato.discovery.sweep import sweep
from legato.errors import LegatoError
from legato.ledger import named_recordings
from legato.ledger.sweep_remains import note_remains
from legato.ledger.unarchived import oldest
from legato.ports import SweepReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from legato.ledger.unarchived import Oldest
    from legato.ports import Clock, Follower, Jobs, Lists

log = logging.getLogger(__name__)

type Retention = Callable[[Collection[str]], Mapping[str, float]]
"""Says for how many days the provider keeps a recording, by the names of the tails' `watch`."""

URGENT_SHARE = 2 / 3
"""Of the time that the provider keeps a recording: the last third is for people to act."""


@dataclass(slots=True, kw_only=True)
class SweepAllReport:
    """What was done. `age` is how old the newest knowledge is, of the tails that are not late.

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


def sweep_all(
    *,
    provider: str,
    tails: Callable[[bool], Sequence[Follower]],
    jobs: Jobs,
    notes: Lists,
    clock: Clock,
    settle: int,
    retention: Retention,
    until: datetime,
    rest: timedelta = timedelta(),
    at_once: int = 1,
    unfinished_only: bool = False,
) -> SweepAllReport:
    """Sweep each tail until shortly before `until`, then look at what is not archived yet.

    `tails` are asked for with whether the provider is to be asked for new accounts. Of those with
    one `watch` the first come first, where time or limits are short; so many watches are read
    `at_once`. With `unfinished_only` the tails are left alone whose last run came to its end;
    `settle` and `rest` are those of `sweep`.
    """
    report, all_tails = SweepAllReport(), tails(not unfinished_only)
    swept = partial(sweep, jobs=jobs, notes=notes, clock=clock, until=until, settle=settle)
    gaps: set[str] = set()

    def sweep_some(some: Sequence[Follower]) -> list[tuple[Follower, SweepReport]]:
        own = partial(swept, rest=rest, unfinished_only=unfinished_only)
        return [(tail, own(tail=tail, beyond=tail.beyond)) for tail in some]

    def read_gaps(some: Sequence[Follower]) -> list[tuple[Follower, SweepReport]]:
        """Ask again for what tails stepped over. It says nothing of a tail's age."""
        found: list[tuple[Follower, SweepReport]] = []
        for tail in some:
            gaps.add(tail.key)
            try:
                reports, left = read_again(tail, swept=swept, notes=notes, clock=clock)
            except LegatoError as error:
                reports, left = [SweepReport(stopped=error)], True
            if not left:
                gaps.discard(tail.key)
            found += [(tail, replace(one, age=timedelta())) for one in reports]
        return found

    groups = _groups(all_tails, at_once)
    with ThreadPoolExecutor(at_once) as workers:
        # Gaps have the time that all tails have left.
        for step in (sweep_some, read_gaps):
            for some in workers.map(step, groups):
                for tail, one in some:
                    _add(report, tail, one)
        try:
            report.jobs += named_recordings.ask(provider, jobs, notes, clock)
        except LegatoError as error:
            report.stopped.append(f"what notifications have named: {error}")
        watches = dict.fromkeys(tail.watch for tail in all_tails)
        waiting = workers.map(lambda watch: oldest(watch, notes, clock), watches)
        found = dict(zip(watches, waiting, strict=True))
        _guard(report, found, retention)
    if at_once > 1:
        unarchived = [watch for watch, one in found.items() if one is not None]
        try:
            note_remains(provider, gaps=gaps, unarchived=unarchived, notes=notes, clock=clock)
        except LegatoError as error:
            report.stopped.append(f"what is left: {error}")
    return report


def _groups(tails: Sequence[Follower], at_once: int) -> list[list[Follower]]:
    """Return the tails in groups, each of which is read in its order."""
    if at_once == 1:
        return [list(tails)]
    groups: dict[str, list[Follower]] = {}
    for tail in tails:
        groups.setdefault(tail.watch, []).append(tail)
    return list(groups.values())


def _add(report: SweepAllReport, tail: Follower, swept: SweepReport) -> None:
    report.swept |= swept.began
    report.records += swept.records
    report.calls += swept.calls
    report.jobs += swept.jobs
    if not tail.late:
        report.age = max(report.age, swept.age)
    if swept.stopped is not None:
        report.stopped.append(f"{tail.key}: {swept.stopped}")


def _guard(
    report: SweepAllReport, waiting: Mapping[str, Oldest | None], retention: Retention
) -> None:
    kept_days = retention(waiting.keys()) if waiting else {}
    for watch, found in waiting.items():
        if found is None:
            continue
        used = found.age / timedelta(days=kept_days[watch])
        report.oldest = max(report.oldest, found.age)
        report.retention_used = max(report.retention_used, used)
        if used >= URGENT_SHARE:
            extra = {"call": str(found.call), "watch": watch, "kept_days": kept_days[watch]}
            log.error("the provider is about to delete what is not archived", extra=extra)
