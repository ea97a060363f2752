"""What a dialog consists of, as the ledger has it, and when it may be touched."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from legato.errors import Wait
from legato.ledger.listings import records_key
from legato.model import Job, Note, Party, Priority, format_time
from legato.providers.ringcx.provider import Ringcx
from tests.fakes import NOON, FakeClock, FakeNotes, an_id

SETTLE = timedelta(minutes=15)


class FakeApi:
    def __init__(self):
        self.opened = []

    @contextmanager
    def stream(self, sub_account, dialog, segment, *, priority=Priority.NORMAL):
        self.opened.append((sub_account, dialog, segment, priority))
        yield iter([b"RIFF"])


class Desk:
    def __init__(self):
        self.clock = FakeClock()
        self.notes = FakeNotes()
        self.api = FakeApi()
        self.provider = Ringcx(self.api, self.notes, self.clock, settle=SETTLE, otherwise=90)

    def knows(self, *rows, call="s-v-1"):
        records = {str(number): row for number, row in enumerate(rows)}
        self.notes.write(
            Note(
                key=records_key(an_id(call, provider="ringcx", account="99")),
                content={"records": records},
            )
        )

    def resolve(self, call="s-v-1", **fields):
        facts = {"provider": "ringcx", "account": "99", "seen_at": NOON}
        job = Job(call=call, **{**facts, **fields})
        return self.provider.resolve([job]).get(job.id)


def a_row(number=1, *, ended=60, length=60, **fields):
    """Return a row of a segment that ended so many minutes ago after so many seconds."""
    end = NOON - timedelta(minutes=ended)
    return {
        "subAccountId": "99",
        "dialogId": "s-v-1",
        "interactionId": "202611201100000000000000000001",
        "channelClass": "VOICE",
        "channelEndpointAddress": "7312066731",
        "contactEndpointAddress": "2013770791",
        "dialogOrigination": "INBOUND",
        "dialogStartTimeMs": format_time(NOON - timedelta(hours=2)),
        "dialogEndTimeMs": format_time(end),
        "segmentId": f"p-v-{number}",
        "segmentType": "AGENT",
        "segmentParticipantId": str(4400 + number),
        "segmentStartTimeMs": format_time(end - timedelta(seconds=length)),
        "segmentEndTimeMs": format_time(end),
        "segmentDurationMs": length * 1000,
        "agentDisposition": "Success",
        "systemDisposition": None,
        "hasRecording": True,
    } | fields


def test_a_dialog_has_the_segments_that_were_recorded():
    """In playing order, each with what is said of it alone; the rows are kept as they came."""
    desk = Desk()
    rows = [a_row(2, ended=50), a_row(1), a_row(3, ended=40, hasRecording=False)]
    desk.knows(*rows)
    found = desk.resolve()
    assert [leg.id for leg in found.legs] == ["p-v-1", "p-v-2"]
    assert [leg.announced_ms for leg in found.legs] == [60_000, 60_000]
    assert found.records == tuple(rows)
    assert found.final
    assert (found.started_at, found.ended_at) == (
        NOON - timedelta(minutes=61),
        NOON - timedelta(minutes=40),
    )
    assert found.kept_until == found.ended_at + timedelta(days=90)
    assert found.legs[0].details == {
        "type": "AGENT",
        "agent": "4401",
        "extension": None,
        "agent_group": None,
        "direction": "INBOUND",
        "channel_address": "7312066731",
        "contact_address": "2013770791",
        "system_disposition": None,
        "agent_disposition": "Success",
        "agent_notes": None,
        "interaction": "202611201100000000000000000001",
    }


def test_a_sub_account_may_keep_its_recordings_for_less():
    """As RingCX has said to the sweeper."""
    desk = Desk()
    desk.knows(a_row(1))
    desk.notes.write(Note(key="retention#ringcx", content={"days": {"99": 30, "98": None}}))
    found = desk.resolve()
    assert found.kept_until == found.ended_at + timedelta(days=30)


def test_nobody_says_who_called_whom():
    """The documentation contradicts itself, so both addresses stand as they were given."""
    desk = Desk()
    desk.knows(a_row(1), a_row(2, segmentParticipantRcExtensionId="985901004"))
    found = desk.resolve()
    assert found.direction == "inbound"
    assert found.parties == (
        Party(role="contact", number="2013770791"),
        Party(role="channel", number="7312066731"),
        Party(role="agent", agent="4401"),
        Party(role="agent", agent="4402", extension="985901004"),
    )


def test_times_are_texts_in_spite_of_their_names():
    """As in the official example: https://github.com/ringcentral/engage-voice-api-docs."""
    desk = Desk()
    desk.knows(
        a_row(
            segmentStartTimeMs="2024-07-22T11:24:40.000Z",
            segmentEndTimeMs="2024-07-22T11:24:47.000Z",
            segmentDurationMs=7000,
        )
    )
    (leg,) = desk.resolve().legs
    assert leg.started_at == datetime(2024, 7, 22, 11, 24, 40, tzinfo=UTC)
    assert leg.announced_ms == 7000


@pytest.mark.parametrize("minutes", [0, 5, 14])
def test_a_dialog_that_has_only_just_ended_waits(minutes):
    """Whichever of its segments ended last, recorded or not."""
    desk = Desk()
    desk.knows(a_row(1), a_row(2, ended=minutes, hasRecording=False))
    found = desk.resolve()
    assert isinstance(found, Wait)
    assert found.seconds == (15 - minutes) * 60
    desk.clock.advance(found.seconds)
    assert len(desk.resolve().legs) == 1


def test_an_end_that_lies_in_the_future_is_a_clock_that_is_wrong():
    """The dialog waits for a quarter of an hour from when it was seen, and no longer."""
    desk = Desk()
    desk.knows(a_row(1, ended=-5000))
    assert desk.resolve().seconds == 900
    desk.clock.advance(900)
    assert len(desk.resolve().legs) == 1


@pytest.mark.parametrize(
    "times",
    [
        {"segmentEndTimeMs": "2026-11-20T10:00:00.000Z", "segmentDurationMs": -5},
        {"segmentEndTimeMs": None, "segmentDurationMs": None},
        {"segmentStartTimeMs": "soon", "segmentDurationMs": "long"},
        {"segmentStartTimeMs": None, "dialogStartTimeMs": None, "segmentDurationMs": None},
    ],
)
def test_times_that_make_no_sense_keep_no_recording_out(times):
    """A segment whose length cannot be told has none announced."""
    desk = Desk()
    desk.knows(a_row(1, **times))
    (leg,) = desk.resolve().legs
    assert leg.announced_ms in (None, 0) or leg.announced_ms > 0
    assert leg.started_at.tzinfo is UTC


def test_a_segment_that_ends_before_it_begins_has_no_length():
    """Rather none than a wrong one."""
    desk = Desk()
    desk.knows(a_row(1, segmentEndTimeMs="2026-11-20T10:00:00.000Z", segmentDurationMs=-5))
    (leg,) = desk.resolve().legs
    assert leg.announced_ms is None


def test_a_dialog_that_no_sweep_has_found_is_not_answered():
    """It is looked for again."""
    assert Desk().resolve() is None


def test_a_recording_is_opened_by_its_three_ids():
    """Also when one of them would mind being in a path."""
    desk = Desk()
    desk.knows(a_row(1, segmentId="p/v 1"), call="d/1")
    (leg,) = desk.resolve("d/1", hints={"behind": True}).legs
    with desk.provider.open_leg(leg, turn=True) as pieces:
        assert list(pieces) == [b"RIFF"]
    named = desk.provider.named_leg(
        Job(provider="ringcx", account="99", call="d/1", seen_at=NOON), "p-v-9"
    )
    with desk.provider.open_leg(named):
        pass
    assert desk.api.opened == [
        ("99", "d/1", "p/v 1", Priority.BACKFILL),
        ("99", "d/1", "p-v-9", Priority.NORMAL),
    ]
