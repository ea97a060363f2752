"""What guards the archive, compared with what was deployed."""

from datetime import timedelta

import pytest

from legato.evidence.safeguards import AGAIN, EVERY, NOTE, Comparing, compare
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


@pytest.fixture
def work():
    return Comparing(stack=FakeStack(), notes=FakeNotes(), clock=FakeClock())


def test_what_is_as_it_was_deployed_is_noted_once_a_day(work):
    assert compare(work) == []
    assert compare(work) is None
    work.clock.advance(EVERY.total_seconds())
    assert compare(work) == []
    assert work.stack.looks == 2


@pytest.mark.attacks("an administrator takes a statement out of the archive's policy")
def test_a_statement_that_is_gone_is_named(work):
    del work.stack.there["the archive's policy"]["NoRemoval"]
    assert compare(work) == ["the archive's policy: NoRemoval is missing"]
    assert work.notes.read(NOTE).content["differences"] == [
        "the archive's policy: NoRemoval is missing"
    ]


@pytest.mark.attacks("an administrator lets a role of theirs into the archive's policy")
def test_a_statement_that_came_is_named(work):
    work.stack.there["the archive's policy"]["LetMeIn"] = {"Effect": "Allow"}
    assert compare(work) == ["the archive's policy: LetMeIn was added"]


@pytest.mark.attacks("an administrator suspends the archive's versioning")
def test_a_setting_that_is_another_one_is_named(work):
    work.stack.there["the archive's settings"]["versioning"] = "Suspended"
    assert compare(work) == ["the archive's settings: versioning was changed"]


def test_who_mends_it_sees_that_within_the_hour(work):
    work.stack.there["the archive's settings"] = {}
    assert compare(work) == ["the archive's settings: versioning is missing"]
    work.clock.advance((AGAIN - timedelta(seconds=1)).total_seconds())
    assert compare(work) is None
    work.stack.there["the archive's settings"] = {"versioning": "Enabled"}
    work.clock.advance(1)
    assert compare(work) == []
