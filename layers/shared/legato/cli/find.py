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
from legato.cli.options import AsJson
from legato.cli.output import say, write_csv, write_json
from legato.cli.select import Filters, meant_case
from legato.cli.times import length, local_time, zone_name, zone_of
from legato.model import format_time
from legato.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import tzinfo

    from legato.catalogue.index import Catalogue, Row
    from legato.cli.context import Stack
    from legato.model import Json, Party

AT_ONCE = 100
"""Calls in a page of the catalogue."""
GIVEN_UP = ("Legs", "Agent", "Direction", "To")
"""Columns that are left out of a table which has no room for all, in this order."""
CALLERS = {"inbound": ("from", "contact"), "outbound": ("from", "channel")}
CALLED = {"inbound": ("to", "channel"), "outbound": ("to", "contact")}
"""By direction. RingCX has a contact and a channel, and leaves it to the direction who called."""

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "find",
    help="""Find calls by number, person, time, case, or any id, the newest first.

    A call has to match all filters. `ready` calls can be played at once; `cold` calls have to be
    restored first, and `legato show` says whether they are. Finding nothing is not a failure: the
    exit code is 0.

    The last column is the call's address (provider/account/call), which every command takes. An id
    alone is enough if only one call has it.

    \b
    Examples:
      legato find --number "+1 555 123 0000" --from 2026-11-01
      legato find --agent "Dev Shah" --from 2026-11-19T08:00 --to 2026-11-19T12:00 \\
          --zone Europe/Berlin
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
    if not page.rows and page.cursor is None:
        say(_nothing(wanted, context.obj), err=aside)
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


def _nothing(query: Query, stack: Stack) -> str:
    if query == Query():
        return "The catalogue is empty. `legato index rebuild` rebuilds it from the bucket."
    meant = meant_case(stack, query.case)
    return f"Nothing found: searched for {query}{meant}" + ("" if meant else ".")


def _show(rows: Sequence[Row], zone: tzinfo) -> None:
    room = get_terminal_size().columns if sys.stdout.isatty() else None
    cells = [_cells(row, zone) for row in rows]
    lines, left_out = laid_out(cells, room=room)
    for line in lines:
        say(line)
    say(f"Times are {zone_name(zone)}.")
    if left_out:
        say(f"No room for {', '.join(left_out)}: --json and --csv have all columns.")


def laid_out(cells: Sequence[dict[str, str]], *, room: int | None) -> tuple[list[str], list[str]]:
    """Return a table's lines, and the names of columns that were left out for want of room.

    Nothing is folded: what is copied from it has to be whole.
    """
    from rich.cells import cell_len

    names = [name for name in cells[0] if any(one[name] for one in cells)]
    lines = [dict(zip(names, names, strict=True)), *cells]
    wide = {name: max(cell_len(one[name]) for one in lines) for name in names}
    left_out: list[str] = []
    for name in GIVEN_UP:
        if room is None or sum(wide[each] + 2 for each in names) - 2 <= room:
            break
        if name in names:
            names.remove(name)
            left_out.append(name.lower())

    def padded(name: str, text: str) -> str:
        space = " " * (wide[name] - cell_len(text))
        return f"{space}{text}" if name in ("Length", "Legs") else f"{text}{space}"

    return [
        "  ".join(padded(name, one[name]) for name in names).rstrip() for one in lines
    ], left_out


def _cells(row: Row, zone: tzinfo) -> dict[str, str]:
    cells = {
        "Began": local_time(row.started_at, zone),
        "Direction": row.direction or "",
        "From": _named(row, _caller(row), _shown),
        "To": _named(row, _called(row), _shown),
        "Agent": _agents(row),
        "Length": length(row.duration_ms),
        "Legs": f"{row.legs}",
        "Storage": storage(row),
        "Held": ", ".join(row.cases),
        "Call": str(row.id),
    }
    return {name: printable(text) for name, text in cells.items()}


def _caller(row: Row) -> Sequence[str]:
    return CALLERS.get(row.direction or "", ("from", "contact"))


def _called(row: Row) -> Sequence[str]:
    return CALLED.get(row.direction or "", ("to", "channel"))


def _named(row: Row, roles: Sequence[str], name: Callable[[Party], str | None]) -> str:
    found = [name(party) for party in row.parties if party.role in roles]
    return ", ".join(dict.fromkeys(filter(None, found)))


def _shown(party: Party) -> str | None:
    return party.number or party.extension or party.name


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
    "from": lambda row: _named(row, _caller(row), _shown),
    "to": lambda row: _named(row, _called(row), _shown),
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
