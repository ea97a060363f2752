"""What is found in a running stack: its state, mails, schedules, alarms, key and webhook."""

import httpx
import pytest

from legato.app.asked import shake_hands
from legato.errors import NotPermitted
from legato.ports import EncryptionKey, Recipient
from legato.setup import stack as running
from legato.setup.answers import Fault, Seen
from legato.setup.findings import State
from legato.setup.stack import Shaken
from tests.checked import assert_told, one, states

OK, WRONG, UNKNOWN = State.OK, State.WRONG, State.UNKNOWN
REFUSAL = NotPermitted("AWS does not permit sns:List: docs/permissions.md lists it")
ADDRESS = "https://api.example.com/webhook/ringcentral"


class FakeDeployed:
    def __init__(self, *, status="CREATE_COMPLETE", recipients=(), off=(), firing=()):
        self._status, self._recipients = status, recipients
        self._off, self._firing = off, firing

    def status(self):
        return self._status

    def names(self, kind):
        return {logical: f"legato-{logical}" for logical in ("Sweep", "Keep")}

    def recipients(self, topic):
        assert topic == "topic"
        if isinstance(self._recipients, Exception):
            raise self._recipients
        return self._recipients

    def schedule_state(self, name):
        if isinstance(self._off, Exception):
            raise self._off
        return "DISABLED" if name.removeprefix("legato-") in self._off else "ENABLED"

    def alarmed(self, names):
        if isinstance(self._firing, Exception):
            raise self._firing
        return [name for name in names if name.removeprefix("legato-") in self._firing]


def a_key(state):
    key = state and EncryptionKey(arn="k", state=state, symmetric=False, encrypts=False)
    return type("Keys", (), {"key": lambda _, _name: key})()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("UPDATE_COMPLETE", OK),
        ("UPDATE_ROLLBACK_COMPLETE", WRONG),
        ("UPDATE_IN_PROGRESS", WRONG),
        ("ROLLBACK_FAILED", WRONG),
    ],
)
def test_a_deployment_that_was_taken_back_is_told(status, state):
    """What runs is the one before."""
    assert_told(running.check_state(FakeDeployed(status=status)), state, status)


@pytest.mark.parametrize(
    ("recipients", "state", "words"),
    [
        ([Recipient(address="a@example.com", confirmed=True)], OK, "a@example.com"),
        ([Recipient(address="a@example.com", confirmed=False)], WRONG, "Subscription Confirmation"),
        ([], WRONG, "unsubscribed"),
        (REFUSAL, UNKNOWN, "sns:List"),
    ],
)
def test_a_mail_address_that_gets_none_is_told(recipients, state, words):
    """SNS sends nothing to who has not confirmed."""
    lines = list(running.check_mails(FakeDeployed(recipients=recipients), {"AlarmEmail": "topic"}))
    assert_told(one(lines, "Stack mails (AlarmEmail)"), state, words)


def test_without_an_address_nobody_gets_mails():
    """That is the operator's choice."""
    [finding] = running.check_mails(FakeDeployed(), {"RestoreEmail": ""})
    assert_told(finding, OK, "RestoreEmail is empty")


def test_a_schedule_that_is_off_is_named():
    """By the template's name for it."""
    [finding] = running.check_schedules(FakeDeployed(off=["Keep"]))
    assert_told(finding, WRONG, "Switched off: Keep.")
    [finding] = running.check_schedules(FakeDeployed())
    assert_told(finding, OK, "All 2")
    [finding] = running.check_schedules(FakeDeployed(off=REFUSAL))
    assert_told(finding, UNKNOWN, "sns:List")


def test_an_alarm_that_fires_is_named():
    """By the template's name for it."""
    [finding] = running.check_alarms(FakeDeployed(firing=["Sweep"]))
    assert_told(finding, WRONG, "In alarm: Sweep.", "docs/alarms.md")
    assert states(running.check_alarms(FakeDeployed())) == {"Stack alarms": "ok"}
    assert states(running.check_alarms(FakeDeployed(firing=REFUSAL))) == {"Stack alarms": "unknown"}


@pytest.mark.parametrize(
    ("state", "found"), [("Enabled", OK), ("PendingDeletion", WRONG), (None, WRONG)]
)
def test_a_signing_key_that_does_not_sign_is_told(state, found):
    """No digest can be signed."""
    words = {"Enabled": "enabled", "PendingDeletion": "PendingDeletion", None: "gone"}[state]
    assert_told(running.check_signing_key(a_key(state), "k"), found, words)


@pytest.mark.parametrize(
    ("status", "fault", "echoed", "seconds", "state", "words"),
    [
        (200, None, True, 0.2, OK, "0.2 s"),
        (200, None, True, 3.5, WRONG, "RingCentral waits for 3 s"),
        (200, None, False, 0.2, WRONG, "handshake"),
        (500, None, False, 0.2, WRONG, "500"),
        (0, Fault.SILENT, False, 10, WRONG, "nothing came in time"),
    ],
)
def test_a_webhook_that_ringcentral_would_not_take_is_told(
    status, fault, echoed, seconds, state, words
):
    """As its rules say."""
    seen = Seen(host="h", path="/", status=status, media_type="", fault=fault)
    shaken = Shaken(seen=seen, echoed=echoed, seconds=seconds)
    assert_told(running.check_webhook(lambda: shaken), state, words)


def test_hands_are_shaken_as_ringcentral_does():
    """With an empty body; the first time may meet a cold start."""
    requests = []

    def webhook(request):
        requests.append(request)
        return httpx.Response(
            200, headers={"Validation-Token": request.headers["validation-token"]}
        )

    shaken = shake_hands(ADDRESS, httpx.MockTransport(webhook))
    assert (shaken.echoed, shaken.seen.status, shaken.seen.path) == (
        True,
        200,
        "/webhook/ringcentral",
    )
    assert [request.content for request in requests] == [b"", b""]


def failing(_):
    raise httpx.ConnectError("x")


@pytest.mark.parametrize(
    "answer", [lambda _: httpx.Response(200, headers={"Validation-Token": "another"}), failing]
)
def test_another_token_is_no_handshake(answer):
    """Nor is silence."""
    assert not shake_hands(ADDRESS, httpx.MockTransport(answer)).echoed


@pytest.mark.parametrize("address", ["", "https://[::1/x", "nowhere"])
def test_an_address_that_is_none_is_no_traceback(address):
    """Whatever the stack's output says."""
    assert not shake_hands(address, httpx.MockTransport(failing)).echoed
