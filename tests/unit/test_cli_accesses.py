"""The access log on the command line: how commands write into it, and how it is read."""

import json
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from typer.testing import CliRunner

from legato.app.own_api import AccessRecorder
from legato.catalogue.index import enter
from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.errors import Failed, Refused, Retry
from legato.model import CallId
from tests.fakes import NOON, FakeCatalogue
from tests.unit.test_access_log import World
from tests.unit.test_catalogue import a_row
from tests.unit.test_legal_hold import ALICE, BOB

URL = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/access"
CALL = CallId("ringex", "1", "s-1")


class FakePlace:
    """Hands out the log, and who writes it, behind HTTP."""

    def __init__(self):
        self.world = World()
        self.rows = FakeCatalogue()
        self.requests = []
        self.refusal = None

    def accesses(self):
        return self.world.accesses

    def catalogue(self):
        return self.rows

    def recorder(self):
        return AccessRecorder(URL, httpx.Client(transport=httpx.MockTransport(self.answer)))

    def answer(self, request):
        self.requests.append(request)
        if self.refusal is not None:
            return self.refusal
        reply = self.world.work.answer(request.content, by=ALICE)
        return httpx.Response(reply.status, json=reply.body)


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "alice")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return FakePlace()


def legato(place, *arguments):
    return CliRunner().invoke(app, ["accesses", *arguments], obj=place)


class TestRecorder:
    def test_what_is_written_down_is_what_was_said(self, place):
        """Signed by whoever says it; the answer names the record."""
        said = place.recorder().record("get", [CALL], reason="subpoena", details={"bytes": 7})
        [request] = place.requests
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=alice/")
        [record] = place.world.records()
        for name in ("id", "at", "by"):
            assert said[name] == record[name]
        assert said["keys"] == [said["key"]] == list(place.world.archive.objects)
        assert record["details"] == {"bytes": 7}

    def test_a_reason_that_lacks_is_asked_for(self, place):
        """In the words of the command."""
        with pytest.raises(Refused, match="give a --reason"):
            place.recorder().record("show", [CALL])
        place.world.reason_required = False
        place.recorder().record("show", [CALL])

    def test_what_is_no_access_is_refused_as_it_is(self, place):
        """The reason is not to blame for everything."""
        with pytest.raises(Refused, match="`calls` is missing"):
            place.recorder().record("show", [], reason="r")

    def test_more_calls_than_a_record_takes_are_several_records(self, place):
        """Every one of them is written down."""
        calls = [CallId("ringex", "1", f"s-{number}") for number in range(2001)]
        said = place.recorder().record("export", calls, reason="r")
        records = place.world.records()
        assert [len(record["calls"]) for record in records] == [1000, 1000, 1]
        assert set(said["keys"]) == set(place.world.archive.objects)
        assert said["id"] == records[0]["id"]

    @pytest.mark.parametrize(
        ("refusal", "kind", "says"),
        [
            (
                httpx.Response(403, json={"message": "Forbidden"}),
                Failed,
                "AWS does not permit execute-api:Invoke on POST /access",
            ),
            (httpx.Response(503, json={"message": "S3 refuses"}), Retry, "run the same command"),
        ],
    )
    def test_what_keeps_it_from_being_written_is_told(self, place, refusal, kind, says):
        """And that nothing was read."""
        place.refusal = refusal
        with pytest.raises(kind, match=f"nothing was read, .* {says}"):
            place.recorder().record("show", [CALL], reason="r")


class TestAccesses:
    @pytest.fixture
    def log(self, place):
        """Write a look, an export and, of a month before, a link."""
        world = place.world
        world.ask("show", "s-1", reason="complaint")
        world.ask("export", "s-1", "s-2", by=BOB, reason="\x1b[2Jsubpoena")
        [export, *_] = world.accesses.of_call(CALL)
        world.accesses.note(
            replace(export, id="old", at=NOON - timedelta(days=60), action="link", case="2026-117")
        )
        return place

    def test_who_looked_at_a_call_is_listed(self, log):
        """The newest first, in a line each, and nothing in it commands a terminal."""
        shown = legato(log, str(CALL))
        assert shown.exit_code == 0, shown.output
        head, *lines, zone = shown.output.splitlines()
        assert zone == "Times are UTC."
        assert head.split() == ["When", "Who", "Action", "Call", "Reason", "Case"]
        assert [line.split()[2:4] for line in lines] == [
            ["bob", "export"],
            ["alice", "show"],
            ["bob", "link"],
        ]
        assert lines[0].startswith(f"{NOON + timedelta(seconds=2):%Y-%m-%d %H:%M:%S}  bob")
        assert "\N{REPLACEMENT CHARACTER}[2Jsubpoena" in lines[0]
        assert "\x1b" not in shown.output
        assert "complaint" in lines[1]
        assert lines[2].rstrip().endswith("2026-117")

    def test_days_narrow_it_down(self, log):
        """Both are included."""
        for given, actions in (
            (["--from", "2026-11-20"], ["export", "show"]),
            (["--to", "2026-11-19"], ["link"]),
            (["--from", "2026-09-21", "--to", "2026-11-20"], ["export", "show", "link"]),
        ):
            found = json.loads(legato(log, str(CALL), *given, "--json").stdout)
            assert [one["action"] for one in found] == actions

    def test_without_a_call_it_is_all_calls_of_a_while(self, log):
        """Of 30 days, or from the day that is given."""
        shown = legato(log, "--to", "2026-11-20").output
        assert "ringex/1/s-1 and 1 more" in shown
        assert "link" not in shown
        every = json.loads(legato(log, "--from", "2026-01-01", "--json").stdout)
        assert [one["action"] for one in every] == ["export", "show", "link"]
        assert [call["call"] for call in every[0]["calls"]] == ["s-1", "s-2"]

    def test_that_nobody_did_anything_is_said(self, log):
        """For scripts it is an empty list."""
        enter(a_row("s-9"), log.rows, list)
        assert legato(log, "s-9").output == "No accesses are recorded.\n"
        assert json.loads(legato(log, "s-9", "--json").stdout) == []

    def test_any_id_of_a_call_leads_to_it(self, log):
        """Though the log knows calls by one only."""
        enter(a_row("s-2", ids=("s-2", "449064805514")), log.rows, list)
        [found] = json.loads(legato(log, "449064805514", "--json").stdout)
        assert found["action"] == "export"

    def test_a_call_that_nobody_knows_is_told(self, log):
        """A slip of the finger must not look as if nobody had looked."""
        ended = legato(log, "s-nix")
        assert ended.exit_code == Exit.NOT_FOUND
        assert "legato: the catalogue has nothing with the id s-nix" in ended.stderr

    def test_filters_choose_the_calls_whose_accesses_are_listed(self, log):
        """Each access once, with those of its calls that are meant; --from is the access's time."""
        enter(a_row("s-1", numbers=("+15551230000",)), log.rows, list)
        enter(a_row("s-2", numbers=("+15551230000",)), log.rows, list)
        enter(a_row("s-3", numbers=("+4930123",)), log.rows, list)
        narrowed = ("--number", "+15551230000", "--from", "2026-11-20", "--json")
        found = json.loads(legato(log, *narrowed).stdout)
        assert [one["action"] for one in found] == ["export", "show"]
        assert {call["call"] for call in found[0]["calls"]} == {"s-1", "s-2"}
        nobody = legato(log, "--number", "999999")
        assert (nobody.exit_code, "no call matches" in nobody.stderr) == (Exit.NOT_FOUND, True)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["--from", "2026-11-20", "--to", "2026-11-19"], "2026-11-20 is not before --to"),
            (["--from", "someday"], "'someday' is not a time"),
        ],
    )
    def test_wrong_usage_is_told(self, place, arguments, says):
        """With the exit code for it."""
        ended = legato(place, *arguments)
        assert (ended.exit_code, says in ended.output) == (2, True), ended.output
