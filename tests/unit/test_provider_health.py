"""When a provider last granted anything."""

from datetime import timedelta

import pytest

from legato.errors import Retry, Stale
from legato.provider_health import granted, last_granted
from tests.fakes import NOON, FakeNotes


def test_what_was_granted_is_known_to_every_worker(notes, clock):
    """By kind, and the newest of all."""
    assert last_granted("ringex", notes) is None
    granted("ringex", notes, clock)
    clock.advance(60)
    granted("ringex", notes, clock, kind="list")
    assert last_granted("ringex", notes) == NOON + timedelta(seconds=60)
    assert last_granted("ringex", notes, kind="recording") == NOON
    assert last_granted("kazoo", notes) is None


def test_it_is_written_once_a_minute_at_most(notes, clock):
    """However much is granted."""
    granted("ringex", notes, clock)
    clock.advance(59)
    granted("ringex", notes, clock)
    assert notes.read("health#ringex").version == 1
    clock.advance(1)
    granted("ringex", notes, clock)
    assert notes.read("health#ringex").version == 2


@pytest.mark.parametrize("error", [Retry("down"), Stale("changed")])
def test_a_ledger_that_does_not_take_it_stops_nobody(clock, error):
    """The recording is what counts."""

    class Refusing(FakeNotes):
        def write(self, note):
            raise error

    granted("ringex", Refusing(), clock)
