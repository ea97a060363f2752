"""`legato index rebuild`: which days are asked for, and what is said of what came of them."""

import json
from datetime import UTC, date, datetime

import pytest
from typer.testing import CliRunner

from legato.cli.app import app
from legato.operations.catalogue_rebuild import Days, Rebuilt


class FakePlace:
    def __init__(self):
        self.asked = []
        self.report = Rebuilt(calls=3)

    def rebuild(self, *, days, tell):
        self.asked.append(days)
        tell(self.report)
        return self.report, 7


@pytest.fixture
def place():
    return FakePlace()


def rebuild(place, *words):
    return CliRunner().invoke(app, ["index", "rebuild", *words], obj=place)


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("", None),
        ("--from 2026-11-01 --to 2026-11-30", Days(date(2026, 11, 1), date(2026, 11, 30))),
        ("--from 2026-11-01 --to 2026-11-01", Days(date(2026, 11, 1), date(2026, 11, 1))),
        # A day of Berlin begins on the day before in UTC.
        (
            "--from 2026-11-01 --to 2026-11-01 --zone Europe/Berlin",
            Days(date(2026, 10, 31), date(2026, 11, 1)),
        ),
    ],
)
def test_all_is_made_anew_or_some_days(place, words, days):
    ended = rebuild(place, *words.split())
    assert (ended.exit_code, place.asked) == (0, [days])
    assert ended.stdout == "3 calls are in the catalogue, 7 accesses in the log.\n"


def test_without_an_end_it_goes_up_to_today(place):
    before = datetime.now(UTC).date()
    rebuild(place, "--from", "2026-11-01")
    [days] = place.asked
    assert days.first == date(2026, 11, 1)
    assert before <= days.last <= datetime.now(UTC).date()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--to 2026-11-30", "--to needs --from"),
        ("--from 2026-11-30 --to 2026-11-01", "--from 2026-11-30 is not before --to 2026-11-01"),
        ("--from someday", "'someday' is not a time: write a day"),
    ],
)
def test_days_that_are_none_are_refused(place, words, says):
    ended = rebuild(place, *words.split())
    assert ended.exit_code == 2
    assert says in " ".join(ended.stderr.replace("│", " ").split())
    assert place.asked == []


def test_what_cannot_be_read_is_named_and_fails(place):
    place.report = Rebuilt(calls=2, unread={"calls/ringex/1/2026/11/20/s-8/": "ValueError: no"})
    ended = rebuild(place, "--json")
    assert ended.exit_code == 6
    assert json.loads(ended.stdout)["unread"] == place.report.unread
    assert "run `legato verify`" in ended.stderr
