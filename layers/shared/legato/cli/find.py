"""`legato find`: look for calls by number, person, time, case, or any id."""

from __future__ import annotations

import sys
from itertools import chain
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from legato.archive.library import COLD
from legato.catalogue.index import CataloguePage, Query, every
from legato.cli.command import command
from legato.cli.last_find import remember
from legato.cli.options import AsJson
from legato.cli.output import say, write_csv, write_json
from legato.cli.select import Filters, meant_case
from legato.cli.times import length, local_time, zone_name, zone_of
from legato.clock import SystemClock
from legato.model import format_time
from legato.parties import sides
from legato.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import tzinfo

    from legato.catalogue.index import Catalogue, Row
    from legato.cli.context import Stack
    from legato.model import Json

AT_ONCE = 100
"""Calls in a page of the catalogue."""
GIVEN_UP = ("Legs", "Direction", "Call")
"""Columns that are left out of a table which has no room for all, in this order."""
SHORTENED = ("From", "To", "Held")
"""Columns that are cut where there is still no room, the widest first."""
NARROWEST = 8
"""Columns that are left of them at least."""
NUMBERS = ("#", "Length", "Legs")
CUT = "\N{HORIZONTAL ELLIPSIS}"

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "find",
    help="""Find calls by number, person, time, case, or any id, the newest first.

    A call has to match all filters. `ready` calls can be played at once; `cold` calls have to be
    restored first, and `legato show` says whether they are. Finding nothing is not a failure: the
    exit code is 0.

    A name is found by the beginning of any of its words, in any order and case. Every command takes
    a call's row number (for a day), its address (provider/account/call), any id that only one call
    has, or the first characters (four or more) by which only one call's or leg's id begins.

    \b
    Examples:
      legato find --number "+1 555 123 0000" --from 2026-11-01
      legato find --agent shah --from yesterday --to yesterday --zone Europe/Berlin
      legato find --agent "Dev Shah" --from 2026-11-19T08:00 --to 2026-11-19T12:00
      legato find --provider ringcx --direction inbound --min-duration 5m --json
      legato find --case 2026-117 --all --csv
    """,
)
def find(
    context: typer.Context,
    filters: Filters,
    limit: Annotated[int, typer.Option(min=1, metavar="COUNT", help="At most this many.")] = 50,
    cursor: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Continue at the cursor that the last page ended with."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All matching calls, without pages.")
    ] = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Write CSV, for spreadsheets.")] = False,
) -> None:
    if as_json and as_csv:
        raise typer.BadParameter("--json cannot be combined with --csv")
    if everything and cursor:
        raise typer.BadParameter("--all cannot be combined with --cursor")
    where = zone_of(filters.zone)
    wanted = filters.query()
    catalogue: Catalogue = context.obj.catalogue()
    if everything and as_csv:
        _write_csv(every(wanted, catalogue))
        return
    page = (
        CataloguePage(rows=tuple(every(wanted, catalogue)))
        if everything
        else _page(wanted, catalogue, limit=limit, cursor=cursor)
    )
    aside = as_json or as_csv
    if as_json:
        write_json(_to_json(page))
    elif as_csv:
        _write_csv(page.rows)
    elif page.rows:
        _show(page.rows, where)
    if not aside:
        remember(page.rows, catalogue, SystemClock())
    if not page.rows and page.cursor is None:
        for line in _nothing(wanted, context.obj):
            say(line, err=aside)
    if not aside or as_csv:
        _show_the_way_on(page, where, limit, aside=aside)


def storage(row: Row) -> str:
    """Say in a word whether a call can be played at once."""
    return "cold" if row.storage_class in COLD else "ready"


def _page(query: Query, catalogue: Catalogue, *, limit: int, cursor: str | None) -> CataloguePage:
    """Return so many calls, of as many pages of the catalogue as they would fill."""
    rows: list[Row] = []
    for _ in range(-(-limit // AT_ONCE)):
        found = catalogue.find(query, limit=min(AT_ONCE, limit - len(rows)), cursor=cursor)
        rows += found.rows
        cursor = found.cursor
        if cursor is None or len(rows) == limit:
            break
    return CataloguePage(rows=tuple(rows), cursor=cursor, reached=found.reached)


def _nothing(query: Query, stack: Stack) -> Iterator[str]:
    if query == Query():
        yield "The catalogue is empty. `legato index rebuild` rebuilds it from the bucket."
        return
    case = meant_case(stack, query.case)
    yield f"Nothing found: searched for {query}{case}" + ("" if case else ".")
    from legato.catalogue.suggest import did_you_mean

    if meant := did_you_mean(query, stack.catalogue()):
        yield f"Did you mean: {'; '.join(meant)}?"


def _show(rows: Sequence[Row], zone: tzinfo) -> None:
    room = get_terminal_size().columns if sys.stdout.isatty() else None
    cells = [{"#": f"{at}", **_cells(row, zone)} for at, row in enumerate(rows, 1)]
    lines, left_out = laid_out(cells, room=room)
    for line in lines:
        say(line)
    say(f"Times are {zone_name(zone)}. A row's number names its call: legato show 1")
    if left_out:
        say(f"No room for {', '.join(left_out)}: --json and --csv have all columns.")


def laid_out(cells: Sequence[dict[str, str]], *, room: int | None) -> tuple[list[str], list[str]]:
    """Return a table's lines, and the names of columns that were left out for want of room.

    An address is whole or left out, because it is copied; names are cut.
    """
    from rich.cells import cell_len

    names = [name for name in cells[0] if any(one[name] for one in cells)]
    lines = [dict(zip(names, names, strict=True)), *cells]
    wide = {name: max(cell_len(one[name]) for one in lines) for name in names}
    left_out: list[str] = []

    def lacking() -> int:
        return 0 if room is None else sum(wide[each] + 2 for each in names) - 2 - room

    for name in GIVEN_UP:
        if name in names and lacking() > 0:
            names.remove(name)
            left_out.append(name.lower())
    while lacking() > 0 and (wider := [name for name in SHORTENED if name in names]):
        widest = max(wider, key=wide.__getitem__)
        if wide[widest] <= NARROWEST:
            break
        wide[widest] -= 1

    def padded(name: str, text: str) -> str:
        text = _cut(text, wide[name])
        space = " " * (wide[name] - cell_len(text))
        return f"{space}{text}" if name in NUMBERS else f"{text}{space}"

    return [
        "  ".join(padded(name, one[name]) for name in names).rstrip() for one in lines
    ], left_out


def _cut(text: str, width: int) -> str:
    """Return a text that is no wider; of one that is cut the end says so."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + CUT


def _cells(row: Row, zone: tzinfo) -> dict[str, str]:
    callers, others = sides(row.parties, row.direction)
    cells = {
        "Began": local_time(row.started_at, zone),
        "Length": length(row.duration_ms),
        "From": ", ".join(callers),
        "To": ", ".join(others),
        "Storage": storage(row),
        "Held": ", ".join(row.cases),
        "Direction": row.direction or "",
        "Legs": f"{row.legs}",
        "Call": str(row.id),
    }
    return {name: printable(text) for name, text in cells.items()}


def _agents(row: Row) -> str:
    """Return who of the company was on the line: agents, and people with an extension."""
    found = [
        party.name or party.agent or party.extension
        for party in row.parties
        if party.role == "agent" or party.agent or party.extension
    ]
    return ", ".join(dict.fromkeys(filter(None, found)))


def _show_the_way_on(page: CataloguePage, zone: tzinfo, limit: int, *, aside: bool) -> None:
    if page.cursor is None:
        return
    until = ""
    if len(page.rows) < limit and page.reached is not None:
        many = f"{len(page.rows)} found" if page.rows else "Nothing found"
        until = f"{many} back to {local_time(page.reached, zone)}. "
    say(f"{until}For more, add --cursor {page.cursor}", err=aside)


def _to_json(page: CataloguePage) -> Json:
    return {
        "calls": [row.to_json() | {"storage": storage(row)} for row in page.rows],
        "cursor": page.cursor,
        "reached": None if page.reached is None else format_time(page.reached),
    }


COLUMNS: dict[str, Callable[[Row], str]] = {
    "started_at": lambda row: format_time(row.started_at),
    "ended_at": lambda row: "" if row.ended_at is None else format_time(row.ended_at),
    "duration_s": lambda row: f"{row.duration_ms / 1000:g}",
    "direction": lambda row: row.direction or "",
    "from": lambda row: ", ".join(sides(row.parties, row.direction)[0]),
    "to": lambda row: ", ".join(sides(row.parties, row.direction)[1]),
    "agent": _agents,
    "numbers": lambda row: ", ".join(row.numbers),
    "legs": lambda row: f"{row.legs}",
    "bytes": lambda row: f"{row.size}",
    "provider": lambda row: row.provider,
    "account": lambda row: row.account,
    "call": lambda row: row.call,
    "cases": lambda row: ", ".join(row.cases),
    "storage_class": lambda row: row.storage_class,
    "storage": storage,
    "revision": lambda row: f"{row.revision}",
    "manifest": lambda row: row.manifest.key,
}
"""Of the CSV: names never change, and new ones come last."""


def _write_csv(rows: Iterable[Row]) -> None:
    """Write the lines as they come."""
    lines = ([column(row) for column in COLUMNS.values()] for row in rows)
    for line in chain([list(COLUMNS)], lines):
        write_csv(line)
