"""A refused recording is that recording's failure, and a credential rests only for its own."""

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import httpx
import pytest

from legato.errors import Barred, Denied, LegatoError, Limited, Retry, Stale, Wait
from legato.ledger.provider_health import last_granted
from legato.providers.kazoo.api import KazooApi
from legato.providers.ringcx.api import RingcxApi
from legato.providers.ringex.api import RingexApi
from legato.settings import Limit
from tests.fakes import NOON, FakeClock, FakeNotes

FREELY = (Limit(10_000, 1),)
GROUPS = ("Heavy", "Medium", "Light", "Auth", "Metadata", "Recordings", "Exchange", "Requests")
LIMITS = dict.fromkeys(GROUPS, FREELY)
BEGIN = datetime(2026, 11, 20, 9, tzinfo=UTC)
NAMED = {"errors": [{"errorCode": "CMN-401", "permissionName": "ReadCallRecording"}]}
MP3 = {"Content-Type": "audio/mpeg"}


class Office:
    """A provider whose answers depend on the user and on what is asked for.

    `refuses` maps a recording, a user or both to a response; `log_ins` a user to one.
    """

    def __init__(self, users=1):
        self.jwts = [f"user{n}" for n in range(users)]
        self.clock, self.notes = FakeClock(), FakeNotes()
        self.refuses = {}
        self.log_ins = {}
        self.asked = []

    def api(self, kind, **places):
        return kind(
            credentials=self.secret,
            limits=LIMITS,
            notes=self.notes,
            clock=self.clock,
            sleep=self.clock.advance,
            transport=httpx.MockTransport(self.answer),
            **places,
        )

    def secret(self):
        return {"clientId": "id", "clientSecret": "s", "jwt": self.jwts}

    def answer(self, request):
        path = unquote(request.url.path)
        if path == "/restapi/oauth/token":
            user = httpx.QueryParams(request.content.decode())["assertion"]
            return self.logged_in(user, {"access_token": user, "expires_in": 3600})
        if path == "/api/auth/login/rc/accesstoken":
            user = httpx.QueryParams(request.content.decode())["rcAccessToken"]
            return self.logged_in(f"cx-{user}", {"accessToken": user})
        if path.endswith("/api_auth"):
            user = json.loads(request.content)["data"]["api_key"]
            return self.logged_in(user, {"auth_token": user})
        heads = request.headers
        user = heads.get("x-auth-token") or heads["authorization"].removeprefix("Bearer ")
        name = self.name(path)
        self.asked.append((user, name))
        for key in ((user, name), name, user):
            if key in self.refuses:
                return self.made(self.refuses[key], request)
        if name.startswith("list"):
            return httpx.Response(200, text=self.page)
        return httpx.Response(200, content=name.encode(), headers=MP3)

    def logged_in(self, user, token):
        answer = self.log_ins.get(user)
        return httpx.Response(200, json=token) if answer is None else self.made(answer, None)

    def made(self, answer, request):
        return answer(request) if callable(answer) else answer

    def fetched(self, recordings):
        """Ask for recordings, and return for each its bytes or its error."""
        found = {}
        for name in recordings:
            try:
                found[name] = self.read(name)
            except LegatoError as error:
                found[name] = error
        return found

    def denied(self, recordings):
        errors = self.fetched(recordings).values()
        return [type(error) for error in errors] == [Denied] * len(recordings)

    def read(self, name):
        with self.stream(name) as pieces:
            return b"".join(pieces)


class Ringex(Office):
    name_of_provider = "ringex"
    page = "{}"

    def __init__(self, users=1):
        super().__init__(users)
        self.made_api = self.api(
            RingexApi, platform="https://platform.example", media="https://media.example"
        )

    def stream(self, name):
        return self.made_api.stream(f"https://media.example/recording/{name}/content")

    def list(self):
        return self.made_api.get("/restapi/v1.0/account/~/call-log", {})

    def name(self, path):
        return "list" if "call-log" in path else path.split("/")[2]


class Ringcx(Office):
    name_of_provider = "ringcx"
    page = "[]"

    def __init__(self, users=1):
        super().__init__(users)
        self.made_api = self.api(
            RingcxApi, platform="https://platform.example", url="https://cx.example", account="9"
        )

    def stream(self, name, sub_account="21"):
        return self.made_api.stream(sub_account, "dialog", name)

    def list(self, sub_account="21"):
        return self.made_api.interactions(sub_account, begin=BEGIN, seconds=900)

    def name(self, path):
        sub_account = path.partition("/sub-accounts/")[2].partition("/")[0]
        return f"list{sub_account}" if "metadata" in path else path.split("/")[-1]


class Kazoo(Office):
    name_of_provider = "kazoo"
    page = '{"status": "success", "data": []}'

    def __init__(self, users=1):
        super().__init__(users)
        self.made_api = self.api(KazooApi, url="https://kazoo.example/v2")

    def secret(self):
        return {"apiKey": self.jwts[0]}

    def stream(self, name, account="a1"):
        return self.made_api.stream(account, name)

    def list(self, account="a1"):
        return self.made_api.recordings(account, created_from=BEGIN, created_to=BEGIN, page_size=10)

    def name(self, path):
        account, _, rest = path.removeprefix("/v2/accounts/").partition("/")
        return f"list{account}" if rest == "recordings" else rest.split("/")[-1]


OFFICES = [(Ringex, 1), (Ringex, 4), (Ringcx, 1), (Ringcx, 4), (Kazoo, 1)]


@pytest.fixture(params=OFFICES, ids=lambda param: f"{param[0].__name__}-{param[1]}")
def office(request):
    kind, users = request.param
    return kind(users)


@pytest.fixture(params=[Ringex, Ringcx, Kazoo], ids=lambda kind: kind.__name__)
def alone(request):
    return request.param()


@pytest.fixture(params=[Ringex, Ringcx], ids=lambda kind: kind.__name__)
def four(request):
    return request.param(4)


def forbidden(_request=None):
    return httpx.Response(403, json={"errors": [{"errorCode": "CMN-401"}]})


def named(_request=None):
    return httpx.Response(403, json=NAMED)


def names(count, prefix="r"):
    return [f"{prefix}{n}" for n in range(count)]


class TestOneRecording:
    @pytest.mark.parametrize("refusal", [forbidden, named])
    def test_one_that_is_refused_for_ever_costs_itself_alone(self, office, refusal, caplog):
        """Before all others, and again and again between them; nobody is set aside."""
        office.refuses["bad"] = refusal
        others = names(239)
        assert office.denied(["bad"])
        for at in range(0, 239, 10):
            batch = others[at : at + 10]
            assert office.fetched(batch) == {name: name.encode() for name in batch}
            assert office.denied(["bad"])
        assert office.list() is not None
        assert caplog.records == []

    def test_one_that_is_refused_again_and_again_is_one(self, office, caplog):
        """Its tries are no evidence about anybody."""
        office.refuses["bad"] = forbidden
        for _ in range(12):
            assert office.denied(["bad"])
        assert office.read("good") == b"good"
        assert caplog.records == []

    def test_every_credential_tries_it_before_it_is_denied(self, four):
        """A user's own right may differ; the reasons are named."""
        four.refuses["bad"] = forbidden
        with pytest.raises(Denied, match=r"answers 403.*to each of 4 credentials"):
            four.read("bad")
        assert {user for user, _ in four.asked} == set(four.jwts)

    def test_who_may_fetch_it_does(self, four):
        """Though the three others may not."""
        for user in four.jwts[:3]:
            four.refuses[user, "bad"] = forbidden
        assert four.read("bad") == b"bad"

    @pytest.mark.parametrize("status", [400, 405, 406, 415, 451])
    def test_any_other_refusal_is_the_recordings_own(self, office, status):
        """One request tells it; no other credential would get another answer."""
        office.refuses["bad"] = lambda _: httpx.Response(status)
        assert office.denied(["bad"])
        assert len(office.asked) == 1
        assert office.read("good") == b"good"

    def test_an_address_that_is_none_is_the_recordings_own(self):
        """RingCentral's words are taken as they come."""
        api = Ringex().made_api
        for address in ("https://[broken", "https://media.example:99999999/x", "ftp://a/b"):
            with pytest.raises(Denied), api.stream(address) as pieces:
                next(pieces)

    def test_a_429_is_told_as_the_providers_own(self, office):
        """The core counts those of one recording."""
        office.refuses["bad"] = lambda _: httpx.Response(429)
        with pytest.raises(Limited):
            office.read("bad")


class TestPermission:
    def test_a_permission_that_lacks_stops_after_the_second_recording(self, caplog):
        """The first may be that recording's own; the call log is still read."""
        office = Ringex()
        office.refuses |= dict.fromkeys(names(9), named)
        assert office.denied(["r0"])
        with pytest.raises(Barred, match=r"ReadCallRecording.*others in a row") as barred:
            office.read("r1")
        assert barred.value.seconds == 60
        sent = len(office.asked)
        with pytest.raises(Barred):
            office.read("r2")
        assert len(office.asked) == sent
        assert office.list() == {}
        assert [record.message for record in caplog.records] == ["credential set aside"]

    @pytest.mark.parametrize(("kind", "cause"), [(Ringcx, "activated"), (Kazoo, "administrator")])
    def test_what_may_be_the_cause_is_named(self, kind, cause):
        """By the recording's own failure too: it may be the first of many."""
        office = kind()
        office.refuses["r0"] = forbidden
        with pytest.raises(Denied, match=cause):
            office.read("r0")

    def test_five_recordings_in_a_row_set_aside(self, alone):
        """The fifth is the credential's matter already."""
        alone.refuses |= dict.fromkeys(names(9), forbidden)
        assert alone.denied(names(4))
        for name in ("r4", "r5", "r0"):
            with pytest.raises(Barred, match="in a row"):
                alone.read(name)
        assert len(alone.asked) == 5
        alone.list()

    def test_what_is_granted_in_between_begins_the_row_anew(self, alone, caplog):
        """Five in all are not five in a row."""
        alone.refuses |= dict.fromkeys(names(9), forbidden)
        assert alone.denied(names(4))
        assert alone.read("good") == b"good"
        assert alone.denied(names(9)[4:8])
        assert caplog.records == []

    def test_a_probe_that_is_granted_brings_it_back(self, alone):
        """One request tries, when the time is over; then all go on."""
        alone.refuses |= dict.fromkeys(names(5), forbidden)
        alone.fetched(names(5))
        alone.clock.advance(59)
        with pytest.raises(Barred):
            alone.read("good")
        alone.clock.advance(1)
        assert alone.read("good") == b"good"
        assert alone.read("better") == b"better"
        assert alone.notes.read(f"credentials#{alone.name_of_provider}").content == {}

    def test_a_probe_that_is_refused_rests_for_longer_and_not_for_ever(self, alone):
        """Twice as long each time, a quarter of an hour at most; one request each time."""
        alone.refuses |= dict.fromkeys(names(40), forbidden)
        alone.fetched(names(5))
        waits = []
        for name in names(12)[5:]:
            sent = len(alone.asked)
            with pytest.raises(Barred) as barred:
                alone.read(name)
            assert len(alone.asked) == sent
            waits.append(round(barred.value.seconds))
            alone.clock.advance(barred.value.seconds)
            with pytest.raises(Barred):
                alone.read(name)
            assert len(alone.asked) == sent + 1
        assert waits == [60, 120, 240, 480, 900, 900, 900]

    def test_only_one_probes_at_a_time(self, alone):
        """Whoever comes while it is under way waits."""
        alone.refuses |= dict.fromkeys(names(5), forbidden)
        alone.fetched(names(5))
        alone.clock.advance(60)
        others = []

        def meanwhile(_request):
            others.extend(alone.fetched(["other"]).values())
            return httpx.Response(200, content=b"good", headers=MP3)

        alone.refuses["good"] = meanwhile
        assert alone.read("good") == b"good"
        [error] = others
        assert isinstance(error, Barred)
        assert alone.read("other") == b"other"

    def test_a_recording_that_was_refused_before_proves_nothing_as_a_probe(self, alone):
        """It is Denied again, and the next one probes at once."""
        alone.refuses |= dict.fromkeys(names(5), forbidden)
        alone.fetched(names(5))
        alone.clock.advance(60)
        assert alone.denied(["r0", "r1"])
        assert alone.read("good") == b"good"

    @pytest.mark.parametrize("status", [404, 503])
    def test_a_probe_that_tells_nothing_leaves_it_to_the_next(self, alone, status):
        """It was neither granted nor refused."""
        alone.refuses |= dict.fromkeys(names(5), forbidden)
        alone.fetched(names(5))
        alone.clock.advance(60)
        alone.refuses["odd"] = lambda _: httpx.Response(status)
        alone.fetched(["odd"])
        assert alone.read("good") == b"good"

    def test_many_credentials_are_each_judged_by_themselves(self, four, caplog):
        """One that may fetch nothing rests; what it was refused the others have brought."""
        bad = four.jwts[0]
        four.refuses |= {(bad, name): forbidden for name in names(60)}
        assert four.fetched(names(60)) == {name: name.encode() for name in names(60)}
        assert sum(user == bad for user, _ in four.asked) == 5
        assert [record.message for record in caplog.records] == ["credential set aside"]

    @pytest.mark.parametrize("kind", [Ringcx, Kazoo])
    def test_an_account_whose_recordings_are_refused_stops_no_other(self, kind):
        """Neither its recordings nor its list."""
        office = kind()
        office.refuses |= dict.fromkeys(names(9), forbidden)
        office.fetched(names(9))
        with office.stream("good", "22") as pieces:
            assert b"".join(pieces) == b"good"
        office.list("22")

    @pytest.mark.parametrize("kind", [Ringcx, Kazoo])
    @pytest.mark.parametrize("status", [403, 404])
    def test_an_account_whose_list_is_refused_stops_no_other(self, kind, status):
        """Nor its own recordings that are known."""
        office = kind()
        office.refuses["list22"] = lambda _: httpx.Response(status)
        for _ in range(9):
            with pytest.raises(LegatoError):
                office.list("22")
        office.list("21")
        with office.stream("good", "22") as pieces:
            assert b"".join(pieces) == b"good"

    def test_a_list_that_one_user_may_not_read_is_read_by_another(self):
        """In RingCX the right is one for each sub-account."""
        office = Ringcx(2)
        office.refuses["user0", "list21"] = forbidden
        assert office.list() == []

    def test_a_call_log_that_is_refused_stops_no_recording(self):
        """The permissions are two."""
        office = Ringex()
        office.refuses["list"] = forbidden
        with pytest.raises(Barred):
            office.list()
        assert office.read("good") == b"good"


class TestLogIn:
    @pytest.mark.parametrize("status", [408, 500, 503])
    def test_one_that_fails_leaves_it_to_the_others(self, four, status):
        """A passing fault of one user's log-in is nobody else's."""
        four.log_ins[four.jwts[0]] = httpx.Response(status)
        assert four.fetched(names(8)) == {name: name.encode() for name in names(8)}

    def test_one_that_is_limited_does_not_go_first_again(self, four):
        """Its 429 closes the gate for the log-ins of the app, so another one is to come next."""
        four.log_ins[four.jwts[0]] = httpx.Response(429)
        with pytest.raises(Wait) as wait:
            four.read("r0")
        four.clock.advance(wait.value.seconds)
        assert four.read("r0") == b"r0"

    def test_one_that_hangs_is_not_tried_with_every_recording(self, four):
        """It would hold up each of them for the whole timeout."""
        tried = []

        def hang(_request):
            tried.append(1)
            raise httpx.ReadTimeout("nothing came")

        four.log_ins[four.jwts[0]] = hang
        assert four.fetched(names(40)) == {name: name.encode() for name in names(40)}
        assert len(tried) == 1

    def test_the_only_one_that_hangs_is_tried_again_after_a_while(self, alone):
        """Until then its error is told at once."""
        tried = []

        def hang(_request):
            tried.append(1)
            raise httpx.ReadTimeout("nothing came")

        alone.log_ins[alone.jwts[0]] = hang
        for _ in range(5):
            with pytest.raises(Retry, match="ReadTimeout"):
                alone.read("r0")
        assert len(tried) == 1
        alone.clock.advance(31)
        del alone.log_ins[alone.jwts[0]]
        assert alone.read("r0") == b"r0"

    def test_if_none_works_the_soonest_error_is_told(self, four):
        """A refused one is set aside, and those that may pass are waited for."""
        four.log_ins |= dict.fromkeys(four.jwts, httpx.Response(503))
        four.log_ins[four.jwts[1]] = httpx.Response(400)
        with pytest.raises(Retry, match="503"):
            four.read("r0")

    def test_a_429_of_a_log_in_is_no_recordings_fault(self, alone):
        """It is a wait like any other."""
        alone.log_ins[alone.jwts[0]] = httpx.Response(429)
        with pytest.raises(Wait) as wait:
            alone.read("r0")
        assert not isinstance(wait.value, Limited | Barred)

    def test_a_refused_log_in_is_probed_and_back(self, alone):
        """By one request after five minutes."""
        alone.log_ins[alone.jwts[0]] = httpx.Response(400)
        with pytest.raises(Barred):
            alone.read("r0")
        alone.clock.advance(300)
        del alone.log_ins[alone.jwts[0]]
        assert alone.read("r0") == b"r0"
        assert alone.notes.read(f"credentials#{alone.name_of_provider}").content == {}


class TestCost:
    def test_what_is_granted_is_not_lost_with_a_note(self, alone):
        """The ledger may be busy at that moment."""
        alone.refuses["bad"] = forbidden
        assert alone.denied(["bad"])
        write = alone.notes.write

        def busy(note):
            if note.key.startswith(("credentials#", "health#")):
                raise Stale("changed in between")
            return write(note)

        alone.notes.write = busy
        assert alone.read("good") == b"good"

    def test_success_writes_nothing_but_that_the_provider_works(self, alone):
        """Once a minute, whatever is granted."""
        alone.fetched(names(2))
        alone.list()
        before = {k: n.version for k, n in alone.notes.notes.items() if not k.startswith("gate")}
        alone.fetched(names(50))
        alone.list()
        after = {k: n.version for k, n in alone.notes.notes.items() if not k.startswith("gate")}
        assert after == before
        assert last_granted(alone.name_of_provider, alone.notes, kind="recording") == NOON

    def test_what_is_refused_is_no_sign_that_the_provider_works(self, alone):
        """A 5xx or a 403 leaves the last sign where it was."""
        alone.read("good")
        alone.clock.advance(3600)
        alone.refuses |= {"r0": lambda _: httpx.Response(503), "r1": forbidden}
        alone.fetched(["r0", "r1"])
        assert last_granted(alone.name_of_provider, alone.notes) == NOON
        alone.list()
        assert last_granted(alone.name_of_provider, alone.notes) == NOON + timedelta(hours=1)
