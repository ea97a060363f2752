"""What many unit tests begin with."""

import pytest

from tests.fakes import FakeClock, FakeNotes


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def notes():
    return FakeNotes()
