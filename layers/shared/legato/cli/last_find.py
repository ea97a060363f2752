"""The numbers of the rows that `legato find` showed last, by which calls can be named next.

They are kept for each user and each catalogue, so that a number never means a call of another
stack, and for a day, so that none means what nobody remembers.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from legato.catalogue.named import SHORTEST, Ambiguous, exactly, named
from legato.cli.output import moment, say
from legato.disk import private_folder, write_whole
from legato.errors import NotFound, Refused
from legato.model import CallId, format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from legato.catalogue.index import Catalogue, Row
    from legato.ports import Clock

KEPT = timedelta(hours=24)
MOST_DIGITS = 6
"""Of a row's number. Longer ones are ids."""


@dataclass(frozen=True, slots=True)
class LastFind:
    """The calls of the last list, in its order, and when it was shown."""

    calls: tuple[CallId, ...]
    at: datetime


def remember(rows: Iterable[Row], catalogue: Catalogue, clock: Clock) -> None:
    """Keep the calls of a list that is shown. Says on standard error if that cannot be done."""
    path = _path(catalogue)
    body = {"at": format_time(clock.now()), "calls": [str(row.id) for row in rows]}
    try:
        private_folder(path.parent)
        write_whole(path, json.dumps(body).encode())
    except (OSError, Refused) as error:
        with suppress(OSError):
            path.unlink()
        say(f"legato: the row numbers are not kept: {error}", err=True)


def call_named(text: str, catalogue: Catalogue, clock: Clock) -> Row:
    """Return the call that is meant: by address, id, the beginning of either, or row number.

    Digits are an id if exactly one call has it, else the number of a row of the last list, else the
    beginning of an id. Raises NotFound, Ambiguous and Retry.
    """
    name = text.strip()
    if not _is_row_number(name):
        return named(name, catalogue)
    several = None
    try:
        whole = exactly(name, catalogue)
    except Ambiguous as error:
        whole, several = None, error
    last = _last(catalogue)
    listed = _listed(last, int(name), clock)
    if whole is not None:
        if isinstance(listed, CallId) and listed != whole.id:
            say(f"legato: {name} is the id of {whole.id}; row {name} was {listed}", err=True)
        return whole
    if isinstance(listed, CallId):
        return _row(name, listed, catalogue)
    if several is not None:
        raise several
    if len(name) >= SHORTEST:
        return named(name, catalogue)
    raise listed


def _is_row_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and len(name) <= MOST_DIGITS and name[0] != "0"


def _listed(last: LastFind | None, number: int, clock: Clock) -> CallId | NotFound:
    """Return the call in this row, or why there is none."""
    if last is None:
        return NotFound(
            f"there is no row {number}: no list of this stack's calls was shown to you: run "
            "`legato find`, or name the call by its id"
        )
    if clock.now() - last.at > KEPT:
        return NotFound(
            f"row {number} is too old: the list was shown on {moment(last.at)}, and its numbers "
            f"count for {KEPT // timedelta(hours=1)} hours: run `legato find` again"
        )
    if number > len(last.calls):
        return NotFound(
            f"there is no row {number}: the last `legato find` listed {len(last.calls)}"
        )
    return last.calls[number - 1]


def _row(name: str, call: CallId, catalogue: Catalogue) -> Row:
    row = catalogue.row(call)
    if row is None:
        raise NotFound(
            f"row {name} was {call}, and the catalogue does not have it any more: run "
            "`legato find` again"
        )
    return row


def _last(catalogue: Catalogue) -> LastFind | None:
    """Return what is kept; what is damaged is as if it were not there."""
    try:
        said = json.loads(_path(catalogue).read_bytes())
        calls = tuple(map(CallId.parse, said["calls"]))
        return LastFind(calls=calls, at=parse_moment(said["at"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, Refused):
        return None


def _path(catalogue: Catalogue) -> Path:
    """Return the file of this catalogue's lists, where the XDG specification wants such a file.

    https://specifications.freedesktop.org/basedir-spec/latest/
    """
    given = Path(os.environ.get("XDG_STATE_HOME") or "")
    folder = given if given.is_absolute() else Path("~/.local/state").expanduser()
    name = hashlib.sha256(catalogue.where.encode()).hexdigest()[:16]
    return folder / "legato" / f"found-{name}.json"
