"""What is found at RingCX: log-in in two steps, ids that look alike, what is activated."""

import json

import httpx
import pytest

from legato.app.asked import Through
from legato.app.checks import check_ringcx
from legato.app.scratch import ScratchNotes
from legato.setup.findings import State
from tests.checked import assert_told, one, states
from tests.fakes import FakeClock, FakeServer

TOKEN = "/restapi/oauth/token"
ACCOUNT = "/restapi/v1.0/account/~"
EXCHANGE = "/api/auth/login/rc/accesstoken"
ACCOUNTS = "/voice/api/v1/admin/accounts"
INSIDE = "/voice/api/cx/integration/v1/accounts/401555000/sub-accounts/21550001"
METADATA = f"{INSIDE}/interaction-metadata"
RECORDING = f"{INSIDE}/recordings/dialogs/d/segments/p"
CREDENTIAL = {"clientId": "app", "clientSecret": "hush-hush", "jwt": "a.jwt.here"}
OK, WRONG, UNKNOWN = State.OK, State.WRONG, State.UNKNOWN
DENIED = {"errorCode": "access.denied.exception"}


def an_account(name):
    main = {"mainAccountId": "21550000", "rcAccountId": "401555000"}
    return {"accountId": name, "mainAccountId": "21550000", "mainAccount": main}


def a_row(**changes):
    row = {"channelClass": "VOICE", "hasRecording": True, "dialogId": "d", "segmentId": "p"}
    return row | changes


def answers(body, status=200):
    return lambda _: httpx.Response(status, json=body)


@pytest.fixture
def server():
    """Everything is as it should be."""
    server = FakeServer()
    server.answers = {
        TOKEN: answers({"access_token": "t", "scope": "ReadAccounts"}),
        ACCOUNT: answers({"id": 401555000}),
        EXCHANGE: answers({"accessToken": "x"}),
        ACCOUNTS: answers([an_account("21550001"), an_account("21550002")]),
        METADATA: answers([a_row(), a_row(hasRecording=False), a_row(channelClass="DIGITAL")]),
        RECORDING: lambda _: httpx.Response(
            200, content=b"RIFF", headers={"content-type": "audio/wav"}
        ),
    }
    return server


def found(server, *names, **more):
    clock = FakeClock()
    through = Through(
        clock=clock, sleep=clock.advance, transport=httpx.MockTransport(server), gate=ScratchNotes
    )
    wanted = names or ("21550001",)
    return list(check_ringcx(CREDENTIAL, sub_account_ids=wanted, through=through, **more))


def test_all_is_well(server):
    """With one log-in, one exchange and three requests."""
    lines = found(server)
    assert states(lines) == dict.fromkeys(
        (
            "RingCX app and JWT",
            "RingCX sub-accounts",
            "RingCX metadata (21550001)",
            "RingCX recordings (21550001)",
        ),
        "ok",
    )
    assert "three hours: 2, with a recording: 1" in one(lines, "RingCX metadata (21550001)").text
    assert server.paths() == [TOKEN, ACCOUNT, EXCHANGE, ACCOUNTS, METADATA, RECORDING]


def test_an_incomplete_secret_is_told_before_anybody_is_asked(server):
    """It names what lacks."""
    [finding] = list(check_ringcx({}, sub_account_ids=["1"]))
    assert_told(finding, WRONG, "clientId, clientSecret, jwt", "docs/deploy/ringcx.md")


def test_a_refused_app_ends_it(server):
    """With the words of RingEX."""
    server.answers[TOKEN] = answers({"error": "invalid_client", "errorCode": "OAU-146"}, 401)
    [finding] = found(server)
    assert_told(finding, WRONG, "client secret")


def test_without_read_accounts_nobody_knows_the_account(server):
    """Unless it is configured."""
    server.answers[TOKEN] = answers({"access_token": "t", "scope": "ReadCallLog"})
    lines = found(server)
    assert_told(one(lines, "RingCX scopes"), WRONG, "lacks ReadAccounts")
    assert server.paths() == [TOKEN]
    assert "RingCX scopes" not in states(found(server, account_id="401555000"))


def test_a_user_who_may_not_see_the_company_is_told(server):
    """RingCentral has the id."""
    server.answers[ACCOUNT] = answers({"errorCode": "CMN-408"}, 403)
    assert_told(one(found(server), "RingCX account"), WRONG, "Company Info: View")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_user_without_ringcx_is_told(server, status):
    """RingCX does not take RingCentral's token."""
    server.answers[EXCHANGE] = answers(DENIED, status)
    lines = found(server)
    assert_told(one(lines, "RingCX log-in"), WRONG, f"{status} (application/json)", "RingCX")
    assert one(lines, "RingCX app and JWT").state is OK


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("21550000", "RingCX's main account id and no sub-account"),
        ("401555000", "the RingCentral account id and no sub-account"),
        ("777", "not among the sub-accounts"),
    ],
)
def test_an_id_that_is_no_sub_account_is_told_with_those_that_are(server, name, words):
    """Three kinds of ids look alike. Those that are right are looked at."""
    lines = found(server, name, "21550001")
    assert_told(one(lines, "RingCX sub-accounts"), WRONG, name, words, "21550001, 21550002")
    assert one(lines, "RingCX recordings (21550001)").state is OK


def test_all_sub_accounts_are_those_that_are_listed(server):
    """And of many only some are asked for their calls."""
    names = [f"215500{number:02}" for number in range(1, 30)]
    server.answers[ACCOUNTS] = answers([an_account(name) for name in names])
    for name in names[:3]:
        server.answers[METADATA.replace("21550001", name)] = answers([])
    lines = found(server, "*")
    assert "and 19 more" in one(lines, "RingCX sub-accounts").text
    assert len([path for path in server.paths() if path.endswith("metadata")]) == 3
    assert "Of 29 sub-accounts the first 3" in one(lines, "RingCX metadata").text


def test_a_user_who_sees_no_sub_account_is_told(server):
    """There is nothing to go on with."""
    server.answers[ACCOUNTS] = answers([])
    assert_told(one(found(server, "*"), "RingCX sub-accounts"), WRONG, "READ on Account")


def test_a_list_of_sub_accounts_that_is_refused_is_told(server):
    """It is the user's role."""
    server.answers[ACCOUNTS] = answers(DENIED, 403)
    assert_told(one(found(server), "RingCX sub-accounts"), WRONG, "403", "READ on Account")


def test_a_configured_account_that_is_ringcxs_own_is_told(server):
    """RingCX refuses everything in its name, and does not tell why."""
    lines = found(server, account_id="21550000")
    assert_told(one(lines, "RingCX account"), WRONG, "main account id", "Set it to 401555000")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (answers(DENIED, 403), WRONG, "WEM access"),
        (
            answers({"validationErrors": [{"attributeName": "timeZone"}]}, 400),
            WRONG,
            "RingcxTimeZone",
        ),
        (answers({"generalMessage": "?"}, 400), UNKNOWN, "400 (application/json)"),
        (answers({"nothing": 1}), UNKNOWN, "not the answer"),
        (lambda _: httpx.Response(200, html="<h1>"), UNKNOWN, "text/html"),
        (answers({}, 500), UNKNOWN, "500"),
    ],
)
def test_metadata_that_are_refused_say_why(server, answer, state, words):
    """No recording is tried then."""
    server.answers[METADATA] = answer
    lines = found(server)
    assert_told(one(lines, "RingCX metadata (21550001)"), state, words)
    assert RECORDING not in server.paths()


@pytest.mark.parametrize("rows", [[], [a_row(hasRecording=False)], [None, {}, a_row(dialogId="")]])
def test_nothing_recorded_is_no_fault(server, rows):
    """It is told what to see to."""
    server.answers[METADATA] = answers(rows)
    lines = found(server)
    assert_told(one(lines, "RingCX recordings (21550001)"), OK, "queues and campaigns")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (answers(DENIED, 403), WRONG, "activate call recording"),
        (answers("EvPlatform by rc_account_id=1 not found", 404), WRONG, "RingcxAccountId"),
        (answers({}, 404), UNKNOWN, "404"),
        (lambda _: httpx.Response(200, html="<h1>"), UNKNOWN, "text/html instead of audio"),
        (answers({}, 503), UNKNOWN, "503"),
    ],
)
def test_a_recording_that_cannot_be_fetched_says_why(server, answer, state, words):
    """As far as RingCX tells."""
    server.answers[RECORDING] = answer
    assert_told(one(found(server), "RingCX recordings (21550001)"), state, words)


def test_no_finding_holds_a_secret(server):
    """Not even where RingCX repeats one."""
    said = {"developerMessage": "hush-hush a.jwt.here"}
    for path in (EXCHANGE, ACCOUNTS, METADATA, RECORDING):
        server.answers[path] = answers(said, 403)
        lines = json.dumps([each.to_json() for each in found(server)])
        assert "hush-hush" not in lines
        assert "a.jwt.here" not in lines
