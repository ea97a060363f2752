"""Which calls a command is about: filters, times, lengths, and the record of an access."""

from datetime import UTC, datetime

import pytest
import typer

from legato.catalogue.index import Query
from legato.catalogue.named import UnknownCriterion
from legato.cli.app import app
from legato.cli.last_find import remember
from legato.cli.select import Filters, One, Selection, opened
from legato.clock import SystemClock
from legato.errors import NotFound, Refused
from tests.fakes import FakeCatalogue
from tests.unit.test_catalogue import a_row, enter
from tests.unit.test_cli_help import COMMANDS


def utc(*parts):
    return datetime(2026, *parts, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_zone(monkeypatch):
    monkeypatch.delenv("LEGATO_ZONE", raising=False)


class TestNamesOfCalls:
    """Wherever a command takes calls."""

    def test_row_numbers_beginnings_and_addresses_name_calls_side_by_side(self):
        class FakePlace:
            def catalogue(self):
                return store

        store = FakeCatalogue()
        enter(store, *(a_row(f"s-{name}-1", minutes=at) for at, name in enumerate("abcd")))
        remember(store.find(Query(), limit=2).rows, store, SystemClock())
        calls = ["2", "s-c-", "ringex/1/s-d-", "1", "s-a-1"]
        found = Selection(calls=calls).rows(FakePlace())
        assert [row.call for row in found] == ["s-b-1", "s-c-1", "s-d-1", "s-a-1"]
        assert One(call="2").rows(FakePlace())[0].call == "s-b-1"
        with pytest.raises(
            NotFound, match=r"2 of 3 calls are wrong.* no row 3: .*; also wrong: zzzz"
        ):
            Selection(calls=["1", "3", "zzzz"]).rows(FakePlace())


class TestTimes:
    @pytest.mark.parametrize(
        ("zone", "begin", "end", "first", "last"),
        [
            (None, "2026-11-01", "2026-11-01", utc(11, 1), utc(11, 2)),
            (None, "2026-11-01T08:30", None, utc(11, 1, 8, 30), None),
            ("Europe/Berlin", "2026-11-01", "2026-11-01", utc(10, 31, 23), utc(11, 1, 23)),
            # A day of 25 hours.
            ("Europe/Berlin", "2026-10-25", "2026-10-25", utc(10, 24, 22), utc(10, 25, 23)),
            ("Europe/Berlin", "2026-11-01T08:30Z", None, utc(11, 1, 8, 30), None),
            (None, "2026-11-01T08:30+02:00", None, utc(11, 1, 6, 30), None),
            ("America/New_York", None, "2026-11-01 09:00", None, utc(11, 1, 14)),
            ("utc", "20261101", None, utc(11, 1), None),
        ],
    )
    def test_a_time_is_one_of_its_zone(self, zone, begin, end, first, last):
        """A day is included whole, as a beginning and as an end."""
        query = Filters(begin=begin, end=end, zone=zone).query()
        assert (query.begin, query.end) == (first, last)

    def test_an_hour_that_is_there_twice_is_taken_whole(self):
        """Nothing is missed when clocks are put back."""
        query = Filters(
            begin="2026-10-25T02:30", end="2026-10-25T02:30", zone="Europe/Berlin"
        ).query()
        assert (query.begin, query.end) == (utc(10, 25, 0, 30), utc(10, 25, 1, 30))

    def test_the_zone_that_is_taken_is_said(self, capsys, monkeypatch):
        """If it matters, and where it came from does not."""
        monkeypatch.setenv("LEGATO_ZONE", "Asia/Tokyo")
        assert Filters(begin="2026-11-01").query().begin == utc(10, 31, 15)
        assert capsys.readouterr() == (
            "",
            "legato: days and times without an offset are Asia/Tokyo\n",
        )
        Filters(begin="2026-11-01T00:00Z", number="1234").query()
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"begin": "someday"}, "--from 'someday' is not a time: write a day (2026-11-01,"),
            ({"end": "9999-12-31"}, "--to '9999-12-31' is not a time"),
            ({"begin": "2026-11-02", "end": "2026-11-01"}, "2026-11-02 is not before --to"),
            ({"zone": "europe/berlin"}, "did you mean Europe/Berlin"),
            ({"zone": "../../etc/passwd"}, "there is no zone"),
            ({"zone": "Europe"}, "there is no zone"),
            ({"zone": "xyzzy"}, "write it like Europe/Berlin"),
        ],
    )
    def test_what_is_no_time_is_refused(self, fields, says):
        """With what to write."""
        with pytest.raises(Refused) as caught:
            Filters(**fields).query()
        assert says in str(caught.value)


class TestLengths:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("90", 90),
            ("90s", 90),
            ("5m", 300),
            ("1h", 3600),
            ("1h30m", 5400),
            ("1H 30M", 5400),
            ("00:05:00", 300),
            ("5:00", 300),
            ("0", 0),
        ],
    )
    def test_a_length_is_written_in_many_ways(self, text, seconds):
        """As clocks and people do."""
        assert Filters(min_duration=text).query().min_duration_ms == seconds * 1000

    @pytest.mark.parametrize("text", ["", "long", "h", "-5", "1:75", "1.5x"])
    def test_what_is_no_length_is_refused(self, text):
        """With what to write."""
        with pytest.raises(Refused, match="is not a length: write 90, 90s, 5m, 1h30m, or 0:05:00"):
            Filters(min_duration=text).query()


class TestNames:
    def test_a_provider_and_a_direction_are_of_those_there_are(self):
        """In either case."""
        query = Filters(provider="RingEX", direction="Inbound").query()
        assert (query.provider, query.direction) == ("ringex", "inbound")
        with pytest.raises(Refused, match="--provider 'zoom' is not one of ringex, ringcx, kazoo"):
            Filters(provider="zoom").query()
        with pytest.raises(Refused, match="--direction 'in' is not one of inbound, outbound"):
            Filters(direction="in").query()

    @pytest.mark.parametrize("name", ["number", "agent", "case", "call_id"])
    def test_nothing_is_looked_for_is_refused(self, name):
        """An empty variable of a script would find everything."""
        with pytest.raises(Refused, match="is empty"):
            Filters(**{name: " "}).query()


class Place:
    """Has a catalogue, an archive and an access log, which says what was read before."""

    def __init__(self):
        self.store = FakeCatalogue()
        self.steps = []
        rows = a_row("s-1", ids=("s-1", "r-1")), a_row("s-2", minutes=5), a_row("s-3")
        enter(self.store, *rows)

    def catalogue(self):
        return self.store

    def library(self):
        self.steps.append("library")
        return "the archive"

    def recorder(self):
        return self

    def record(self, action, calls, *, reason, details):
        self.steps.append((action, [each.call for each in calls], reason, details))
        return {"id": "a1"}


@pytest.fixture
def place():
    return Place()


class TestChosen:
    def test_calls_are_chosen_by_their_ids_each_once(self, place):
        """In the order in which they are named."""
        chosen = Selection(calls=["s-2", "r-1", "s-1"]).rows(place)
        assert [row.call for row in chosen] == ["s-2", "s-1"]

    def test_calls_are_chosen_by_filters(self, place):
        """All of them, the newest first."""
        chosen = Selection(number="4567").rows(place)
        assert [row.call for row in chosen] == ["s-3", "s-1", "s-2"]

    @pytest.mark.parametrize("fields", [{}, {"calls": []}, {"calls": ["s-1"], "call_id": "s-1"}])
    def test_names_or_filters_are_wanted(self, place, fields):
        """Both together would be either more or less than somebody means; neither is everything."""
        with pytest.raises(Refused, match="say which calls"):
            Selection(**fields).rows(place)

    def test_a_zone_alone_does_not_choose_everything(self, place, monkeypatch):
        """It stands in the environment of many."""
        monkeypatch.setenv("LEGATO_ZONE", "Asia/Tokyo")
        with pytest.raises(Refused, match="say which calls"):
            Selection(zone="Asia/Tokyo").rows(place)

    def test_filters_that_find_nothing_say_what_was_searched(self, place):
        """So that a mistake is seen."""
        with pytest.raises(NotFound, match="no call matches: searched for number 9999"):
            Selection(number="9999").rows(place)

    def test_all_calls_that_nobody_knows_are_told_at_once(self, place):
        """One of them keeps its kind of error."""
        with pytest.raises(UnknownCriterion, match="x-1"):
            Selection(calls=["s-1", "x-1"]).rows(place)
        with pytest.raises(NotFound, match=r"x-1.*; .*x-2"):
            Selection(calls=["x-1", "s-1", "x-2"]).rows(place)

    def test_where_one_call_is_wanted_several_are_listed(self, place):
        """To choose among them."""
        assert [row.call for row in One(call="r-1").rows(place)] == ["s-1"]
        with pytest.raises(Refused, match=r"3 calls match.*ringex/1/s-3, ringex/1/s-1"):
            One(number="4567").rows(place)


class TestOpened:
    def test_the_archive_is_had_by_who_is_recorded(self, place):
        """Before it is opened, and with all calls."""
        found = opened(place, Selection(number="4567"), "get", reason="why", details={"legs": True})
        calls = ["s-3", "s-1", "s-2"]
        assert place.steps == [("get", calls, "why", {"legs": True}), "library"]
        assert ([row.call for row in found.rows], found.library) == (calls, "the archive")

    def test_nothing_is_recorded_of_calls_that_are_not_there(self, place):
        """Nobody has accessed anything."""
        with pytest.raises(NotFound):
            opened(place, Selection(calls=["x-1"]), "get", reason=None)
        assert place.steps == []


class TestOptions:
    """One meaning for a flag everywhere: seen in the options of every command."""

    FILTERS = frozenset(
        f"--{name}"
        for name in (
            *("number", "agent", "extension", "from", "to", "zone", "provider"),
            *("direction", "min-duration", "case", "id"),
        )
    )
    SELECTING = (
        *("find", "show", "get", "link", "export", "restore"),
        *("hold", "release", "accesses", "verify"),
    )

    def options(self, *names):
        command = typer.main.get_command(app)
        for name in names:
            command = command.commands[name]
        return {opt: one for one in command.params for opt in one.opts if opt.startswith("-")}

    @pytest.mark.parametrize("name", SELECTING)
    def test_every_command_that_takes_calls_has_the_filters_of_find(self, name):
        """All of them."""
        assert self.options(name).keys() >= self.FILTERS

    def test_a_flag_is_of_one_kind_in_all_commands(self):
        """A time, a folder, a case: what it takes is called the same."""
        kinds = {}
        for path in COMMANDS:
            for flag, one in self.options(*path[1:]).items():
                kinds.setdefault(flag, set()).add(one.metavar)
        assert {flag: kind for flag, kind in kinds.items() if len(kind) > 1} == {}
        assert [kinds[flag] for flag in ("--from", "--to", "--out", "--case")] == [
            {"TIME"},
            {"TIME"},
            {"DIR"},
            {"CASE"},
        ]

    def test_old_flags_are_gone(self):
        """And nothing stands in for them."""
        every = {flag for path in COMMANDS for flag in self.options(*path[1:])}
        assert not every & {"--query", "--instead", "--retire"}
