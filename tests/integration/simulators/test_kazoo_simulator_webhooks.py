"""Webhooks: made by the API, told once of each document, disabled when they fail."""

import httpx
import pytest

from tests.integration.simulators.kazoo_driver import FIRST, HOOK, SECOND, driving

ALL = {"type": "call_recording", "action": "all"}


@pytest.fixture
def kazoo():
    with driving() as driver:
        yield driver


def make(kazoo, *, account=FIRST, **changes):
    """Make a webhook and return its document."""
    data = {"name": "Legato", "uri": HOOK, "hook": "object", "custom_data": ALL} | changes
    answer = kazoo.ask("webhooks", "PUT", account=account, data=data)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


def fail(_request):
    raise httpx.ConnectError("nobody there")


def test_a_document_is_told_of_when_it_is_saved(kazoo):
    """As a form, with its headers. The hook's own data go over it, all but type and action."""
    hook = make(kazoo, custom_data=ALL | {"secret": "s", "cluster_id": "ours"})
    name = kazoo.one(savedAfter=5)
    assert kazoo.told() == []
    kazoo.clock.now += 5
    [event] = kazoo.told()
    assert event == {
        "id": name,
        "account_id": FIRST,
        "action": "doc_created",
        "type": "call_recording",
        "cluster_id": "ours",
        "secret": "s",
    }
    [request] = kazoo.receiver.requests
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (request.headers["x-hook-id"], request.headers["x-account-id"]) == (hook["id"], FIRST)


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({"format": "json"}, "POST"),
        ({"format": "json", "http_verb": "put"}, "PUT"),
        ({"http_verb": "get", "uri": HOOK + "?token=t"}, "GET"),
    ],
)
def test_a_hook_says_how_it_is_told(kazoo, settings, method):
    """As JSON, or in the query, beside what stands there already."""
    make(kazoo, **settings)
    name = kazoo.one()
    [event] = kazoo.told()
    assert event["id"] == name
    assert kazoo.receiver.requests[0].method == method
    assert event.get("token") == ("t" if method == "GET" else None)


def test_4_3_says_nothing_of_audio_and_master_does():
    """`doc_edited`, when it is stored; `doc_deleted` says either."""
    for version, edited in (("4.3", []), ("master", ["doc_edited"])):
        with driving(version=version) as kazoo:
            make(kazoo)
            [name] = kazoo.place(10, readyAfter=60)["recordingIds"]
            assert [event["action"] for event in kazoo.told()] == ["doc_created"]
            kazoo.clock.now += 60
            kazoo.ask(f"recordings/{name}", "DELETE")
            told = [event["action"] for event in kazoo.told()]
            assert sorted(told) == ["doc_created", "doc_deleted", *edited]


def test_only_who_wants_it_is_told(kazoo):
    """The type, the action, the account, and whether it is on."""
    make(kazoo, custom_data={"type": "call_recording", "action": "doc_edited"})
    make(kazoo, custom_data={"type": "user", "action": "all"})
    make(kazoo, hook="channel_destroy")
    make(kazoo, enabled=False)
    make(kazoo, account=SECOND)
    kazoo.place(10)
    assert kazoo.told() == []
    kazoo.place(10, accountId=SECOND)
    assert [event["account_id"] for event in kazoo.told()] == [SECOND]
    kazoo.place(10, accountId=SECOND, emit=False)
    assert len(kazoo.told()) == 1


def test_a_reseller_hears_of_the_accounts_below(kazoo):
    """If the hook asks for that; the other way round it does not work."""
    make(kazoo, include_subaccounts=True)
    make(kazoo, account=SECOND, include_subaccounts=True, uri=HOOK + "/second")
    kazoo.place(10, accountId=SECOND)
    kazoo.place(10)
    assert [event["account_id"] for event in kazoo.told()].count(FIRST) == 1
    assert len(kazoo.told()) == 3


@pytest.mark.parametrize("status", [201, 202, 204, 302, 500])
def test_only_200_is_a_success_and_nothing_else_is_repeated(kazoo, status):
    """Not even an accepted one: six of them disable the hook."""
    make(kazoo)
    kazoo.receiver.reply = lambda _: httpx.Response(status, headers={"Location": HOOK})
    kazoo.place(*[10] * 5)
    assert len(kazoo.told()) == 5
    kazoo.place(10)
    assert len(kazoo.told()) == 6
    assert kazoo.stats()["webhooks"] == {"sent": 6, "answers": {str(status): 6}, "disabled": 1}
    assert kazoo.pauses == []


def test_master_takes_a_created_for_an_answer_to_put():
    """4.3 does not."""
    for version, disabled in (("master", 0), ("4.3", 1)):
        with driving(version=version) as kazoo:
            make(kazoo, http_verb="put", custom_data=ALL | {"action": "doc_created"})
            kazoo.receiver.reply = lambda _: httpx.Response(201)
            kazoo.place(*[10] * 6)
            assert len(kazoo.told()) == 6
            assert kazoo.stats()["webhooks"]["disabled"] == disabled


def test_a_broken_line_is_tried_twice_more(kazoo):
    """Two seconds apart, unless the hook says otherwise."""
    make(kazoo)
    kazoo.receiver.reply = fail
    kazoo.place(10)
    kazoo.told()
    assert kazoo.stats()["webhooks"]["answers"] == {"unreachable": 3}
    assert kazoo.pauses == [2, 2]


def test_six_failures_in_a_minute_disable_a_hook(kazoo):
    """Not five, and not six in more time; it is enabled again by the API."""
    hook = make(kazoo)
    kazoo.receiver.reply = lambda _: httpx.Response(500)
    for _ in range(6):
        kazoo.place(10)
        kazoo.told()
        kazoo.clock.now += 12.1
    assert kazoo.ask(f"webhooks/{hook['id']}").json()["data"]["enabled"]
    kazoo.clock.now -= 12.1
    kazoo.place(10)
    kazoo.told()
    [found] = kazoo.page("webhooks")["data"]
    assert (found["enabled"], "disable_reason" in found) == (False, True)
    assert kazoo.stats()["webhooks"]["disabled"] == 1
    kazoo.place(10)
    assert len(kazoo.told()) == 7

    assert kazoo.ask("webhooks", "PATCH", data={}).status_code == 400
    enabled = kazoo.ask("webhooks", "PATCH", data={"re-enable": True})
    assert enabled.json()["data"] == {hook["id"]: "success"}
    assert "disable_reason" not in kazoo.page("webhooks")["data"][0]
    kazoo.place(10)
    assert len(kazoo.told()) == 8


def test_a_disabled_hook_is_not_tried_any_more(kazoo):
    """Of six tries of two events the last would be the one that disables."""
    make(kazoo, retries=4)
    kazoo.receiver.reply = fail
    kazoo.place(10, 10)
    kazoo.told()
    assert kazoo.stats()["webhooks"]["sent"] == 6


def test_hooks_can_be_read_changed_and_removed(kazoo):
    """By who sees their account."""
    hook = make(kazoo)
    path = f"webhooks/{hook['id']}"
    assert hook["format"] == "form-data"
    assert kazoo.ask(path).json()["data"] == hook
    assert kazoo.ask(path, account=SECOND).status_code == 404
    patched = kazoo.ask(path, "PATCH", data={"retries": 0}).json()["data"]
    assert patched == hook | {"retries": 0}
    data = {"name": "x", "uri": HOOK, "hook": "object"}
    replaced = kazoo.ask(path, "POST", data=data).json()["data"]
    assert (replaced["retries"], "custom_data" in replaced) == (2, False)
    assert kazoo.ask(path, "DELETE").json()["data"]["id"] == hook["id"]
    assert kazoo.ask(path).status_code == 404
    assert kazoo.page("webhooks")["data"] == []


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"uri": None}, "uri", "required"),
        ({"http_verb": "patch"}, "http_verb", "enum"),
        ({"format": "xml"}, "format", "enum"),
        ({"retries": 5}, "retries", "maximum"),
        ({"retries": "2"}, "retries", "type"),
        ({"enabled": 1}, "enabled", "type"),
        ({"uri": "nowhere"}, "uri", "format"),
        ({"custom_data": {"a": 1}}, "custom_data", "type"),
    ],
)
def test_a_hook_that_the_schema_does_not_allow_is_refused(kazoo, change, field, rule):
    """With the field and the rule."""
    data = {"name": "Legato", "uri": HOOK, "hook": "object"} | change
    data = {name: value for name, value in data.items() if value is not None}
    refused = kazoo.ask("webhooks", "PUT", data=data)
    assert refused.status_code == 400
    assert rule in refused.json()["data"][field]
    assert kazoo.page("webhooks")["data"] == []
