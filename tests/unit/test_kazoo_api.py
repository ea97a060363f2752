"""Kazoo over HTTP: log-in, bucket, hosts, envelopes of every kind, audio and its traps."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest

from legato.errors import Barred, Denied, Failed, NotYet, Retry, Wait
from legato.model import Priority
from legato.ports import SourceRecording
from legato.providers.kazoo.api import KazooApi
from legato.providers.kazoo.provider import KazooSource
from legato.settings import Limit
from tests.fakes import BAD_LOCATIONS, NOON, FakeServer
from tests.unit.downloads import Broken, Downloads, resumed

KAZOO = "https://kazoo.example.com:8443/v2"
KEY = "k" * 64
USER = {"username": "Jane", "password": "Secret", "accountName": "acme"}
LIMITS = {"Requests": (Limit(50, 5),)}
API_AUTH_PATH = "/v2/api_auth"
USER_AUTH_PATH = "/v2/user_auth"
LIST_PATH = "/v2/accounts/a1/recordings"
RECORDING_PATH = f"{LIST_PATH}/202611-r1"
FROM = datetime(2026, 11, 20, 9, 0, 0, 900_000, tzinfo=UTC)
MP3 = {"Content-Type": "audio/mpeg"}
LOG_IN_PAUSE = 6
"""Seconds after which the bucket has room for another log-in."""


def success(data, status=200, **rest):
    return httpx.Response(status, json={"data": data, "status": "success", **rest})


def error(status, message="", data=None, *, http=None, code=None):
    body = {"data": data or {}, "error": code or str(status), "message": message}
    return httpx.Response(http or status, json={**body, "status": "error"})


def jwt(**claims):
    """Return a token as Kazoo signs it; nobody here can verify it."""
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"head.{body}.sign"


class Server(FakeServer):
    """Mints t1, t2, …, and remembers with which of them every request came."""

    def __init__(self):
        super().__init__()
        self.tokens = []
        self.minted = 0
        self.answers = {
            API_AUTH_PATH: self._minted,
            USER_AUTH_PATH: self._minted,
            LIST_PATH: lambda _: success([]),
        }

    def __call__(self, request):
        self.tokens.append(request.headers.get("x-auth-token"))
        return super().__call__(request)

    def _minted(self, _request):
        self.minted += 1
        return success({"account_id": "a1"}, 201, auth_token=f"t{self.minted}")


@pytest.fixture
def server():
    return Server()


def an_api(server, clock, notes, **changes):
    parts = {
        "url": KAZOO,
        "credentials": lambda: {"apiKey": KEY},
        "limits": LIMITS,
        "sleep": clock.advance,
        "transport": httpx.MockTransport(server),
    }
    return KazooApi(notes=notes, clock=clock, **{**parts, **changes})


@pytest.fixture
def api(server, clock, notes):
    return an_api(server, clock, notes)


def page(api, **changes):
    asked = {"created_from": FROM, "created_to": FROM + timedelta(days=31), "page_size": 200}
    return api.recordings("a1", **{**asked, **changes})


def read(api, **changes):
    with api.stream("a1", "202611-r1", **changes) as pieces:
        return b"".join(pieces)


class TestLogIn:
    def test_an_api_key_is_traded_for_a_token(self, api, server):
        """It goes in the body, and the token in a header of its own."""
        page(api)
        assert server.paths() == [API_AUTH_PATH, LIST_PATH]
        assert server.requests[0].method == "PUT"
        assert json.loads(server.requests[0].content) == {"data": {"api_key": KEY}}
        assert server.tokens == [None, "t1"]

    def test_a_user_logs_in_by_a_hash(self, server, clock, notes):
        """The name in lower case, as Kazoo keeps it; the password as it is."""
        page(an_api(server, clock, notes, credentials=lambda: USER))
        assert server.paths() == [USER_AUTH_PATH, LIST_PATH]
        assert json.loads(server.requests[0].content)["data"] == {
            "credentials": hashlib.md5(b"jane:Secret", usedforsecurity=False).hexdigest(),
            "method": "md5",
            "account_name": "acme",
        }

    @pytest.mark.parametrize(
        ("secret", "named"),
        [
            ({}, r"apiKey \(or username, password, accountName\)"),
            (None, r"apiKey \(or username, password, accountName\)"),
            ("text", r"apiKey \(or username, password, accountName\)"),
            ({"apiKey": 7}, r"apiKey \(or username, password, accountName\)"),
            ({**USER, "password": "", "accountName": None}, "password, accountName"),
        ],
    )
    def test_what_lacks_in_the_secret_is_named_with_its_part(
        self, server, clock, notes, secret, named
    ):
        """For the operator who has just deployed."""
        api = an_api(server, clock, notes, credentials=lambda: secret)
        with pytest.raises(Barred, match=f"no Kazoo {named} in its part `kazoo`") as barred:
            page(api)
        assert barred.value.seconds == 300
        assert server.requests == []

    def test_either_status_of_a_log_in_is_good(self, api, server):
        """201 was seen, 200 is documented."""
        server.answers[API_AUTH_PATH] = success({}, 200, auth_token="t1")
        page(api)
        assert server.tokens[-1] == "t1"

    @pytest.mark.parametrize("life", [600, 3600, 7200])
    def test_a_token_serves_all_workers_for_nine_tenths_of_its_life(
        self, server, clock, notes, life
    ):
        """Which it says itself."""
        exp = NOON.timestamp() + life
        tokens = [jwt(account_id="a1", exp=exp), "next"]
        server.answers[API_AUTH_PATH] = lambda _: success({}, 201, auth_token=tokens.pop(0))
        page(an_api(server, clock, notes))
        clock.advance(life * 0.9 - 1)
        page(an_api(server, clock, notes))
        assert server.paths().count(API_AUTH_PATH) == 1
        clock.advance(2)
        page(an_api(server, clock, notes))
        assert server.tokens[-1] == "next"

    @pytest.mark.parametrize(
        "token",
        [
            "opaque",
            "a.b.c",
            "a.é.c",
            jwt(account_id="a1"),
            jwt(exp="soon"),
            jwt(exp=10**400),
            jwt(exp=float("nan")),
            jwt(exp=1),
            "a.WzFd.c",
        ],
    )
    def test_a_token_that_does_not_tell_is_taken_for_an_hour(self, server, clock, notes, token):
        """Less a minute. One that is dead on arrival is not replaced with every request either."""
        server.answers[API_AUTH_PATH] = lambda _: success({}, 201, auth_token=token)
        page(an_api(server, clock, notes))
        clock.advance(3540 * 0.9 - 1)
        page(an_api(server, clock, notes))
        assert server.paths().count(API_AUTH_PATH) == 1
        clock.advance(2)
        page(an_api(server, clock, notes))
        assert server.paths().count(API_AUTH_PATH) == 2

    def test_an_unknown_api_key_is_set_aside(self, server, clock, notes, caplog):
        """It is answered 404, which is no recording that may come. The log does not name it."""
        answer = error(404, "bad identifier", [KEY])
        server.answers[API_AUTH_PATH] = lambda _: answer
        for _ in range(3):
            with pytest.raises(Barred, match=r"api_auth answers 404 bad identifier$") as barred:
                page(an_api(server, clock, notes))
        assert barred.value.seconds == 300
        assert server.paths() == [API_AUTH_PATH]
        [record] = caplog.records
        assert record.message == "credential set aside"
        assert KEY not in str(record.__dict__)

    @pytest.mark.parametrize("answer", [error(401), error(400), error(403), error(401, http=200)])
    def test_a_refused_log_in_is_not_repeated(self, server, clock, notes, answer):
        """Also where the refusal stands behind a 200; a mended secret is tried at once."""
        server.answers[USER_AUTH_PATH] = answer
        for _ in range(2):
            with pytest.raises(Barred, match="Kazoo mints no token"):
                page(an_api(server, clock, notes, credentials=lambda: USER))
        assert server.minted == 0
        assert server.paths() == [USER_AUTH_PATH]
        server.answers[USER_AUTH_PATH] = server._minted
        clock.advance(LOG_IN_PAUSE)
        mended = {**USER, "password": "Better"}
        page(an_api(server, clock, notes, credentials=lambda: mended))
        assert server.minted == 1

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(503),
            httpx.Response(408),
            httpx.Response(302, headers={"Location": f"{KAZOO}/other"}),
            httpx.Response(200, content=b"<html>"),
            success({}, 201),
            success({}, 201, auth_token=7),
            error(500, http=200),
        ],
    )
    def test_a_log_in_that_fails_is_tried_again_later(self, api, server, clock, answer):
        """A passing fault is not the credential's."""
        server.answers[API_AUTH_PATH] = answer
        with pytest.raises(Retry):
            page(api)
        server.answers[API_AUTH_PATH] = server._minted
        clock.advance(LOG_IN_PAUSE)
        page(api)

    @pytest.mark.parametrize("http", [401, 200])
    def test_a_token_that_has_died_costs_one_new_one(self, api, server, clock, http):
        """Whether HTTP says so, or the envelope alone."""
        dead = error(401, "invalid_credentials", http=http)
        server.answers[LIST_PATH] = [success([]), dead, success([{"id": "1"}])]
        page(api)
        clock.advance(LOG_IN_PAUSE)
        assert page(api).documents == [{"id": "1"}]
        assert server.tokens == [None, "t1", "t1", None, "t2"]

    def test_a_second_401_sets_the_credential_aside(self, api, server, clock):
        """And nothing more is sent."""
        page(api)
        clock.advance(LOG_IN_PAUSE)
        server.requests.clear()
        server.tokens.clear()
        answer = error(401, "invalid_credentials", {"message": "invalid credentials"})
        server.answers[LIST_PATH] = lambda _: answer
        for _ in range(2):
            with pytest.raises(Barred, match="401 invalid_credentials invalid credentials"):
                page(api)
        assert server.tokens == ["t1", None, "t2"]

    def test_nothing_secret_stands_in_the_ledger(self, server, clock, notes):
        """Neither the token nor what it was traded for; who has another password cannot read it."""
        server.answers[USER_AUTH_PATH] = lambda _: success({}, 201, auth_token="a-secret-token")
        page(an_api(server, clock, notes, credentials=lambda: USER))
        hashed = json.loads(server.requests[0].content)["data"]["credentials"]
        text = json.dumps([(key, note.content) for key, note in notes.notes.items()])
        for secret in ("a-secret-token", "Secret", "jane", hashed):
            assert secret not in text
        clock.advance(LOG_IN_PAUSE)
        page(an_api(server, clock, notes, credentials=lambda: {**USER, "password": "Other"}))
        assert server.paths().count(USER_AUTH_PATH) == 2


class TestBucket:
    def test_a_log_in_counts_for_35(self, server, clock, notes):
        """By the bucket that Kazoo draws it from, which is no account's."""
        api = an_api(server, clock, notes)
        page(api)
        assert api._gate.wait("kazoo#no_account#Requests") == -15
        assert api._gate.wait("kazoo#a1#Requests") == -49
        clock.advance(3)
        server.answers[LIST_PATH] = [error(401)]
        with pytest.raises(Wait) as wait:
            page(api)
        assert not isinstance(wait.value, Barred)
        assert wait.value.seconds == pytest.approx(2.1)
        assert server.minted == 1

    def test_each_account_has_its_own(self, server, clock, notes):
        """Fifty at once, by whichever worker; another account is not concerned."""
        for _ in range(50):
            page(an_api(server, clock, notes))
        with pytest.raises(Wait) as wait:
            page(an_api(server, clock, notes))
        assert wait.value.turn
        assert wait.value.seconds == pytest.approx(5.1)
        server.answers[LIST_PATH.replace("a1", "a2")] = success([])
        an_api(server, clock, notes).recordings(
            "a2", created_from=FROM, created_to=FROM, page_size=1
        )

    def test_what_remains_corrects_the_gate(self, api, server):
        """Others draw from the same bucket."""
        tokens = {"consumed": 1, "remaining": 7}
        server.answers[LIST_PATH] = success([], tokens=tokens)
        page(api)
        assert api._gate.wait("kazoo#a1#Requests") == -7

    def test_an_error_tells_it_too(self, api, server):
        """Every envelope does."""
        body = {"status": "error", "error": "404", "tokens": {"consumed": 1, "remaining": 7}}
        server.answers[RECORDING_PATH] = httpx.Response(404, json=body)
        with pytest.raises(NotYet):
            read(api)
        assert api._gate.wait("kazoo#a1#Requests") == -7

    @pytest.mark.parametrize(
        "tokens",
        [
            None,
            [],
            {},
            {"remaining": "7"},
            {"remaining": -1},
            {"consumed": 1, "remaining": 99},
            {"consumed": 0, "remaining": 0},
        ],
    )
    def test_what_cannot_be_believed_does_not(self, api, server, tokens):
        """Nor does what was not counted: Kazoo's limits can be turned off."""
        server.answers[LIST_PATH] = success([], tokens=tokens)
        page(api)
        assert api._gate.wait("kazoo#a1#Requests") == -49

    @pytest.mark.parametrize(
        ("answer", "seconds"),
        [
            (httpx.Response(429), 11),
            (httpx.Response(429, headers={"Retry-After": "7"}), 8),
            (error(429, "too_many_requests"), 11),
            (error(429, "too_many_requests", http=200), 11),
        ],
    )
    def test_a_429_closes_the_gate_for_everybody(self, server, clock, notes, answer, seconds):
        """Until the bucket is full again, as Kazoo does not say how long."""
        server.answers[RECORDING_PATH] = [answer, httpx.Response(200, content=b"a", headers=MP3)]
        with pytest.raises(Wait, match="Kazoo's rate limit") as wait:
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
        assert read(an_api(server, clock, notes), priority=Priority.RESERVED) == b"a"

    @pytest.mark.parametrize("http", [200, 429])
    def test_who_goes_behind_is_promised_nothing_by_a_429(self, api, server, http):
        """It comes back behind everybody."""
        server.answers[LIST_PATH] = error(429, http=http)
        with pytest.raises(Wait) as wait:
            page(api, priority=Priority.BACKFILL)
        assert not wait.value.turn

    def test_who_goes_behind_leaves_a_tenth(self, api):
        """The sweep finds it."""
        for _ in range(45):
            page(api, priority=Priority.BACKFILL)
        with pytest.raises(Wait) as wait:
            page(api, priority=Priority.BACKFILL)
        assert not wait.value.turn
        page(api)


class TestHosts:
    @pytest.mark.parametrize(
        "location",
        [
            "https://evil.example.com/v2",
            "http://kazoo.example.com:8443/v2",
            "https://kazoo.example.com/v2",
        ],
    )
    def test_a_redirect_to_another_host_is_refused(self, api, server, location):
        """The token goes to the configured origin, port and all, and to no other."""
        server.answers[RECORDING_PATH] = httpx.Response(302, headers={"Location": location})
        with pytest.raises(Denied, match=r"gets no token.* KazooUrl"):
            read(api)
        assert server.paths() == [API_AUTH_PATH, RECORDING_PATH]

    @pytest.mark.parametrize(
        "location", [*BAD_LOCATIONS, "https://a:hidden@kazoo.example.com:8443/v2/x"]
    )
    @pytest.mark.attacks("a redirect of Kazoo to an address that is malformed, or has a user")
    def test_a_redirect_that_leads_nowhere_is_its_recordings_failure(self, api, server, location):
        """Of whatever kind; and the credential is not blamed for it."""
        bad = [(b"location", location.encode(errors="surrogatepass"))]
        server.answers[RECORDING_PATH] = lambda _: httpx.Response(302, headers=bad)
        with pytest.raises((Denied, Retry)) as refused:
            read(api)
        assert "hidden" not in str(refused.value)
        assert server.paths() == [API_AUTH_PATH, RECORDING_PATH]

    def test_a_redirect_within_the_host_is_followed(self, api, server):
        """With the token, and with what is accepted."""
        server.answers[RECORDING_PATH] = httpx.Response(302, headers={"Location": "/v2/x"})
        server.answers["/v2/x"] = httpx.Response(200, content=b"a", headers=MP3)
        assert read(api) == b"a"
        assert server.tokens == [None, "t1", "t1"]
        assert server.requests[-1].headers["accept"] == "audio/mpeg"

    @pytest.mark.parametrize("base", [KAZOO, f"{KAZOO}/"])
    def test_ids_stay_in_their_place(self, server, clock, notes, base):
        """Each is quoted, below the base."""
        server.answers["/v2/accounts/a/1/recordings/../x?y"] = success({"id": "x"})
        api = an_api(server, clock, notes, url=base)
        assert api.recording("a/1", "../x?y") == {"id": "x"}
        raw = b"/v2/accounts/a%2F1/recordings/..%2Fx%3Fy"
        assert server.requests[-1].url.raw_path == raw

    @pytest.mark.parametrize("name", ["", ".", ".."])
    def test_an_id_that_leads_elsewhere_is_refused(self, api, server, name):
        """To delete the recording `..` would be to delete the account."""
        with pytest.raises(Failed, match="is no id"):
            api.delete("a1", name)
        with pytest.raises(Denied, match="is no id"):
            read_of(api, name)
        assert server.requests == []


class TestDescendants:
    PATH = "/v2/accounts/a1/descendants"

    def test_all_pages_are_read(self, api, server):
        """Whatever is no account is passed over; who looks at the ids is the caller."""
        server.answers[self.PATH] = [
            success([{"id": "b", "name": "B", "tree": ["a1"]}, 7], next_start_key="g2w"),
            success([{"id": "c"}, {"name": "no id"}]),
        ]
        assert api.descendants("a1") == ["b", "c"]
        first, second = server.requests[-2:]
        assert first.url.params.get("start_key") is None
        assert second.url.params["start_key"] == "g2w"

    def test_a_list_without_an_end_is_given_up(self, server, clock, notes):
        """Each page names another one as the next."""
        keys = count()
        server.answers[self.PATH] = lambda _: success([], next_start_key=f"k{next(keys)}")
        api = an_api(server, clock, notes, limits={"Requests": (Limit(1000, 1),)})
        with pytest.raises(Retry, match="more accounts below a1 than can be"):
            api.descendants("a1")

    @pytest.mark.parametrize("answer", [success({}), httpx.Response(200, content=b"<html>")])
    def test_an_answer_that_is_no_list_says_nothing(self, api, server, answer):
        """It is not taken for an account without customers."""
        server.answers[self.PATH] = answer
        with pytest.raises(Retry):
            api.descendants("a1")


def read_of(api, recording):
    with api.stream("a1", recording) as pieces:
        return b"".join(pieces)


class TestRecordings:
    def test_a_window_is_asked_in_gregorian_seconds_and_from_its_beginning(self, api, server):
        """The fraction of a second cut off; as JSON, which is all that a list comes in."""
        page(api, filters={"filter_owner_id": "u", "created_from": "0"})
        request = server.requests[-1]
        assert request.method == "GET"
        assert dict(request.url.params) == {
            "filter_owner_id": "u",
            "created_from": "63962384400",
            "created_to": "63965062800",
            "ascending": "true",
            "page_size": "200",
        }
        assert request.headers["accept"] == "application/json"

    def test_those_of_one_user_have_an_address_of_their_own(self, api, server):
        """Below the account's."""
        server.answers["/v2/accounts/a1/users/u1/recordings"] = success([{"id": "1"}])
        assert page(api, user="u1").documents == [{"id": "1"}]

    def test_a_page_tells_where_the_next_one_begins(self, api, server):
        """The key is passed on as it is; documents are whatever they are."""
        server.answers[LIST_PATH] = [
            success([{"id": "1"}, 7, None], next_start_key="g2wAAAAC=", start_key="g2w"),
            success([], start_key="g2wAAAAC="),
        ]
        first = page(api)
        assert first.documents == [{"id": "1"}, 7, None]
        assert first.next_start_key == "g2wAAAAC="
        last = page(api, start_key=first.next_start_key)
        assert server.requests[-1].url.params["start_key"] == "g2wAAAAC="
        assert last.next_start_key is None

    def test_a_page_that_leads_to_itself_is_named(self, api, server):
        """It would be read for ever."""
        server.answers[LIST_PATH] = lambda _: success([], next_start_key="g2w")
        with pytest.raises(Retry, match="next_start_key g2w"):
            page(api, start_key="g2w")

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(200),
            httpx.Response(200, content=b"<html>"),
            httpx.Response(200, json=[]),
            httpx.Response(200, json={"status": "success"}),
            success({}),
            success(None),
            success([], next_start_key=[1, 2]),
        ],
    )
    def test_any_other_answer_is_asked_again(self, api, server, answer):
        """It is never taken for a window without calls, nor for the last page."""
        server.answers[LIST_PATH] = answer
        with pytest.raises(Retry):
            page(api)

    def test_a_window_that_is_too_long_names_the_field(self, api, server):
        """And what Kazoo says of it."""
        problem = {"message": "created_to is more than 2682000 seconds", "cause": 63965062800}
        data = {"created_from": {"date_range": problem}}
        server.answers[LIST_PATH] = error(400, "validation error", data)
        says = r"400 validation error created_from\.date_range: created_to is more than 2682000"
        with pytest.raises(Failed, match=says) as failed:
            page(api)
        assert "63965062800" not in str(failed.value)

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(400, content=b"<html>"),
            httpx.Response(400, json=["odd"]),
            httpx.Response(400, json={"message": 7, "data": [{"message": "odd"}]}),
            httpx.Response(400, json={"data": {"a": {"b": {"c": {"d": {"message": "deep"}}}}}}),
        ],
    )
    def test_an_error_of_any_form_is_read_with_care(self, api, server, answer):
        """What is nothing that we know says nothing."""
        server.answers[LIST_PATH] = answer
        with pytest.raises(Failed, match=r"answers 400$"):
            page(api)

    def test_an_error_is_cut_short(self, api, server):
        """A log is no place for pages."""
        server.answers[LIST_PATH] = error(400, "x" * 10_000)
        with pytest.raises(Failed) as failed:
            page(api)
        assert len(str(failed.value)) < 300

    def test_a_403_names_what_may_be_the_cause(self, api, server):
        """The account that was asked for, and what may forbid it; another one is not barred."""
        server.answers[LIST_PATH] = error(403, "forbidden")
        with pytest.raises(Barred) as barred:
            page(api)
        reason = str(barred.value)
        for part in ("403 forbidden", "a1 is neither", "administrator", "token restrictions"):
            assert part in reason
        assert barred.value.seconds == 900
        server.answers[LIST_PATH] = success([])
        page(api)

    def test_an_account_that_is_not_there_will_not_come(self, api, server):
        """404 is for a recording that may."""
        server.answers[LIST_PATH] = error(404, "bad identifier")
        with pytest.raises(Failed, match="404 bad identifier"):
            page(api)

    @pytest.mark.parametrize("status", [408, 409, 416, 500, 502, 503, 504])
    @pytest.mark.parametrize("http", [None, 200])
    def test_a_passing_fault_is_repeated_later(self, api, server, status, http):
        """Whether HTTP says it, or the envelope alone."""
        server.answers[LIST_PATH] = error(status, "datastore_fault", http=http)
        with pytest.raises(Retry, match=f"{status} datastore_fault"):
            page(api)

    @pytest.mark.parametrize(
        ("body", "raised"),
        [
            ({"status": "error", "error": "400", "message": "odd"}, Failed),
            ({"status": "error", "error": 403}, Barred),
            ({"status": "fatal", "error": "500"}, Retry),
            ({"status": "error", "error": "200", "data": []}, Retry),
            ({"status": "error", "error": "²", "data": []}, Retry),
            ({"status": "fatal", "data": []}, Retry),
        ],
    )
    def test_an_error_behind_a_200_is_one(self, api, server, body, raised):
        """By its code; without one that we know it may pass."""
        server.answers[LIST_PATH] = httpx.Response(200, json=body)
        with pytest.raises(raised):
            page(api)

    @pytest.mark.parametrize("status", [400, 402, 405, 406, 415, 451])
    def test_any_other_refusal_is_the_recordings_own(self, api, server, status):
        """It names the request."""
        server.answers[RECORDING_PATH] = error(status, "no")
        with pytest.raises(Denied, match=rf"GET kazoo\.example\.com{RECORDING_PATH} .*{status} no"):
            read(api)

    def test_a_connection_that_fails_is_repeated_later(self, api, server):
        """Named by host and path."""

        def refuse(request):
            raise httpx.ConnectError("refused", request=request)

        server.answers[LIST_PATH] = refuse
        with pytest.raises(Retry, match=r"GET kazoo\.example\.com/v2.*ConnectError"):
            page(api)

    def test_a_document_is_found_by_its_id(self, api, server):
        """As JSON, not as audio."""
        server.answers[RECORDING_PATH] = success({"id": "202611-r1"})
        assert api.recording("a1", "202611-r1") == {"id": "202611-r1"}
        assert server.requests[-1].headers["accept"] == "application/json"

    def test_a_document_that_is_not_there_may_come(self, api, server):
        """As its audio."""
        server.answers[RECORDING_PATH] = error(404, "bad identifier")
        with pytest.raises(NotYet):
            api.recording("a1", "202611-r1")

    def test_a_document_that_is_none_is_asked_again(self, api, server):
        """Whatever stands in its place."""
        server.answers[RECORDING_PATH] = success([])
        with pytest.raises(Retry):
            api.recording("a1", "202611-r1")

    def test_a_recording_is_deleted(self, api, server):
        """A 404 may be another month's database, so it is told."""
        server.answers[RECORDING_PATH] = [success({"id": "202611-r1"}), error(404)]
        api.delete("a1", "202611-r1")
        assert server.requests[-1].method == "DELETE"
        with pytest.raises(NotYet):
            api.delete("a1", "202611-r1")

    def test_a_redirect_that_makes_a_get_of_a_deletion_deletes_nothing(self, api, server):
        """A recording that is only read is not told to be removed."""
        server.answers[RECORDING_PATH] = httpx.Response(302, headers={"Location": "/v2/x"})
        server.answers["/v2/x"] = success({"id": "202611-r1"})
        with pytest.raises(Retry, match="is redirected to a GET"):
            api.delete("a1", "202611-r1")
        assert "/v2/x" not in server.paths()

    def test_removal_goes_behind_and_leaves_room(self, api, server):
        """A tenth of the bucket is for whoever archives."""
        server.answers[RECORDING_PATH] = lambda _: success({"id": "202611-r1"})
        source = KazooSource(api)
        for _ in range(45):
            source.remove([SourceRecording("a1", "202611-r1")])
        with pytest.raises(Wait) as wait:
            source.remove([SourceRecording("a1", "202611-r1")])
        assert not wait.value.turn
        api.recording("a1", "202611-r1")

    @pytest.mark.parametrize(
        ("name", "named_only", "removable"),
        [
            (f"202611-{'0a' * 16}", False, True),
            (f"202611-{'0a' * 16}", True, False),
            (f"arrived-{'0a' * 16}", False, False),
            ("202611-r1", False, False),
        ],
    )
    def test_only_what_kazoo_has_listed_is_removed(self, api, name, named_only, removable):
        """What came without a document has an id that Kazoo does not know."""
        leg = {"id": name, "named_only": named_only, "details": {}}
        assert KazooSource(api).removable("a1", leg) is removable


class TestAudio(Downloads):
    path = RECORDING_PATH
    headers = MP3

    def stream(self, api, **more):
        return api.stream("a1", "202611-r1", **more)

    def test_audio_is_asked_for_by_its_type(self, api, server):
        """Any other type is answered with a document. What comes is whatever Kazoo has."""
        wav = {"Content-Type": "audio/x-wav"}
        server.answers[RECORDING_PATH] = httpx.Response(200, content=b"audio", headers=wav)
        assert read(api) == b"audio"
        assert server.requests[-1].headers["accept"] == "audio/mpeg"

    def test_what_has_begun_takes_the_room_that_is_kept_for_the_others(self, server, clock, notes):
        """The rest of a recording is asked for at once, and by its type."""
        server.answers[RECORDING_PATH] = resumed(MP3)
        api = an_api(server, clock, notes, limits={"Requests": (Limit(2, 60),)})
        assert read(api, priority=Priority.BACKFILL) == b"halfrest"
        assert {request.headers["accept"] for request in server.requests[1:]} == {"audio/mpeg"}

    @pytest.mark.parametrize("message", ["bad_identifier", "not_found"])
    def test_a_404_may_still_become_a_recording(self, api, server, message):
        """The document is saved before its audio is."""
        server.answers[RECORDING_PATH] = error(404, message, {"details": "202611-r1"})
        with pytest.raises(NotYet, match=f"404 {message}$"):
            read(api)

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(200, headers=MP3),
            httpx.Response(200),
            httpx.Response(204),
            error(404, "bad_identifier", http=200),
        ],
    )
    def test_nothing_at_all_may_still_become_a_recording(self, api, server, answer):
        """Kazoo sends an empty body where it has no audio yet, or its error behind a 200."""
        server.answers[RECORDING_PATH] = answer
        with pytest.raises(NotYet):
            read(api)

    @pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
    @pytest.mark.parametrize("content", [b'{"data": {"id": "1"}, "status": "success"}', b"", b"[]"])
    def test_json_is_no_recording(self, api, server, kind, content):
        """It is what Kazoo sends if it does not see what is accepted."""
        server.answers[RECORDING_PATH] = httpx.Response(
            200, content=content, headers={"Content-Type": kind}
        )
        with pytest.raises(Retry):
            read(api)

    def test_what_is_refused_gives_its_connection_back(self, api, server, clock):
        """Even if it breaks off."""
        closed = []

        class Body(Broken):
            def close(self):
                closed.append(True)

        page(api)
        clock.advance(LOG_IN_PAUSE)
        server.answers[RECORDING_PATH] = lambda _: httpx.Response(401, stream=Body())
        with pytest.raises(Barred):
            read(api)
        assert closed == [True] * 2
