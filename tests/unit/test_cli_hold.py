"""The operator's commands for legal holds: what they ask, in whose name, and what they say."""

import json
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner

from legato.app.own_api import Holder
from legato.catalogue.index import enter
from legato.cli.app import app
from legato.cli.exit_codes import Exit
from legato.evidence.legal_hold import answer
from tests.fakes import FakeCatalogue
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

    def catalogue(self):
        return self.rows

    def holder(self):
        return Holder(URL, httpx.Client(transport=httpx.MockTransport(self.answer)))

    def holds(self, *, case):
        return self.world.holds(case=case)

    def answer(self, request):
        self.requests.append(request)
        if self.refusal is not None:
            if isinstance(self.refusal, Exception):
                raise self.refusal
            return self.refusal
        self.world.clock.advance(1)
        by = BOB if "Credential=bob/" in request.headers["authorization"] else ALICE
        reply = answer(request.content, by=by, work=self.world.work)
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


def legato(place, *arguments):
    return CliRunner().invoke(app, [*arguments], obj=place)


def hold(place, *more):
    return legato(place, "hold", "s-1", "--case", CASE, "--reason", "complaint", *more)


def release(place, *more):
    return legato(place, "release", "s-1", "--case", CASE, *more)


def test_a_hold_says_what_is_held(place, person):
    """And a second one that it was held before."""
    ended = hold(place)
    assert (ended.exit_code, ended.output) == (
        0,
        f"ringex/1/s-1 is held for {CASE}. Objects: 4.\n",
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
    assert ended.output.count("\n") == 1


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
