"""Lists of calls: from a file or a pipe, in every form in which people have them."""

import io
import json

import pytest

from legato.cli import call_list
from legato.cli.call_list import MOST, listed_calls
from legato.cli.find import COLUMNS
from legato.cli.output import write_csv
from legato.cli.select import Selection
from legato.errors import NotFound, Refused
from tests.unit.test_catalogue import a_row

ADDRESS = "ringex/1/s-1"


@pytest.fixture
def names(tmp_path):
    """Return a function that writes a list into a file and returns the calls it names."""

    def read(content):
        file = tmp_path / "calls.txt"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return listed_calls(str(file))

    return read


@pytest.mark.parametrize(
    "content",
    [
        "s-1\ns-2\n",
        "s-1\r\ns-2",
        "\n  s-1\t\n# a comment\n\n s-2\ns-1\n",
        "\ufeffs-1\ns-2\n",
        "s-1\ns-2\n".encode("utf-16"),
        '["s-1", "s-2"]',
        '{"calls": ["s-1", " s-2 ", "s-1"]}',
    ],
)
def test_a_list_has_one_call_a_line_or_is_json(names, content):
    """As editors of every system write it; each call counts once."""
    assert names(content) == ["s-1", "s-2"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_with_the_columns_of_find_is_read_by_them(names, delimiter):
    """Whatever else it has, and in any order: a spreadsheet may have written it."""
    lines = (["when", "call", "provider", "note", "account"], ["x", "s/1", "ringex", "", "1"])
    assert names("\n".join(map(delimiter.join, lines))) == ["ringex/1/s%2F1"]


def test_what_find_writes_is_read(names, capsys):
    """As CSV and as JSON, with ids that a spreadsheet would take for formulas."""
    rows = [a_row("s-1"), a_row("-2", provider="kazoo"), a_row('=a"b,c')]
    write_csv(COLUMNS)
    for row in rows:
        write_csv(column(row) for column in COLUMNS.values())
    addresses = [str(row.id) for row in rows]
    assert names(capsys.readouterr().out) == addresses
    said = {"calls": [row.to_json() for row in rows], "cursor": None}
    assert names(json.dumps(said, indent=2)) == addresses


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"RIFF\0\0\0\0WAVE", "line 1: this is no list of calls: write one call a line"),
        (b"s-1\n" + b"x" * 70_000, "line 2: this is no list of calls"),
        (b"s-1\n\xe9\n", "is not a text in UTF-8: write one call a line"),
        (b"\xff\xfea", "is not a text in UTF-8"),
        ("provider,account,call\nringex,1,\n", "line 2: give its provider, account, call"),
        ("provider,account,call\nringex\n", "line 2: give its provider, account, call"),
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ('{"files": []}', "has no list of `calls`"),
        ('[{"call": 1}]', "call 1: give its provider, account, call"),
        ("[null]", "call 1: give its"),
    ],
)
def test_what_is_no_list_is_refused(names, content, says):
    """With the line, and how to write it."""
    with pytest.raises(Refused) as caught:
        names(content)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("content", ["", "\n# none\n", "[]", "provider,account,call\n"])
def test_a_list_that_names_nothing_is_not_the_same_as_no_list(names, content):
    """Or a search that found nothing would choose everything."""
    with pytest.raises(NotFound, match="names no call, so nothing was done"):
        names(content)


def test_a_list_is_as_long_as_a_process_can_remember(names):
    """What is longer is refused, and JSON is not read without end."""
    many = "".join(f"s-{number}\n" for number in range(MOST))
    assert len(names(many)) == MOST
    with pytest.raises(Refused, match="names more than 100,000 calls: split it"):
        names(many + "s-x\n")
    with pytest.raises(Refused, match="is larger than 64 MB"):
        names('["' + "s\n" * 34_000_000)


@pytest.mark.parametrize("name", ["gone.txt", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch, name):
    """With the reason of the system."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=rf"{name} cannot be read: \w"):
        listed_calls(name)


def test_a_closed_input_is_told(monkeypatch):
    """As a scheduler may have it."""
    monkeypatch.setattr(call_list.sys, "stdin", None)
    with pytest.raises(Refused, match="standard input is closed: name a file"):
        listed_calls("-")


def test_arguments_files_and_pipes_name_calls_together(tmp_path, monkeypatch):
    """Each call once, and the pipe is read once however often it is named."""
    file = tmp_path / "calls"
    file.write_text("s-2\ns-3\n")
    monkeypatch.setattr(call_list.sys, "stdin", io.TextIOWrapper(io.BytesIO(b"s-3\ns-4\n")))
    found = Selection(calls=["s-1", "-", "s-2", "-"], calls_from=str(file)).names()
    assert found == ["s-1", "s-2", "s-3", "s-4"]
    assert Selection(number="1").names() == []
