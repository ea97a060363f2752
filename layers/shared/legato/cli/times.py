"""Days, times, zones and lengths, as a person writes and reads them: the same in every command."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, cast

import typer

from legato.cli.output import say
from legato.cli.time_words import stretch
from legato.clock import SystemClock
from legato.errors import Refused

if TYPE_CHECKING:
    from legato.ports import Clock

CLOCK = SystemClock()
LONGEST = 60
"""Characters of a text that are shown again where it is no time."""
ZONE = "LEGATO_ZONE"
FORMS = (
    "write a day (2026-11-01, 1.11.2026, 1 Nov 2026, today, yesterday, monday), a week or a month "
    "(last week, 2026-11), a time (2026-11-01T08:00, yesterday 14:30), a time with its offset "
    "(2026-11-01T08:00+02:00, 2026-11-01T06:00Z), or how long ago (7d, 12h, 2w)"
)
_FROM = typer.Option(
    "--from",
    metavar="TIME",
    help="From this time on: 2026-11-01, 2026-11-01T08:00, yesterday, last week, 7d.",
)
_TO = typer.Option(
    "--to",
    metavar="TIME",
    help="Up to this time. A day, a week or a month is included whole. [default: now]",
)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]\d)")
_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", re.IGNORECASE)

Zone = Annotated[
    str | None,
    typer.Option(
        envvar=ZONE,
        metavar="ZONE",
        help="Time zone of days and of times without an offset, e.g. Europe/Berlin. [default: UTC]",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of time in UTC, from `begin` on and before `end`."""

    begin: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The options that name a stretch of time."""

    begin: Annotated[str | None, _FROM] = None
    end: Annotated[str | None, _TO] = None
    zone: Zone = None

    def span(self) -> Span:
        """Return what they say. Raises Refused."""
        return span_of(self.begin, self.end, self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesFrom:
    """The options that name a stretch of time whose beginning has to be given."""

    begin: Annotated[str, _FROM]
    end: Annotated[str | None, _TO] = None
    zone: Zone = None

    def span(self) -> tuple[datetime, datetime | None]:
        """Return where it begins and ends, in UTC. Raises Refused."""
        found = span_of(self.begin, self.end, self.zone)
        return cast(datetime, found.begin), found.end


def span_of(begin: str | None, end: str | None, zone: str | None, *, clock: Clock = CLOCK) -> Span:
    """Return the stretch between two times, in UTC.

    A day, a week, a month or a year is one of the zone and is included whole, as a beginning and as
    an end. Says on standard
    error in which zone a time without an offset is taken. Raises Refused for what is no time, and
    for an end that is not after the beginning.
    """
    where = zone_of(zone)
    given = {"--from": begin, "--to": end}
    times = {
        name: _moments(name, text, where, clock) for name, text in given.items() if text is not None
    }
    _say_zone(any(bare for _, _, bare in times.values()), where)
    first = times["--from"][0] if "--from" in times else None
    last = times["--to"][1] if "--to" in times else None
    if first is not None and last is not None and first >= last:
        raise Refused(f"--from {begin} is not before --to {end}")
    return Span(begin=first, end=last)


def moment_of(name: str, text: str, zone: str | None, *, clock: Clock = CLOCK) -> datetime:
    """Return a moment in UTC; that of a day is its start. Raises Refused."""
    where = zone_of(zone)
    found, _, bare = _moments(name, text, where, clock)
    _say_zone(bare, where)
    return found


def zone_of(name: str | None) -> tzinfo:
    """Return a zone by its IANA name, else the one of LEGATO_ZONE, else UTC. Raises Refused."""
    name = name or os.environ.get(ZONE) or "UTC"
    if name.upper() in ("UTC", "Z"):
        return UTC
    from zoneinfo import ZoneInfo, available_timezones

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # Linux keeps them as files, whose names must be right to the letter.
        folded = {zone.casefold(): zone for zone in available_timezones()}
        close = get_close_matches(name.casefold(), folded, n=3)
        meant = f"did you mean {', '.join(folded[each] for each in close)}?"
        raise Refused(
            f"there is no zone {name!r}: {meant if close else 'write it like Europe/Berlin'}"
        ) from None


def zone_name(zone: tzinfo) -> str:
    """Return the name that a person knows a zone by."""
    return "UTC" if zone is UTC else str(zone)


def milliseconds(text: str) -> int:
    """Read a length: seconds, or with units, or as a clock shows it. Raises Refused."""
    plain = text.strip().replace(" ", "")
    found = _CLOCK.fullmatch(plain) or _UNITS.fullmatch(plain)
    if found is None or not any(found.groups()):
        raise Refused(
            f"--min-duration {text!r} is not a length: write 90, 90s, 5m, 1h30m, or 0:05:00"
        )
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000


def local_time(when: datetime, zone: tzinfo) -> str:
    """Write a time in a zone, to the second."""
    return f"{when.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def length(lasting_ms: int) -> str:
    """Write a length as a clock shows it."""
    minutes, seconds = divmod(round(lasting_ms / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _moments(name: str, text: str, zone: tzinfo, clock: Clock) -> tuple[datetime, datetime, bool]:
    """Return where a day or a time begins and ends, in UTC, and whether it depends on the zone.

    Where clocks are put back or forward a time may mean two, and either end takes in both.
    """
    try:
        first, last = stretch(text, clock.now().astimezone(zone))
        if first.tzinfo is not None:
            return first.astimezone(UTC), last.astimezone(UTC), False
        return min(_either(first, zone)), max(_either(last, zone)), True
    except (ValueError, OverflowError):
        raise Refused(f"{name} {text[:LONGEST]!r} is not a time: {FORMS}") from None


def _say_zone(bare: bool, zone: tzinfo) -> None:
    if bare:
        say(f"legato: days and times without an offset are {zone_name(zone)}", err=True)


def _either(moment: datetime, zone: tzinfo) -> list[datetime]:
    return [moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
