"""One bad thing never stops another: the whole matrix, printed as a table at the end."""

import pytest

from tests.isolation import CELLS, FAULTS, PROVIDERS, SENSELESS, told, tried


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_one_bad_thing_costs_itself_and_nothing_else(cell, record_property):
    """All others are archived in their usual time, its good parts too, and status tells of it."""
    verdict = tried(cell)
    record_property("isolation", verdict.row())
    assert not verdict.flaws, told(verdict)


def test_a_square_is_left_out_for_a_reason_only():
    """Each kind of thing has each fault, unless it is said why that makes no sense."""
    squares = {(unit, fault) for unit in PROVIDERS for fault in FAULTS}
    assert squares == SENSELESS.keys() | {(cell.unit, cell.fault) for cell in CELLS}
    assert all(SENSELESS.values())
