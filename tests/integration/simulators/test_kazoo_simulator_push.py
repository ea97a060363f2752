"""Pushes: a recording is sent to its `url`, again and again, and asked for there."""

from itertools import pairwise
from urllib.parse import parse_qsl, unquote

import httpx
import pytest

from local.simulators.kazoo.gregorian import gregorian
from tests.integration.simulators.kazoo_driver import FIRST, driving

URL = "https://push.example.com/kazoo/token"
FACTS = [
    "from",
    "to",
    "caller_id_name",
    "caller_id_number",
    "call_id",
    "cdr_id",
    "interaction_id",
]


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


def pushed(kazoo):
    """Return what was sent until now."""
    assert kazoo.control("drain").status_code == 204
    return kazoo.receiver.requests


def push(kazoo, url=URL, **order):
    """Place a call whose recordings are pushed; return the id of the last."""
    changes = {name: order.pop(name) for name in ("method", "keeps") if name in order}
    order = {"recordings": [{"duration": 10}]} | order
    *_, name = kazoo.place(push={"url": url} | changes, **order)["recordingIds"]
    return name


def wait(kazoo, seconds):
    """Let time pass, and all that is due happen."""
    kazoo.clock.now += seconds
    return pushed(kazoo)


def statuses(*codes, after=200):
    """Return a reply with one status after the other."""
    left = list(codes)
    return lambda _: httpx.Response(left.pop(0) if left else after)


def test_the_audio_itself_is_sent_under_its_name(kazoo):
    """With its type and its length, and nothing else: who it is from, nothing says."""
    kazoo.clock.now += 0.5
    name = push(kazoo, URL + "/")
    [request] = pushed(kazoo)
    document = kazoo.ask(f"recordings/{name}").json()["data"]
    assert (request.method, document["url"]) == ("PUT", URL + "/")
    path = f"/kazoo/token/call_recording_{document['call_id']}.mp3"
    assert unquote(request.url.raw_path.decode()).partition("?")[0] == path
    assert request.content == kazoo.audio(name).content
    assert dict(request.headers) == {
        "host": "push.example.com",
        "content-type": "audio/mpeg",
        "content-length": str(len(request.content)),
    }
    facts = parse_qsl(request.url.query.decode(), keep_blank_values=True)
    after = ["owner_id", "account_id", "start", "duration_ms", "recording_id"]
    assert [field for field, _ in facts] == FACTS + after
    assert dict(facts) == {field: str(document[field]) for field in FACTS} | {
        "owner_id": document["owner_id"],
        "account_id": FIRST,
        "start": str(gregorian(kazoo.clock.now) - 10),
        "duration_ms": "10000",
        "recording_id": name,
    }


def test_master_says_less_and_has_a_dot_too_many():
    """No id, no time, and a name that ends in `..wav`."""
    with driving(version="master") as kazoo:
        push(kazoo, method="post", recordings=[{"duration": 1, "format": "wav"}])
        [request] = pushed(kazoo)
        assert (request.method, request.headers["content-type"]) == ("POST", "audio/x-wav")
        assert request.url.path.endswith("@198.51.100.7..wav")
        facts = parse_qsl(request.url.query.decode(), keep_blank_values=True)
        assert [field for field, _ in facts] == [*FACTS, "account_id"]


def test_a_field_that_the_document_lacks_is_empty(kazoo):
    """It is named all the same."""
    push(kazoo, recordings=[{"duration": 1, "omit": ["cdr_id"], "hasInteraction": False}])
    [request] = pushed(kazoo)
    facts = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
    assert (facts["cdr_id"], facts["interaction_id"]) == ("", "")


@pytest.mark.parametrize(
    ("url", "before"),
    [
        ("https://x.example.com/in?token=t", "/in?token=t&recording="),
        ("https://x.example.com/in?token=t&file=", "/in?token=t&file="),
        ("https://x.example.com/in?token=t&file", "/in?token=t&file="),
        ("https://x.example.com/in?file=", "/in?file="),
        ("https://x.example.com", "/"),
    ],
)
def test_with_a_query_the_name_is_a_parameter(kazoo, url, before):
    """The value of the last one, if that has none; what stood there survives."""
    push(kazoo, url)
    [request] = pushed(kazoo)
    sent = request.url.raw_path.decode()
    between = "&from=" if "?" in before else "?from="
    assert sent.startswith(before + "call_recording_")
    assert sent.partition(".mp3")[2].startswith(between)


def test_credentials_of_the_address_become_basic_authorization(kazoo):
    """The only one there is."""
    push(kazoo, "https://user:pass@x.example.com/in")
    assert pushed(kazoo)[0].headers["authorization"] == "Basic dXNlcjpwYXNz"


def test_it_is_sent_when_its_document_is_saved_and_its_audio_ready(kazoo):
    """An `emit`, which orders for other providers have, changes nothing."""
    push(kazoo, recordings=[{"duration": 1, "savedAfter": 5}], readyAfter=10, emit=False)
    assert pushed(kazoo) == []
    assert wait(kazoo, 5) == []
    assert kazoo.stats()["pendingStores"] == 1
    assert [request.url.host for request in wait(kazoo, 10)] == ["push.example.com"]


def test_a_recording_says_more_than_its_call(kazoo):
    """Each goes where its own order says, else the call's."""
    own = {"duration": 1, "push": {"url": "https://own.example.com", "method": "post"}}
    push(kazoo, recordings=[{"duration": 1}, own])
    sent = {(request.method, request.url.host) for request in pushed(kazoo)}
    assert sent == {("PUT", "push.example.com"), ("POST", "own.example.com")}


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_a_success(kazoo, status):
    """It is not sent again."""
    kazoo.receiver.reply = statuses(status)
    push(kazoo)
    pushed(kazoo)
    assert len(wait(kazoo, 10_000)) == 1
    assert kazoo.stats()["pushes"] == {
        "answers": {str(status): 1},
        "retried": 0,
        "givenUp": 0,
        "fetches": {},
    }


def test_a_redirect_takes_verb_and_body_along(kazoo):
    """Ten of them, no more."""
    for hops, found in ((10, {"302": 10, "200": 1}), (11, {"301": 11})):
        status = 302 if hops == 10 else 301

        def reply(request, hops=hops, status=status):
            hop = int(request.url.params.get("hop", 0)) + 1
            location = {"Location": f"https://next.example.com/in?hop={hop}"}
            return httpx.Response(200) if hop > hops else httpx.Response(status, headers=location)

        kazoo.control("reset")
        kazoo.receiver.requests.clear()
        kazoo.receiver.reply = reply
        push(kazoo, method="post")
        sent = pushed(kazoo)
        assert {request.method for request in sent} == {"POST"}
        assert len({request.content for request in sent}) == 1
        assert kazoo.stats()["pushes"]["answers"] == found
        assert kazoo.stats()["pushes"]["retried"] == (0 if hops == 10 else 1)


@pytest.mark.parametrize("headers", [{}, {"Location": "/elsewhere"}, {"Location": "ftp://x"}])
def test_a_redirect_to_nowhere_is_a_failure(kazoo, headers):
    """As one in a circle."""
    kazoo.receiver.reply = lambda _: httpx.Response(302, headers=headers)
    push(kazoo)
    assert len(pushed(kazoo)) == 1
    assert kazoo.stats()["pushes"]["retried"] == 1

    kazoo.control("reset")
    circle = "https://circle.example.com"
    kazoo.receiver.reply = lambda _: httpx.Response(302, headers={"Location": circle})
    push(kazoo)
    assert len(pushed(kazoo)) == 3
    assert kazoo.stats()["pushes"]["retried"] == 1


@pytest.mark.parametrize("reply", [413, 403, 303, 500, None])
def test_everything_else_is_tried_again_after_five_seconds(kazoo, reply):
    """A refusal that will stay one, too, and a line that breaks."""

    def fail(_request):
        if reply is None:
            raise httpx.ConnectError("nobody there")
        return httpx.Response(reply, headers={"Location": URL})

    kazoo.receiver.reply = fail
    push(kazoo)
    assert len(pushed(kazoo)) == 1
    assert len(wait(kazoo, 4.9)) == 1
    assert len(wait(kazoo, 0.1)) == 2
    kazoo.receiver.reply = statuses(201)
    assert len(wait(kazoo, 5)) == 3
    assert len({request.content for request in kazoo.receiver.requests}) == 1
    counted = kazoo.stats()["pushes"]
    assert counted["answers"] == {"201": 1, "unreachable" if reply is None else str(reply): 2}
    assert (counted["retried"], counted["givenUp"]) == (2, 0)


def test_after_five_tries_there_are_five_more_rounds(kazoo):
    """Each after one to ten minutes; then it is given up, and Kazoo has its copy all the same."""
    tried_at = []

    def fail(_request):
        tried_at.append(kazoo.clock.now)
        return httpx.Response(500)

    kazoo.receiver.reply = fail
    name = push(kazoo)
    pushed(kazoo)
    while kazoo.stats()["pendingStores"]:
        wait(kazoo, 5)
    gaps = [later - earlier for earlier, later in pairwise(tried_at)]
    assert len(tried_at) == 30
    rounds = gaps[4::5]
    assert {gap for at, gap in enumerate(gaps) if at % 5 != 4} == {5}
    assert len(rounds) == 5
    assert all(gap in range(60, 601, 60) for gap in rounds)
    counted = kazoo.stats()["pushes"]
    assert (counted["answers"], counted["retried"], counted["givenUp"]) == ({"500": 30}, 29, 1)
    assert kazoo.audio(name).status_code == 200
    assert len(wait(kazoo, 10_000)) == 30


def test_waits_can_be_short(kazoo):
    """For a laptop."""
    kazoo.control("settings", {"pushRetrySeconds": 0.1, "pushOuterRetrySeconds": 0.01})
    kazoo.receiver.reply = statuses(*[500] * 5)
    push(kazoo)
    pushed(kazoo)
    for _ in range(4):
        wait(kazoo, 0.1)
    assert len(wait(kazoo, 0.1)) == 6


def test_faults_break_no_push(kazoo):
    """They are of the API."""
    kazoo.break_next(route="any", kind="status")
    push(kazoo)
    pushed(kazoo)
    assert kazoo.stats()["pushes"]["answers"] == {"200": 1}


def test_what_is_kept_is_handed_out_from_there(kazoo):
    """Nobody else is asked."""
    name = push(kazoo)
    assert kazoo.audio(name).status_code == 200
    assert {request.method for request in pushed(kazoo)} == {"PUT"}


def test_what_is_not_kept_is_asked_for_where_it_went(kazoo):
    """Behind redirects, under the whole address; until it went there it is not stored."""
    there = "https://there.example.com/in?recording=1"

    def reply(request):
        if request.method == "GET":
            return httpx.Response(200, content=b"what is there")
        moved = request.url.host != "there.example.com"
        return httpx.Response(302 if moved else 201, headers={"Location": there})

    kazoo.receiver.reply = reply
    name = push(kazoo, keeps=False, readyAfter=60)
    assert kazoo.audio(name).status_code == 404
    assert kazoo.page()["data"][0]["_read_only"] == {"content_types": []}
    wait(kazoo, 60)
    assert kazoo.page()["data"][0]["_read_only"] == {"content_types": ["audio/mpeg"]}
    served = kazoo.audio(name)
    assert (served.status_code, served.content) == (200, b"what is there")
    assert served.headers["content-type"] == "audio/mpeg"
    assert str(kazoo.receiver.requests[-1].url) == there
    assert kazoo.stats()["pushes"]["fetches"] == {"200": 1}


def test_the_address_that_is_asked_has_the_documents_fields(kazoo):
    """It is the one that took the audio."""
    kazoo.receiver.reply = lambda request: httpx.Response(200, content=b"audio")
    name = push(kazoo, keeps=False)
    pushed(kazoo)
    assert kazoo.audio(name).content == b"audio"
    sent, asked = kazoo.receiver.requests
    assert (asked.method, asked.url) == ("GET", sent.url)
    assert asked.url.params["recording_id"] == name


@pytest.mark.parametrize("reply", [404, 405, 201, "empty", "unreachable"])
def test_what_does_not_come_back_is_an_error(kazoo, reply):
    """Of Kazoo's own."""
    name = push(kazoo, keeps=False)
    pushed(kazoo)

    def answer(_request):
        if reply == "unreachable":
            raise httpx.ConnectError("nobody there")
        if reply == "empty":
            return httpx.Response(200)
        return httpx.Response(reply, content=b"not the audio")

    kazoo.receiver.reply = answer
    refused = kazoo.audio(name)
    assert (refused.status_code, refused.json()["message"]) == (503, "datastore_fault")
    counted = kazoo.stats()["pushes"]["fetches"]
    assert counted == {"200" if reply == "empty" else str(reply): 1}
    assert kazoo.ask(f"recordings/{name}").status_code == 200


def test_what_waits_is_dropped_with_the_calls(kazoo):
    """Nothing is sent any more."""
    push(kazoo, readyAfter=60)
    kazoo.control("reset")
    assert wait(kazoo, 60) == []


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ({"push": "x"}, "push: must be a JSON object"),
        ({"push": {}}, "push.url: is missing"),
        ({"push": {"url": "ftp://x/y"}}, "push.url: 'ftp://x/y' is not an http or https address"),
        ({"push": {"url": "https://"}}, "push.url: 'https://' is not an http or https address"),
        ({"push": {"url": URL, "method": "get"}}, "push.method: 'get' is not one of put, post"),
        ({"push": {"url": URL, "keeps": "yes"}}, "push.keeps: 'yes' is not true or false"),
        ({"recordings": [{"duration": 1, "push": {}}]}, "recordings[0].push.url: is missing"),
    ],
)
def test_a_push_that_makes_no_sense_is_refused(kazoo, order, message):
    """With the field that is wrong."""
    refused = kazoo.control("calls", {"recordings": [{"duration": 1}]} | order)
    assert (refused.status_code, message in refused.json()["error"]) == (400, True), refused.text
    assert kazoo.stats()["calls"] == 0


def test_unknown_fields_of_a_push_are_named(kazoo):
    """As everywhere."""
    recording = {"duration": 1, "push": {"url": URL, "b": 1}}
    order = {"push": {"url": URL, "a": 1}, "recordings": [recording]}
    ignored = kazoo.control("calls", order).json()["ignored"]
    assert sorted(ignored) == ["push.a", "recordings[0].push.b"]
