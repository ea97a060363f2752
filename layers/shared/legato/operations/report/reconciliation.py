"""The outcome of a reconciliation, as values and as JSON. Its page is in report/page.py."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING

from legato import __version__
from legato.archive import document
from legato.archive.layout import report_key
from legato.model import CallId, Json, format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from legato.archive.folder import Fate

SCHEMA_VERSION = 1
DAILY = "daily"
"""The run that nobody asks for."""

FATES: tuple[Fate, ...] = ("archived", "waiting", "failed", "missing")
_TIMES = ("began_at", "first_seen", "last_seen", "missing_since")
_NOT_REPORTED = frozenset({"revision", "where", "last_seen", "missing_since"})


def days_of(begin: datetime, end: datetime) -> Iterator[date]:
    """Yield the days from `begin` to before `end`."""
    while begin < end:
        yield begin.date()
        begin += timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recording that a provider names, and what has become of it; or what else is wrong.

    `kind` and `reason` are empty where it is archived. `revision` is the call's when it was judged.
    `recording` is empty where it is a whole call, which may have a second folder `where`; `call`
    too, where it is a day of an account. `times_seen` counts the reconciliations that have found it
    failed or missing; they began from `first_seen` to `last_seen`, and it is missing all the time
    since `missing_since`.
    """

    provider: str
    account: str
    call: str
    recording: str
    day: date
    began_at: datetime | None
    fate: Fate
    kind: str = ""
    reason: str = ""
    revision: int = 0
    where: str = ""
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    times_seen: int = 0
    missing_since: datetime | None = None

    @property
    def id(self) -> CallId:
        return CallId(self.provider, self.account, self.call)

    @property
    def wrong(self) -> bool:
        """Whether somebody has to know of it."""
        return self.fate in ("missing", "failed")

    @property
    def name(self) -> str:
        """What tells it from others of its call."""
        day = "" if self.call else f"{self.day}"
        return self.recording or " ".join(filter(None, (f"({self.kind})", self.where, day)))

    def to_json(self) -> Json:
        return {k: v for k, v in self.to_note().items() if k not in _NOT_REPORTED}

    def to_note(self) -> Json:
        """Write all of it, for a later run."""
        times = {name: getattr(self, name) for name in _TIMES}
        texts = {name: moment and format_time(moment) for name, moment in times.items()}
        return asdict(self) | texts | {"day": self.day.isoformat()}

    @classmethod
    def of(cls, note: Json) -> Found:
        """Read what to_note has written."""
        times = {name: note[name] and parse_time(note[name]) for name in _TIMES}
        return cls(**note | times | {"day": date.fromisoformat(note["day"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """What a provider could not be asked, so that nothing can be said of it."""

    provider: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A provider's day, by the beginning of its recordings in UTC."""

    day: date
    provider: str
    counts: Counter[str]

    @property
    def recorded(self) -> int:
        return self.counts.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What a run has found, of the time from `begin` to `end`.

    `found` are all recordings of that time that the providers name, `flaws` what else is wrong with
    the calls and the lists of that time, `earlier` what was wrong before it and still is. Those
    that are `queued` were put into the queue again.
    """

    run: str
    begin: datetime
    end: datetime
    began_at: datetime
    ended_at: datetime
    providers: Sequence[str]
    found: Sequence[Found]
    flaws: Sequence[Found] = ()
    earlier: Sequence[Found] = ()
    not_asked: Sequence[NotAsked] = ()
    missing_over_a_day: int = 0
    queued: int = 0
    counts: Counter[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts", Counter(one.fate for one in self.found))

    def key(self, extension: str) -> str:
        """Return the key in the archive under which it is written."""
        return report_key(self.ended_at, extension)

    @property
    def missing(self) -> list[Found]:
        return [one for one in self._wrong if one.fate == "missing"]

    @property
    def failed(self) -> list[Found]:
        return [one for one in self._wrong if one.fate == "failed"]

    @property
    def _wrong(self) -> tuple[Found, ...]:
        return (*self.earlier, *self.found, *self.flaws)

    def days(self) -> list[Day]:
        """Return the figures of each day of each provider, also where there are none."""
        figures = {
            (day, name): Counter[str]()
            for day in days_of(self.begin, self.end)
            for name in self.providers
        }
        for one in self.found:
            figures.setdefault((one.day, one.provider), Counter())[one.fate] += 1
        return [Day(day=day, provider=name, counts=c) for (day, name), c in figures.items()]

    def complete(self, provider: str) -> bool:
        """Say whether all that was to be asked of a provider was."""
        return all(one.provider != provider for one in self.not_asked)

    def to_json(self) -> Json:
        """Write the report; scripts may rely on its fields."""
        return {
            "schema_version": SCHEMA_VERSION,
            "legato_version": __version__,
            "run": self.run,
            "from": format_time(self.begin),
            "to": format_time(self.end),
            "began_at": format_time(self.began_at),
            "ended_at": format_time(self.ended_at),
            "providers": list(self.providers),
            "recorded": len(self.found),
            **{fate: self.counts[fate] for fate in FATES},
            "missing_over_a_day": self.missing_over_a_day,
            "queued": self.queued,
            "days": [
                {
                    "day": one.day.isoformat(),
                    "provider": one.provider,
                    "recorded": one.recorded,
                    **{fate: one.counts[fate] for fate in FATES},
                    "complete": self.complete(one.provider),
                }
                for one in self.days()
            ],
            "missing_recordings": [one.to_json() for one in self.missing],
            "failed_recordings": [one.to_json() for one in self.failed],
            "not_asked": [asdict(one) for one in self.not_asked],
        }

    def to_bytes(self) -> bytes:
        """Write the report as it is stored: UTF-8, indented for people, ending in LF."""
        return document.to_bytes(self.to_json())
