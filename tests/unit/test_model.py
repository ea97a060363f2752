"""Job messages, times and keys."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.archive import layout
from legato.errors import Refused
from legato.model import MAX_JOB_BYTES, Job, format_time, is_id, is_name, parse_time
from tests.fakes import NOON, an_id

MESSAGE = {
    "v": 1,
    "provider": "ringex",
    "account": "11111111",
    "call": "s-1",
    "seen_at": "2026-11-20T12:00:00.000Z",
    "hints": {"recordingIds": ["7"]},
    "attempt": 2,
}


def test_a_job_survives_its_message():
    """What is read and written again is the same, with fields that we do not know yet."""
    body = json.dumps({**MESSAGE, "future": {"field": [1]}})
    job = Job.from_message(body)
    assert job.named == {"7"}
    assert job.attempt == 2
    assert json.loads(job.to_message()) == {**MESSAGE, "looks": 0, "future": {"field": [1]}}


def test_the_shortest_message_of_version_1_is_a_job():
    """Hints and counters may be left out."""
    short = {name: MESSAGE[name] for name in ("v", "provider", "account", "call", "seen_at")}
    job = Job.from_message(json.dumps(short))
    assert (job.hints, job.attempt, job.looks) == ({}, 0, 0)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"v": 2}, "version"),
        ({"v": None}, "version"),
        ({"provider": "zoom"}, "zoom"),
        ({"call": ""}, "call"),
        ({"call": 7}, "call"),
        ({"account": None}, "account"),
        ({"seen_at": "yesterday"}, "yesterday"),
        ({"seen_at": 7}, "seen_at"),
        ({"not_before": 7}, "not valid"),
        ({"hints": []}, "hints"),
        ({"hints": {"recordingIds": "7"}}, "recordingIds"),
        ({"hints": {"recordingIds": [7]}}, "recordingIds"),
        ({"attempt": "2"}, "attempt"),
        ({"attempt": True}, "attempt"),
    ],
)
def test_what_is_wrong_with_a_job_is_named(change, named):
    """Whoever reads the dead letters knows what to mend."""
    with pytest.raises(Refused, match=named):
        Job.from_message(json.dumps({**MESSAGE, **change}))


@pytest.mark.attacks("puts a job into the queue that no function of ours would have made")
@pytest.mark.parametrize(
    "change",
    [
        {"call": "x" * 129},
        {"call": "a\nb"},
        {"call": "\ud800"},
        {"call": ".."},
        {"account": "x" * 129},
        {"account": "\x00"},
        {"seen_at": "0001-01-01T00:00:00+14:00"},
        {"seen_at": "9999-12-31T23:59:59Z"},
        {"not_before": "2100-01-01T00:00:00Z"},
        {"tried_at": "1999-12-31T00:00:00Z"},
        {"attempt": -1},
        {"looks": 10**30},
        {"crashes": 1.5},
        {"hints": {"recordingIds": ["x" * 129]}},
        {"hints": {"recordingIds": ["7"] * 101}},
        {"hints": {"peers": [["7"]]}},
        {"hints": {"listed": {"7": 1}}},
        {"hints": {"related": ["s-1"]}},
        {"hints": {"related": [7]}},
        {"hints": {"related": [f"ringex/1/{'x' * 129}"]}},
        {"hints": {"ongoing": "yes"}},
        {"hints": {"retry": 1}},
        {"hints": {"key": ["k"]}},
        {"hints": {"version": 7}},
        {"future": "x" * MAX_JOB_BYTES},
        {"future": [[[[[[[[[[[7]]]]]]]]]]]},
    ],
)
def test_what_is_no_job_of_ours_is_refused(change):
    """Before anything is done with it; the dead letter says why."""
    with pytest.raises(Refused):
        Job.from_message(json.dumps({**MESSAGE, **change}))


@pytest.mark.attacks("nests a job so deeply that it ends its reader")
@pytest.mark.parametrize("body", ["[" * 15_000, '{"v":' * 3000, '{"v": 1, "hints": ' + "[" * 5000])
def test_a_job_that_is_nested_deeply_is_refused(body):
    with pytest.raises(Refused):
        Job.from_message(body)


@given(
    st.lists(st.text("7äク", min_size=1, max_size=42).filter(is_name), max_size=400, unique=True),
    st.lists(st.text("7s-", min_size=1, max_size=128), max_size=50, unique=True),
)
@settings(max_examples=30)
def test_a_job_that_names_more_than_a_message_holds_is_several(named, peers):
    """They say the same together, and each is read again."""
    hints = {"recordingIds": named, "peers": peers, "retry": True}
    whole = Job(provider="ringex", account="1", call="s-1", seen_at=NOON, hints=hints)
    read = [Job.from_message(part.to_message()) for part in whole.parts()]
    assert set().union(*(job.named for job in read)) == set(named)
    assert {peer for job in read for peer in job.hints["peers"]} == set(peers)
    assert all(job.hints["retry"] for job in read)
    assert Job.from_message(whole.anew().to_message())


@pytest.mark.parametrize(
    "name",
    [
        "s-0a1b2c3d4e5f60718293a4b5c6d7e8f9z19a2b3c4d5e6z0000000",
        "~",
        "1662272004",
        "p-v-0a1b2c3d4e5f60718293a4b5c6d7e8f9-1795165205000-1a2b3c4d5e6f7",
        "63962385275-0a1b2c3d",
        "202611-0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "202611-a84b4c76e66710@pbx.example.com:5060",
        "aGVsbG8+d29ybGQ=",
        "1!2%40*3~4.5_6",
    ],
)
def test_the_ids_of_all_providers_have_one_shape(name):
    assert is_id(name)
    assert is_name(name)


@pytest.mark.parametrize(
    "odd",
    ["", ".", "..", " ", "a b", "a/b", "a#b", "a\\b", "ü", "\x7f", "\ud800", "x" * 129, 7, None],
)
def test_what_a_stranger_may_not_name(odd):
    assert not is_id(odd)


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)))  # noqa: DTZ001
def test_times_are_utc_with_milliseconds(moment):
    """A written time is read back to the millisecond, and ends in Z."""
    text = format_time(moment)
    assert text.endswith("Z")
    assert abs(parse_time(text) - moment) < timedelta(milliseconds=1)


def test_a_time_with_an_offset_becomes_utc():
    """RingCentral writes Z, others do not."""
    east = datetime(2026, 11, 20, 14, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(east) == "2026-11-20T12:00:00.000Z"
    assert parse_time("2026-11-20T14:00:00+02:00") == east


@given(st.text(min_size=1, max_size=50))
def test_any_id_is_one_path_segment(name):
    """No id climbs a folder, ends a key, or collides with another."""
    segment = layout.encoded(name)
    assert segment not in (".", "..")
    assert set(segment) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%"
    )


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_ids_never_share_a_key(one, other):
    """Encoding loses nothing."""
    assert (layout.encoded(one) == layout.encoded(other)) == (one == other)


def test_the_layout_is_the_contract():
    """Outside tools read these keys."""
    prefix = layout.call_prefix(an_id("s-1/x"), datetime(2026, 1, 2, 23, tzinfo=UTC))
    assert prefix == "calls/ringex/1/2026/01/02/s-1%2Fx/"
    assert layout.leg_key(prefix, "7", "mp3") == f"{prefix}legs/7.mp3"
    assert layout.recording_key(prefix, 1, "wav") == f"{prefix}recording-1.wav"
    assert layout.peaks_key(prefix, 1) == f"{prefix}peaks-1.json"
    assert layout.manifest_key(prefix, 12) == f"{prefix}manifest-12.json"
    assert layout.newest_revision([layout.manifest_key(prefix, n) for n in (2, 12, 1)]) == 12
    assert layout.newest_revision([f"{prefix}peaks-3.json"]) == 0
