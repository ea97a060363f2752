"""Tables on a terminal: what is copied from them is whole, however little room there is."""

import pytest
from rich.cells import cell_len

from legato.cli.output import ListTable

CALL = "ringcx/21550001/s-v-32ae225d4132d60abeed4a8d35581d77-1795286768297"


def a_table(**how):
    table = ListTable("Case", "Call", "Objects", "Why", numbers=("Objects",), **how)
    table.add("2026-117", CALL, "2", "the complaint of a customer about a call in November")
    table.add("tax", "ringex/1/s-1", "10", "")
    return table


@pytest.fixture
def columns(monkeypatch):
    """Return a function that gives the terminal so many columns."""

    def wide(count):
        for name, value in {"TTY_COMPATIBLE": "1", "TERM": "dumb", "COLUMNS": f"{count}"}.items():
            monkeypatch.setenv(name, value)

    return wide


@pytest.mark.parametrize("count", [40, 80, 120])
def test_a_call_stands_above_its_line_where_there_is_no_room(columns, capsys, count):
    """The rest is folded between words, and every line of it fits."""
    columns(count)
    a_table(whole="Call").show()
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[1][:16]) == (CALL, "  case 2026-117,")
    assert lines[-2:] == ["ringex/1/s-1", "  case tax, objects 10"]
    assert max(cell_len(line) for line in lines if line != CALL) <= count


def test_a_table_that_fits_is_a_table(columns, capsys):
    """With numbers to the right."""
    columns(160)
    a_table(whole="Call").show()
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["Case", "Call", "Objects", "Why"]
    assert first.index("2  the") == second.index("0") == head.index("s  Why")


def test_off_a_terminal_nothing_is_folded(capsys, monkeypatch):
    """What reads it there finds a call in a line."""
    monkeypatch.setenv("TTY_COMPATIBLE", "0")
    monkeypatch.setenv("COLUMNS", "40")
    a_table(whole="Call").show()
    assert len(capsys.readouterr().out.splitlines()) == 3
