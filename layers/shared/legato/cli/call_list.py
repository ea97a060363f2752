"""Lists of calls, from a file or a pipe: one a line, or as `legato find` writes CSV and JSON."""

from __future__ import annotations

import codecs
import csv
import json
import sys
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from legato.cli.output import say
from legato.errors import NotFound, Refused
from legato.model import CallId
from legato.printable import spreadsheet_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PIPE = "-"
COLUMNS = CallId._fields
MOST = 100_000
"""Calls of one list: what a person can oversee, and this process can remember."""
LONGEST_LINE = 64 * 1024
"""Characters. A line of CSV has all numbers and people of a call."""
MOST_JSON = 64 * 1024 * 1024
"""Bytes. JSON is read as a whole; lines and CSV are not."""
_FORM = "write one call a line, or use the CSV or JSON of `legato find`"
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def listed_calls(source: str) -> list[str]:
    """Return the calls that a file names, or standard input if that is `-`, each once.

    Blank lines and lines that begin with # do not count. Raises Refused for what is no list of
    calls, naming the line, and for more than MOST; NotFound if it names none.
    """
    name = "standard input" if source == PIPE else source
    try:
        with _opened(source) as raw:
            found = dict.fromkeys(_calls(raw, name))
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not a text in UTF-8: {_FORM}") from error
    except OSError as error:
        raise Refused(f"{name} cannot be read: {error.strerror or error}") from error
    if not found:
        raise NotFound(f"{name} names no call, so nothing was done")
    return list(found)


@contextmanager
def _opened(source: str) -> Iterator[BinaryIO]:
    if source != PIPE:
        with Path(source).open("rb") as opened:
            yield opened
        return
    if sys.stdin is None:
        raise Refused("standard input is closed: name a file with --calls-from")
    if sys.stdin.isatty():
        say("legato: write one call a line; Ctrl-D ends the list", err=True)
    yield sys.stdin.buffer


def _calls(raw: BinaryIO, name: str) -> Iterator[str]:
    """Yield what the list names, one by one, however it is written."""
    start = raw.readline(LONGEST_LINE)
    lines = chain([start], iter(lambda: raw.readline(LONGEST_LINE), b""))
    if start.startswith(_WIDE):
        # Spreadsheets save so what they call Unicode text.
        found = _from_lines(iter(_whole(lines, name).decode("utf-16").splitlines()), name)
    elif start.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"["):
        found = _from_json(_whole(lines, name), name)
    else:
        found = _from_lines(_decoded(lines, name), name)
    for number, call in enumerate(found):
        if number >= MOST:
            raise Refused(f"{name} names more than {MOST:,} calls: split it")
        yield call


def _whole(pieces: Iterator[bytes], name: str) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > MOST_JSON:
            raise Refused(f"{name} is larger than 64 MB: use `legato find --csv`, or split it")
    return bytes(body)


def _decoded(lines: Iterator[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) >= LONGEST_LINE or b"\0" in line:
            raise Refused(f"{name}, line {number}: this is no list of calls: {_FORM}")
        yield line.decode("utf-8-sig" if number == 1 else "utf-8")


def _from_lines(lines: Iterator[str], name: str) -> Iterator[str]:
    head = next(lines, "")
    delimiter = next((one for one in ",;\t" if {*COLUMNS} <= {*_cells(head, one)}), None)
    if delimiter is not None:
        yield from _from_csv(head, lines, name, delimiter)
        return
    for line in chain([head], lines):
        call = line.strip()
        if call and not call.startswith("#"):
            yield call


def _cells(line: str, delimiter: str) -> Sequence[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]


def _from_csv(head: str, lines: Iterator[str], name: str, delimiter: str) -> Iterator[str]:
    reader = csv.DictReader(lines, _cells(head, delimiter), delimiter=delimiter)
    try:
        for row in reader:
            parts = [spreadsheet_text(row[column] or "").strip() for column in COLUMNS]
            if any(parts):
                yield _address(parts, f"{name}, line {reader.line_num + 1}")
    except csv.Error as error:
        raise Refused(f"{name}, line {reader.line_num + 1}: {error}: {_FORM}") from error


def _from_json(body: bytes, name: str) -> Iterator[str]:
    try:
        said = json.loads(body.decode("utf-8-sig"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise Refused(f"{name} is not valid JSON: {error}: {_FORM}") from error
    said = said.get("calls") if isinstance(said, dict) else said
    if not isinstance(said, list):
        raise Refused(f"{name} has no list of `calls`: {_FORM}")
    for number, one in enumerate(said, 1):
        yield _named_in_json(one, f"{name}, call {number}")


def _named_in_json(one: Any, where: str) -> str:
    if isinstance(one, str) and one.strip():
        return one.strip()
    parts: list[Any] = [one.get(column) for column in COLUMNS] if isinstance(one, dict) else []
    if not parts or not all(isinstance(part, str) for part in parts):
        raise Refused(f"{where}: give its {', '.join(COLUMNS)}: {_FORM}")
    return _address(parts, where)


def _address(parts: Sequence[str], where: str) -> str:
    provider, _, call = parts
    if not (provider and call):
        raise Refused(f"{where}: give its {', '.join(COLUMNS)}: {_FORM}")
    return str(CallId(*parts))
