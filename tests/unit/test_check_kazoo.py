"""What is found at Kazoo: the address, the key, the accounts, what is recorded and stored."""

import json
import socket
import ssl

import httpx
import pytest

from legato.app.asked import Through
from legato.app.checks import check_kazoo
from legato.app.scratch import ScratchNotes
from legato.setup.findings import State
from tests.checked import assert_told, one, states
from tests.fakes import FakeClock, FakeServer

URL = "https://kazoo.example.com:8443/v2"
KEY = {"apiKey": "k" * 64}
USER = {"username": "ada", "password": "hush-hush", "accountName": "company"}
A, B = "a" * 32, "b" * 32
LOG_IN = "/v2/api_auth"
LIST = f"/v2/accounts/{A}/recordings"
OK, WRONG, UNKNOWN = State.OK, State.WRONG, State.UNKNOWN


def an_envelope(data, status=200, **more):
    said = "success" if status < 300 else "error"
    return lambda _: httpx.Response(
        status, json={"data": data, "status": said, "auth_token": "t", **more}
    )


def documents(*names):
    return [{"id": name} for name in names]


AUDIO = httpx.Response(200, content=b"ID3", headers={"content-type": "audio/mpeg"})
UNKNOWN_KEY = an_envelope({"cause": "k" * 64}, 404, message="bad_identifier")


@pytest.fixture
def server():
    """Everything is as it should be."""
    server = FakeServer()
    server.answers = {
        LOG_IN: an_envelope({}, 201),
        "/v2/user_auth": an_envelope({}, 201),
        LIST: an_envelope(documents("r1", "r2")),
        f"{LIST}/r1": AUDIO,
        f"{LIST}/r2": AUDIO,
        f"/v2/accounts/{A}/descendants": an_envelope(documents(B)),
    }
    return server


def found(server, *names, credential=KEY, url=URL):
    clock = FakeClock()
    through = Through(
        clock=clock, sleep=clock.advance, transport=httpx.MockTransport(server), gate=ScratchNotes
    )
    return list(check_kazoo(credential, url=url, account_ids=names or (A,), through=through))


def test_all_is_well(server):
    """With a log-in and three requests, of the newest recording only."""
    assert states(found(server, f"{A}/*")) == {
        "Kazoo log-in": "ok",
        f"Kazoo accounts below {A}": "ok",
        f"Kazoo recordings ({A})": "ok",
    }
    assert server.paths() == [LOG_IN, f"/v2/accounts/{A}/descendants", LIST, f"{LIST}/r2"]


@pytest.mark.parametrize("credential", [{}, {"username": "ada"}])
def test_an_incomplete_secret_is_told_before_anybody_is_asked(server, credential):
    """It names what lacks."""
    [finding] = found(server, credential=credential)
    assert_told(finding, WRONG, "password" if credential else "apiKey", "docs/deploy/kazoo.md")
    assert not server.requests


@pytest.mark.parametrize(
    "url",
    ["", "kazoo.example.com/v2", "https://[::1/v2", "https://ada:hush-hush@kazoo.example.com/v2"],
)
def test_an_address_that_is_none_is_told(server, url):
    """Before anybody is asked, and not repeated: it may have a password."""
    [finding] = found(server, url=url)
    assert "hush-hush" not in finding.text
    assert_told(finding, WRONG, "KazooUrl", "https://")


def test_an_address_without_https_is_told_and_asked(server):
    """The credentials go over the internet. On this machine that is nobody's business."""
    assert_told(one(found(server, url=URL.replace("s:", ":")), "Kazoo address"), WRONG, "https")
    assert "Kazoo address" not in states(found(server, url="http://127.0.0.1:1/v2"))


@pytest.mark.parametrize(
    ("credential", "answer", "state", "words"),
    [
        (KEY, UNKNOWN_KEY, WRONG, "no such API key"),
        (KEY, an_envelope({}, 400, message="validation error"), WRONG, "64 characters"),
        (USER, an_envelope({}, 401, message="invalid_credentials"), WRONG, "accountName"),
        (KEY, lambda _: httpx.Response(200, html="<h1>"), WRONG, "200 (text/html)"),
        (KEY, lambda _: httpx.Response(404, html="<h1>"), WRONG, "not Kazoo's answer"),
        (KEY, lambda _: httpx.Response(200, json={"hello": 1}), WRONG, "not the address"),
        (KEY, an_envelope({}, 503), UNKNOWN, "503"),
    ],
)
def test_a_log_in_that_fails_says_what_to_mend(server, credential, answer, state, words):
    """And nothing else is asked."""
    server.answers[LOG_IN] = server.answers["/v2/user_auth"] = answer
    [finding] = found(server, credential=credential)
    assert_told(finding, state, words)
    assert len(server.requests) == 1


def test_an_address_without_v2_is_told(server):
    """There is no log-in at that place."""
    server.answers["/api_auth"] = UNKNOWN_KEY
    [finding] = found(server, url=URL.removesuffix("/v2"))
    assert_told(finding, WRONG, "must end with /v2", URL)


@pytest.mark.parametrize(
    ("error", "cause", "state", "words"),
    [
        (httpx.ConnectError("x"), socket.gaierror(), WRONG, "Correct KazooUrl"),
        (httpx.ConnectError("x"), ssl.SSLError(), WRONG, "publicly trusted certificate"),
        (httpx.ConnectTimeout("x"), None, UNKNOWN, "nothing came in time"),
        (httpx.ConnectError("x"), OSError(), UNKNOWN, "refused or broke"),
    ],
)
def test_an_address_that_leads_nowhere_is_wrong(server, error, cause, state, words):
    """What is silent here may answer the functions."""

    def fail(_):
        raise error from cause

    server.answers[LOG_IN] = fail
    [finding] = found(server)
    assert_told(finding, state, words, "kazoo.example.com")


@pytest.mark.parametrize("status", [403, 404])
def test_an_account_that_the_key_does_not_see_is_told(server, status):
    """The others are looked at."""
    server.answers[f"/v2/accounts/{B}/recordings"] = an_envelope({}, status)
    lines = found(server, B, A)
    assert_told(one(lines, f"Kazoo recordings ({B})"), WRONG, str(status), "KazooAccountIds")
    assert one(lines, f"Kazoo recordings ({A})").state is OK


def test_a_user_is_looked_at_alone(server):
    """At its own list."""
    server.answers[f"/v2/accounts/{A}/users/u/recordings"] = an_envelope([])
    assert_told(one(found(server, f"{A}/u"), f"Kazoo recordings ({A}/u)"), OK, "Nothing")


def test_accounts_below_that_are_refused_are_told(server):
    """And an account without any is as good as one."""
    below = f"/v2/accounts/{A}/descendants"
    server.answers[below] = an_envelope({}, 403)
    assert_told(one(found(server, f"{A}/*"), f"Kazoo accounts below {A}"), WRONG, "403")
    server.answers[below] = an_envelope([])
    assert_told(one(found(server, f"{A}/*"), f"Kazoo accounts below {A}"), OK, "only that one")


def test_nothing_recorded_is_no_fault(server):
    """It is looked for up to a month back, and told that Kazoo stores nothing by itself."""
    server.answers[LIST] = an_envelope([])
    finding = one(found(server), f"Kazoo recordings ({A})")
    assert_told(finding, OK, "in 30 days", "stores nothing by default")
    assert server.paths().count(LIST) == 2


def test_documents_without_audio_say_that_nothing_is_stored(server):
    """Kazoo saves the document first. Three are tried, the newest first."""
    server.answers[LIST] = an_envelope(documents("r0", "r1", "r2", "r3"))
    for name in ("r1", "r2", "r3"):
        server.answers[f"{LIST}/{name}"] = an_envelope({}, 404)
    finding = one(found(server), f"Kazoo recordings ({A})")
    assert_told(finding, WRONG, "no audio of the newest 3", "media.store_recordings")
    assert server.paths()[-3:] == [f"{LIST}/{name}" for name in ("r3", "r2", "r1")]


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (an_envelope({}, 403), WRONG, "administrator"),
        (an_envelope({}), UNKNOWN, "Accept header"),
        (an_envelope({}, 503), UNKNOWN, "503"),
    ],
)
def test_audio_that_cannot_be_fetched_says_why(server, answer, state, words):
    """The list could be read."""
    server.answers[f"{LIST}/r2"] = answer
    assert_told(one(found(server), f"Kazoo recordings ({A})"), state, words)


@pytest.mark.parametrize("listed", ["none", [None, 7, {}], [{"id": ""}]])
def test_what_nobody_understands_is_no_traceback(server, listed):
    """An address that answers so is none of Kazoo's, or nothing is there."""
    server.answers[LIST] = an_envelope(listed)
    assert found(server)


def test_of_many_accounts_some_are_looked_at(server):
    """It is said which."""
    names = [f"{number}" * 32 for number in range(5)]
    for name in names:
        server.answers[f"/v2/accounts/{name}/recordings"] = an_envelope([])
    assert "first 3" in one(found(server, *names), "Kazoo accounts").text


def test_no_finding_holds_a_secret(server):
    """Kazoo repeats an unknown key."""
    server.answers[LOG_IN] = UNKNOWN_KEY
    assert "k" * 64 not in json.dumps([each.to_json() for each in found(server)])
