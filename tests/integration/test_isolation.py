"""One bad thing never stops another: half of the matrix. The whole of it is in tests/soak."""

import pytest

from tests.isolation import FAST, told, tried


@pytest.mark.parametrize("cell", FAST, ids=str)
def test_one_bad_thing_costs_itself_and_nothing_else(cell):
    """All others are archived in their usual time, its good parts too, and status tells of it."""
    verdict = tried(cell)
    assert not verdict.flaws, told(verdict)
