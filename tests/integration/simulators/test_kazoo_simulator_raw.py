"""Documents that stand in an account's databases word for word."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from local.simulators.kazoo.gregorian import gregorian
from tests.integration.simulators.kazoo_driver import FIRST, SECOND, Driver, driving
from tests.integration.simulators.raw_lists import ODD, base64_of, post_raw, same


@pytest.fixture
def kazoo() -> Iterator[Driver]:
    with driving() as driver:
        yield driver


def document(name: str = "202610-1", **fields: Any) -> dict[str, Any]:
    return {"id": name, "interaction_id": "i-1", **fields}


def raw(kazoo: Driver, *documents: Any, **order: Any) -> dict[str, Any]:
    answer = post_raw(kazoo, documents=documents, **order)
    assert answer.status_code == 201, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def listed(kazoo: Driver, account: str = FIRST, **query: Any) -> list[Any]:
    answer = kazoo.ask("recordings", account=account, params=query, check=False)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["data"]
    return found


def test_a_document_is_listed_word_for_word(kazoo: Driver) -> None:
    """In its account's list and by its id; in no other account."""
    given = document(surplus={"a": None}, start=gregorian(kazoo.clock.now) - 30)

    taken = raw(kazoo, given, accountId=SECOND)

    assert (taken["accountId"], taken["documents"]) == (SECOND, [given])
    assert listed(kazoo, SECOND) == [given]
    assert listed(kazoo) == []
    one = kazoo.ask("recordings/202610-1", account=SECOND, check=False)
    assert one.json()["data"] == given
    assert kazoo.ask("recordings/202610-1").status_code == 404
    refused = post_raw(kazoo, documents=[], accountId="1")
    assert (refused.status_code, "is no account" in refused.text) == (400, True)


def test_the_list_goes_by_created_or_start(kazoo: Driver) -> None:
    """What says neither in a way that can be read was saved now."""
    now = gregorian(kazoo.clock.now)
    raw(
        kazoo,
        document("a", created=now - 100, start=now - 500),
        document("b", start=now - 200),
        document("c", start="63963000000"),
        document("d", start=-5, created=10**400),
        document("e"),
    )

    def ids(begin: int, end: int) -> list[str]:
        found = listed(kazoo, created_from=now - begin, created_to=now - end)
        return [each["id"] for each in found]

    assert ids(100, 100) == ["a"]
    assert ids(250, 150) == ["b"]
    assert sorted(ids(10, 0)) == ["c", "d", "e"]
    assert ids(500, 0)[-2:] == ["a", "b"]


def test_pages_show_each_document_once(kazoo: Driver) -> None:
    """Among the placed ones, also when two have the same id and time."""
    placed = [kazoo.one(start=kazoo.clock.ago(60 + n)) for n in range(3)]
    raw(kazoo, *[document("same")] * 2, None, document("202610-2", start="now-55"))
    seen, query = [], {"page_size": "2"}
    while True:
        page = kazoo.ask("recordings", params=query, check=False).json()
        seen += page["data"]
        if "next_start_key" not in page:
            break
        query["start_key"] = page["next_start_key"]

    names = [each and each["id"] for each in seen]
    assert sorted(filter(None, names)) == sorted([*placed, "same", "same", "202610-2"])
    assert names.count(None) == 1


def test_the_same_id_given_again_replaces_its_documents(kazoo: Driver) -> None:
    raw(kazoo, document(a=1), document(a=2))
    assert sorted(each["a"] for each in listed(kazoo)) == [1, 2]

    raw(kazoo, document(a=3))

    assert listed(kazoo) == [document(a=3)]


def test_a_placed_recording_can_be_rewritten(kazoo: Driver) -> None:
    """Its audio stays."""
    name = kazoo.one()
    before = kazoo.audio(name).content

    raw(kazoo, document(name, duration=1))

    assert listed(kazoo) == [document(name, duration=1)]
    assert kazoo.audio(name).content == before


def test_times_can_be_so_long_ago(kazoo: Driver) -> None:
    """In Gregorian seconds where Kazoo's are, else as a text."""
    then = document(start="now-90", custom={"created": "now-90", "when": "now-90"})

    [taken] = raw(kazoo, then)["documents"]

    number = gregorian(kazoo.clock.now) - 90
    assert taken["start"] == number
    assert taken["custom"] == {"created": number, "when": kazoo.clock.ago(90)}


def test_audio_is_given_made_or_missing(kazoo: Driver) -> None:
    order = [
        document("given"),
        document("made", duration_ms=5000),
        document("also", duration=5),
        document("none"),
    ]

    taken = raw(kazoo, *order, audio={"given": base64_of(b"RIFF-not")})

    assert set(taken["recordingIds"]) == {"given", "made", "also"}
    given = kazoo.audio("given", check=False)
    assert (given.content, given.headers["content-type"]) == (b"RIFF-not", "audio/x-wav")
    assert len(kazoo.audio("made").content) == round(5 / 0.036) * 144
    assert len(kazoo.audio("also").content) == round(5 / 0.036) * 144
    assert kazoo.audio("none").status_code == 404
    assert kazoo.stats()["wholeDownloads"] == {"given": 1, "made": 1, "also": 1}


def test_a_document_can_be_deleted(kazoo: Driver) -> None:
    raw(kazoo, document(duration=5))

    assert kazoo.ask("recordings/202610-1", "DELETE", check=False).status_code == 200

    assert listed(kazoo) == []
    assert kazoo.audio("202610-1").status_code == 404


@pytest.mark.parametrize(
    "odd",
    [
        *ODD,
        {"id": "202610-9", "duration": 10**400, "start": float("inf")},
        {"id": "202610-9", "owner_id": ["x"], "created": True},
        {"id": 'quoted"\r\nX-Header: 1', "duration": 5},
    ],
    ids=lambda odd: repr(odd)[:40],
)
def test_an_odd_document_costs_no_other_and_nothing_else(kazoo: Driver, odd: Any) -> None:
    """Whatever it is, it is listed, and so are the document beside it and the placed one."""
    placed = kazoo.one()

    taken = raw(kazoo, odd, document())

    found = listed(kazoo)
    assert sum(same(each, odd) for each in found) == 1
    assert {each["id"] for each in found if not same(each, odd)} == {placed, "202610-1"}
    listed(kazoo, filter_owner_id="nobody", **{"filter_not_a.b": "c"})
    kazoo.ask("users/nobody/recordings", check=False)
    for kind in ("repeat-key", "endless"):
        kazoo.break_next(kind=kind, route="recordings")
        listed(kazoo)
    for name in taken["recordingIds"]:
        assert kazoo.audio(quote(name, safe=""), check=False).status_code in (200, 404)
    assert "500" not in str(kazoo.stats()["requests"])


def test_reset_forgets_them(kazoo: Driver) -> None:
    raw(kazoo, document(), audio={"202610-1": base64_of(b"x")})

    kazoo.control("reset")

    assert listed(kazoo) == []
    assert kazoo.audio("202610-1").status_code == 404
