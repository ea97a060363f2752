"""Backfill: archive what a provider still has of a stretch of the past.

A sweep with an end, and behind all others: it takes what the live one leaves of the provider's
limits, and its jobs give way to younger ones. It goes in slices, each under a short lease, and its
cursor stands in the ledger: whatever ends a run, the next one goes on where it stopped, and a job
too many is the worst that comes of it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.discovery.sweep import sweep
from legato.errors import Barred, LegatoError, Refused, Retry, Stale, Wait
from legato.ledger.listings import records_key, tail_key
from legato.model import format_time, parse_time
from legato.operations.walk import Place, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from legato.model import CallId, Job, Json, Note, Unreadable
    from legato.ports import Change, Clock, Jobs, Notes, Recorded, TailPage
    from legato.settings import Limit

SLICE = timedelta(seconds=90)
"""How long a lease lasts. The next run waits for that of a killed one, so it is short.

But it is enough for a page to be taken in from far away: some round trips to AWS for each call.
"""
BUSY_SECONDS = 10
A_DAY = timedelta(days=1)
LONGEST_DAY = timedelta(hours=25)
REMEMBERED = 10_000
"""How many recordings and calls are known by name, so that none counts twice.

Those of neighbouring pages are enough: they overlap, and a full one is asked for in pieces.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How many requests of a `group` the provider allows, each `watch` for itself."""

    group: str
    limits: Sequence[Limit]

    def takes(self, requests: int) -> timedelta:
        """Return how long so many take who go behind and have the gate for themselves."""
        spans = (
            ((max(0, requests - 1) // limit.spared().calls) * limit.seconds)
            for limit in self.limits
        )
        return timedelta(seconds=max(spans))


@dataclass(slots=True, kw_only=True)
class BackfillProgress:
    """How far a run has come in one stretch, and what it has found there.

    `share` is what is read of it, 0 to 1; all counts are of this run. `recordings`, of `length` in
    all, belong to `calls`; only a dry run looks how many of these are `known`, and `archived`.
    `jobs` were sent, or would be. `waits_until` comes with its `reason`. It is over when `done`, or
    when it `failed`.
    """

    source: str
    share: float = 0.0
    requests: int = 0
    recordings: int = 0
    calls: int = 0
    known: int = 0
    archived: int = 0
    jobs: int = 0
    buried: int = 0
    length: timedelta = field(default_factory=timedelta)
    waits_until: datetime | None = None
    reason: str = ""
    done: bool = False
    failed: LegatoError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What is left of a stretch of which a `share` was read before.

    `requests` are the least that it takes, or what a sample lets expect. `recordings` are guessed
    from so many `sampled` ones; None if nothing was.
    """

    source: str
    watch: str
    share: float
    requests: int
    recordings: int | None = None
    sampled: int = 0


def check_days(begin: datetime, limit: datetime | None, *, now: datetime) -> None:
    """Raise Refused for days that are still to come. The present day may be that of any zone."""
    if begin >= now or (limit is not None and limit > now + LONGEST_DAY):
        name = "--from" if begin >= now else "--to"
        raise Refused(f"{name} lies in the future: today is {_day(now)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """What a provider recorded, put into the queue: up to `limit`, or without one to the present.

    `listing` and `fetching` are what is allowed for finding recordings and for their audio, of
    which a second has about so many bytes if it is like `sound`. `sample_pages` may be read to
    guess how much there is.
    """

    provider: str
    stretches: Sequence[Recorded]
    limit: datetime | None
    jobs: Jobs
    notes: Notes
    clock: Clock
    sleep: Callable[[float], None]
    settle_seconds: int
    listing: Allowance
    fetching: Allowance
    sample_pages: int
    bytes_a_second: int
    sound: str
    slice: timedelta = SLICE

    def check(self, *, dry_run: bool = False, discard: bool = False) -> None:
        """Raise Refused, saying what to do, for what the provider cannot have any more.

        Also, except for a dry run, if one of other days is unfinished, unless that one is to
        `discard`.
        What has begun may go on, however long ago.
        """
        now = self.clock.now()
        oldest = now - max(one.kept for one in self.stretches)
        begun = any(_cursor(one.key, self.notes) for one in self.stretches)
        if not begun and self.stretches[0].begin < _midnight(oldest):
            raise Refused(
                f"the provider keeps recordings for {(now - oldest).days} days: there is nothing "
                f"from before {_day(oldest)}; write --from {_day(oldest)} or later"
            )
        for stretch in self.stretches:
            run = self.notes.read(_run_key(stretch)).content
            if dry_run or discard or run.get("key") in (None, stretch.key):
                continue
            tail = self.notes.read(tail_key(run["key"])).content
            if tail.get("unfinished") or "cursor" not in tail:
                raise Refused(
                    f"a backfill of other days is unfinished for {stretch.source}: resume it with "
                    f"`legato backfill {self.provider} {_options(run)}`, or give it up with "
                    "--discard-unfinished"
                )

    def estimate(self, *, dry_run: bool = False) -> list[Estimate]:
        """Say what is left, from a sample of what is next. A dry run begins at the beginning."""
        return [
            _estimated(
                stretch, {} if dry_run else _cursor(stretch.key, self.notes), self.sample_pages
            )
            for stretch in self.stretches
        ]

    def run(
        self,
        *,
        tell: Callable[[BackfillProgress], None],
        dry_run: bool = False,
        hopeless: Callable[[LegatoError], bool] = lambda _: False,
    ) -> list[BackfillProgress]:
        """Read all stretches to their ends, and report on each; `tell` hears of every step.

        One that has to wait lets the others go on. One is given up when the provider refuses us,
        when passing faults do not pass, and after an error of which `hopeless` says that it is no
        use to repeat it. A dry run reads the same, and sends and writes nothing but what the gate
        must know.
        """
        notes = _Overlay(self.notes) if dry_run else self.notes
        for stretch in self.stretches:
            _note_run(stretch, self.limit, notes)
        places: dict[str, Place] = {}
        readers = [
            _Reader(one, self, notes, places, tell, dry_run=dry_run) for one in self.stretches
        ]
        walk(
            readers,
            places,
            read=lambda one, _: one.read_on(),
            tell=lambda one, stopped: one.stands(stopped),
            clock=self.clock,
            sleep=self.sleep,
            hopeless=lambda error: isinstance(error, Barred) or hopeless(error),
        )
        return [one.progress for one in readers]


def takes(
    allowance: Allowance, estimates: Sequence[Estimate], count: Callable[[Estimate], int]
) -> timedelta:
    """Return how long the requests of all estimates take, which `count` counts."""
    counts: dict[str, int] = {}
    for one in estimates:
        counts[one.watch] = counts.get(one.watch, 0) + count(one)
    return max(map(allowance.takes, counts.values()))


class _Reader:
    """One stretch on its way. It is the tail that the sweep reads, and counts what comes along."""

    def __init__(
        self,
        stretch: Recorded,
        work: Backfill,
        notes: Notes,
        places: dict[str, Place],
        tell: Callable[[BackfillProgress], None],
        *,
        dry_run: bool,
    ) -> None:
        self.name = stretch.name
        self.key = f"{stretch.key}-dry" if dry_run else stretch.key
        self.watch = stretch.watch
        self.behind = stretch.behind
        self.late = stretch.late
        self.progress = BackfillProgress(source=stretch.source)
        places[self.key] = Place()
        self._stretch = stretch
        self._work = work
        self._notes = notes
        self._places = places
        self._tell = tell
        self._dry_run = dry_run
        self._jobs = _Counted(None if dry_run else work.jobs, self.progress)
        self._recordings: _Recent[bool] = _Recent()
        self._calls: _Recent[bool] = _Recent()

    def read_on(self) -> Place:
        """Read for the time of a slice, or until the gate is closed."""
        self.progress.waits_until, self.progress.reason = None, ""
        swept = sweep(
            tail=self,
            jobs=self._jobs,
            notes=self._notes,
            clock=self._work.clock,
            until=self._work.clock.now() + self._work.slice,
            settle=self._work.settle_seconds,
        )
        if isinstance(swept.stopped, Stale):
            raise Retry(str(swept.stopped)) from swept.stopped
        if swept.stopped is not None:
            raise swept.stopped
        if not swept.done:
            reason = "another run is at work here, or was killed a moment ago"
            raise Wait(reason, seconds=BUSY_SECONDS)
        self.progress.share, self.progress.done = 1.0, True
        return replace(self._places[self.key], over=True)

    def stands(self, stopped: LegatoError | None) -> None:
        """Say how it stands after a slice, and what has stopped it."""
        place = self._places[self.key]
        if place.over:
            self.progress.failed = stopped
        else:
            self.progress.waits_until, self.progress.reason = place.not_before, place.reason
        self._tell(self.progress)

    def page(self, cursor: Json, *, turn: bool = False) -> TailPage:
        """Return the stretch's next page, which is counted."""
        if cursor != self._places[self.key].cursor:
            # Not before: a page that cannot be taken in would be asked for again for ever.
            self._places[self.key] = Place(cursor=cursor)
        self.progress.share = max(self.progress.share, self._stretch.share(cursor))
        self._tell(self.progress)
        page = self._stretch.page(cursor, turn=turn)
        if page.cursor != cursor:
            self.progress.requests += 1
        for change in page.changes:
            self._count(change)
        return page

    def recordings(self, records: Iterable[Json]) -> frozenset[str]:
        return self._stretch.recordings(records)

    def unreadable(self, records: Iterable[Json]) -> Sequence[Unreadable]:
        return self._stretch.unreadable(records)

    def _count(self, change: Change) -> None:
        found: set[str] = set()
        for record in change.records.values():
            names = self.recordings([record])
            new = [name for name in names if f"{change.id}/{name}" not in self._recordings]
            self.progress.recordings += len(new)
            if new:
                self.progress.length += self._stretch.length(record)
            for name in names:
                self._recordings[f"{change.id}/{name}"] = True
            found |= names
        if not found:
            return
        if str(change.id) not in self._calls:
            if self._dry_run:
                self._look_up(change.id, frozenset(found))
            self.progress.calls += 1
        self._calls[str(change.id)] = True

    def _look_up(self, call: CallId, recordings: frozenset[str]) -> None:
        """See what the ledger itself knows of a call."""
        note = self._work.notes.read(records_key(call))
        if note.version and recordings <= self.recordings(note.content["records"].values()):
            self.progress.known += 1
            self.progress.archived += not note.content.get("unarchived")


class _Counted:
    """Counts the jobs on their way to the queue, if there is one."""

    def __init__(self, jobs: Jobs | None, progress: BackfillProgress) -> None:
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


def _cursor(key: str, notes: Notes) -> Json:
    cursor: Json = notes.read(tail_key(key)).content.get("cursor", {})
    return cursor


def _run_key(stretch: Recorded) -> str:
    return f"backfill#{stretch.name}#{stretch.source}"


def _note_run(stretch: Recorded, limit: datetime | None, notes: Notes) -> None:
    """Write down which days are filled, so that nobody forgets them unfinished."""
    note = notes.read(_run_key(stretch))
    to = limit and format_time(limit)
    run = {"key": stretch.key, "from": format_time(stretch.begin), "to": to}
    if note.content != run:
        notes.write(replace(note, content=run))


def _estimated(stretch: Recorded, cursor: Json, pages: int) -> Estimate:
    """Read a few pages without taking them in, and expect the rest to be like them."""
    share, least = stretch.share(cursor), stretch.requests(cursor)
    bare = Estimate(source=stretch.source, watch=stretch.watch, share=share, requests=least)
    asked, more, names = 0, least > 0, set[str]()
    try:
        while more and asked < pages:
            page = stretch.page(cursor)
            asked, cursor, more = asked + 1, page.cursor, page.more
            for change in page.changes:
                for record in change.records.values():
                    names |= {f"{change.id}/{name}" for name in stretch.recordings([record])}
    except LegatoError:
        pass  # a run says it, and says it better
    covered = stretch.share(cursor) - share if more else 1 - share
    if not asked or covered <= 0:
        return bare
    left = (1 - share) / covered
    return replace(
        bare,
        requests=max(least, math.ceil(asked * left)),
        recordings=round(len(names) * left),
        sampled=len(names),
    )


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _options(run: Json) -> str:
    """Write the options of a run as a person would. Its days are in UTC wherever they are read."""
    begin, limit = parse_time(run["from"]), run["to"] and parse_time(run["to"])
    first = _day(begin) if begin == _midnight(begin) else run["from"]
    if limit is None:
        return f"--from {first} --zone UTC"
    last = _day(limit - A_DAY) if limit == _midnight(limit) else run["to"]
    return f"--from {first} --to {last} --zone UTC"
