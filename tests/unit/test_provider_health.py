"""When a provider last granted anything, and which credential it serves nothing."""

from datetime import timedelta

import pytest

from legato.errors import Retry, Stale
from legato.ledger.provider_health import Unserved, failed, granted, last_granted, unserved
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
    """The recording is what counts; nothing is noted, and nothing is raised."""
    tried = []

    class Refusing(FakeNotes):
        def write(self, note):
            tried.append(note.key)
            raise error

    notes = Refusing()
    granted("ringex", notes, clock)
    failed("ringex", notes, clock, reason="503", credential="a", among=("a", "b"))
    assert tried == ["health#ringex"] * 2
    assert last_granted("ringex", notes) is None


class Two:
    """A provider that is asked with the credentials `a` and `b`."""

    def __init__(self, notes, clock, among=("a", "b")):
        self.notes, self.clock, self.among = notes, clock, among

    def grants(self, credential):
        granted("ringex", self.notes, self.clock, credential=credential, among=self.among)

    def fails(self, credential, reason="503"):
        about = {"reason": reason, "credential": credential, "among": self.among}
        failed("ringex", self.notes, self.clock, **about)

    def goes_on(self, minutes, *, serving=(), failing=()):
        for _ in range(minutes):
            for credential in serving:
                self.grants(credential)
            for credential in failing:
                self.fails(credential)
            self.clock.advance(60)

    def unserved(self):
        return unserved("ringex", self.notes, self.clock)


@pytest.fixture
def two(notes, clock):
    return Two(notes, clock)


def test_a_credential_that_is_served_nothing_while_another_is_is_told_after_half_an_hour(two):
    """With its last answer, and since when."""
    two.goes_on(29, serving="b", failing="a")
    two.fails("a", "429")
    assert two.unserved() == []
    two.goes_on(1, serving="b")
    assert two.unserved() == [Unserved("a", NOON, "429")]
    assert unserved("ringcx", two.notes, two.clock) == []


def test_it_is_told_no_more_when_it_is_served(two):
    """At the first grant, even if another one was noted in the same minute."""
    two.goes_on(40, serving="b", failing="a")
    two.grants("b")
    two.grants("a")
    assert two.unserved() == []
    two.fails("a")
    two.clock.advance(1800)
    assert two.unserved() == []


def test_an_outage_is_no_credentials_fault(two):
    """Nothing is served to anybody; when it is over, the one that is not needed is not told of."""
    two.goes_on(5, serving="ab")
    two.goes_on(60, failing="ab")
    assert two.unserved() == []
    two.goes_on(60, serving="b")
    assert two.unserved() == []


def test_the_only_credential_is_not_told_of(notes, clock):
    """What it is refused is the provider's state, of which the tails tell."""
    only = Two(notes, clock, among=("a",))
    only.goes_on(40, failing="a")
    assert notes.read("health#ringex").version == 0
    only.goes_on(1, serving="a")
    assert "a" not in notes.read("health#ringex").content["credentials"]


def test_a_credential_that_was_taken_out_of_the_secret_is_forgotten(two):
    """At the next grant of another one."""
    two.goes_on(40, serving="b", failing="a")
    assert [one.credential for one in two.unserved()] == ["a"]
    two.among = ("b", "c")
    two.grants("b")
    assert two.unserved() == []


def test_failures_are_written_once_a_minute_at_most(two):
    """However many there are."""
    for _ in range(5):
        two.fails("a")
    assert two.notes.read("health#ringex").version == 1
    two.clock.advance(60)
    two.fails("a")
    assert two.notes.read("health#ringex").version == 2
