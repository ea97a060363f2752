"""Rows of the metadata that stand there word for word."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.simulators.raw_lists import ODD, base64_of, post_raw, same
from tests.integration.simulators.ringcx_driver import OTHER, SUB, Driver, driving


@pytest.fixture
def ringcx() -> Iterator[Driver]:
    with driving(tooFreshSeconds=0) as driver:
        yield driver


def row(segment: str = "p1", **fields: Any) -> dict[str, Any]:
    return {"dialogId": "d1", "segmentId": segment, **fields}


def raw(ringcx: Driver, *rows: Any, **order: Any) -> dict[str, Any]:
    answer = post_raw(ringcx, rows=rows, **order)
    assert answer.status_code == 201, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def rows(ringcx: Driver, *window: int, **changes: Any) -> list[Any]:
    return ringcx.rows(*(window or (3600, 3600)), check=False, **changes)


def at(segment: str = "p1") -> dict[str, Any]:
    return {"subAccountId": SUB, "dialogId": "d1", "segmentIds": [segment]}


def test_a_row_is_in_the_windows_that_contain_its_start(ringcx: Driver) -> None:
    """Word for word; one whose start nobody can read is in every window of its sub-account."""
    given = row(segmentStartTimeMs=ringcx.clock.ago(1800), hasRecording="true", surplus=[None])
    unread = row("p2", segmentStartTimeMs="noon", subAccountId="111")

    taken = raw(ringcx, given, unread)

    assert (taken["subAccountId"], taken["rows"]) == (SUB, [given, unread])
    assert rows(ringcx) == [given, unread]
    assert rows(ringcx, 3600, 600) == [unread]
    assert rows(ringcx, 1800, 600) == [given, unread]
    assert rows(ringcx, sub=OTHER) == []


def test_rows_of_another_sub_account(ringcx: Driver) -> None:
    raw(ringcx, row(), subAccountId=OTHER)

    assert rows(ringcx) == []
    assert rows(ringcx, sub=OTHER) == [row()]
    refused = post_raw(ringcx, rows=[], subAccountId="1")
    assert (refused.status_code, "is no sub-account" in refused.text) == (400, True)


def test_the_same_segment_given_again_replaces_its_rows(ringcx: Driver) -> None:
    """Those of one order stand beside each other."""
    raw(ringcx, row(a=1), row(a=2))
    assert rows(ringcx) == [row(a=1), row(a=2)]

    raw(ringcx, row(a=3))

    assert rows(ringcx) == [row(a=3)]


def test_a_placed_segment_can_be_rewritten(ringcx: Driver) -> None:
    """Its recording stays where it was."""
    placed = ringcx.place(60, ago=600)
    before = ringcx.recording(placed).content

    raw(ringcx, row(placed["segmentIds"][0], segmentDurationMs=5))

    assert [each["dialogId"] for each in rows(ringcx)] == ["d1"]
    assert ringcx.recording(placed).content == before


def test_times_can_be_so_long_ago(ringcx: Driver) -> None:
    [taken] = raw(ringcx, row(segmentStartTimeMs="now-90"))["rows"]

    assert taken["segmentStartTimeMs"] == ringcx.clock.ago(90)


def test_audio_is_given_made_or_missing(ringcx: Driver) -> None:
    span = {"segmentStartTimeMs": "now-90", "segmentEndTimeMs": "now-85"}
    order = [row("made", segmentDurationMs=5000), row("between", **span), row("none"), row("given")]

    taken = raw(ringcx, *order, audio={"given": base64_of(b"bytes")})

    assert set(taken["segmentIds"]) == {"given", "made", "between"}
    assert ringcx.recording(at("given")).content == b"bytes"
    assert len(ringcx.recording(at("made")).content) == 44 + 5 * 8000 * 4
    assert len(ringcx.recording(at("between")).content) == 44 + 5 * 8000 * 4
    assert ringcx.recording(at("none")).status_code == 404
    assert ringcx.stats()["wholeDownloads"] == {"given": 1, "made": 1, "between": 1}


@pytest.mark.parametrize(
    "odd",
    [
        *ODD,
        {"segmentId": ["p"], "segmentStartTimeMs": {}},
        {"segmentId": "p9", "segmentDurationMs": 10**400},
        {"segmentId": "p9", "segmentDurationMs": float("nan"), "segmentStartTimeMs": 1e300},
        {"segmentId": "\ud800", "segmentDurationMs": 5000},
    ],
    ids=lambda odd: repr(odd)[:40],
)
def test_an_odd_row_costs_no_other_and_nothing_else(ringcx: Driver, odd: Any) -> None:
    """Whatever it is, it is listed, and so are the row beside it and the placed segment."""
    placed = ringcx.place(60, ago=600)

    raw(ringcx, odd, row())

    listed = rows(ringcx)
    assert sum(same(each, odd) for each in listed) == 1
    others = [each["segmentId"] for each in listed if not same(each, odd)]
    assert others == [*placed["segmentIds"], "p1"]
    for kind in ("bad-row", "repeat", "object-body"):
        ringcx.break_next(kind=kind, route="metadata")
        assert ringcx.metadata(3600, 3600, check=False).status_code == 200
    assert "500" not in str(ringcx.stats()["requests"])


def test_reset_forgets_them(ringcx: Driver) -> None:
    raw(ringcx, row(), audio={"p1": base64_of(b"x")})

    ringcx.control("reset")

    assert rows(ringcx) == []
    assert ringcx.recording(at()).status_code == 404
