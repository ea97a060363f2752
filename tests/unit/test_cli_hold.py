"""The operator's commands for legal holds: what they ask, in whose name, and what they say."""

import json
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner

from legato.app.own_api import Holder
from legato.cli.app import app
from legato.evidence.legal_hold import answer
from tests.unit.test_legal_hold import ALICE, BOB, CASE, World

URL = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/holds"


class FakePlace:
    """Hands out a holder behind HTTP, for whom the access key tells who it is."""

    def __init__(self, world):
        self.world = world
        self.requests = []
        self.refusal = None

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


@pytest.mark.parametrize("command", ["hold", "release", "holds"])
def test_help_has_an_example_and_the_exit_codes(command):
    """Of every command."""
    shown = legato(None, command, "--help")
    assert shown.exit_code == 0
    assert f"legato {command} " in shown.output
    assert "0 done, 1 failed, 2 wrong usage, 130 interrupted" in shown.output


def test_a_hold_says_what_is_held(place, person):
    """And a second one that it was held before."""
    ended = hold(place)
    assert (ended.exit_code, ended.output) == (
        0,
        f"ringex/1/s-1 is held for {CASE}. Objects: 4.\n",
    )
    assert "It was asked for before." in hold(place).output
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
    assert "alice has asked to release it: another person must confirm that." in asked.output
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
    assert legato(place, "holds").output == "Nothing is held.\n"
    hold(place)
    release(place, "--reason", "settled")
    shown = legato(place, "holds").output
    for words in (CASE, "ringex", "s-1", "alice", "complaint", "asked for by alice"):
        assert words in shown
    [one] = json.loads(legato(place, "holds", "--json").output)
    assert (one["case"], one["by"], one["release"]["reason"]) == (CASE, ALICE, "settled")
    assert legato(place, "holds", "--case", "x").output == "Nothing is held for x.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hold", "s-1", "--case", "c"], "Missing option '--reason'"),
        (["hold", "s-1", "--reason", "r"], "Missing option '--case'"),
        (["release", "s-1", "--case", "c"], "say why with --reason"),
        (["release", "s-1", "--case", "c", "--confirm", "--withdraw"], "goes without --withdraw"),
        (["hold", "s-9", "--case", "c", "--reason", "r"], "nobody knows a call s-9"),
    ],
)
def test_wrong_usage_is_told(place, person, arguments, says):
    """With the exit code for it."""
    ended = legato(place, *arguments)
    assert (ended.exit_code, says in ended.output) == (2, True), ended.output


@pytest.mark.parametrize(
    ("refusal", "says"),
    [
        (httpx.Response(403, json={"message": "Forbidden"}), "execute-api:Invoke on POST /holds"),
        (
            httpx.Response(
                403, json={"Message": "… not authorized to perform: execute-api:Invoke"}
            ),
            "AWS does not permit execute-api:Invoke",
        ),
        (httpx.Response(503, json={"message": "S3 refuses"}), "run the same command again"),
        (httpx.Response(500, text="<html>"), "HTTP 500: run the same command again"),
        (httpx.ConnectError("refused"), "does not answer: ConnectError"),
    ],
)
def test_what_keeps_it_from_being_done_is_told_in_one_line(place, person, refusal, says):
    """With what to do."""
    place.refusal = refusal
    ended = hold(place)
    assert (ended.exit_code, says in ended.output) == (1, True), ended.output
    assert ended.output.count("\n") == 1


def test_who_is_not_logged_in_is_told(place, person, monkeypatch):
    """Before anything is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", "/nowhere")
    ended = hold(place)
    assert ended.exit_code == 1
    assert "there are no AWS credentials" in ended.output
    assert place.requests == []
