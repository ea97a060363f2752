"""RingCentral over HTTP: tokens, limits, hosts, and bodies that break off."""

import json
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest

from legato.errors import Barred, Denied, Failed, LegatoError, NotYet, Retry, Wait
from legato.ledger.provider_health import CHANGES, unserved
from legato.model import Priority
from legato.ports import SourceRecording
from legato.providers.credentials import read_credentials
from legato.providers.ringex.api import EXTRACT_SYNC, RingexApi
from legato.providers.ringex.provider import CALL_LOG, Ringex, RingexSource
from legato.settings import Limit
from tests.fakes import NOON, FakeNotes, FakeServer, a_job, a_leg, an_id
from tests.unit.downloads import Downloads

PLATFORM = "https://platform.ringcentral.com"
MEDIA = "https://media.ringcentral.com"
CONTENT = f"{MEDIA}:443/restapi/v1.0/account/1/recording/7/content"
CREDENTIALS = {"clientId": "id", "clientSecret": "s", "jwt": "header.body.sign"}
TWO_USERS = {**CREDENTIALS, "jwt": ["jwt-one", "jwt-two"]}
LIMITS = {group: (Limit(10, 60),) for group in ("Light", "Medium", "Heavy", "Auth")}


class RingCentral(FakeServer):
    """Mints tokens t1, t2, …, and remembers how every request was authorized."""

    def __init__(self):
        super().__init__()
        self.heads = []
        self.minted = 0
        self.mint = None
        self.answers["/restapi/oauth/token"] = self._minted

    def __call__(self, request):
        self.heads.append(request.headers.get("authorization", ""))
        return super().__call__(request)

    def _minted(self, _request):
        self.minted += 1
        token = {"access_token": f"t{self.minted}", "expires_in": 3600}
        return self.mint or httpx.Response(200, json=token)

    def tokens(self):
        return [head.removeprefix("Bearer ") for head in self.heads if head.startswith("Bearer")]


@pytest.fixture
def server():
    return RingCentral()


def an_api(server, clock, notes, credentials=CREDENTIALS, limits=LIMITS):
    return RingexApi(
        platform=PLATFORM,
        media=MEDIA,
        credentials=lambda: credentials,
        limits=limits,
        notes=notes,
        clock=clock,
        sleep=clock.advance,
        transport=httpx.MockTransport(server),
    )


@pytest.fixture
def api(server, clock, notes):
    return an_api(server, clock, notes)


def read(api, address=CONTENT):
    with api.stream(address) as pieces:
        return b"".join(pieces)


CONTENT_PATH = "/restapi/v1.0/account/1/recording/7/content"


class TestTokens:
    def test_one_token_serves_until_its_last_tenth(self, api, server, clock):
        """Then it is renewed, while it is still alive."""
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        api.get("/x", {})
        clock.advance(3200)
        api.get("/x", {})
        assert server.minted == 1
        clock.advance(41)
        api.get("/x", {})
        assert server.tokens() == ["t1", "t1", "t2"]

    def test_two_workers_share_one_token(self, server, clock, notes):
        """It stands in the ledger, and not as it is."""
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        for _ in range(2):
            an_api(server, clock, notes).get("/x", {})
        assert server.tokens() == ["t1", "t1"]
        assert '"t1"' not in json.dumps([note.content for note in notes.notes.values()])

    def test_the_jwt_is_traded_as_documented(self, api, server):
        """Basic authentication of the app, the JWT as assertion in a form."""
        server.answers["/x"] = httpx.Response(200, json={})
        api.get("/x", {})
        mint = server.requests[0]
        assert mint.headers["authorization"].startswith("Basic ")
        form = httpx.QueryParams(mint.content.decode())
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        assert form["assertion"] == CREDENTIALS["jwt"]

    def test_an_evicted_token_costs_one_new_one(self, api, server):
        """Another client of the same app may have pushed ours out."""
        server.answers["/x"] = [httpx.Response(401), httpx.Response(200, json={"ok": 1})]
        assert api.get("/x", {}) == {"ok": 1}
        assert server.tokens() == ["t1", "t2"]

    def test_a_second_401_sets_the_credential_aside_for_five_minutes(self, api, server, clock):
        """Each token counts against five a minute; repeated violation suspends the app."""
        error = {"errors": [{"errorCode": "OAU-213", "message": "m"}]}
        server.answers["/x"] = lambda _: httpx.Response(401, json=error)
        with pytest.raises(Barred, match="OAU-213"):
            api.get("/x", {})
        assert server.minted == 2
        sent = len(server.requests)
        with pytest.raises(Barred, match="OAU-213") as barred:
            api.get("/x", {})
        assert barred.value.seconds == 300
        assert len(server.requests) == sent
        clock.advance(301)
        server.answers["/x"] = httpx.Response(200, json={})
        assert api.get("/x", {}) == {}

    @pytest.mark.parametrize("life", ["3600", None, "soon", 0])
    def test_a_token_of_any_life_is_used(self, api, server, life):
        """Said as text, or not at all."""
        server.mint = httpx.Response(200, json={"access_token": "t1", "expires_in": life, "odd": 1})
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        api.get("/x", {})
        api.get("/x", {})
        assert server.tokens() == ["t1", "t1"]

    def test_refused_credentials_are_named_by_their_code(self, api, server):
        """A 400 of the token endpoint is not to be repeated."""
        server.mint = httpx.Response(400, json={"error": "invalid_client", "errorCode": "OAU-153"})
        with pytest.raises(Barred, match="OAU-153"):
            api.get("/x", {})
        assert len(server.requests) == 1

    def test_missing_credentials_are_named_before_anything_is_sent(self, server, clock, notes):
        """A stack that was just deployed has an empty secret."""
        api = an_api(server, clock, notes, {"clientId": "id"})
        with pytest.raises(Barred, match="clientSecret, jwt"):
            api.get("/x", {})
        assert server.requests == []

    def test_mended_credentials_are_tried_at_once(self, server, clock, notes):
        """Who puts the right client secret into the secret need not wait."""
        server.mint = httpx.Response(400, json={"error": "invalid_client"})
        with pytest.raises(Barred):
            an_api(server, clock, notes).get("/x", {})
        server.mint = None
        server.answers["/x"] = httpx.Response(200, json={"ok": 1})
        mended = {**CREDENTIALS, "clientSecret": "right"}
        assert an_api(server, clock, notes, mended).get("/x", {}) == {"ok": 1}

    def test_a_lacking_permission_is_named(self, api, server):
        """The operator reads which one to add."""
        body = {
            "errorCode": "InsufficientPermissions",
            "errors": [{"errorCode": "CMN-401", "permissionName": "ReadCallLog"}],
        }
        server.answers["/x"] = httpx.Response(403, json=body)
        with pytest.raises(Barred, match="CMN-401 ReadCallLog"):
            api.get("/x", {})


class TestLimits:
    def test_no_request_leaves_inside_a_penalty_from_any_worker(self, server, clock, notes):
        """Each one would start it anew. A second is added for the clocks."""
        server.answers["/x"] = [
            httpx.Response(429, headers={"Retry-After": "30"}),
            httpx.Response(200, json={}),
        ]
        with pytest.raises(Wait) as first:
            an_api(server, clock, notes).get("/x", {})
        assert first.value.seconds == 31
        sent = len(server.requests)
        clock.advance(10)
        with pytest.raises(Wait) as second:
            an_api(server, clock, notes).get("/x", {})
        assert second.value.seconds == pytest.approx(21)
        assert len(server.requests) == sent
        clock.advance(21)
        assert an_api(server, clock, notes).get("/x", {}, priority=Priority.RESERVED) == {}

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            (None, 60),
            ("", 60),
            ("soon", 60),
            ("-5", 60),
            ("0", 60),
            ("nan", 60),
            ("inf", 86400),
            ("90000", 86400),
            ("Fri, 20 Nov 2026 12:00:20 GMT", 20),
            ("Fri, 20 Nov 2026 11:59:00 GMT", 60),
        ],
    )
    def test_retry_after_is_read_with_care(self, api, server, header, seconds):
        """Absent, past or unreadable it is the usual minute; nobody waits for more than a day."""
        headers = {} if header is None else {"Retry-After": header}
        server.answers["/x"] = httpx.Response(429, headers=headers)
        with pytest.raises(Wait) as wait:
            api.get("/x", {})
        assert wait.value.seconds == seconds + 1

    def test_a_429_of_the_token_endpoint_is_a_wait_too(self, api, server):
        """The Auth group has its own five a minute."""
        server.mint = httpx.Response(429, headers={"Retry-After": "5"})
        with pytest.raises(Wait) as wait:
            api.get("/x", {})
        assert not isinstance(wait.value, Barred)

    def test_what_the_answers_say_of_the_limit_counts(self, api, server):
        """Support may have raised it, or another program may use the same user."""
        said = {
            "X-Rate-Limit-Group": "heavy",
            "X-Rate-Limit-Limit": "3",
            "X-Rate-Limit-Remaining": "1",
            "X-Rate-Limit-Window": "60",
        }
        server.answers["/x"] = lambda _: httpx.Response(200, json={}, headers=said)
        api.get("/x", {})
        api.get("/x", {})
        with pytest.raises(Wait):
            api.get("/x", {})

    def test_work_goes_to_the_credential_with_the_most_room(self, server, clock, notes):
        """Three users carry three times as much."""
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        many = {**CREDENTIALS, "jwt": ["a", "b", "c"]}
        api = an_api(server, clock, notes, many, {**LIMITS, "Heavy": (Limit(4, 60),)})
        for _ in range(12):
            api.get("/x", {})
        with pytest.raises(Wait):
            api.get("/x", {})
        assert sorted(server.tokens().count(f"t{n}") for n in (1, 2, 3)) == [4, 4, 4]

    def test_a_refused_credential_does_not_stop_the_others(self, server, clock, notes, caplog):
        """It is set aside, and the log says so; the JWT itself is not in it."""

        def answer(request):
            revoked = request.headers["authorization"] == "Bearer t1"
            return httpx.Response(403 if revoked else 200, json={})

        server.answers["/x"] = answer
        many = {**CREDENTIALS, "jwt": ["jwt-one", "jwt-two"]}
        api = an_api(server, clock, notes, many)
        for _ in range(3):
            assert api.get("/x", {}) == {}
        assert server.tokens().count("t1") == 1
        assert [record.message for record in caplog.records] == ["credential set aside"]
        assert "jwt-" not in str(caplog.records[0].__dict__)

    def test_the_changes_of_the_call_log_are_refused_and_the_call_log_is_not(
        self, server, clock, notes, api
    ):
        """Asked once, and then left alone for a while; `legato status` need not name it."""
        server.answers[EXTRACT_SYNC] = httpx.Response(403, json={"errorCode": "CMN-408"})
        server.answers[CALL_LOG] = httpx.Response(200, json={"records": []})
        for _ in range(3):
            with pytest.raises(Barred, match="CMN-408"):
                api.get(EXTRACT_SYNC, {})
            assert api.get(CALL_LOG, {}) == {"records": []}
        assert [each.url.path for each in server.requests].count(EXTRACT_SYNC) == 1
        [scopes] = notes.read("credentials#ringex").content.values()
        assert scopes.keys() == {CHANGES}


class TestUnserved:
    """One of two users is served nothing, and the other all that it asks for."""

    def refusing(self, server, answer):
        """Let the user with the first token be answered this, whatever it asks for."""

        def answered(request):
            ours = request.headers["authorization"] == "Bearer t1"
            return answer if ours else httpx.Response(200, json={})

        server.answers["/x"] = server.answers[CONTENT_PATH] = answered

    def asked(self, api, clock, ask, *, minutes):
        """Ask as often in each minute as it takes to need both users."""
        for _ in range(minutes):
            for _ in range(8):
                with suppress(LegatoError):
                    ask(api)
            clock.advance(60)

    def unserved(self, notes, clock):
        return [(one.credential, one.reason) for one in unserved("ringex", notes, clock)]

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (httpx.Response(429), "RingCentral's rate limit is reached"),
            (httpx.Response(404), "GET platform.ringcentral.com/x answers 404"),
            (httpx.Response(503), "GET platform.ringcentral.com/x answers 503"),
        ],
    )
    def test_whose_requests_fail_is_known_after_half_an_hour(
        self, server, clock, notes, answer, reason
    ):
        """And forgotten with the first one that is granted."""
        self.refusing(server, answer)
        api = an_api(server, clock, notes, TWO_USERS)
        self.asked(api, clock, lambda api: api.get("/x", {}), minutes=29)
        assert self.unserved(notes, clock) == []
        self.asked(api, clock, lambda api: api.get("/x", {}), minutes=2)
        [one, _] = read_credentials(TWO_USERS, "ringex")
        assert self.unserved(notes, clock) == [(one.id, reason)]
        del server.answers["/x"]
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        self.asked(api, clock, lambda api: api.get("/x", {}), minutes=2)
        assert self.unserved(notes, clock) == []

    def test_whose_log_in_fails_is_known_too(self, server, clock, notes):
        """It is not set aside: it comes last, and is tried again."""

        def mint(request):
            first = "jwt-one" in request.content.decode()
            return httpx.Response(503) if first else server._minted(request)

        server.answers["/restapi/oauth/token"] = mint
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        api = an_api(server, clock, notes, TWO_USERS)
        self.asked(api, clock, lambda api: api.get("/x", {}), minutes=31)
        [one, _] = read_credentials(TWO_USERS, "ringex")
        reason = "POST platform.ringcentral.com/restapi/oauth/token answers 503"
        assert self.unserved(notes, clock) == [(one.id, reason)]
        assert notes.read("credentials#ringex").content == {}

    @pytest.mark.parametrize("status", [403, 404])
    def test_a_recording_that_is_not_there_says_nothing_of_who_asks(
        self, server, clock, notes, status
    ):
        """Nor does one that is refused."""
        server.answers[CONTENT_PATH] = lambda _: httpx.Response(status)
        server.answers["/x"] = lambda _: httpx.Response(200, json={})
        api = an_api(server, clock, notes, TWO_USERS)
        self.asked(api, clock, read, minutes=31)
        assert "credentials" not in notes.read("health#ringex").content

    def test_it_is_noted_once_a_minute(self, server, clock, notes):
        """However often it is asked, by however many workers."""
        self.refusing(server, httpx.Response(503))
        for _ in range(3):
            api = an_api(server, clock, notes, TWO_USERS)
            for _ in range(8):
                with suppress(LegatoError):
                    api.get("/x", {})
        # Each user once, and both kinds of what is granted.
        assert 0 < notes.read("health#ringex").version <= 3


class TestHosts:
    @pytest.mark.parametrize(
        "address",
        [
            "https://evil.example.com/recording/7/content",
            "http://media.ringcentral.com/recording/7/content",
            "https://media.ringcentral.com:8443/recording/7/content",
            "https://media.ringcentral.com.evil.example.com/x",
        ],
    )
    @pytest.mark.attacks("an address of a recording on another host")
    def test_the_token_goes_to_no_other_host(self, api, server, address):
        """Not even a request without it is sent."""
        with pytest.raises(Denied, match=r"not a configured RingCentral host.* RingexUrl"):
            read(api, address)
        assert server.requests == []

    @pytest.mark.parametrize(
        "address",
        [
            "https://[::1/x",
            "https://h:99999/x",
            "https://xn--/x",
            "https://\x00/x",
            "https://\u2100.com/x",
            "https://h/\ud800",
            "javascript:alert(1)",
            "https://h:-1/x",
            "https://h:port/x",
            "https://[evil]/x",
            "https://xn--a\u0300/x",
            "https://a b/x",
            "https://media.ringcentral.com:99999/x",
            "https://" + "a" * 70_000,
            "file:///etc/passwd",
        ],
    )
    @pytest.mark.parametrize("by", ["the log", "a redirect"])
    @pytest.mark.attacks("an address of a recording that is malformed")
    def test_an_address_that_leads_nowhere_is_its_recordings_failure(
        self, api, server, address, by
    ):
        """Whoever wrote it, the call log or a redirect."""
        if by == "a redirect":
            location = [(b"location", address.encode(errors="surrogatepass"))]
            server.answers[CONTENT_PATH] = lambda _: httpx.Response(302, headers=location)
            address = CONTENT_PATH
        with pytest.raises((Denied, Retry)):
            read(api, address)

    @pytest.mark.parametrize("user", ["someone:hidden@", "someone@", ":hidden@"])
    @pytest.mark.parametrize("host", ["media.ringcentral.com", "evil.example.com"])
    @pytest.mark.parametrize("by", ["the log", "a redirect"])
    @pytest.mark.attacks("an address of a recording with a user and a password in it")
    def test_a_user_in_an_address_is_never_logged_in_with(self, api, server, user, host, by):
        """Nothing is asked with it, and the credential is not blamed for it."""
        address = f"https://{user}{host}{CONTENT_PATH}"
        if by == "a redirect":
            headers = {"Location": address}
            server.answers["/first"] = lambda _: httpx.Response(302, headers=headers)
        server.answers[CONTENT_PATH] = httpx.Response(200, content=b"audio")
        with pytest.raises(Denied, match=r"has a user in it|gets no token") as refused:
            read(api, address if by == "the log" else "/first")
        assert "hidden" not in str(refused.value)
        assert CONTENT_PATH not in [one.url.path for one in server.requests]
        assert read(api) == b"audio"

    def test_a_redirect_to_another_host_is_not_followed(self, api, server):
        """The recording stays where it is, and the failure says why."""
        away = {"Location": "https://evil.example.com/x"}
        server.answers[CONTENT_PATH] = httpx.Response(302, headers=away)
        with pytest.raises(Denied, match=r"evil\.example\.com"):
            read(api)
        assert {request.url.host for request in server.requests} == {
            "platform.ringcentral.com",
            "media.ringcentral.com",
        }

    def test_a_redirect_between_our_hosts_is_followed(self, api, server):
        """Relative or absolute."""
        server.answers[CONTENT_PATH] = httpx.Response(307, headers={"Location": "/elsewhere"})
        server.answers["/elsewhere"] = httpx.Response(200, content=b"audio")
        assert read(api) == b"audio"


class TestBodies(Downloads):
    path = CONTENT_PATH

    def stream(self, api):
        return api.stream(CONTENT)

    def test_a_recording_comes_as_it_is(self, api, server):
        """No compression is asked for, so nothing is unpacked on the way."""
        server.answers[CONTENT_PATH] = httpx.Response(200, content=b"\x00\xffaudio")
        assert read(api) == b"\x00\xffaudio"
        assert server.requests[-1].headers["accept-encoding"] == "identity"

    @pytest.mark.parametrize(
        ("span", "whole"),
        [("bytes 0-4/5", True), ("bytes 0-4/10", False), ("bytes 1-5/6", False), ("", False)],
    )
    def test_a_206_counts_only_if_it_is_all(self, api, server, span, whole):
        """The media server may answer 206 by itself."""
        partial = httpx.Response(206, content=b"audio", headers={"Content-Range": span})
        server.answers[CONTENT_PATH] = partial
        if whole:
            assert read(api) == b"audio"
        else:
            with pytest.raises(Retry, match="only a part"):
                read(api)

    @pytest.mark.parametrize("status", [404, 410])
    def test_a_recording_that_is_not_there_may_come(self, api, server, status):
        """Not ready, never kept, and deleted look the same; the caller knows the call's age."""
        body = {"errors": [{"errorCode": "CMN-102"}]}
        server.answers[CONTENT_PATH] = httpx.Response(status, json=body)
        with pytest.raises(NotYet, match="CMN-102"):
            read(api)

    def test_any_other_refusal_is_final_and_named(self, api, server):
        """With RingCentral's code, and never with a number from the query."""
        body = {"errors": [{"errorCode": "CMN-101", "parameterName": "dateFrom"}]}
        server.answers["/x"] = httpx.Response(400, json=body)
        with pytest.raises(Failed, match="CMN-101") as refused:
            api.get("/x", {"phoneNumber": "16505550100"})
        assert "16505550100" not in str(refused.value)

    @pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
    def test_json_that_is_none_is_repeated_later(self, api, server, content):
        """An error page behind a 200."""
        server.answers["/x"] = httpx.Response(200, content=content)
        with pytest.raises(Retry):
            api.get("/x", {})

    def test_json_whose_connection_fails_is_repeated_later(self, api, server):
        """Named by host and path."""

        def refuse(request):
            raise httpx.ConnectError("refused", request=request)

        server.answers["/x"] = refuse
        with pytest.raises(Retry, match=r"GET platform\.ringcentral\.com/x: ConnectError"):
            api.get("/x", {})


DELETE_PATH = "/restapi/v1.0/account/~/call-recordings"


class TestRemoval:
    @pytest.fixture
    def source(self, api):
        return RingexSource(api)

    def remove(self, source, *names):
        source.remove([SourceRecording("1", name) for name in names])

    def test_recordings_are_deleted_together(self, source, server):
        """By their ids, of whatever account the call says it is."""
        server.answers[DELETE_PATH] = httpx.Response(204)
        self.remove(source, "7", "8")
        [request] = [each for each in server.requests if each.url.path == DELETE_PATH]
        assert request.method == "DELETE"
        assert json.loads(request.content) == {"records": ["7", "8"]}
        assert source.removable("1", {"id": "7", "named_only": True})

    @pytest.mark.parametrize(
        ("status", "error"), [(404, NotYet), (410, NotYet), (400, Failed), (302, Retry)]
    )
    def test_what_is_no_success_is_told(self, source, server, status, error):
        """A redirect of a DELETE is none that anybody has documented."""
        server.answers[DELETE_PATH] = httpx.Response(status, headers={"location": "/x"})
        with pytest.raises(error):
            self.remove(source, "7")

    def test_who_may_not_delete_may_fetch_all_the_same(self, api, source, server):
        """The scope is one of its own, so the credential is not set aside."""
        body = {"errors": [{"errorCode": "CMN-401", "permissionName": "EditCallLog"}]}
        server.answers[DELETE_PATH] = httpx.Response(403, json=body)
        server.answers["/x"] = httpx.Response(200, json={"ok": 1})
        with pytest.raises(Barred, match="EditCallLog"):
            self.remove(source, "7")
        assert api.get("/x", {}) == {"ok": 1}

    def test_it_goes_behind_and_leaves_room(self, api, source, server):
        """One of the ten Heavy requests is for whoever archives, and no turn is promised."""
        server.answers[DELETE_PATH] = lambda _: httpx.Response(204)
        server.answers[LOG] = lambda _: httpx.Response(200, json={})
        for _ in range(9):
            self.remove(source, "7")
        with pytest.raises(Wait) as wait:
            self.remove(source, "7")
        assert not wait.value.turn
        api.get(LOG, {})


LOG = "/restapi/v1.0/account/~/call-log"


def entry(session, number=1):
    return {
        "id": f"{session}-{number}",
        "telephonySessionId": session,
        "startTime": "2026-11-20T11:00:00.000Z",
        "duration": 60,
        "recording": {"id": f"r-{session}", "contentUri": f"{MEDIA}/{session}"},
    }


class TestResolving:
    @pytest.fixture
    def ringex(self, api):
        return Ringex(api, FakeNotes(), max_call_hours=4)

    def queries(self, server):
        return [dict(r.url.params) for r in server.requests if r.url.path == LOG]

    def page(self, *records, more=False):
        navigation = {"nextPage": {"uri": "https://elsewhere/"}} if more else {}
        return httpx.Response(200, json={"records": list(records), "navigation": navigation})

    def test_a_batch_is_resolved_by_one_query(self, ringex, server):
        """A hundred sessions cost one call, most of them not being listed at all."""
        server.answers[LOG] = self.page(entry("s-7"), entry("s-9"), entry("s-999"))
        jobs = [a_job(f"s-{n}", seen_at=NOON - timedelta(minutes=n)) for n in range(100)]
        found = ringex.resolve(jobs)
        assert sorted(found) == [an_id("s-7"), an_id("s-9")]
        assert self.queries(server) == [
            {
                "view": "Detailed",
                "recordingType": "All",
                "dateFrom": "2026-11-20T06:21:00.000Z",
                "perPage": "1000",
                "page": "1",
            }
        ]

    def test_a_list_that_cannot_be_read_is_asked_for_call_by_call(self, ringex, server):
        """One of them may be what is bad about it: it costs itself."""
        answers = [httpx.Response(503), self.page(entry("s-1")), httpx.Response(503)]
        server.answers[LOG] = [*answers, self.page(entry("s-3"))]
        found = ringex.resolve([a_job(f"s-{n}") for n in (1, 2, 3)])
        assert isinstance(found.pop(an_id("s-2")), Retry)
        assert list(found) == [an_id("s-1"), an_id("s-3")]
        assert all(found[call].records for call in found)

    def test_an_outage_is_asked_three_times_and_not_for_each_call(self, ringex, server):
        """It is the answer for all of them."""
        server.answers[LOG] = [httpx.Response(503)] * 3
        found = ringex.resolve([a_job(f"s-{n}") for n in range(50)])
        assert len(self.queries(server)) == 3
        assert len(found) == 50
        assert all(isinstance(error, Retry) for error in found.values())

    def test_every_page_is_read(self, ringex, server):
        """By number: the address of the next page is not ours to trust. A double counts once."""
        server.answers[LOG] = [
            self.page(entry("s-1"), more=True),
            self.page(entry("s-1"), entry("s-2"), more=True),
            self.page(entry("s-3", 1), entry("s-3", 2)),
        ]
        found = ringex.resolve([a_job(f"s-{n}") for n in (1, 2, 3)])
        assert [query["page"] for query in self.queries(server)] == ["1", "2", "3"]
        assert len(found[an_id("s-1")].records) == 1
        assert len(found[an_id("s-3")].records) == 2

    def test_one_or_two_sessions_are_asked_by_name(self, ringex, server):
        """Without `recordingType`, so that a call in progress and a short recording show."""
        server.answers[LOG] = [self.page(entry("s-1")), self.page()]
        found = ringex.resolve([a_job("s-1"), a_job("s-2")])
        assert list(found) == [an_id()]
        asked = self.queries(server)
        assert [query["telephonySessionId"] for query in asked] == ["s-1", "s-2"]
        assert all("recordingType" not in query for query in asked)

    def test_a_close_look_is_one_by_name(self, ringex, server):
        """The others of the batch are still asked together."""
        server.answers[LOG] = [self.page(entry("s-2")), self.page(entry("s-1"))]
        jobs = [a_job(f"s-{n}") for n in range(1, 5)]
        found = ringex.resolve(jobs, closely={an_id()})
        assert sorted(found) == [an_id("s-1"), an_id("s-2")]
        assert "telephonySessionId" not in self.queries(server)[0]
        assert self.queries(server)[1]["telephonySessionId"] == "s-1"

    def test_a_broken_record_concerns_its_own_call(self, ringex, server):
        """And one without a session, or that is no record at all, concerns none."""
        nameless = {"id": "x", "startTime": 7}
        broken = {**entry("s-1"), "recording": {}}
        server.answers[LOG] = self.page(broken, "odd", nameless, entry("s-2"), entry("s-3"))
        found = ringex.resolve([a_job(f"s-{n}") for n in (1, 2, 3)])
        odd = found[an_id("s-1")].unreadable
        assert [one.reason for one in odd] == ["a recording without id"]
        assert [leg.id for leg in found[an_id("s-2")].legs] == ["r-s-2"]

    @pytest.mark.parametrize("answer", [{}, {"records": {}}])
    def test_a_page_without_records_concerns_all(self, ringex, server, answer):
        """It is asked again later."""
        server.answers[LOG] = httpx.Response(200, content=json.dumps(answer).encode())
        found = ringex.resolve([a_job(f"s-{n}") for n in (1, 2, 3)])
        assert ["records" in str(found[an_id(f"s-{n}")]) for n in (1, 2, 3)] == [True] * 3

    def test_a_call_whose_query_fails_is_alone_in_it(self, ringex, server):
        """The other one is asked for all the same."""
        server.answers[LOG] = [httpx.Response(503), self.page(entry("s-2"))]
        found = ringex.resolve([a_job("s-1"), a_job("s-2")])
        assert isinstance(found[an_id()], Retry)
        assert [leg.id for leg in found[an_id("s-2")].legs] == ["r-s-2"]

    def test_pages_without_end_come_to_an_end(self, ringex, server):
        """Another page is promised, and nothing on this one is new."""
        server.answers[LOG] = lambda _: self.page(entry("s-1"), more=True)
        assert "no end" in str(ringex.resolve([a_job("s-1")])[an_id()])
        assert len(self.queries(server)) == 2

    def test_a_session_is_found_by_its_older_id(self, ringex, server):
        """Among all calls of the time: the log cannot be asked for it by name."""
        older = {**entry("s-1"), "telephonySessionId": None, "sessionId": "4000"}
        server.answers[LOG] = self.page(entry("s-2"), older)
        found = ringex.resolve([a_job("4000")])
        assert [leg.id for leg in found[an_id("4000")].legs] == ["r-s-1"]
        assert "telephonySessionId" not in self.queries(server)[0]

    def test_a_recording_that_lies_elsewhere_is_asked_of_our_own_host(self, ringex, server):
        """By its id: no token goes to a host that nobody has configured."""
        path = "/restapi/v1.0/account/~/recording/r-1/content"
        server.answers[path] = httpx.Response(200, content=b"audio")
        away = a_leg("r-1", address="https://media.ringcentral.biz/restapi/v1.0/x")
        with ringex.open_leg(away) as pieces:
            assert b"".join(pieces) == b"audio"
        assert {request.url.host for request in server.requests} <= {
            "platform.ringcentral.com",
            "media.ringcentral.com",
        }

    def test_the_fallback_address_is_built_from_the_id(self, ringex, server):
        """On the media host, with the id as one segment."""
        leg = ringex.named_leg(a_job(), "a/b")
        path = "/restapi/v1.0/account/~/recording/a%2Fb/content"
        server.answers["/restapi/v1.0/account/~/recording/a/b/content"] = httpx.Response(
            200, content=b"audio"
        )
        with ringex.open_leg(leg) as pieces:
            assert b"".join(pieces) == b"audio"
        assert server.requests[-1].url.raw_path.decode() == path
        assert server.requests[-1].url.host == "media.ringcentral.com"
        assert leg.named_only

    def test_a_listed_address_is_used_as_given(self, ringex, server):
        """RingCentral has changed the host of media once."""
        server.answers["/some/path"] = httpx.Response(200, content=b"audio")
        with ringex.open_leg(a_leg("7", address=f"{MEDIA}:443/some/path")) as pieces:
            assert b"".join(pieces) == b"audio"
