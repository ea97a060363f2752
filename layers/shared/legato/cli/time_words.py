"""Days and times as a person writes them: `yesterday 14:30`, `last week`, `19.11.2026`, `7d`."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = timedelta(days=1)
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(
    r"(?:(?:last|past) )?(\d{1,4}) ?"
    r"(m(?:in(?:ute)?s?)?|h(?:ours?)?|d(?:ays?)?|w(?:eeks?)?)(?: ago)?"
)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d)(?::(\d\d))?)? ?(am|pm|a\.m\.|p\.m\.)?")
_YEAR_FIRST = re.compile(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([./-]) ?(\d{1,2})\2 ?(\d{4})")
_DAY_MONTH = re.compile(r"(\d{1,2})(?:st|nd|rd|th|\.)? ([a-z]{3,9})\.?(?:,? (\d{4}))?")
_MONTH_DAY = re.compile(r"([a-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?(?:,? (\d{4}))?")
_WEEK = re.compile(r"(\d{4})-?w(\d{1,2})")
_MONTH = re.compile(r"(\d{4})[-/.](\d{1,2})")
_NAMED_MONTH = re.compile(r"([a-z]{3,9})\.? (\d{4})")


def stretch(text: str, now: datetime) -> tuple[datetime, datetime]:
    """Return where a day, a month or another stretch begins and ends; a moment does so at once.

    `now` is in the zone of whoever writes, and so is what has no zone in the answer. Raises
    ValueError for what is none of these, Refused for what may be two.
    """
    plain = " ".join(text.casefold().split())
    if plain == "now":
        return now, now
    if found := _AGO.fullmatch(plain):
        ago = timedelta(**{_UNITS[found[2][0]]: int(found[1])})
        return now - ago, now - ago
    days = _days(plain, now.date())
    if days is not None:
        return tuple(datetime.combine(day, time()) for day in days)  # type: ignore[return-value]
    for day_text, clock_text in _divided(plain):
        days, at = _days(day_text or "today", now.date()), _time(clock_text)
        if days is not None and days[1] - days[0] == DAY and at is not None:
            moment = datetime.combine(days[0], at)
            return moment, moment
    moment = datetime.fromisoformat(text.strip())
    return moment, moment


def _days(plain: str, today: date) -> tuple[date, date] | None:
    """Return the first day, and the one after the last."""
    first = _one_day(plain, today)
    if first is not None:
        return first, first + DAY
    if found := re.fullmatch(r"(this|last) (week|month|year)", plain):
        return _around(found[2], today, back=found[1] == "last")
    if found := _WEEK.fullmatch(plain):
        monday = date.fromisocalendar(int(found[1]), int(found[2]), 1)
        return monday, monday + 7 * DAY
    if re.fullmatch(r"(?:19|20)\d\d", plain):
        return date(int(plain), 1, 1), date(int(plain) + 1, 1, 1)
    if found := _MONTH.fullmatch(plain):
        return _month(int(found[1]), int(found[2]))
    if (found := _NAMED_MONTH.fullmatch(plain)) and (month := _month_of(found[1])):
        return _month(int(found[2]), month)
    return None


def _one_day(plain: str, today: date) -> date | None:
    if plain in ("today", "yesterday"):
        return today - DAY * (plain == "yesterday")
    name = plain.removeprefix("last ")
    if (weekday := _weekday_of(name)) is not None:
        back = (today.weekday() - weekday) % 7
        return today - DAY * (back or (7 if name != plain else 0))
    if found := _YEAR_FIRST.fullmatch(plain):
        return date(*map(int, found.groups()))
    if found := _YEAR_LAST.fullmatch(plain):
        return _year_last(int(found[1]), int(found[3]), int(found[4]), found[2], plain)
    if (found := _DAY_MONTH.fullmatch(plain)) and (month := _month_of(found[2])):
        return _of_year(found[3], month, int(found[1]), today)
    if (found := _MONTH_DAY.fullmatch(plain)) and (month := _month_of(found[1])):
        return _of_year(found[3], month, int(found[2]), today)
    if re.fullmatch(r"[\d-]{8,10}|\d{4}-?w\d\d-?\d", plain):
        return date.fromisoformat(plain.upper())
    return None


def _around(what: str, today: date, *, back: bool) -> tuple[date, date]:
    """Return the week, month or year in which today lies, or the one before."""
    if what == "week":
        monday = today - DAY * today.weekday() - 7 * DAY * back
        return monday, monday + 7 * DAY
    if what == "month":
        last = today.replace(day=1) - DAY if back else today
        return _month(last.year, last.month)
    year = today.year - back
    return date(year, 1, 1), date(year + 1, 1, 1)


def _month(year: int, month: int) -> tuple[date, date]:
    return date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)


def _year_last(first: int, second: int, year: int, between: str, plain: str) -> date:
    """Return the day of `19.11.2026`, or of `11/19/2026`. Raises Refused for `3/4/2026`."""
    if between == "." or first > 12 or first == second:
        return date(year, second, first)
    if second > 12:
        return date(year, first, second)
    raise Refused(
        f"{plain} may be two days: write {date(year, second, first)} or {date(year, first, second)}"
    )


def _of_year(year: str | None, month: int, day: int, today: date) -> date:
    """Return a day; one without a year is the last one that has been."""
    if year:
        return date(int(year), month, day)
    found = date(today.year, month, day)
    return found if found <= today else date(today.year - 1, month, day)


def _month_of(name: str) -> int | None:
    """Return a month by its name, or by three letters of it or more."""
    return next((at for at, month in enumerate(MONTHS, 1) if month.startswith(name)), None)


def _weekday_of(name: str) -> int | None:
    """Return a day of the week as a month is named; 0 is Monday."""
    if len(name) < 3:
        return None
    return next((at for at, day in enumerate(WEEKDAYS) if day.startswith(name)), None)


def _divided(plain: str) -> Iterator[tuple[str, str]]:
    """Yield a day and a time of the day; of a time alone the day is empty."""
    yield "", plain
    parts = plain.split(" ")
    for at in (-1, -2):
        if len(parts) > -at:
            yield " ".join(parts[:at]).rstrip(",").removesuffix(" at"), " ".join(parts[at:])


def _time(text: str) -> time | None:
    found = _CLOCK.fullmatch(text)
    if found is None or not (found[2] or found[4]):
        return None
    hour, minute, second = (int(part or 0) for part in found.groups()[:3])
    if found[4]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + 12 * (found[4][0] == "p")
    return time(hour, minute, second)
