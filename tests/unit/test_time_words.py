"""Days and times as a person writes them."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato.cli.times import moment_of, span_of
from legato.errors import Refused
from tests.fakes import FakeClock

NOW = FakeClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
"""A Friday."""


def day(month, number, hour=0, minute=0, *, year=2026):
    return datetime(year, month, number, hour, minute, tzinfo=UTC)


def both(text, zone="UTC"):
    span = span_of(text, None, zone, clock=NOW), span_of(None, text, zone, clock=NOW)
    return span[0].begin, span[1].end


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("today", day(11, 20), day(11, 21)),
        (" Yesterday ", day(11, 19), day(11, 20)),
        ("monday", day(11, 16), day(11, 17)),
        ("fri", day(11, 20), day(11, 21)),
        ("last friday", day(11, 13), day(11, 14)),
        ("this week", day(11, 16), day(11, 23)),
        ("last week", day(11, 9), day(11, 16)),
        ("last month", day(10, 1), day(11, 1)),
        ("this year", day(1, 1), day(1, 1, year=2027)),
        ("2026-11", day(11, 1), day(12, 1)),
        ("2025-12", day(12, 1, year=2025), day(1, 1)),
        ("November 2026", day(11, 1), day(12, 1)),
        ("2026", day(1, 1), day(1, 1, year=2027)),
        ("2026-W47", day(11, 16), day(11, 23)),
        ("2026-11-19", day(11, 19), day(11, 20)),
        ("20261119", day(11, 19), day(11, 20)),
        ("2026/11/19", day(11, 19), day(11, 20)),
        ("19.11.2026", day(11, 19), day(11, 20)),
        ("3.4.2026", day(4, 3), day(4, 4)),
        ("11/19/2026", day(11, 19), day(11, 20)),
        ("19/11/2026", day(11, 19), day(11, 20)),
        ("19 Nov 2026", day(11, 19), day(11, 20)),
        ("19. November 2026", day(11, 19), day(11, 20)),
        ("Nov 19th, 2026", day(11, 19), day(11, 20)),
        ("24 Dec", day(12, 24, year=2025), day(12, 25, year=2025)),
    ],
)
def test_a_day_and_what_is_longer_is_included_whole(text, begin, end):
    assert both(text) == (begin, end)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("now", day(11, 20, 12)),
        ("7d", day(11, 13, 12)),
        ("last 7 days", day(11, 13, 12)),
        ("12h", day(11, 20)),
        ("90 minutes ago", day(11, 20, 10, 30)),
        ("2w", day(11, 6, 12)),
        ("14:30", day(11, 20, 14, 30)),
        ("yesterday 14:30", day(11, 19, 14, 30)),
        ("yesterday, 2:30 pm", day(11, 19, 14, 30)),
        ("monday at 12am", day(11, 16)),
        ("19.11.2026 08:05", day(11, 19, 8, 5)),
        ("Nov 19 2026 8am", day(11, 19, 8)),
        ("2026-11-19 08:05", day(11, 19, 8, 5)),
        ("2026-11-19T08:05+02:00", day(11, 19, 6, 5)),
        ("2026-11-19T08:05Z", day(11, 19, 8, 5)),
    ],
)
def test_a_moment_begins_and_ends_at_once(text, moment):
    assert both(text) == (moment, moment)
    assert moment_of("--at", text, "UTC", clock=NOW) == moment


def test_today_is_the_day_of_the_zone():
    """It is Saturday in Auckland already."""
    assert both("today", "Pacific/Auckland")[0] == day(11, 20, 11)
    assert both("7d", "Pacific/Auckland")[0] == day(11, 13, 12)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "soon", "tomorrow", "7x", "d", "-7d", "1e9d", "99999w", "25:00", "13pm", "8"),
        *("2026-13", "2026-00", "31.2.2026", "2026-W60", "1.1.26", "ma 2026", "last", "mo"),
        *("last year 8", "last week 14:30", "10000", "0000", "2026-11-19T", "x" * 10_000),
    ],
)
def test_what_is_no_time_is_refused_with_all_that_is_accepted(text):
    with pytest.raises(
        Refused, match=r"is not a time: write a day .*last week.*yesterday 14:30.*7d"
    ):
        span_of(text, None, None, clock=NOW)


def test_a_day_that_may_be_two_is_refused_with_both():
    with pytest.raises(Refused, match="3/4/2026 may be two days: write 2026-04-03 or 2026-03-04"):
        span_of("3/4/2026", None, None, clock=NOW)


@given(st.text())
def test_no_text_ends_in_anything_but_a_time_or_a_refusal(text):
    with suppress(Refused):
        span_of(text, None, "UTC", clock=NOW)
