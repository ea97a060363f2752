"""RingCX's rows, read leniently: never silently "not recorded", and no odd row stops another."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legato.ledger.listings import records_key
from legato.model import Job, Party, format_time
from legato.providers.ringcx import rows
from legato.providers.ringcx.rows import is_recorded, is_unclear, recordings, unreadable
from tests.fakes import NOON, an_id
from tests.unit.test_ringcx_provider import a_row
from tests.unit.test_ringcx_tail import Desk
from tests.unit.test_ringex_call_log import ABSURD, ANYTHING

JOB = Job(provider="ringcx", account="99", call="s-v-1", seen_at=NOON)
URL = {"segmentRecordingURL": "https://example.invalid/x"}


def listing(*found):
    return rows.listing(JOB, list(found), retention=timedelta(days=90))


def kind(**fields):
    row = a_row(**fields)
    return "recorded" if is_recorded(row) else "unclear" if is_unclear(row) else "none"


@pytest.mark.parametrize("flag", [True, "true", "TRUE", " True ", 1, 1.0, "1", "yes", "Y"])
@pytest.mark.parametrize(
    "channel",
    [
        {"channelClass": "voice"},
        {"channelClass": "VOICE", "channelType": "VOICE"},
        {"channelClass": None, "channelType": "TELEPHONY"},
        {"channelClass": None, "channelType": None},
        {"channelClass": None, "channelType": "EMAIL"},
        {"channelClass": "TELEPHONY"},
        {"channelClass": "HOLOGRAM", "channelType": ["odd"]},
        {"channelClass": {}, "channelType": 7},
    ],
)
def test_a_recording_is_one_however_its_row_is_spelled(flag, channel):
    """Of a channel that is not known, too."""
    assert kind(hasRecording=flag, **channel) == "recorded"


@pytest.mark.parametrize("flag", [False, "false", 0, "no", None, "maybe", [], {}, float("nan")])
def test_an_address_of_a_recording_says_more_than_a_flag(flag):
    """It stands in older versions of the metadata."""
    assert kind(hasRecording=flag, **URL) == "recorded"


@pytest.mark.parametrize("name", ["segmentRecordingUrl", "recordingURL", "recording_link"])
def test_an_address_is_one_under_any_name(name):
    """Older versions spell it in several ways."""
    assert kind(hasRecording=False, **{name: "https://example.invalid/x"}) == "recorded"
    assert kind(hasRecording=False, **{name: None}) == "none"


@pytest.mark.parametrize("flag", [False, "false", "FALSE", 0, "0", "no"])
def test_what_was_not_recorded_is_said_so(flag):
    """In whatever spelling."""
    assert kind(hasRecording=flag) == "none"


@pytest.mark.parametrize("flag", [None, "maybe", "", 2, [], {}, ["true"], float("nan")])
def test_what_is_not_known_is_shown_to_a_person(flag):
    """The segment is named, beside the recordings that are fetched."""
    assert kind(hasRecording=flag) == "unclear"
    found = listing(a_row(1), a_row(2, hasRecording=flag))
    assert [leg.id for leg in found.legs] == ["p-v-1"]
    [one] = found.unreadable
    assert (one.id, "whether the segment was recorded" in one.reason) == ("p-v-2", True)


@pytest.mark.parametrize("flag", [True, None, "maybe"])
def test_a_chat_is_none_of_ours(flag):
    """Whatever it says of a recording."""
    channel = {"channelClass": "digital", "channelType": "ENGAGE_MESSAGING"}
    assert kind(hasRecording=flag, **channel) == "none"


def test_an_unclear_row_becomes_a_job_and_a_row_without_ids_a_stray():
    """Neither is dropped, and neither stops the others."""
    desk = Desk()
    for fields in ({}, {"hasRecording": "maybe"}, {"hasRecording": None, "dialogId": None}):
        desk.metadata.ended(NOON - timedelta(hours=1), **fields)
    assert desk.sweep().done
    assert {job.call: job.named for job, _ in desk.jobs.sent} == {
        "s-v-0": {"p-v-0"},
        "s-v-1": frozenset(),
    }
    assert len(desk.jobs.buried) == 1


def test_of_two_rows_of_a_segment_the_one_with_a_recording_counts():
    """Whichever is listed last."""
    desk = Desk()
    for flag in (None, "true", False):
        fields = {"dialogId": "s-v-1", "segmentId": "p-v-1", "hasRecording": flag}
        desk.metadata.ended(NOON - timedelta(hours=1), **fields)
    desk.sweep()
    [(job, _)] = desk.jobs.sent
    assert job.named == {"p-v-1"}
    note = desk.notes.read(records_key(an_id("s-v-1", provider="ringcx", account="99")))
    assert note.content["records"]["p-v-1"]["hasRecording"] == "true"


def test_ids_may_be_numbers_and_times_milliseconds():
    """As a number, or as its digits."""
    began = NOON - timedelta(hours=1)
    for time in (began.timestamp() * 1000, str(round(began.timestamp() * 1000))):
        row = a_row(segmentId=None, segmentID=77, segmentStartTimeMs=time, segmentDurationMs=5.0)
        [leg] = listing(row).legs
        assert (leg.id, leg.started_at, leg.announced_ms) == ("77", began, 5)


@pytest.mark.parametrize("odd", [*ABSURD, "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"])
def test_absurd_times_and_lengths_are_none(odd):
    """The segment began with its dialog then, or else when it was seen."""
    times = {"segmentStartTimeMs": odd, "segmentEndTimeMs": odd, "segmentDurationMs": odd}
    found = listing(a_row(**times))
    assert found.legs[0].started_at == NOON - timedelta(hours=2)
    assert found.legs[0].announced_ms is None
    times |= {"dialogStartTimeMs": odd, "dialogEndTimeMs": odd}
    found = listing(a_row(**times))
    assert (found.legs[0].started_at, found.started_at, found.kept_until) == (NOON, None, None)


FIELDS = [*a_row(), "segmentID", "channelType", "segmentRecordingURL", "new"]


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING))
def test_whatever_stands_in_a_field_the_good_segment_is_found(fields):
    """In the sweep and in the listing; the other is a leg, is named, or is shown to somebody."""
    desk = Desk(first=NOON - timedelta(hours=2))
    desk.metadata.ended(NOON - timedelta(hours=1), dialogId="good")
    row = a_row(2, **fields)
    desk.metadata.rows.append((NOON - timedelta(hours=1), row))
    assert desk.sweep().done
    assert "good" in desk.found()
    said = {"channelClass", "channelType", "hasRecording"} & fields.keys()
    assert said or len(desk.jobs.sent) + len(desk.jobs.buried) == 2
    found = listing(a_row(1), row)
    assert "p-v-1" in {leg.id for leg in found.legs}
    assert recordings([row]) <= {leg.id for leg in found.legs}
    assert set(unreadable([row])) <= set(found.unreadable)
    assert json.dumps(found.records, ensure_ascii=False, allow_nan=False).encode()
    assert format_time(found.started_at or NOON)


def test_each_segment_names_its_own_agent():
    """And both addresses; the call names all agents, each once."""
    sides = {"contactEndpointAddress": "+1", "channelEndpointAddress": "+2"}
    found = listing(
        a_row(segmentId="p-1", segmentParticipantId=77, agentFullName="Zo\u00eb", **sides),
        a_row(segmentId="p-2", segmentParticipantId=78, segmentParticipantRcExtensionId=5, **sides),
        a_row(segmentId="p-3", segmentParticipantId=77, **sides),
    )
    contact, channel = Party(role="contact", number="+1"), Party(role="channel", number="+2")
    first = Party(role="agent", name="Zo\u00eb", agent="77")
    second = Party(role="agent", agent="78", extension="5")
    third = Party(role="agent", agent="77")
    assert {leg.id: leg.parties for leg in found.legs} == {
        "p-1": (contact, channel, first),
        "p-2": (contact, channel, second),
        "p-3": (contact, channel, third),
    }
    assert found.parties == (contact, channel, first, second)
