"""Job messages, times and keys."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legato import layout
from legato.errors import Refused
from legato.model import Job, format_time, parse_time
from tests.fakes import an_id

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
