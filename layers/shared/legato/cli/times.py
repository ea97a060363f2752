"""Days, times, zones and lengths, as a person writes and reads them."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches

from legato.errors import Refused

ZONE = "LEGATO_ZONE"
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):([0-5]\d)")
_UNITS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", re.IGNORECASE)


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


def moments(name: str, text: str, zone: tzinfo) -> tuple[datetime, datetime, bool]:
    """Return where a day or a time begins and ends, in UTC, and whether it named no zone.

    Where clocks are put back or forward a time may mean two, and either end takes in both.
    """
    try:
        day = _day(text)
        if day is not None:
            first, last = (datetime.combine(day + timedelta(days), time()) for days in (0, 1))
        else:
            first = last = datetime.fromisoformat(text)
        if first.tzinfo is not None:
            return first.astimezone(UTC), last.astimezone(UTC), False
        return min(_either(first, zone)), max(_either(last, zone)), True
    except (ValueError, OverflowError):
        raise Refused(
            f"{name} {text!r} is no time: write 2026-11-01, or 2026-11-01T08:00, or "
            "2026-11-01T08:00+02:00"
        ) from None


def milliseconds(text: str) -> int:
    """Read a length: seconds, or with units, or as a clock shows it. Raises Refused."""
    plain = text.strip().replace(" ", "")
    found = _CLOCK.fullmatch(plain) or _UNITS.fullmatch(plain)
    if found is None or not any(found.groups()):
        raise Refused(f"--min-duration {text!r} is no length: write 90, 90s, 5m, 1h30m, or 0:05:00")
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


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _either(moment: datetime, zone: tzinfo) -> list[datetime]:
    return [moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
