"""RingCentral's webhook: what is answered, and what is put in the queue."""

import json

import pytest

from legato.api_request import MAX_BODY_BYTES, Request, body_of
from legato.discovery.webhook import receive
from legato.errors import Retry
from legato.model import Job
from legato.providers.ringex.hook import MOST_PEERS, RingexHook
from tests.fakes import NOON, FakeClock, FakeJobs

TOKEN = "0123456789abcdef0123456789abcdef"
SESSION = "s-0a1b2c3d4e5f60718293a4b5c6d7e8f9"


def notification(*parties, event="/restapi/v1.0/account/11111111/telephony/sessions", **body):
    return {
        "uuid": "1234567890123456789",
        "event": event,
        "timestamp": "2020-06-23T01:06:14.879Z",
        "subscriptionId": "00000000-0000-4000-8000-000000000000",
        "ownerId": "22222222",
        "body": {
            "sequence": 12,
            "sessionId": "400000000001",
            "telephonySessionId": SESSION,
            "parties": list(parties) or [party("Disconnected")],
            "origin": {"type": "Call"},
            **body,
        },
    }


def party(code, **fields):
    return {"accountId": "11111111", "id": "p-1", "status": {"code": code, "rcc": False}, **fields}


@pytest.fixture
def jobs():
    return FakeJobs()


def post(jobs, content, *, token=TOKEN, secret=TOKEN, headers=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {} if token is None else {"verification-token": token}
    return receive(
        Request(headers={**named, **(headers or {})}, body=body),
        hook=RingexHook(lambda *, fresh: [secret]),
        jobs=jobs,
        clock=FakeClock(),
        settle=120,
    )


def test_the_handshake_is_echoed(jobs):
    """An empty body with a Validation-Token is the trial of the address."""
    reply = post(jobs, b"", token=None, headers={"validation-token": "a-b_c.1"})
    assert (reply.status, reply.outcome) == (200, "Handshake")
    assert reply.headers == {"Content-Type": "application/json", "Validation-Token": "a-b_c.1"}
    assert reply.body is None


def test_a_delivery_is_never_echoed(jobs):
    """A Validation-Token beside a body changes nothing."""
    reply = post(jobs, notification(), headers={"validation-token": "abc"})
    assert reply.outcome == "Enqueued"
    assert "Validation-Token" not in reply.headers


@pytest.mark.parametrize("token", ["x" * 513, "two words", "line\r\nSet-Cookie: a", "é", ""])
def test_what_is_no_validation_token_is_refused(jobs, token):
    """The answer stays within 1,024 bytes, and nobody writes our headers for us."""
    assert post(jobs, b"", headers={"validation-token": token}).status == 400


@pytest.mark.parametrize("code", ["Disconnected", "Gone", "disconnected", "GONE"])
def test_a_party_that_left_makes_a_job(jobs, code):
    """Delayed until the call has settled, with the account that the event names."""
    reply = post(jobs, notification(party("Answered"), party(code)))
    assert (reply.status, reply.outcome, reply.logged["call"]) == (200, "Enqueued", SESSION)
    [(job, delay)] = jobs.sent
    assert delay == 120
    assert (job.provider, job.account, job.call) == ("ringex", "11111111", SESSION)
    assert job.seen_at == NOON
    assert (job.attempt, job.hints) == (0, {})


def test_recordings_and_peers_are_passed_on_as_hints(jobs):
    """They are what the log is checked against, and what links a warm transfer."""
    peer = {"telephonySessionId": "s-2", "sessionId": "4", "partyId": "p-2"}
    gone = {
        **party("Gone", recordings=[{"id": "8", "active": False}, {"id": "7", "active": True}]),
        "status": {"code": "Gone", "reason": "AttendedTransfer", "peerId": peer},
    }
    post(jobs, notification(gone))
    [(job, _)] = jobs.sent
    assert job.hints == {"recordingIds": ["7", "8"], "peers": ["s-2"]}


@pytest.mark.parametrize("code", ["Answered", "Hold", "Proceeding", "VoiceMail", None])
def test_recordings_that_are_named_while_the_call_goes_on_are_remembered(jobs, code):
    """The last notification of a call need not name them again, and the log may never list them."""
    ongoing = party(code, recordings=[{"id": "44444444", "active": False}])
    post(jobs, notification(ongoing))
    [(job, _)] = jobs.sent
    assert job.hints == {"recordingIds": ["44444444"], "ongoing": True}
    post(jobs, notification(ongoing, party("Gone")))
    assert jobs.sent[1][0].hints == {"recordingIds": ["44444444"]}


def test_no_more_than_a_hundred_are_named(jobs):
    """A job must fit into a message, whoever made it long."""
    many = [{"id": f"r{number}"} for number in range(500)]
    peers = [
        {"status": {"code": "Gone", "peerId": {"telephonySessionId": f"s-{number}"}}}
        for number in range(500)
    ]
    post(jobs, notification(party("Gone", recordings=many), *peers))
    [(job, _)] = jobs.sent
    assert [len(job.hints[name]) for name in ("recordingIds", "peers")] == [100, MOST_PEERS]


@pytest.mark.attacks("floods the queue with jobs as large as a notification can make them")
def test_a_job_fits_its_message_however_much_is_named(jobs):
    """Every id as long as it may be; the processor takes it."""
    many = [{"id": f"{number:04}".ljust(128, "r")} for number in range(500)]
    peers = [
        {"status": {"code": "Gone", "peerId": {"telephonySessionId": f"{n:04}".ljust(128, "s")}}}
        for n in range(500)
    ]
    session = "s".ljust(128, "-")
    post(jobs, notification(party("Gone", recordings=many), *peers, telephonySessionId=session))
    [(job, _)] = jobs.sent
    assert len(job.named) == 100
    assert [part.to_message() for part in job.parts()] == [job.to_message()]
    assert Job.from_message(job.to_message()) == job


ODD = [None, 7, 1.5, True, "", "a b", "a\n", "\x00", "\ud800", "x" * 129, [], ["7"], {"id": "7"}]
ODD += ["..", "../x", "<b>", "a#b", "ü", "\x1b[2J"]


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_id_is_passed_over(jobs, odd):
    """Never a 500, which RingCentral would count against the subscription."""
    peer = {"code": "Gone", "peerId": {"telephonySessionId": odd}}
    parties = [
        {**party("Gone", recordings=[{"id": odd}, odd, {"id": "7"}]), "status": peer},
        {**party("Gone", recordings=odd), "status": {"code": "Gone", "peerId": odd}},
        {"status": odd, "recordings": {"id": odd}},
        odd,
    ]
    reply = post(jobs, notification(*parties))
    assert reply.outcome == "Enqueued"
    [(job, _)] = jobs.sent
    assert job.hints == {"recordingIds": ["7"]}
    assert job.to_message().encode()
    assert post(jobs, notification(telephonySessionId=odd)).outcome == "Ignored"
    event = f"/restapi/v1.0/account/{odd}/telephony/sessions"
    assert post(jobs, notification(event=event)).status == 200
    assert all(sent.to_message() and sent.account.isprintable() for sent, _ in jobs.sent)


@pytest.mark.parametrize("name", ["Validation-Token", "VALIDATION-TOKEN", "validation-token"])
def test_headers_may_be_spelled_in_any_case(jobs, name):
    """`sam local start-api` passes them on as they came."""
    assert post(jobs, b"", token=None, headers={name: "abc"}).outcome == "Handshake"
    headers = {"Verification-Token": TOKEN}
    assert post(jobs, notification(), token=None, headers=headers).outcome == "Enqueued"


@pytest.mark.parametrize(
    "content",
    [
        notification(party("Answered")),
        notification(party("VoiceMail")),
        notification(telephonySessionId=None),
        notification(telephonySessionId=""),
        notification(telephonySessionId="s-1\n"),
        notification(telephonySessionId=7),
        notification(parties=None),
        notification(parties=["odd", {"status": "odd"}, {"status": {"code": 7}}]),
        notification(event="/restapi/v1.0/account/1/extension/2/presence"),
        notification(event="/restapi/v1.0/subscription/~?threshold=259200&interval=43200"),
        {**notification(), "body": "odd"},
        {**notification(), "event": None},
        {},
    ],
)
def test_what_is_of_no_interest_is_counted_and_answered_200(jobs, content):
    """Anything but 2xx would get the subscription blacklisted."""
    reply = post(jobs, content)
    assert (reply.status, reply.outcome) == (200, "Ignored")
    assert jobs.sent == []


def test_an_extension_filter_serves_as_well(jobs):
    """Its event has the extension between account and session."""
    event = "/restapi/v1.0/account/11111111/extension/222/telephony/sessions"
    assert post(jobs, notification(event=event)).outcome == "Enqueued"


@pytest.mark.parametrize("token", [None, "", "f" * 32, TOKEN + "0", "é"])
def test_a_wrong_token_gets_401_and_no_reason(jobs, token):
    """Nothing is enqueued, and the answer gives no hint."""
    reply = post(jobs, notification(), token=token)
    assert (reply.status, reply.outcome, reply.body, reply.headers) == (
        401,
        "Unauthorized",
        None,
        {},
    )
    assert jobs.sent == []


@pytest.mark.parametrize("token", [None, ""])
def test_a_secret_without_token_lets_nobody_in(jobs, token):
    """An empty secret is not an empty password."""
    assert post(jobs, notification(), token=token, secret="").status == 401


def test_a_rotated_token_is_read_anew(jobs):
    """The cached token is tried first; only a mismatch looks for a fresh one."""
    asked = []

    def tokens(*, fresh):
        asked.append(fresh)
        return [TOKEN if fresh else "f" * 32]

    hook = RingexHook(tokens)
    good = Request(headers={"verification-token": TOKEN}, body=b"{}")
    assert hook.authentic(good)
    assert asked == [False, True]
    asked.clear()
    assert hook.authentic(Request(headers={"verification-token": "f" * 32}, body=b"{}"))
    assert asked == [False]


@pytest.mark.parametrize(
    ("given", "good"), [(TOKEN, True), ("f" * 32, True), ("e" * 32, False), ("", False)]
)
def test_during_a_rotation_both_tokens_are_accepted(given, good):
    """The old subscription delivers until the new one is there."""
    hook = RingexHook(lambda *, fresh: [TOKEN, "f" * 32])
    request = Request(headers={"verification-token": given}, body=b"{}")
    assert hook.authentic(request) is good
    alone = RingexHook(lambda *, fresh: [TOKEN, ""])
    assert alone.authentic(Request(headers={"verification-token": ""}, body=b"{}")) is False


@pytest.mark.parametrize(
    ("body", "status", "outcome"),
    [
        (b"x" * (MAX_BODY_BYTES + 1), 413, "TooLarge"),
        (b"{" + b" " * (MAX_BODY_BYTES - 2) + b"}", 200, "Ignored"),
        (b"nonsense", 400, "Malformed"),
        (b"\xff\xfe", 400, "Malformed"),
        (b"[" * 100_000, 400, "Malformed"),
        (b"[]", 400, "Malformed"),
        (b"7", 400, "Malformed"),
        (b"", 400, "Malformed"),
    ],
)
def test_bad_bodies(jobs, body, status, outcome):
    """The reason never repeats the body."""
    reply = post(jobs, body)
    assert (reply.status, reply.outcome) == (status, outcome)
    assert jobs.sent == []
    assert len(reply.logged.get("reason", "")) < 100


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"body": None},
        {"body": {"event": "/restapi"}},
        {"body": "\ud800"},
        {"body": "{}\ud800"},
        {"body": "\ud800", "isBase64Encoded": True},
        {"body": "no base64", "isBase64Encoded": True},
        {"body": "e30", "isBase64Encoded": True},
    ],
)
def test_an_event_whose_body_is_none_is_no_fault_of_ours(jobs, event):
    """Nobody can make the function fail."""
    reply = post(jobs, body_of(event))
    assert (reply.status, reply.outcome) == (400, "Malformed")
    assert jobs.sent == []


def test_a_body_is_read_as_it_was_sent():
    """API Gateway writes what is no text in Base64."""
    assert body_of({"body": "Zoë"}) == "Zoë".encode()
    assert body_of({"body": "/wA=", "isBase64Encoded": True}) == b"\xff\x00"


def test_a_queue_that_refuses_is_a_503(jobs):
    """RingCentral's own log then shows that we failed, and the call log is swept anyway."""
    jobs.refusal = Retry("the jobs queue refuses a message: Throttling")
    reply = post(jobs, notification())
    assert (reply.status, reply.outcome) == (503, "QueueRefused")
    assert "Throttling" in reply.logged["reason"]
