"""What is found at RingEX: who may log in, what the app and the user may do, what there is."""

import base64
import json
import socket
import ssl
from datetime import timedelta

import httpx
import pytest
from botocore.exceptions import ClientError

from legato.app.asked import Through
from legato.app.checks import check_ringex
from legato.app.observed import ANSWER_SECONDS, Observed
from legato.app.scratch import ScratchNotes, SharedGate
from legato.aws.errors import translated
from legato.providers.ringex.subscriptions import FILTERS
from legato.setup.findings import State
from legato.setup.ringex import Webhook
from tests.checked import assert_told, one, states
from tests.fakes import NOON, FakeClock, FakeNotes, FakeServer

PLATFORM = "https://platform.ringcentral.com"
ACCOUNT = "/restapi/v1.0/account/~"
TOKEN = "/restapi/oauth/token"
LOG = f"{ACCOUNT}/call-log"
SUBSCRIPTIONS = "/restapi/v1.0/subscription"
CONTENT = "/restapi/v1.0/account/1/recording/7/content"
SCOPES = "ReadAccounts ReadCallLog ReadCallRecording SubscriptionWebhook CallControl"
OK, WRONG, UNKNOWN = State.OK, State.WRONG, State.UNKNOWN


def a_jwt(**claims):
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"head.{body}.sign"


GOOD = a_jwt(iss="https://platform.ringcentral.com", exp=NOON.timestamp() + 60)
CREDENTIAL = {"clientId": "app", "clientSecret": "hush-hush", "jwt": GOOD}


def a_record(*, user="9", address=f"https://media.ringcentral.com{CONTENT}"):
    return {"extension": {"id": user}, "recording": {"id": "7", "contentUri": address}}


def an_answer(**body):
    return lambda _: httpx.Response(200, json=body)


def a_refusal(status, code, **more):
    return lambda _: httpx.Response(status, json={"errorCode": code, **more})


@pytest.fixture
def server():
    """Everything is as it should be."""
    server = FakeServer()
    server.answers = {
        TOKEN: an_answer(access_token="t", scope=SCOPES, owner_id="9"),
        ACCOUNT: an_answer(id=401555000),
        LOG: an_answer(records=[a_record()]),
        CONTENT: lambda _: httpx.Response(
            200, content=b"ID3", headers={"content-type": "audio/mpeg"}
        ),
        SUBSCRIPTIONS: an_answer(records=[]),
    }
    return server


def found(server, credential=CREDENTIAL, **more):
    clock = FakeClock()
    through = Through(
        clock=clock, sleep=clock.advance, transport=httpx.MockTransport(server), gate=ScratchNotes
    )
    return list(check_ringex(credential, through=through, **more))


def test_all_is_well(server):
    """With one log-in and four requests."""
    assert states(found(server)) == dict.fromkeys(
        (
            "RingEX log-in",
            "RingEX scopes",
            "RingEX account",
            "RingEX call log",
            "RingEX recordings",
            "RingEX subscriptions",
        ),
        "ok",
    )
    assert server.paths() == [TOKEN, ACCOUNT, LOG, CONTENT, SUBSCRIPTIONS]


def test_an_incomplete_secret_is_told_before_anybody_is_asked(server):
    """It names what lacks."""
    finding = one(found(server, {"clientId": "app"}), "RingEX credentials")
    assert_told(finding, WRONG, "clientSecret, jwt", "docs/deploy/ringex.md")
    assert not server.requests


@pytest.mark.parametrize("url", ["platform", "https://[::1/", "ftp://platform.ringcentral.com"])
def test_an_address_that_is_none_is_told(server, url):
    """Before anybody is asked."""
    assert_told(one(found(server, url=url), "RingEX address"), WRONG, "RingexUrl")
    assert not server.requests


EXPIRED = a_jwt(exp=NOON.timestamp() - 24 * 3600)
SANDBOX = a_jwt(iss="https://platform.devtest.ringcentral.com")


@pytest.mark.parametrize(
    ("jwt", "status", "codes", "words"),
    [
        (GOOD, 401, ("invalid_client", "OAU-146"), "client secret"),
        (GOOD, 400, ("invalid_client", "OAU-153"), "no app with this client id"),
        (GOOD, 400, ("unauthorized_client", "OAU-251"), "JWT auth flow"),
        (GOOD, 401, ("invalid_grant", "OAU-142"), "Admin Portal"),
        (GOOD, 400, ("invalid_grant", "OAU-331"), "restricted to another app"),
        (EXPIRED, 400, ("invalid_grant", "OAU-331"), "has expired on 2026-11-19"),
        (SANDBOX, 400, ("invalid_grant", "OAU-331"), "one of platform.devtest.ringcentral.com"),
        ("copied.badly", 400, ("invalid_grant", "OAU-331"), "no JWT"),
        ("a.%%%.b", 400, ("invalid_grant", "OAU-331"), "no JWT"),
        (a_jwt(exp=1e400), 400, ("invalid_grant", "OAU-331"), "restricted to another app"),
        (GOOD, 400, ("something_new", "OAU-999"), "OAU-999"),
    ],
)
def test_a_refused_log_in_says_which_part_of_the_credential_is_wrong(
    server, jwt, status, codes, words
):
    """By RingCentral's codes, and by what a JWT says of itself. Nothing else is asked then."""
    error, code = codes
    server.answers[TOKEN] = a_refusal(status, code, error=error)
    [finding] = found(server, {**CREDENTIAL, "jwt": jwt})
    assert_told(finding, WRONG, words, code)
    assert server.paths() == [TOKEN]


def test_no_finding_holds_a_secret(server):
    """Whatever comes: what was sent is not repeated."""
    answers = [
        a_refusal(400, "OAU-331", error="invalid_grant", message=f"Bad {GOOD} hush-hush"),
        lambda _: httpx.Response(200, text=f"<h1>{GOOD}</h1> hush-hush"),
        lambda _: httpx.Response(500, text=f"{GOOD} hush-hush"),
    ]
    for answer in answers:
        server.answers[TOKEN] = answer
        said = json.dumps([each.to_json() for each in found(server)])
        assert GOOD not in said
        assert "hush-hush" not in said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(200, text="<h1>Sorry</h1>", headers={"content-type": "text/html"}), "html"),
        (httpx.Response(503, json={}), "503 (application/json)"),
        (httpx.Response(404, text="?", headers={"content-type": "text/html"}), "RingexUrl"),
        (httpx.Response(200, json={"scope": "all"}), "not the answer"),
    ],
)
def test_what_is_no_answer_of_ringcentrals_is_unknown(server, answer, words):
    """With its status and media type."""
    server.answers[TOKEN] = lambda _: answer
    [finding] = found(server)
    assert_told(finding, UNKNOWN, words)


def failing(error, cause=None):
    def answer(_):
        raise error from cause

    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (failing(httpx.ConnectTimeout("x")), "nothing came in time"),
        (failing(httpx.ConnectError("x"), socket.gaierror()), "name of the host is not known"),
        (failing(httpx.ConnectError("x"), ssl.SSLError()), "TLS"),
        (failing(httpx.ReadError("x")), "refused or broke"),
    ],
)
def test_a_host_that_cannot_be_reached_is_unknown(server, answer, words):
    """The functions of the stack may reach it from elsewhere."""
    server.answers[TOKEN] = answer
    [finding] = found(server)
    assert_told(finding, UNKNOWN, "platform.ringcentral.com", words)


def test_a_scope_that_lacks_is_named(server):
    """As the log-in tells it."""
    server.answers[TOKEN] = an_answer(access_token="t", scope="ReadAccounts ReadCallLog")
    finding = one(found(server), "RingEX scopes")
    assert_told(finding, WRONG, "ReadCallRecording, SubscriptionWebhook, CallControl")


def test_deletion_takes_another_scope(server):
    """Only where it is wanted."""
    assert one(found(server), "RingEX scopes").state is OK
    assert_told(one(found(server, deletes=True), "RingEX scopes"), WRONG, "lacks EditCallLog")


def test_scopes_that_are_not_told_are_unknown(server):
    """The rest is looked at all the same."""
    server.answers[TOKEN] = an_answer(access_token="t")
    assert_told(one(found(server), "RingEX scopes"), UNKNOWN, "ReadCallLog")
    assert one(found(server), "RingEX recordings").state is OK


def test_without_read_accounts_the_account_is_not_asked_for(server):
    """It is no fault, and said."""
    server.answers[TOKEN] = an_answer(access_token="t", scope=SCOPES.replace("ReadAccounts ", ""))
    assert "lacks ReadAccounts" in one(found(server), "RingEX scopes").text
    assert ACCOUNT not in server.paths()


@pytest.mark.parametrize(
    ("code", "permission", "words"),
    [
        ("CMN-408", "ReadCompanyCallLog", "Admin Portal"),
        ("CMN-401", "ReadCallLog", "developer console"),
    ],
)
def test_a_call_log_that_is_refused_says_whose_permission_lacks(server, code, permission, words):
    """The user's role, or the app's scope. No recording is looked for then."""
    server.answers[LOG] = a_refusal(403, code, permissionName=permission)
    lines = found(server)
    assert_told(one(lines, "RingEX call log"), WRONG, permission, words)
    assert "RingEX recordings" not in states(lines)
    assert one(lines, "RingEX subscriptions").state is OK


def test_a_user_who_sees_only_own_calls_is_told(server):
    """It may be that nobody else is recorded."""
    server.answers[LOG] = an_answer(records=[a_record()] * 10)
    assert "the JWT's own user" in one(found(server), "RingEX call log").text
    server.answers[LOG] = an_answer(records=[a_record()] * 9 + [a_record(user="8")])
    assert "the JWT's own user" not in one(found(server), "RingEX call log").text


def test_nothing_recorded_is_no_fault(server):
    """It is told what to see to."""
    server.answers[LOG] = an_answer(records=[])
    assert_told(one(found(server), "RingEX recordings"), OK, "Automatic call recording")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (a_refusal(403, "CMN-408", permissionName="ReadCallRecording"), WRONG, "Admin Portal"),
        (a_refusal(403, "CMN-401", permissionName="ReadCallRecording"), WRONG, "console"),
        (a_refusal(404, "CMN-102"), UNKNOWN, "newest 1 recordings (yet)"),
        (lambda _: httpx.Response(200, html="<h1>"), UNKNOWN, "text/html instead of audio"),
        (lambda _: httpx.Response(200), UNKNOWN, "instead of audio"),
        (a_refusal(401, "OAU-213"), UNKNOWN, "401"),
    ],
)
def test_a_recording_that_cannot_be_fetched_says_why(server, answer, state, words):
    """By RingCentral's codes."""
    server.answers[CONTENT] = answer
    assert_told(one(found(server), "RingEX recordings"), state, words)


def test_a_recording_that_is_not_there_yet_is_followed_by_the_next(server):
    """No third one is tried."""
    server.answers[LOG] = an_answer(records=[a_record()] * 3)
    server.answers[CONTENT] = [
        httpx.Response(404),
        httpx.Response(200, content=b"ID3", headers={"content-type": "audio/mpeg"}),
    ]
    assert one(found(server), "RingEX recordings").state is OK
    server.answers[CONTENT] = [httpx.Response(404), httpx.Response(404)]
    assert one(found(server), "RingEX recordings").state is UNKNOWN


def test_recordings_on_a_strange_host_get_no_token(server):
    """The host is named."""
    record = a_record(address="https://media.example.com/7")
    server.answers[LOG] = an_answer(records=[record])
    assert_told(one(found(server), "RingEX recordings"), WRONG, "media.example.com", "RingexUrl")


@pytest.mark.parametrize("records", ["none", [None, 7, {}], [{"recording": {"contentUri": 7}}]])
def test_records_that_nobody_understands_are_no_recordings(server, records):
    """And no traceback."""
    server.answers[LOG] = an_answer(records=records)
    assert one(found(server), "RingEX recordings").state is OK


def test_thirty_subscriptions_leave_no_room(server):
    """Which is RingCentral's limit."""
    server.answers[SUBSCRIPTIONS] = an_answer(records=[{}] * 30)
    assert_told(one(found(server), "RingEX subscriptions"), WRONG, "30 of 30")


def test_each_of_several_users_is_looked_at(server):
    """One that is refused does not keep the others from it."""
    tokens = iter(
        [
            httpx.Response(400, json={"error": "invalid_grant", "errorCode": "OAU-331"}),
            httpx.Response(200, json={"access_token": "t", "scope": SCOPES, "owner_id": "9"}),
        ]
    )
    server.answers[TOKEN] = lambda _: next(tokens)
    said = states(found(server, {**CREDENTIAL, "jwt": [GOOD, f"{GOOD}2"]}))
    assert said["RingEX log-in (JWT 1 of 2)"] == "wrong"
    assert said["RingEX recordings (JWT 2 of 2)"] == "ok"


def test_users_of_two_accounts_do_not_belong_into_one_stack(server):
    """Calls would be filed under the wrong one."""
    accounts = iter([1, 2])
    server.answers[ACCOUNT] = lambda _: httpx.Response(200, json={"id": next(accounts)})
    lines = found(server, {**CREDENTIAL, "jwt": [GOOD, f"{GOOD}2"]})
    assert_told(one(lines, "RingEX account"), WRONG, "several accounts")


def test_a_429_is_not_asked_again(server):
    """Each request in the penalty makes it begin anew."""
    server.answers[LOG] = lambda _: httpx.Response(429, headers={"retry-after": "42"})
    lines = found(server)
    assert_told(one(lines, "RingEX call log"), UNKNOWN, "rate limit", "43 seconds")
    assert server.paths().count(LOG) == 1


def test_whose_turn_it_is_not_waits_for_it(server):
    """Up to a minute, as by a stack that uses the limit up."""
    notes = ScratchNotes()
    clock = FakeClock()
    through = Through(
        clock=clock, sleep=clock.advance, transport=httpx.MockTransport(server), gate=lambda: notes
    )
    for _ in range(6):  # five log-ins a minute
        notes.write(notes.read("token#ringex#x"))
        through_lines = list(check_ringex({**CREDENTIAL, "jwt": f"{GOOD}{_}"}, through=through))
        assert one(through_lines, "RingEX log-in").state is OK
    assert clock.now() - NOON > timedelta(seconds=55)


class Dripping(httpx.SyncByteStream):
    def __init__(self, clock):
        self.clock = clock

    def __iter__(self):
        for _ in range(100):
            self.clock.advance(1)
            yield b" "


def test_an_answer_that_drips_is_given_up(server):
    """A person waits for it."""
    clock = FakeClock()
    server.answers[TOKEN] = lambda _: httpx.Response(200, stream=Dripping(clock))
    line = Observed(httpx.MockTransport(server), seconds=lambda: clock.now().timestamp())
    with httpx.Client(transport=line) as client, pytest.raises(httpx.ReadTimeout):
        client.post(f"{PLATFORM}{TOKEN}")
    assert clock.now() - NOON <= timedelta(seconds=ANSWER_SECONDS + 1)
    assert server.requests[0].extensions["timeout"]["connect"] < ANSWER_SECONDS


WEBHOOK = Webhook(address="https://api.example.com/webhook/ringcentral", keeper="Keeper-1")


def a_subscription(**changes):
    return {
        "id": "s",
        "eventFilters": list(FILTERS),
        "expirationTime": "2036-11-20T12:00:00Z",
        "status": "Active",
        "deliveryMode": {"transportType": "WebHook", "address": WEBHOOK.address},
        **changes,
    }


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ([a_subscription()], OK, "active until 2036-11-20"),
        ([], WRONG, "No subscription leads to the webhook"),
        (
            [a_subscription(deliveryMode={"transportType": "WebHook", "address": "https://x"})],
            WRONG,
            "No subscription",
        ),
        (
            [a_subscription(status="Blacklisted", blacklistedData={"reason": "404"})],
            WRONG,
            "Blacklisted: 404",
        ),
        ([a_subscription(expirationTime="2026-11-21T12:00:00Z")], WRONG, "ends on 2026-11-21"),
        ([a_subscription(status="Blacklisted"), a_subscription()], OK, "active"),
        ([{"deliveryMode": {"transportType": "WebHook"}}], UNKNOWN, "not the answer"),
    ],
)
def test_a_running_stacks_subscription_must_bring_notifications(server, records, state, words):
    """The keeper mends it, and is named."""
    server.answers[SUBSCRIPTIONS] = an_answer(records=records)
    finding = one(found(server, webhook=WEBHOOK), "RingEX subscription")
    assert_told(finding, state, words, *(["Keeper-1"] if state is WRONG else []))


class Refusing(ScratchNotes):
    """A ledger that AWS does not let this person write."""

    def write(self, note):
        said = {
            "Code": "AccessDeniedException",
            "Message": "not authorized to perform: dynamodb:Put",
        }
        with translated("the note cannot be written"):
            raise ClientError({"Error": said}, "PutItem")


def test_a_stacks_rate_limits_count_its_own_requests_and_these_together(server):
    """In the ledger; the log-in's token is nobody else's."""
    ledger, clock = FakeNotes(), FakeClock()
    through = Through(
        clock=clock,
        sleep=clock.advance,
        transport=httpx.MockTransport(server),
        gate=lambda: SharedGate(ledger),
    )
    list(check_ringex(CREDENTIAL, through=through))
    assert ledger.notes
    assert all(key.startswith("gate#ringex#") for key in ledger.notes)


def test_a_ledger_that_may_not_be_written_is_unknown_and_names_the_action(server):
    """Nothing is asked of the provider then: it would count with the functions' requests."""
    through = Through(
        clock=FakeClock(),
        transport=httpx.MockTransport(server),
        gate=lambda: SharedGate(Refusing()),
    )
    [finding] = check_ringex(CREDENTIAL, through=through)
    assert_told(finding, UNKNOWN, "dynamodb:Put", "docs/permissions.md")
    assert not server.requests
