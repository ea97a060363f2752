"""`legato find`: what it asks of the catalogue, and how it shows what was found."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from legato.aws.errors import translated
from legato.catalogue.index import CataloguePage
from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.cli.find import COLUMNS, _cells, laid_out
from legato.cli.output import in_short
from legato.errors import Failed, Retry
from legato.model import Party
from tests.fakes import NOON, FakeCatalogue, an_id
from tests.unit.test_catalogue import a_row, enter

CALLER = Party(role="from", number="+15551230000", name="Jo")
CALLED = Party(role="to", number="+4930123", name="Jane Doe", extension="101")


class FakePlace:
    def __init__(self):
        self.store = FakeCatalogue()

    def catalogue(self):
        return self.store


@pytest.fixture
def place(monkeypatch):
    monkeypatch.delenv("LEGATO_ZONE", raising=False)
    return FakePlace()


def find(place, *arguments):
    return CliRunner().invoke(app, ["find", *arguments], obj=place)


def in_json(place, *arguments):
    ended = find(place, *arguments, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def calls(found):
    return [one["call"] for one in found["calls"]]


class TestTable:
    def test_it_shows_who_when_how_long_and_whether_it_can_be_played(self, place):
        """In a person's own zone, the newest first, whole words however wide."""
        enter(
            place.store,
            a_row("s-1", parties=(CALLER, CALLED), duration_ms=3_725_400),
            a_row("s-2", minutes=5, provider="ringcx", storage_class="DEEP_ARCHIVE"),
        )
        place.store.rows[an_id()] = replace(
            place.store.rows[an_id()], cases=("2026-117", "2026-118")
        )
        ended = find(place, "--zone", "Europe/Berlin")
        assert ended.exit_code == 0
        more = ["2026-117, 2026-118", "inbound", "1", "ringex/1/s-1"]
        assert [re.split(r"\s{2,}", line.strip()) for line in ended.stdout.splitlines()] == [
            ["#", "Began", "Length", "From", "To", "Storage", "Held", "Direction", "Legs", "Call"],
            ["1", "2026-11-20 13:00:00", "1:02:05", "Jo", "Jane Doe", "ready", *more],
            ["2", "2026-11-20 12:55:00", "1:00", "cold", "inbound", "1", "ringcx/1/s-2"],
            ["Times are Europe/Berlin. A row's number names its call: legato show 1"],
        ]

    def test_a_narrow_terminal_shows_less_and_says_what(self):
        """Rather than fold every word. What is needed to go on is always there."""
        row = a_row("s-" + 30 * "1", parties=(CALLER, CALLED), cases=("2026-117",))
        lines, left_out = laid_out([_cells(row, UTC)], room=80)
        assert lines == [
            "Began                Length  From  To        Storage  Held",
            "2026-11-20 12:00:00    1:00  Jo    Jane Doe  ready    2026-117",
        ]
        assert left_out == ["legs", "direction", "call"]
        assert laid_out([_cells(row, UTC)], room=150)[1] == []

    @pytest.mark.parametrize(
        "name",
        ["n" * 1000, "\N{CJK UNIFIED IDEOGRAPH-6797}" * 99, "\N{GRINNING FACE}" * 99, "J " * 99],
    )
    def test_long_names_are_cut_and_nothing_else(self, name):
        """Every line fits, and the cases and the storage stay in line."""
        from rich.cells import cell_len

        parties = (replace(CALLER, name=name), replace(CALLED, name=name))
        cells = [
            {"#": "1000", **_cells(a_row("s-1", parties=parties, cases=("case",)), UTC)},
            {"#": "1", **_cells(a_row("s-2"), UTC)},
        ]
        lines, _ = laid_out(cells, room=80)
        assert max(map(cell_len, lines)) <= 80
        assert lines[1].count("\N{HORIZONTAL ELLIPSIS}") == 2
        assert lines[1].endswith("ready    case")

    def test_wide_letters_take_two_columns(self):
        """So that what stands behind them is in line."""
        names = ("Jane", "\N{CJK UNIFIED IDEOGRAPH-6797}\N{CJK UNIFIED IDEOGRAPH-6797}")
        parties = [(replace(CALLED, name=name),) for name in names]
        cells = [_cells(a_row("s-1", parties=each), UTC) for each in parties]
        _, first, second = laid_out(cells, room=None)[0]
        assert first.index("ready") == second.index("ready") + 2

    def test_who_called_follows_from_the_direction(self, place):
        """RingCX has a contact and a channel only."""
        parties = (
            Party(role="contact", number="+1555"),
            Party(role="channel", number="+1800"),
            Party(role="agent", agent="77", name="Zed"),
        )
        enter(
            place.store,
            a_row("d-1", provider="ringcx", parties=parties),
            a_row("d-2", provider="ringcx", parties=parties, direction="outbound", minutes=1),
        )
        first, second = find(place).stdout.splitlines()[1:3]
        assert "+1555  Zed, +1800" in first
        assert "+1800  Zed, +1555" in second

    def test_a_transferred_call_names_everybody_who_spoke(self, place):
        parties = (CALLER, CALLED, Party(role="to", name="Bob"), Party(role="from", name="Bob"))
        enter(place.store, a_row("s-1", parties=parties))
        assert "  Jo    Jane Doe, Bob  " in find(place).stdout

    def test_a_name_does_not_command_the_terminal(self, place):
        """Callers choose their names."""
        party = replace(CALLED, name="\x1b[31mJane")
        enter(place.store, a_row("s-1", parties=(CALLER, party)))
        assert "\x1b" not in find(place).stdout

    def test_nothing_found_says_what_was_searched(self, place):
        """And is no failure."""
        enter(place.store, a_row("s-1"))
        ended = find(place, "--number", "9999", "--from", "2026-11-01")
        assert ended.exit_code == 0
        assert ended.stdout == (
            "Nothing found: searched for number 9999, from 2026-11-01T00:00:00.000Z.\n"
        )
        assert ended.stderr == "legato: days and times without an offset are UTC\n"

    def test_what_is_like_it_is_suggested(self, place):
        """On standard error where the output is for a program."""
        enter(place.store, a_row("s-1", people=("Jane\x1b Doe",)))
        said = "Nothing found: searched for agent Jnae.\nDid you mean: Jane\ufffd Doe?\n"
        assert find(place, "--agent", "Jnae").stdout == said
        assert find(place, "--agent", "Jnae", "--csv").stderr == said

    def test_an_empty_catalogue_says_what_fills_it(self, place):
        """The calls of an older version are not in it."""
        assert "`legato index rebuild`" in find(place).stdout

    @pytest.mark.parametrize(
        ("option", "value", "found"),
        [
            ("--number", "+1 (555) 123-0000", ["s-1"]),
            ("--agent", "Kim", ["s-2"]),
            ("--extension", "kim", ["s-2"]),
            ("--from", "2026-11-20T12:00", ["s-1"]),
            ("--to", "2026-11-20T12:00", ["s-2"]),
            ("--to", "2026-11-20", ["s-1", "s-2"]),
            ("--provider", "kazoo", ["s-2"]),
            ("--direction", "outbound", ["s-2"]),
            ("--min-duration", "2m", ["s-2"]),
            ("--case", "2026-117", ["s-2"]),
            ("--id", "R-2", ["s-2"]),
        ],
    )
    def test_each_option_narrows_the_search(self, place, option, value, found):
        """As it is meant in the catalogue."""
        one = a_row("s-1", numbers=("+15551230000",))
        two = a_row(
            "s-2",
            minutes=30,
            numbers=("+4930123",),
            people=("Kim",),
            provider="kazoo",
            direction="outbound",
            duration_ms=120_000,
            ids=("s-2", "r-2"),
            cases=("2026-117",),
        )
        place.store.rows = {(row.provider, row.call): row for row in (one, two)}
        assert calls(in_json(place, option, value)) == found


class TestPages:
    @pytest.fixture(autouse=True)
    def many(self, place):
        enter(place.store, *(a_row(f"s-{number}", minutes=number) for number in range(250)))

    def test_a_page_leads_to_the_next(self, place):
        """Nothing is left out in between, and nothing comes twice."""
        first = in_json(place, "--limit", "120")
        second = in_json(place, "--limit", "120", "--cursor", first["cursor"])
        third = in_json(place, "--cursor", second["cursor"])
        assert calls(first) + calls(second) + calls(third) == [f"s-{n}" for n in range(250)]
        assert (len(calls(first)), third["cursor"]) == (120, None)
        assert f"add --cursor {first['cursor']}\n" in find(place, "--limit", "120").stdout

    def test_a_page_has_fifty_calls(self, place):
        """If nobody says how many."""
        assert len(calls(in_json(place))) == 50

    def test_all_are_all(self, place):
        """However many."""
        assert len(calls(in_json(place, "--all"))) == 250
        assert len(find(place, "--all", "--csv").stdout.splitlines()) == 251

    def test_a_search_that_went_far_says_how_far(self, place):
        """A page may be short, and still not be the last one."""
        place.store.find = lambda query, *, limit, cursor: CataloguePage(
            rows=(), cursor="far", reached=NOON
        )
        ended = find(place, "--number", "4567")
        assert ended.exit_code == 0
        assert ended.stdout == (
            "Nothing found back to 2026-11-20 12:00:00. For more, add --cursor far\n"
        )

    def test_csv_says_beside_it_how_to_go_on(self, place):
        """So that what is piped on is nothing but CSV."""
        ended = find(place, "--csv")
        assert len(ended.stdout.splitlines()) == 51
        assert "For more, add --cursor" in ended.stderr


class TestCsv:
    def test_lines_are_as_rfc_4180_has_them(self, place):
        """With a header, also where nothing was found."""
        assert find(place, "--csv").stdout_bytes == (",".join(COLUMNS) + "\r\n").encode()
        party = replace(CALLER, number=None, name='Jo "J", Ltd')
        enter(place.store, a_row("s-1", parties=(party, CALLED), direction=None))
        body = find(place, "--csv").stdout_bytes.decode()
        assert body.endswith("\r\n")
        [line] = csv.DictReader(io.StringIO(body, newline=""))
        assert (line["from"], line["to"]) == ('Jo "J", Ltd', "Jane Doe")
        assert (line["call"], line["duration_s"], line["storage"]) == ("s-1", "60", "ready")
        assert line["direction"] == ""

    @pytest.mark.attacks("a caller's name that is a spreadsheet's formula")
    def test_no_name_becomes_a_formula(self, place):
        """Callers choose their names, and a spreadsheet runs what begins like one."""
        enter(place.store, a_row("s-1", parties=(replace(CALLER, number=None, name="\t=1;@A1"),)))
        [line] = csv.DictReader(io.StringIO(find(place, "--csv").stdout, newline=""))
        assert line["from"] == "' =1;'@A1"


class TestErrors:
    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--from", "soon"], "--from 'soon' is not a time"),
            (["--zone", "Mars"], "there is no zone 'Mars'"),
            (["--number", "abc"], "'abc' is not a telephone number"),
            (["--json", "--csv"], "--json cannot be combined with --csv"),
            (["--all", "--cursor", "x"], "--all cannot be combined with --cursor"),
            (["--limit", "0"], "Invalid value for '--limit'"),
        ],
    )
    def test_wrong_usage_is_told(self, place, arguments, says):
        """With the exit code for it."""
        ended = find(place, *arguments)
        assert (ended.exit_code, says in ended.stderr) == (2, True), ended.output
        assert ended.stdout == ""

    def test_a_permission_that_lacks_is_named(self, place):
        """By the action that somebody has to allow."""
        words = (
            "User: arn:aws:iam::1:user/jo is not authorized to perform: dynamodb:Query on resource:"
            " arn:aws:dynamodb:eu-central-1:1:table/t because no identity-based policy allows it"
        )
        refusal = {"Error": {"Code": "AccessDeniedException", "Message": words}}

        def refused(query, *, limit, cursor):
            with translated("the catalogue cannot be searched"):
                raise ClientError(refusal, "Query")

        place.store.find = refused
        ended = find(place)
        assert ended.exit_code == Exit.NOT_PERMITTED
        assert ended.stderr == (
            "legato: AWS does not permit dynamodb:Query on "
            "arn:aws:dynamodb:eu-central-1:1:table/t: "
            "docs/permissions.md lists what the command needs\n"
        )

    @pytest.mark.parametrize(
        ("operation", "action"),
        [
            ("HeadObject", "s3:GetObjectVersion"),
            ("ListObjectVersions", "s3:ListBucketVersions"),
            ("RestoreObject", "s3:RestoreObject"),
            ("PutItem", "PutItem"),
        ],
    )
    def test_a_refusal_without_words_is_named_too(self, operation, action):
        """S3 says nothing in the answer to a HEAD."""
        refusal = ClientError({"Error": {"Code": "403", "Message": "Forbidden"}}, operation)
        with pytest.raises(Retry) as caught, translated("the archive does not answer"):
            raise refusal
        assert in_short(caught.value).startswith(f"AWS does not permit {action}: ")

    @pytest.mark.parametrize(
        ("error", "code", "says"),
        [
            (Retry("throttled"), Exit.UNAVAILABLE, "throttled: run the same command again"),
            (Failed("no"), Exit.FAILED, "no"),
        ],
    )
    def test_what_else_goes_wrong_is_one_line(self, place, error, code, says):
        """And an exit code that says whether it is worth repeating."""

        def refused(query, *, limit, cursor):
            raise error

        place.store.find = refused
        ended = find(place)
        assert (ended.exit_code, ended.stderr) == (code, f"legato: {says}\n")
