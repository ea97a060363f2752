"""The operator's commands for legal holds: what they ask, in whose name, and what they say."""

import json
from threading import Lock
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner

from legato.app.own_api import Holder
from legato.catalogue.index import enter
from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.cli.hold import AT_ONCE
from legato.cli.last_find import remember
from legato.cli.select import MANY
from legato.clock import SystemClock
from legato.errors import Retry
from legato.evidence.cases import spellings
from legato.evidence.legal_hold import known_calls
from tests.fakes import FakeCatalogue, an_id
from tests.unit.test_catalogue import a_row
from tests.unit.test_legal_hold import ALICE, BOB, CASE, World

URL = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/holds"


class FakePlace:
    """Hands out a holder behind HTTP, for whom the access key tells who it is."""

    def __init__(self, world):
        self.world = world
        self.rows = FakeCatalogue()
        self.requests = []
        self.refusal = None
        self.failing = {}
        self.lock = Lock()

    def catalogue(self):
        return self.rows

    def holder(self):
        return Holder(URL, httpx.Client(transport=httpx.MockTransport(self.answer)))

    def holds(self, *, case):
        return self.world.holds(case=case)

    def spellings(self, case):
        return spellings(case, self.world.notes, self.world.clock)

    def known_calls(self, text):
        return known_calls(text, self.world.ledger, self.world.notes)

    def answer(self, request):
        # HolderFunction runs once for each request, but the world is no database.
        with self.lock:
            return self._answer(request)

    def _answer(self, request):
        self.requests.append(request)
        if self.refusal is not None:
            if isinstance(self.refusal, Exception):
                raise self.refusal
            return self.refusal
        failing = self.failing.get(json.loads(request.content)["call"].rpartition("/")[2])
        if isinstance(failing, BaseException):
            raise failing
        if failing is not None:
            return failing
        self.world.clock.advance(1)
        by = BOB if "Credential=bob/" in request.headers["authorization"] else ALICE
        reply = self.world.work.answer(request.content, by=by)
        return httpx.Response(reply.status, json=reply.body)


@pytest.fixture
def place():
    return FakePlace(World())


@pytest.fixture
def person(monkeypatch):
    """Return a function that makes somebody the one who is logged in."""

    def log_in(name):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", name)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_SESSION_TOKEN", f"token of {name}")
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")

    log_in("alice")
    return log_in


def legato(place, *arguments, lines=None):
    return CliRunner().invoke(app, [*arguments], obj=place, input=lines)


def hold(place, *more):
    return legato(place, "hold", "s-1", "--case", CASE, "--reason", "complaint", *more)


def release(place, *more):
    return legato(place, "release", "s-1", "--case", CASE, *more)


def test_a_hold_says_what_is_held(place, person):
    """And a second one that it was held before."""
    ended = hold(place)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (
        0,
        f"ringex/1/s-1 is held for {CASE}. Objects: 4.\n",
        f"legato: {CASE} is a new case\n",
    )
    assert "It was requested before." in hold(place).output
    [asked, _] = [json.loads(request.content) for request in place.requests]
    assert asked == {
        "action": "hold",
        "call": "s-1",
        "case": CASE,
        "reason": "complaint",
        "force": False,
    }


def test_a_request_is_signed_with_the_operators_identity(place, person):
    """For the address and the body that are sent, and for this region."""
    hold(place)
    [request] = place.requests
    signed = request.headers["authorization"]
    assert signed.startswith("AWS4-HMAC-SHA256 Credential=alice/")
    assert "/eu-central-1/execute-api/aws4_request" in signed
    assert "SignedHeaders=host;x-amz-date;x-amz-security-token" in signed
    assert request.headers["x-amz-security-token"] == "token of alice"
    assert request.headers["host"] == urlsplit(URL).netloc
    assert request.headers["content-type"] == "application/json"


def test_a_release_takes_two_people(place, person):
    """The one who asked is told why."""
    hold(place)
    asked = release(place, "--reason", "settled")
    assert asked.exit_code == 0
    assert "alice requested the release: another person must confirm it." in asked.output
    alone = release(place, "--confirm")
    assert alone.exit_code == 1
    assert alone.output.startswith("legato: ")
    assert "another person must confirm it" in alone.output
    person("bob")
    done = release(place, "--confirm")
    assert (done.exit_code, done.output) == (
        0,
        "ringex/1/s-1 is free: no case holds it. Objects: 4.\n",
    )


def test_a_release_may_be_withdrawn(place, person):
    """By whoever."""
    hold(place)
    release(place, "--reason", "settled")
    assert "has asked" not in release(place, "--withdraw").output
    person("bob")
    assert release(place, "--confirm").exit_code == 1


def test_holds_lists_them(place, person):
    """For people and for scripts."""
    assert legato(place, "holds").output == "No call is held.\n"
    hold(place)
    release(place, "--reason", "settled")
    shown = legato(place, "holds").output
    for words in (CASE, "ringex", "s-1", "alice", "complaint", "requested by alice"):
        assert words in shown
    [one] = json.loads(legato(place, "holds", "--json").output)
    assert (one["case"], one["by"], one["release"]["reason"]) == (CASE, ALICE, "settled")
    assert legato(place, "holds", "--case", "x").output == "No call is held for x.\n"


def test_a_call_that_nobody_knows_is_not_found(place, person):
    """Though the catalogue is not asked: a call may be held before it is archived."""
    ended = legato(place, "hold", "s-9", "--case", "c", "--reason", "r")
    assert (ended.exit_code, "there is no call s-9" in ended.output) == (Exit.NOT_FOUND, True)


@pytest.mark.parametrize("lines", [None, "{}\ns-1\n"])
@pytest.mark.parametrize(
    ("name", "held"),
    [("2", "s-2222"), ("s-22", "s-2222"), ("s-33", "s-33"), ("ringex/1/s-33", "s-33")],
)
def test_a_call_is_held_by_its_row_or_the_beginning_of_its_id(place, person, name, held, lines):
    """A call that is not archived yet goes before one whose id only begins so."""
    for call in ("s-2222", "s-3333"):
        place.world.know(call)
        enter(a_row(call), place.rows, list)
    enter(a_row("s-1"), place.rows, list)
    place.world.know("s-33")
    listed = [place.rows.row(an_id(call)) for call in ("s-3333", "s-2222")]
    remember(listed, place.rows, SystemClock())
    why = ("--case", CASE, "--reason", "complaint")
    name, lines = ("-", lines.format(name)) if lines else (name, None)
    ended = legato(place, "hold", name, *why, lines=lines)
    assert ended.exit_code == 0, ended.output
    assert {one.call for one in place.holds(case=CASE)} - {"s-1"} == {held}


def test_a_row_that_is_not_there_holds_nothing(place, person):
    ended = legato(place, "hold", "7", "--case", CASE, "--reason", "complaint")
    assert (ended.exit_code, place.requests) == (Exit.NOT_FOUND, [])
    assert "there is no row 7" in ended.stderr


def test_who_may_hold_need_not_be_permitted_to_search(place, person):
    def refused(*_, **__):
        raise Retry("not permitted")

    place.rows.find = refused
    assert hold(place).exit_code == 0


def test_calls_are_held_and_released_by_filters(place, person):
    """One that is refused does not keep the others from it, and is named."""
    enter(a_row("s-1"), place.rows, list)
    enter(a_row("s-9"), place.rows, list)
    enter(a_row("k-1", provider="kazoo"), place.rows, list)
    why = ("--case", CASE, "--reason", "complaint")
    ended = legato(place, "hold", "--provider", "ringex", *why)
    assert ended.exit_code == Exit.NOT_FOUND
    assert ended.stdout == f"ringex/1/s-1 is held for {CASE}. Objects: 4.\n"
    assert "legato: ringex/1/s-9: there is no call" in ended.stderr
    assert ended.stderr.endswith("legato: 1 of 2 calls were not changed\n")
    assert len(place.requests) == 2


def test_without_calls_all_that_the_case_holds_is_released(place, person):
    """And nothing that another case holds."""
    hold(place)
    enter(a_row("s-1"), place.rows, lambda: [CASE])
    enter(a_row("s-9"), place.rows, lambda: ["another"])
    done = legato(place, "release", "--case", CASE, "--reason", "settled")
    assert done.exit_code == 0, done.output
    assert "alice requested the release" in done.output
    nothing = legato(place, "release", "--case", "none", "--reason", "settled")
    assert (nothing.exit_code, "no call matches" in nothing.output) == (Exit.NOT_FOUND, True)
    assert [json.loads(request.content)["call"] for request in place.requests] == [
        "s-1",
        "ringex/1/s-1",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hold", "s-1", "--case", "c"], "Missing option '--reason'"),
        (["hold", "s-1", "--reason", "r"], "Missing option '--case'"),
        (["release", "s-1", "--case", "c"], "give a --reason"),
        (
            ["release", "s-1", "--case", "c", "--confirm", "--withdraw"],
            "cannot be combined with --withdraw",
        ),
        (["hold", "--case", "c", "--reason", "r"], "say which calls"),
    ],
)
def test_wrong_usage_is_told(place, person, arguments, says):
    """With the exit code for it."""
    ended = legato(place, *arguments)
    assert (ended.exit_code, says in ended.output) == (2, True), ended.output


@pytest.mark.parametrize(
    ("refusal", "code", "says"),
    [
        (
            httpx.Response(403, json={"message": "Forbidden"}),
            Exit.NOT_PERMITTED,
            "execute-api:Invoke on POST /holds",
        ),
        (
            httpx.Response(
                403, json={"Message": "… not authorized to perform: execute-api:Invoke"}
            ),
            Exit.NOT_PERMITTED,
            "AWS does not permit execute-api:Invoke",
        ),
        (
            httpx.Response(503, json={"message": "S3 refuses"}),
            Exit.UNAVAILABLE,
            "S3 refuses: run the same command again\n",
        ),
        (
            httpx.Response(500, text="<html>"),
            Exit.UNAVAILABLE,
            "HTTP 500: run the same command again\n",
        ),
        (httpx.ConnectError("refused"), Exit.UNAVAILABLE, "does not answer: ConnectError: run the"),
    ],
)
def test_what_keeps_it_from_being_done_is_told_in_one_line(place, person, refusal, code, says):
    """With what to do."""
    place.refusal = refusal
    ended = hold(place)
    assert (ended.exit_code, says in ended.output) == (code, True), ended.output
    assert ended.stderr.count("\n") == 2


def test_who_is_not_logged_in_is_told(place, person, monkeypatch):
    """Before anything is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    ended = hold(place)
    assert ended.exit_code == Exit.NOT_PERMITTED
    assert "no AWS credentials" in ended.output
    assert place.requests == []


class TestMany:
    """Many calls at once: from a list, or by filters."""

    @pytest.fixture
    def place(self):
        place = FakePlace(World())
        for number in range(2, 6):
            place.world.know(f"s-{number}")
        enter(a_row("s-1"), place.rows, list)
        return place

    def asked(self, place):
        return sorted(json.loads(request.content)["call"] for request in place.requests)

    def held(self, place):
        return {one.call for one in place.holds(case=CASE)}

    def test_a_list_is_held_whatever_of_it_is_archived(self, place, person):
        """Twice named is asked once, and what is done is summed up."""
        ended = legato(
            place, "hold", "-", "--case", CASE, "--reason", "r", lines="s-1\ns-2\n# x\n\ns-1\n"
        )
        assert ended.exit_code == 0, ended.output
        assert self.asked(place) == ["ringex/1/s-1", "ringex/1/s-2"]
        assert ended.stdout.count("is held for") == 2
        assert ended.stderr.endswith("legato: 2 of 2 calls done\n")

    def test_nothing_is_held_when_a_line_is_wrong(self, place, person):
        """All that are wrong are told at once."""
        lines = "s-1\nx-1\ns-2\nx-2\n"
        ended = legato(place, "hold", "-", "--case", CASE, "--reason", "r", lines=lines)
        assert (ended.exit_code, place.requests) == (Exit.NOT_FOUND, [])
        assert "2 of 4 calls are wrong, and nothing was done" in ended.output
        assert "the id x-1" in ended.output
        assert "also wrong: x-2" in ended.output

    def test_unknown_calls_of_a_list_are_held_by_force(self, place, person):
        """By their addresses."""
        lines = "s-1\nringex/1/s-99\n"
        more = ("--case", CASE, "--reason", "r", "--force")
        assert legato(place, "hold", "-", *more, lines=lines).exit_code == 0
        assert self.held(place) == {"s-1", "s-99"}
        wrong = legato(place, "hold", "-", *more, lines="s-1\ns-99\n")
        assert wrong.exit_code == Exit.WRONG_USAGE
        assert "not a call's address" in wrong.output

    def test_an_empty_list_releases_nothing(self, place, person):
        """Though no calls at all are all that the case holds."""
        hold(place)
        asked = len(place.requests)
        ended = legato(place, "release", "-", "--case", CASE, "--reason", "settled", lines="\n")
        assert (ended.exit_code, len(place.requests)) == (Exit.NOT_FOUND, asked)
        assert "standard input names no call, so nothing was done" in ended.output

    def test_what_is_left_is_done_by_the_same_command(self, place, person):
        """And what was done is told of both times."""
        place.failing = {"s-3": httpx.Response(503, json={"message": "S3 refuses"})}
        lines = "s-2\ns-3\ns-4\n"
        why = ("--case", CASE, "--reason", "r")
        ended = legato(place, "hold", "-", *why, lines=lines)
        assert ended.exit_code == Exit.UNAVAILABLE
        assert "legato: ringex/1/s-3: S3 refuses" in ended.stderr
        assert "legato: 2 of 3 calls done\n" in ended.stderr
        assert ended.stderr.endswith("1 of 3 calls were not changed: run the same command again\n")
        place.failing = {}
        again = legato(place, "hold", "-", *why, lines=lines)
        assert again.exit_code == 0
        assert again.stderr == "legato: 3 of 3 calls done, 2 of them before\n"
        assert self.held(place) == {"s-2", "s-3", "s-4"}

    def test_who_may_not_is_told_once(self, place, person):
        """A refusal of the person is one for all calls."""
        for number in range(100, 200):
            place.world.know(f"s-{number}")
        place.refusal = httpx.Response(403, json={"message": "Forbidden"})
        lines = "\n".join(f"s-{number}" for number in range(100, 200))
        ended = legato(place, "hold", "-", "--case", CASE, "--reason", "r", lines=lines)
        assert ended.exit_code == Exit.NOT_PERMITTED
        assert len(place.requests) <= AT_ONCE
        assert "legato: 0 of 100 calls done" in ended.stderr

    def test_nobody_is_asked_for_ever_when_aws_does_not_answer(self, place, person):
        """Some answers that never came are enough."""
        for number in range(100, 200):
            place.world.know(f"s-{number}")
        place.refusal = httpx.ConnectError("refused")
        lines = "\n".join(f"s-{number}" for number in range(100, 200))
        ended = legato(place, "hold", "-", "--case", CASE, "--reason", "r", lines=lines)
        assert ended.exit_code == Exit.UNAVAILABLE
        assert len(place.requests) < 20

    def test_interrupted_says_what_was_done(self, place, person):
        """The same command does the rest."""
        place.failing = {"s-3": KeyboardInterrupt()}
        lines = "s-2\ns-3\n"
        ended = legato(place, "hold", "-", "--case", CASE, "--reason", "r", lines=lines)
        assert ended.exit_code == Exit.INTERRUPTED
        assert "legato: 1 of 2 calls done\n" in ended.stderr
        assert ended.stderr.endswith("legato: interrupted: run the same command again\n")

    def test_filters_that_find_many_calls_are_confirmed(self, place, person):
        """Nobody is there to be asked: it takes --yes."""
        for number in range(MANY + 1):
            place.world.know(f"s-{number}-a")
            enter(a_row(f"s-{number}-a"), place.rows, list)
        why = ("--case", CASE, "--reason", "r", "--provider", "ringex")
        ended = legato(place, "hold", *why)
        assert (ended.exit_code, place.requests) == (Exit.WRONG_USAGE, [])
        assert f"{MANY + 2} calls match, and nothing was done: add --yes to hold" in ended.output
        assert legato(place, "hold", *why, "--yes").exit_code == 0
        assert len(self.held(place)) == MANY + 2


class TestCases:
    """One spelling for each case."""

    def test_another_spelling_of_a_case_is_refused(self, place, person):
        """Unless it is another case."""
        hold(place)
        for spelling in ("2026 117", "2026117", "2026.117", "2026-117-"):
            other = ("hold", "s-1", "--case", spelling, "--reason", "r")
            ended = legato(place, *other)
            assert ended.exit_code == Exit.WRONG_USAGE, spelling
            assert f"there is no case {spelling}, and nothing was held" in ended.output
            assert f"did you mean --case {CASE}? Add --new-case if not" in ended.output
        assert len(place.requests) == 1
        assert legato(place, *other, "--new-case").exit_code == 0
        assert legato(place, *other).exit_code == 0, "it is known now"

    def test_a_name_with_a_mistake_is_refused(self, place, person):
        """What differs in a number only is another case, which is said."""
        for case in ("Smith v. Jones", "2026-117"):
            legato(place, "hold", "s-1", "--case", case, "--reason", "r")
        ended = legato(place, "hold", "s-1", "--case", "Smyth v. Jones", "--reason", "r")
        assert ended.exit_code == Exit.WRONG_USAGE
        assert "did you mean --case 'Smith v. Jones'?" in ended.output
        next_one = legato(place, "hold", "s-1", "--case", "2026-118", "--reason", "r")
        assert next_one.exit_code == 0
        assert next_one.stderr == "legato: 2026-118 is a new case; similar cases: 2026-117\n"

    def test_a_case_that_nobody_knows_is_suggested(self, place, person):
        """Where calls are looked for by it."""
        hold(place)
        ended = legato(place, "release", "--case", "2026 117", "--confirm")
        assert ended.exit_code == Exit.NOT_FOUND
        assert f"searched for case 2026 117; did you mean --case {CASE}?" in ended.output
        for command in (("find", "--case", "2026 117"), ("holds", "--case", "2026 117")):
            shown = legato(place, *command)
            assert shown.exit_code == 0, shown.output
            assert shown.output.endswith(f"2026 117; did you mean --case {CASE}?\n")

    def test_a_case_of_which_nothing_is_known_has_no_suggestion(self, place, person):
        """Nor has one that holds nothing more."""
        assert legato(place, "holds", "--case", "x").output == "No call is held for x.\n"
        shown = legato(place, "find", "--case", "x").output
        assert shown == "Nothing found: searched for case x.\n"

    def test_a_case_stays_known_when_its_calls_are_released(self, place, person):
        """The evidence names it for ever."""
        hold(place)
        release(place, "--reason", "settled")
        person("bob")
        release(place, "--confirm")
        ended = legato(place, "hold", "s-1", "--case", "2026117", "--reason", "r")
        assert ended.exit_code == Exit.WRONG_USAGE
