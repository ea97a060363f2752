"""What is looked for, as people write it: times, zones, lengths, and a query in one text."""

from datetime import UTC, datetime

import pytest

from legato.catalogue.index import Query, UnknownCriterion
from legato.cli.query import chosen, parsed_query, query_of
from legato.errors import Refused
from tests.fakes import FakeCatalogue
from tests.unit.test_catalogue import a_row, enter


def utc(*parts):
    return datetime(2026, *parts, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_zone(monkeypatch):
    monkeypatch.delenv("LEGATO_ZONE", raising=False)


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
        query = query_of(begin=begin, end=end, zone=zone)
        assert (query.begin, query.end) == (first, last)

    def test_an_hour_that_is_there_twice_is_taken_whole(self):
        """Nothing is missed when clocks are put back."""
        query = query_of(begin="2026-10-25T02:30", end="2026-10-25T02:30", zone="Europe/Berlin")
        assert (query.begin, query.end) == (utc(10, 25, 0, 30), utc(10, 25, 1, 30))

    def test_the_zone_that_is_taken_is_said(self, capsys, monkeypatch):
        """If it matters, and where it came from does not."""
        monkeypatch.setenv("LEGATO_ZONE", "Asia/Tokyo")
        assert query_of(begin="2026-11-01").begin == utc(10, 31, 15)
        assert capsys.readouterr() == ("", "legato: times are taken as Asia/Tokyo\n")
        query_of(begin="2026-11-01T00:00Z", number="1234")
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"begin": "yesterday"}, "--from 'yesterday' is no time: write 2026-11-01"),
            ({"end": "9999-12-31"}, "--to '9999-12-31' is no time"),
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
            query_of(**fields)
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
        assert query_of(min_duration=text).min_duration_ms == seconds * 1000

    @pytest.mark.parametrize("text", ["", "long", "h", "-5", "1:75", "1.5x"])
    def test_what_is_no_length_is_refused(self, text):
        """With what to write."""
        with pytest.raises(Refused, match="is no length: write 90, 90s, 5m, 1h30m, or 0:05:00"):
            query_of(min_duration=text)


class TestWords:
    def test_a_provider_and_a_direction_are_of_those_there_are(self):
        """In either case."""
        query = query_of(provider="RingEX", direction="Inbound")
        assert (query.provider, query.direction) == ("ringex", "inbound")
        with pytest.raises(Refused, match="--provider 'zoom' is not one of ringex, ringcx, kazoo"):
            query_of(provider="zoom")
        with pytest.raises(Refused, match="--direction 'in' is not one of inbound, outbound"):
            query_of(direction="in")

    @pytest.mark.parametrize("name", ["number", "agent", "case", "call_id"])
    def test_nothing_is_looked_for_is_refused(self, name):
        """An empty variable of a script would find everything."""
        with pytest.raises(Refused, match="says nothing to look for"):
            query_of(**{name: " "})


class TestText:
    @pytest.mark.parametrize(
        "text",
        [
            '--number +15551230000 --agent "Jane Doe" --min-duration 5m',
            '--number=+15551230000 --agent="Jane Doe" --min-duration=5m',
            "number=+15551230000 person='Jane Doe' min_duration=5m",
            "number:+15551230000 extension:'Jane Doe' Min-Duration:0:05:00",
        ],
    )
    def test_a_query_is_the_options_of_find_in_one_text(self, text):
        """In whichever way they are written."""
        expected = Query(number="+15551230000", person="Jane Doe", min_duration_ms=300_000)
        assert parsed_query(text) == expected

    def test_a_time_keeps_its_colons(self):
        """Only the first one parts a name from what is said of it."""
        query = parsed_query("from:2026-11-01T08:00 to=2026-11-01T09:00 zone:Europe/Berlin id=x")
        assert (query.begin, query.end) == (utc(11, 1, 7), utc(11, 1, 8))
        assert query.id == "x"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("colour=red", "a query has no 'colour': it takes number, agent"),
            ("--colour red", "a query has no 'colour'"),
            ("+15551230000", "Write --number +15551230000"),
            ("--number", "--number, and nothing to look for"),
            ("--number --case x", "--number, and nothing to look for"),
            ("number=1234 --number 5678", "says number twice"),
            ("agent=1 person=2", "says person twice"),
            ("agent='Jane", "is not whole: No closing quotation"),
            ("", "the query says nothing"),
            ("zone=UTC", "the query says nothing"),
            ("from=soon", "--from 'soon' is no time"),
        ],
    )
    def test_what_is_not_understood_is_refused(self, text, says):
        """With what would be."""
        with pytest.raises(Refused) as caught:
            parsed_query(text)
        assert says in str(caught.value)


class TestChosen:
    @pytest.fixture
    def store(self):
        store = FakeCatalogue()
        enter(store, a_row("s-1", ids=("s-1", "r-1")), a_row("s-2", minutes=5), a_row("s-3"))
        return store

    def test_calls_are_chosen_by_their_ids_each_once(self, store):
        """In the order in which they are named."""
        assert [row.call for row in chosen(store, ["s-2", "r-1", "s-1"], None)] == ["s-2", "s-1"]

    def test_calls_are_chosen_by_a_query(self, store):
        """All of them, the newest first."""
        assert [row.call for row in chosen(store, [], "number=4567")] == ["s-3", "s-1", "s-2"]

    @pytest.mark.parametrize(("calls", "text"), [([], None), (None, None), (["s-1"], "id=s-1")])
    def test_one_of_both_is_wanted(self, store, calls, text):
        """To take calls and a query together would be either more or less than somebody means."""
        with pytest.raises(Refused, match="say which calls"):
            chosen(store, calls, text)

    def test_an_empty_query_does_not_choose_everything(self, store):
        """It is a script's empty variable."""
        with pytest.raises(Refused, match="the query says nothing"):
            chosen(store, [], "")

    def test_a_query_that_finds_nothing_says_what_was_searched(self, store):
        """So that a mistake is seen."""
        with pytest.raises(Refused, match="nothing found: searched for number 9999"):
            chosen(store, None, "number=9999")

    def test_all_calls_that_nobody_knows_are_told_at_once(self, store):
        """One of them keeps its kind of error."""
        with pytest.raises(UnknownCriterion, match="x-1"):
            chosen(store, ["s-1", "x-1"], None)
        with pytest.raises(Refused, match=r"x-1.*; .*x-2"):
            chosen(store, ["x-1", "s-1", "x-2"], None)
