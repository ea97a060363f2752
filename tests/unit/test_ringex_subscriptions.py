"""RingCentral's subscriptions: what is asked for, and what is wrong with what is listed."""

import json
from datetime import UTC, datetime

import httpx
import pytest

from legato.errors import Barred, NotYet, Retry
from legato.providers.ringex.api import RingexApi
from legato.providers.ringex.subscriptions import RingexSubscriptions, first_user, shake_hands
from legato.settings import Limit
from tests.fakes import FakeClock, FakeNotes

HOOK = "https://hook/webhook"
TEN_YEARS = 315360000
SESSIONS = "/restapi/v1.0/account/401555000/telephony/sessions"


class Api:
    """Answers what it is told to, and remembers what was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def get(self, path, params):
        return self.send("GET", path, params)

    def send(self, method, path, body=None):
        self.asked.append((method, path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def record(**changes):
    return {
        "id": "one",
        "eventFilters": [
            f"{SESSIONS}?statusCode=Gone",
            f"{SESSIONS}?statusCode=Disconnected",
            f"{SESSIONS}?withRecordings=true",
            "/restapi/v1.0/subscription/~?threshold=259200&interval=43200",
        ],
        "disabledFilters": [],
        "expirationTime": "2036-11-20T12:00:00.000Z",
        "status": "Active",
        "deliveryMode": {"transportType": "WebHook", "address": HOOK, "encryption": False},
        **changes,
    }


def listed(*records):
    return RingexSubscriptions(Api({"records": list(records)})).list()


def test_it_is_created_for_the_ends_of_calls_and_their_recordings():
    """Under the one name that sets the token, for the longest time."""
    api = Api(record())
    made = RingexSubscriptions(api).create(address=HOOK, token="f" * 32, seconds=TEN_YEARS)
    assert (made.id, made.address, made.flaw) == ("one", HOOK, None)
    assert made.expires_at == datetime(2036, 11, 20, 12, tzinfo=UTC)
    [(method, path, body)] = api.asked
    assert (method, path) == ("POST", "/restapi/v1.0/subscription")
    assert body == {
        "eventFilters": [
            "/restapi/v1.0/account/~/telephony/sessions?statusCode=Disconnected",
            "/restapi/v1.0/account/~/telephony/sessions?statusCode=Gone",
            "/restapi/v1.0/account/~/telephony/sessions?withRecordings=true",
            "/restapi/v1.0/subscription/~?threshold=259200&interval=43200",
        ],
        "expiresIn": TEN_YEARS,
        "deliveryMode": {
            "transportType": "WebHook",
            "address": HOOK,
            "verificationToken": "f" * 32,
        },
    }


def test_a_short_one_has_no_reminder():
    """RingCentral refuses a threshold of more than half a life (SUB-516)."""
    api = Api(record())
    RingexSubscriptions(api).create(address=HOOK, token="f" * 32, seconds=518399)
    assert len(api.asked[0][2]["eventFilters"]) == 3


def test_it_is_renewed_and_deleted_by_its_id():
    """The renewal keeps the lifetime that was chosen. What is gone already is deleted."""
    api = Api(record())
    assert RingexSubscriptions(api).renew("one").id == "one"
    assert api.asked == [("POST", "/restapi/v1.0/subscription/one/renew", None)]
    gone = Api(NotYet("404"))
    RingexSubscriptions(gone).delete("one")
    assert gone.asked == [("DELETE", "/restapi/v1.0/subscription/one", None)]


def test_a_good_one_has_no_flaw():
    """Whatever the order, the account's number, and what else it brings."""
    more = [*record()["eventFilters"], "/restapi/v1.0/account/~/presence"]
    assert [one.flaw for one in listed(record(), record(eventFilters=more))] == [None, None]


@pytest.mark.parametrize(
    ("changes", "flaw"),
    [
        (
            {"status": "Blacklisted", "blacklistedData": {"reason": "Read timed out"}},
            "Blacklisted: Read timed out",
        ),
        ({"status": "Suspended"}, "Suspended: no reason given"),
        (
            {"disabledFilters": [{"filter": "a", "reason": "CMN-408", "message": "m"}]},
            "disabled filters: a (CMN-408)",
        ),
        (
            {"eventFilters": [SESSIONS, f"{SESSIONS}?statusCode=Gone"]},
            "missing filters: /restapi/v1.0/account/~/telephony/sessions?statusCode=Disconnected, "
            "/restapi/v1.0/account/~/telephony/sessions?withRecordings=true",
        ),
    ],
)
def test_a_flaw_is_named(changes, flaw):
    """In words that stay the same as long as it does."""
    [one] = listed(record(**changes))
    assert one.flaw == flaw


def test_only_webhooks_count():
    """RingCentral lists the subscriptions of its own apps' users, too."""
    assert listed(record(deliveryMode={"transportType": "PubNub"}), {}, "odd") == []


@pytest.mark.parametrize("answer", [{}, {"records": None}, {"records": [record(id=None) | {}]}])
def test_an_answer_that_makes_no_sense_is_a_passing_fault(answer):
    """Better no change than a wrong one."""
    if answer.get("records"):
        del answer["records"][0]["expirationTime"]
    with pytest.raises(Retry):
        RingexSubscriptions(Api(answer)).list()


def test_a_missing_scope_stops_the_subscription_and_nothing_else():
    """The credential is not set aside: with it recordings are fetched all the same."""
    refusal = {"errors": [{"errorCode": "CMN-401", "permissionName": "SubscriptionWebhook"}]}

    def ringcentral(request):
        if request.url.path == "/restapi/oauth/token":
            return httpx.Response(200, json={"access_token": "t", "expires_in": 3600})
        return httpx.Response(403 if request.method == "POST" else 200, json=refusal)

    clock = FakeClock()
    api = RingexApi(
        platform="https://platform",
        media="https://media",
        credentials=lambda: {"clientId": "c", "clientSecret": "s", "jwt": "j"},
        limits={group: (Limit(10, 60),) for group in ("Light", "Medium", "Heavy", "Auth")},
        notes=FakeNotes(),
        clock=clock,
        sleep=clock.advance,
        transport=httpx.MockTransport(ringcentral),
    )
    with pytest.raises(Barred, match="CMN-401 SubscriptionWebhook"):
        RingexSubscriptions(api).create(address=HOOK, token="f" * 32, seconds=TEN_YEARS)
    assert api.get("/restapi/v1.0/account/~/call-log", {}) == refusal


def test_a_webhook_is_warmed_up_as_ringcentral_tries_it():
    """An empty POST with a token to echo, a few times."""
    seen = []

    def webhook(request):
        seen.append((request.method, str(request.url), request.content))
        assert request.headers["validation-token"]
        return httpx.Response(200)

    shake_hands(HOOK, transport=httpx.MockTransport(webhook))
    assert seen == [("POST", HOOK, b"")] * 3


def test_a_webhook_that_does_not_answer_is_left_to_ringcentral():
    """Whose own handshake fails then and says why; warming up raises nothing."""
    tried = []

    def broken(request):
        tried.append(request.url)
        raise httpx.ConnectError("refused", request=request)

    shake_hands(HOOK, transport=httpx.MockTransport(broken))
    assert tried


def test_of_several_users_the_first_subscribes():
    """Nobody else sees what it made."""
    many = json.loads('{"clientId": "c", "jwt": ["a", "b"]}')
    assert first_user(many) == {"clientId": "c", "jwt": ["a"]}
    assert first_user({"jwt": "a"}) == {"jwt": "a"}
    assert first_user({}) == {}
