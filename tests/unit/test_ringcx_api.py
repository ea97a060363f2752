"""RingCX over HTTP: two log-ins in one, limits, hosts, answers of every kind, broken bodies."""

import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from legato import __version__
from legato.errors import Barred, Denied, Failed, NotYet, Retry, Wait
from legato.ledger.provider_health import unserved
from legato.model import Priority
from legato.providers.credentials import read_credentials
from legato.providers.ringcx.api import RingcxApi
from legato.providers.ringex.api import RingexApi
from legato.settings import Limit
from tests.fakes import BAD_LOCATIONS, FakeClock, FakeServer, LockedNotes
from tests.patience import PATIENCE_SECONDS
from tests.unit.downloads import Downloads, resumed

PLATFORM = "https://platform.ringcentral.com"
RINGCX = "https://ringcx.ringcentral.com"
CREDENTIALS = {"clientId": "id", "clientSecret": "s", "jwt": "header.body.sign"}
LIMITS = {
    "Metadata": (Limit(3, 60), Limit(9, 900)),
    "Recordings": (Limit(120, 60),),
    "Exchange": (Limit(5, 60),),
    "Auth": (Limit(5, 60),),
}
TOKEN_PATH = "/restapi/oauth/token"
ACCOUNT_PATH = "/restapi/v1.0/account/~"
EXCHANGE_PATH = "/api/auth/login/rc/accesstoken"
REFRESH_PATH = "/api/auth/token/refresh"
ACCOUNTS_PATH = "/voice/api/v1/admin/accounts"
SUB_ACCOUNT_PATH = "/voice/api/cx/integration/v1/accounts/9000001/sub-accounts/21"
CALL_LOG_PATH = "/restapi/v1.0/account/~/call-log"
METADATA_PATH = f"{SUB_ACCOUNT_PATH}/interaction-metadata"
RECORDING_PATH = f"{SUB_ACCOUNT_PATH}/recordings/dialogs/s-v-1/segments/p-v-1"
BEGIN = datetime(2026, 11, 20, 9, 0, 0, 900_000, tzinfo=UTC)
EXPIRED = httpx.Response(401, text="Jwt is expired")


class RingCentral(FakeServer):
    """The platform and RingCX: mints rc1, rc2, …, trades them for cx1, cx2, …

    Every request is remembered with the `Authorization` that it was sent with.
    """

    def __init__(self):
        super().__init__()
        self.heads = []
        self.minted = 0
        self.traded = 0
        self.answers = {
            TOKEN_PATH: self._minted,
            ACCOUNT_PATH: lambda _: httpx.Response(200, json={"id": 9000001}),
            EXCHANGE_PATH: self._traded,
            REFRESH_PATH: self._traded,
            CALL_LOG_PATH: lambda _: httpx.Response(200, json={}),
            METADATA_PATH: lambda _: httpx.Response(200, json=[]),
        }

    def __call__(self, request):
        self.heads.append(request.headers.get("authorization", ""))
        return super().__call__(request)

    def forms(self, path):
        bodies = (r.content.decode() for r in self.requests if r.url.path == path)
        return [dict(httpx.QueryParams(body)) for body in bodies]

    def tokens(self):
        """Return the tokens of RingCX in the order in which they were used."""
        return [head.removeprefix("Bearer ") for head in self.heads if "cx" in head]

    def _minted(self, _request):
        self.minted += 1
        return httpx.Response(200, json={"access_token": f"rc{self.minted}", "expires_in": 3600})

    def _traded(self, _request):
        self.traded += 1
        tokens = {"accessToken": f"cx{self.traded}", "refreshToken": f"fresh{self.traded}"}
        return httpx.Response(200, json={**tokens, "tokenType": "Bearer", "mainAccountId": "333"})


@pytest.fixture
def server():
    return RingCentral()


def an_api(server, clock, notes, **changes):
    parts = {
        "platform": PLATFORM,
        "url": RINGCX,
        "account": "9000001",
        "credentials": lambda: CREDENTIALS,
        "limits": LIMITS,
        "sleep": clock.advance,
        "transport": httpx.MockTransport(server),
    }
    return RingcxApi(notes=notes, clock=clock, **{**parts, **changes})


def a_ringex(server, clock, notes):
    """Return RingEX's API with the same credentials."""
    return RingexApi(
        platform=PLATFORM,
        media=PLATFORM,
        credentials=lambda: CREDENTIALS,
        limits={"Heavy": (Limit(10, 60),), "Auth": LIMITS["Auth"]},
        notes=notes,
        clock=clock,
        sleep=clock.advance,
        transport=httpx.MockTransport(server),
    )


@pytest.fixture
def api(server, clock, notes):
    return an_api(server, clock, notes)


def rows(api, **changes):
    return api.interactions("21", begin=BEGIN, seconds=900, **changes)


def read(api, **changes):
    with api.stream("21", "s-v-1", "p-v-1", **changes) as pieces:
        return b"".join(pieces)


class TestLogIn:
    def test_the_platforms_token_is_traded_in_a_form(self, api, server):
        """As documented, with the refresh token asked for, and only the second token is used."""
        rows(api)
        assert server.paths() == [TOKEN_PATH, EXCHANGE_PATH, METADATA_PATH]
        assert server.requests[1].url.query == b"includeRefresh=true"
        assert server.requests[1].headers["content-type"] == "application/x-www-form-urlencoded"
        assert server.forms(EXCHANGE_PATH) == [{"rcAccessToken": "rc1", "rcTokenType": "Bearer"}]
        assert server.heads[1] == ""
        assert server.tokens() == ["cx1"]

    def test_an_account_that_is_not_configured_is_asked_once(self, server, clock, notes):
        """With the platform's token; after a renewal and in another worker it is still known."""
        rows(an_api(server, clock, notes, account=""))
        assert server.paths() == [TOKEN_PATH, ACCOUNT_PATH, EXCHANGE_PATH, METADATA_PATH]
        assert server.heads[1] == "Bearer rc1"
        clock.advance(280)
        rows(an_api(server, clock, notes, account=""))
        assert server.paths()[4:] == [REFRESH_PATH, METADATA_PATH]

    def test_an_account_that_is_not_configured_any_more_is_asked(self, server, clock, notes):
        """A log-in that never asked cannot tell it."""
        rows(an_api(server, clock, notes))
        rows(an_api(server, clock, notes, account=""))
        assert server.paths().count(ACCOUNT_PATH) == 1

    def test_a_token_serves_all_workers_for_four_and_a_half_minutes(self, server, clock, notes):
        """Then it is renewed; each refresh token serves once and brings the next."""
        for _ in range(4):
            rows(an_api(server, clock, notes))
            clock.advance(269)
            rows(an_api(server, clock, notes))
            clock.advance(2)
        assert server.tokens() == ["cx1", "cx1", "cx2", "cx2", "cx3", "cx3", "cx4", "cx4"]
        assert server.forms(REFRESH_PATH) == [{"refresh_token": f"fresh{n}"} for n in (1, 2, 3)]
        assert server.minted == 1

    @pytest.mark.parametrize(
        "answer",
        [
            EXPIRED,
            httpx.Response(400, json={"generalMessage": "invalid"}),
            httpx.Response(500, content=b"<html>"),
            httpx.Response(200, json={}),
        ],
    )
    def test_a_renewal_that_does_not_succeed_becomes_a_log_in(self, api, server, clock, answer):
        """How long a refresh token lives is not documented. RingCentral's token is traded again."""
        rows(api)
        clock.advance(280)
        server.answers[REFRESH_PATH] = answer
        rows(api)
        assert server.paths()[3:] == [REFRESH_PATH, EXCHANGE_PATH, METADATA_PATH]
        assert server.tokens() == ["cx1", "cx2"]

    def test_the_platforms_token_is_traded_for_as_long_as_it_lives(self, server, clock, notes):
        """By all workers: a sixth log-in within its hour would push out the first.

        The twelfth exchange falls into the last tenth of that hour.
        """
        server.answers[REFRESH_PATH] = lambda _: EXPIRED
        for _ in range(11):
            rows(an_api(server, clock, notes))
            clock.advance(299)
        assert server.minted == 1
        rows(an_api(server, clock, notes))
        traded = [form["rcAccessToken"] for form in server.forms(EXCHANGE_PATH)]
        assert traded == ["rc1"] * 11 + ["rc2"]

    @pytest.mark.parametrize("path", [ACCOUNT_PATH, EXCHANGE_PATH])
    def test_a_platforms_token_that_was_pushed_out_costs_one_log_in(
        self, server, clock, notes, path
    ):
        """Others log in as well. Whoever asks next is served with the new one, RingEX included."""
        rows(an_api(server, clock, notes))
        server.answers[path] = [EXPIRED, server.answers[path], server.answers[path]]
        clock.advance(301)
        server.answers[REFRESH_PATH] = lambda _: EXPIRED
        rows(an_api(server, clock, notes, account=""))
        assert server.minted == 2
        assert server.forms(EXCHANGE_PATH)[-1]["rcAccessToken"] == "rc2"
        rows(an_api(server, clock, notes, account=""))
        a_ringex(server, clock, notes).get(CALL_LOG_PATH, {})
        assert server.heads[-1] == "Bearer rc2"
        assert server.minted == 2

    def test_a_new_log_in_that_is_refused_as_well_sets_the_credential_aside(
        self, server, clock, notes
    ):
        """It was not the token, so a third one would not help."""
        server.answers[EXCHANGE_PATH] = lambda _: EXPIRED
        for _ in range(2):
            with pytest.raises(Barred, match="401 Jwt is expired"):
                rows(an_api(server, clock, notes))
        assert server.paths() == [*[TOKEN_PATH, EXCHANGE_PATH] * 2, EXCHANGE_PATH]

    @pytest.mark.parametrize("status", [400, 401])
    def test_the_other_documented_form_is_tried_and_remembered(self, api, server, clock, status):
        """The guide has a form body, the API's description a query and a bearer token."""

        def by_query(request):
            form = request.url.params
            known = request.headers.get("authorization") == f"Bearer {form.get('rcAccessToken')}"
            if not known or request.content or form["rcTokenType"] != "Bearer":
                return httpx.Response(status, text="no")
            return server._traded(request)

        server.answers[EXCHANGE_PATH] = by_query
        server.answers[REFRESH_PATH] = lambda _: EXPIRED
        rows(api)
        exchanges = [r for r in server.requests if r.url.path == EXCHANGE_PATH]
        assert len(exchanges) == (2 if status == 400 else 3)
        assert exchanges[-1].url.params["includeRefresh"] == "true"
        clock.advance(301)
        rows(api)
        assert server.paths().count(EXCHANGE_PATH) == len(exchanges) + 1

    @pytest.mark.parametrize(
        "answer",
        [
            {"access_token": "cx1", "refresh_token": "fresh1"},
            {"accessToken": "cx1", "refreshToken": 7, "expiresIn": "299", "odd": [None]},
        ],
    )
    def test_an_exchange_is_read_in_either_spelling(self, api, server, answer):
        """Whatever else stands in it."""
        server.answers[EXCHANGE_PATH] = httpx.Response(200, json=answer)
        rows(api)
        assert server.tokens() == ["cx1"]

    def test_a_log_in_that_never_told_the_account_is_made_again(self, server, clock, notes):
        """The ledger's note of it may have lost that."""
        rows(an_api(server, clock, notes, account=""))
        [key] = [key for key in notes.notes if key.startswith("token#ringcx")]
        note = notes.read(key)
        notes.write(replace(note, content=note.content | {"facts": {}}))
        rows(an_api(server, clock, notes, account=""))
        assert server.paths().count(ACCOUNT_PATH) == 2

    def test_ringex_and_ringcx_log_in_once_for_one_user_and_app(self, server, clock, notes):
        """Whichever comes first. Two apps have sessions of their own, even with the same JWT."""
        a_ringex(server, clock, notes).get(CALL_LOG_PATH, {})
        rows(an_api(server, clock, notes))
        assert server.minted == 1
        other = {**CREDENTIALS, "clientId": "another app"}
        for _ in range(2):
            rows(an_api(server, clock, notes, account="", credentials=lambda: other))
            a_ringex(server, clock, notes).get(CALL_LOG_PATH, {})
        assert server.minted == 2

    def test_two_threads_renew_at_once_by_one_request(self, server):
        """The other one still uses the token that is alive."""
        clock = FakeClock()
        api = an_api(server, clock, LockedNotes(), sleep=lambda _: time.sleep(0))
        rows(api)
        clock.advance(280)
        both = threading.Barrier(2)
        others = threading.Event()

        def renewed(request):
            assert others.wait(PATIENCE_SECONDS), "the other thread was held up"
            return server._traded(request)

        def answered(request):
            if request.headers["authorization"] == "Bearer cx1":
                others.set()
            return httpx.Response(200, content=b"audio")

        server.answers[REFRESH_PATH] = renewed
        server.answers[RECORDING_PATH] = answered
        results = []

        def work():
            both.wait()
            results.append(read(api))

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [b"audio"] * 2
        assert server.paths().count(REFRESH_PATH) == 1
        assert sorted(server.tokens()[1:]) == ["cx1", "cx2"]

    def test_an_expired_token_costs_one_new_one(self, api, server):
        """The 401 is plain text, and there is a new log-in, not a renewal."""
        server.answers[METADATA_PATH] = [EXPIRED, httpx.Response(200, json=[{"dialogId": "s"}])]
        assert rows(api) == [{"dialogId": "s"}]
        assert server.tokens() == ["cx1", "cx2"]
        assert REFRESH_PATH not in server.paths()

    def test_a_second_401_sets_the_credential_aside(self, api, server, clock):
        """It is named, and nothing is sent for five minutes."""
        server.answers[METADATA_PATH] = lambda _: httpx.Response(401, text="Jwt is expired")
        with pytest.raises(Barred, match="401 Jwt is expired"):
            rows(api)
        assert server.tokens() == ["cx1", "cx2"]
        sent = len(server.requests)
        with pytest.raises(Barred) as barred:
            rows(api)
        assert barred.value.seconds == 300
        assert len(server.requests) == sent

    @pytest.mark.parametrize("path", [TOKEN_PATH, ACCOUNT_PATH, EXCHANGE_PATH])
    def test_a_refused_log_in_is_not_repeated_by_anybody(self, server, clock, notes, path, caplog):
        """At whichever step. The credential rests for five minutes, and the log says so."""
        server.answers[path] = httpx.Response(403, json={"errorCode": "access.denied.exception"})
        for _ in range(3):
            with pytest.raises(Barred, match=r"access\.denied\.exception"):
                rows(an_api(server, clock, notes, account=""))
        assert server.paths().count(path) == 1
        assert [record.message for record in caplog.records] == ["credential set aside"]

    @pytest.mark.parametrize("path", [TOKEN_PATH, ACCOUNT_PATH, EXCHANGE_PATH])
    @pytest.mark.parametrize(
        "answer", [httpx.Response(503), httpx.Response(200, json={}), httpx.Response(302)]
    )
    def test_a_log_in_that_fails_is_tried_again_later(self, server, clock, notes, path, answer):
        """A passing fault is not the credential's."""
        server.answers[path] = answer
        with pytest.raises(Retry):
            rows(an_api(server, clock, notes, account=""))
        del server.answers[path]
        server.answers |= {k: v for k, v in RingCentral().answers.items() if k == path}
        assert rows(an_api(server, clock, notes, account="")) == []

    def test_what_lacks_in_the_secret_is_named_with_its_part(self, server, clock, notes):
        """RingEX has a part of its own."""
        api = an_api(server, clock, notes, credentials=dict)
        with pytest.raises(Barred, match="clientId, clientSecret, jwt in its part `ringcx`"):
            rows(api)
        assert server.requests == []

    def test_no_token_stands_in_the_ledger_as_it_is(self, api, notes):
        """Neither those nor what renews them."""
        rows(api)
        text = json.dumps([note.content for note in notes.notes.values()])
        assert '"cx1"' not in text
        assert '"fresh1"' not in text

    def test_a_refused_user_does_not_stop_the_others(self, server, clock, notes):
        """Each has a token of its own."""

        def answer(request):
            return EXPIRED if request.headers["authorization"] < "Bearer cx3" else own

        own = httpx.Response(200, json=[{"dialogId": "s"}])
        server.answers[METADATA_PATH] = answer
        many = {**CREDENTIALS, "jwt": ["a", "b"]}
        assert rows(an_api(server, clock, notes, credentials=lambda: many)) == [{"dialogId": "s"}]

    @pytest.mark.parametrize("path", [TOKEN_PATH, EXCHANGE_PATH])
    def test_a_user_that_cannot_log_in_is_known_after_half_an_hour(
        self, server, clock, notes, path
    ):
        """At whichever step, while another one is served."""
        many = {**CREDENTIALS, "jwt": ["a", "b"]}
        own = server.answers[path]
        first = "assertion=a" if path == TOKEN_PATH else "=rc1"

        def answer(request):
            return httpx.Response(503) if first in request.content.decode() else own(request)

        server.answers[path] = answer
        api = an_api(server, clock, notes, credentials=lambda: many)
        for _ in range(17):
            assert rows(api) == []
            clock.advance(120)
        [one] = unserved("ringcx", notes, clock)
        assert one.credential == read_credentials(many, "ringcx")[0].id
        assert one.reason.endswith("answers 503")


class TestInteractions:
    def test_a_window_is_asked_by_its_beginning(self, api, server):
        """In UTC, the fraction of a second cut off, with an agent that is no browser."""
        rows(api)
        request = server.requests[-1]
        assert request.method == "POST"
        assert json.loads(request.content) == {
            "segmentEndTime": "2026-11-20 09:00:00",
            "timeInterval": 900,
            "timeZone": "UTC",
        }
        assert request.headers["user-agent"] == f"Legato/{__version__}"
        assert request.headers["accept-encoding"] == "identity"

    def test_utc_may_be_called_something_else(self, server, clock, notes):
        """Should RingCX not know it by that name."""
        rows(an_api(server, clock, notes, time_zone="Etc/GMT"))
        body = json.loads(server.requests[-1].content)
        assert body["segmentEndTime"] == "2026-11-20 09:00:00"
        assert body["timeZone"] == "Etc/GMT"

    def test_prefix_and_ids_make_the_address(self, server, clock, notes):
        """Ids are quoted, so that none of them leaves its place."""
        api = an_api(server, clock, notes, prefix="/other", account="9/0")
        path = b"/other/accounts/9%2F0/sub-accounts/..%2F21/interaction-metadata"
        server.answers["/other/accounts/9/0/sub-accounts/../21/interaction-metadata"] = (
            httpx.Response(200, json=[])
        )
        api.interactions("../21", begin=BEGIN, seconds=1)
        assert server.requests[-1].url.raw_path == path

    @pytest.mark.parametrize(
        "answer",
        [[{"a": 1}], {"data": [{"a": 1}]}, {"segments": [{"a": 1}]}, {"records": [{"a": 1}]}],
    )
    def test_a_list_is_found_bare_or_in_an_object(self, api, server, answer):
        """The documentation had both."""
        server.answers[METADATA_PATH] = httpx.Response(200, json=answer)
        assert rows(api) == [{"a": 1}]

    @pytest.mark.parametrize(
        "content", [b"", b"<html>", b"{}", b'{"data": {}}', b'"text"', b"null", b"7"]
    )
    def test_any_other_answer_is_asked_again(self, api, server, content):
        """It is never taken for a window without calls."""
        server.answers[METADATA_PATH] = httpx.Response(200, content=content)
        with pytest.raises(Retry):
            rows(api)

    def test_a_403_names_what_may_be_the_cause(self, api, server):
        """The three that it has, and the account id that was used."""
        body = {"errorCode": "access.denied.exception", "details": "agent jane@example.com"}
        server.answers[METADATA_PATH] = lambda _: httpx.Response(403, json=body)
        with pytest.raises(Barred) as barred:
            rows(api)
        reason = str(barred.value)
        for part in ("access.denied.exception", "WEM", "READ", "9000001", "mainAccountId"):
            assert part in reason
        assert "jane" not in reason
        assert barred.value.seconds == 900

    def test_a_403_for_one_sub_account_stops_no_other(self, api, server):
        """The user may lack READ on just this one."""
        server.answers[METADATA_PATH] = httpx.Response(403)
        with pytest.raises(Barred):
            rows(api)
        server.answers[METADATA_PATH.replace("21", "22")] = httpx.Response(200, json=[])
        assert api.interactions("22", begin=BEGIN, seconds=900) == []

    def test_a_400_names_what_is_wrong_and_nobody(self, api, server):
        """The attribute, and not the value that was in it."""
        body = {
            "generalMessage": "Validation failed",
            "developerMessage": "bad request",
            "details": "agent 4711",
            "validationErrors": [
                {"attributeName": "timeZone", "message": "not 4711", "value": "4711"},
                "odd",
            ],
        }
        server.answers[METADATA_PATH] = httpx.Response(400, json=body)
        with pytest.raises(Failed, match="400 Validation failed bad request timeZone") as failed:
            rows(api)
        assert "4711" not in str(failed.value)

    @pytest.mark.parametrize("body", [{"json": {"validationErrors": {}}}, {"content": b"<html>"}])
    def test_an_error_of_any_form_is_read_with_care(self, api, server, body):
        """An HTML page says nothing that belongs into a log."""
        server.answers[METADATA_PATH] = httpx.Response(400, **body)
        with pytest.raises(Failed, match=r"answers 400$"):
            rows(api)

    def test_a_404_is_no_recording_that_may_come(self, api, server):
        """The address is wrong, and waiting does not mend it."""
        server.answers[METADATA_PATH] = httpx.Response(404)
        with pytest.raises(Failed):
            rows(api)

    def test_a_sub_account_has_its_own_two_windows(self, server, clock, notes):
        """Three in a minute, whichever worker asks; another sub-account is not concerned."""
        for _ in range(3):
            rows(an_api(server, clock, notes))
        with pytest.raises(Wait) as wait:
            rows(an_api(server, clock, notes))
        assert wait.value.turn
        assert wait.value.seconds > 60
        server.answers[METADATA_PATH.replace("21", "22")] = httpx.Response(200, json=[])
        an_api(server, clock, notes).interactions("22", begin=BEGIN, seconds=900)

    def test_a_backfill_leaves_room_and_is_promised_nothing(self, api):
        """The sweep that follows it finds the third call of the minute."""
        rows(api, priority=Priority.BACKFILL)
        rows(api, priority=Priority.BACKFILL)
        with pytest.raises(Wait) as wait:
            rows(api, priority=Priority.BACKFILL)
        assert not wait.value.turn
        assert rows(api) == []

    def test_sub_accounts_are_listed(self, api, server):
        """With what they say of retention."""
        listed = [{"accountId": "21", "audioRetentionDays": 90}]
        server.answers[ACCOUNTS_PATH] = httpx.Response(200, json=listed)
        assert api.accounts() == listed

    def test_sub_accounts_that_are_no_objects_are_asked_again(self, api, server):
        """What comes is never handed on unread."""
        server.answers[ACCOUNTS_PATH] = httpx.Response(200, json=["21"])
        with pytest.raises(Retry):
            api.accounts()


class TestLimits:
    @pytest.mark.parametrize(("headers", "seconds"), [({}, 61), ({"Retry-After": "7"}, 8)])
    def test_a_429_closes_the_gate_for_everybody(self, server, clock, notes, headers, seconds):
        """For as long as it says, else for a minute; nothing is sent until then."""
        limited = httpx.Response(429, headers=headers, text="rate")
        server.answers[RECORDING_PATH] = [limited, httpx.Response(200, content=b"audio")]
        with pytest.raises(Wait) as wait:
            read(an_api(server, clock, notes))
        assert wait.value.seconds == seconds
        assert wait.value.turn
        clock.advance(3)
        sent = len(server.requests)
        with pytest.raises(Wait) as other:
            read(an_api(server, clock, notes))
        assert other.value.seconds == seconds - 3
        assert len(server.requests) == sent
        clock.advance(seconds - 3)
        assert read(an_api(server, clock, notes), priority=Priority.RESERVED) == b"audio"

    def test_who_goes_behind_is_promised_nothing_by_a_429_either(self, api, server):
        """It comes back behind everybody."""
        server.answers[RECORDING_PATH] = httpx.Response(429)
        with pytest.raises(Wait) as wait:
            read(api, priority=Priority.BACKFILL)
        assert not wait.value.turn

    def test_log_ins_share_the_allowance_of_the_app(self, server, clock, notes):
        """RingEX counts under the same key, and leaves no room here."""
        api = an_api(server, clock, notes)
        for _ in range(5):
            api._gate.enter("ringex#app-id#Auth")
        with pytest.raises(Wait):
            rows(api)
        assert server.requests == []

    def test_every_user_has_its_own_recordings(self, server, clock, notes):
        """Two carry twice as much."""
        server.answers[RECORDING_PATH] = lambda _: httpx.Response(200, content=b"audio")
        many = {**CREDENTIALS, "jwt": ["a", "b"]}
        limits = {**LIMITS, "Recordings": (Limit(2, 60),)}
        api = an_api(server, clock, notes, credentials=lambda: many, limits=limits)
        for _ in range(4):
            read(api)
        with pytest.raises(Wait):
            read(api)
        assert sorted(server.tokens()) == ["cx1", "cx1", "cx2", "cx2"]


class TestHosts:
    @pytest.mark.parametrize(
        "location",
        [
            "https://evil.example.com/x",
            "http://ringcx.ringcentral.com/x",
            "https://ringcx.ringcentral.com:8443/x",
            f"{PLATFORM}/x",
        ],
    )
    def test_a_redirect_to_another_host_is_refused(self, api, server, location):
        """RingCX's token goes to RingCX alone, not even to RingCentral's platform."""
        server.answers[RECORDING_PATH] = httpx.Response(302, headers={"Location": location})
        with pytest.raises(Denied, match=r"gets no token.* RingcxUrl"):
            read(api)
        assert server.paths() == [TOKEN_PATH, EXCHANGE_PATH, RECORDING_PATH]

    @pytest.mark.parametrize(
        "location", [*BAD_LOCATIONS, "https://a:hidden@ringcx.ringcentral.com/x"]
    )
    @pytest.mark.attacks("a redirect of RingCX to an address that is malformed, or has a user")
    def test_a_redirect_that_leads_nowhere_is_its_recordings_failure(self, api, server, location):
        """Of whatever kind; and the credential is not blamed for it."""
        bad = [(b"location", location.encode(errors="surrogatepass"))]
        server.answers[RECORDING_PATH] = lambda _: httpx.Response(302, headers=bad)
        with pytest.raises((Denied, Retry)) as refused:
            read(api)
        assert "hidden" not in str(refused.value)
        assert server.paths() == [TOKEN_PATH, EXCHANGE_PATH, RECORDING_PATH]

    def test_each_token_goes_to_its_own_host(self, server, clock, notes):
        """The platform's to the platform, and in a form to RingCX."""
        rows(an_api(server, clock, notes, account=""))
        seen = {
            (request.url.host, head)
            for request, head in zip(server.requests, server.heads, strict=True)
        }
        assert {host for host, head in seen if "cx1" in head} == {"ringcx.ringcentral.com"}
        assert {host for host, head in seen if "rc1" in head} == {"platform.ringcentral.com"}

    def test_a_redirect_within_the_host_is_followed(self, api, server):
        """Relative or absolute, with the token, and with method and body of what was asked."""
        server.answers[METADATA_PATH] = httpx.Response(307, headers={"Location": "/1"})
        server.answers["/1"] = httpx.Response(308, headers={"Location": f"{RINGCX}/2"})
        server.answers["/2"] = httpx.Response(200, json=[{"a": 1}])
        assert rows(api) == [{"a": 1}]
        assert server.requests[-1].method == "POST"
        assert server.requests[-1].content == server.requests[2].content
        assert server.tokens() == ["cx1"] * 3

    def test_no_cookie_is_kept(self, api, server):
        """A session of RingCX's would speak for another user's token."""
        cookie = {"Set-Cookie": "session=1; Domain=ringcentral.com; Path=/"}
        server.answers[METADATA_PATH] = lambda _: httpx.Response(200, json=[], headers=cookie)
        rows(api)
        rows(api)
        assert "cookie" not in server.requests[-1].headers


class TestRecordings(Downloads):
    path = RECORDING_PATH

    def stream(self, api, **more):
        return api.stream("21", "s-v-1", "p-v-1", **more)

    def test_legato_says_its_name(self, api, server):
        server.answers[RECORDING_PATH] = httpx.Response(200, content=b"audio")
        assert read(api) == b"audio"
        assert server.requests[-1].headers["user-agent"] == f"Legato/{__version__}"

    def test_what_has_begun_takes_the_room_that_is_kept_for_the_others(self, server, clock, notes):
        """The rest of a recording is asked for at once."""
        server.answers[RECORDING_PATH] = resumed()
        api = an_api(server, clock, notes, limits={**LIMITS, "Recordings": (Limit(2, 60),)})
        assert read(api, priority=Priority.BACKFILL) == b"halfrest"

    def test_a_404_may_still_become_a_recording(self, api, server):
        """It is being processed for some minutes after the call."""
        server.answers[RECORDING_PATH] = httpx.Response(404, json={"generalMessage": "not found"})
        with pytest.raises(NotYet, match="not found"):
            read(api)

    def test_a_404_for_the_account_names_it(self, api, server):
        """A bare string, from a company that had configured RingCX's mainAccountId."""
        text = "EvPlatform by rc_account_id=9000001 not found"
        server.answers[RECORDING_PATH] = httpx.Response(404, json=text)
        with pytest.raises(Barred, match="9000001 is not the RingCentral account id"):
            read(api)
