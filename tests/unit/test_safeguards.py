"""What guards the archive, compared with what was deployed."""

from datetime import timedelta

import pytest

from legato.evidence.safeguards import AGAIN, EVERY, NOTE, compare
from tests.fakes import FakeClock, FakeNotes

DEPLOYED = {
    "the archive's policy": {"NoRemoval": {"Effect": "Deny"}, "NoShorterLock": {"Effect": "Deny"}},
    "the archive's settings": {"versioning": "Enabled"},
}


class FakeStack:
    def __init__(self):
        self.there = {name: dict(parts) for name, parts in DEPLOYED.items()}
        self.looks = 0

    def deployed(self):
        return DEPLOYED

    def present(self):
        self.looks += 1
        return self.there


class World:
    def __init__(self):
        self.stack, self.notes, self.clock = FakeStack(), FakeNotes(), FakeClock()

    def compare(self):
        return compare(stack=self.stack, notes=self.notes, clock=self.clock)


@pytest.fixture
def world():
    return World()


def test_what_is_as_it_was_deployed_is_noted_once_a_day(world):
    assert world.compare() == []
    assert world.compare() is None
    world.clock.advance(EVERY.total_seconds())
    assert world.compare() == []
    assert world.stack.looks == 2


@pytest.mark.attacks("an administrator takes a statement out of the archive's policy")
def test_a_statement_that_is_gone_is_named(world):
    del world.stack.there["the archive's policy"]["NoRemoval"]
    assert world.compare() == ["the archive's policy: NoRemoval is missing"]
    assert world.notes.read(NOTE).content["differences"] == [
        "the archive's policy: NoRemoval is missing"
    ]


@pytest.mark.attacks("an administrator lets a role of theirs into the archive's policy")
def test_a_statement_that_came_is_named(world):
    world.stack.there["the archive's policy"]["LetMeIn"] = {"Effect": "Allow"}
    assert world.compare() == ["the archive's policy: LetMeIn was added"]


@pytest.mark.attacks("an administrator suspends the archive's versioning")
def test_a_setting_that_is_another_one_is_named(world):
    world.stack.there["the archive's settings"]["versioning"] = "Suspended"
    assert world.compare() == ["the archive's settings: versioning was changed"]


def test_who_mends_it_sees_that_within_the_hour(world):
    world.stack.there["the archive's settings"] = {}
    assert world.compare() == ["the archive's settings: versioning is missing"]
    world.clock.advance((AGAIN - timedelta(seconds=1)).total_seconds())
    assert world.compare() is None
    world.stack.there["the archive's settings"] = {"versioning": "Enabled"}
    world.clock.advance(1)
    assert world.compare() == []
