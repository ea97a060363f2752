"""`legato accesses`: who looked at which calls, when and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from legato.catalogue.index import Query
from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.last_find import call_named
from legato.cli.options import AsJson
from legato.cli.output import ListTable, say, write_json
from legato.cli.select import Selection, chosen, looked_up
from legato.cli.times import Times, local_time, zone_name, zone_of
from legato.clock import SystemClock
from legato.errors import Refused
from legato.model import CallId, person

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import tzinfo

    from legato.cli.context import Stack
    from legato.ports import Access

DAYS = 30
"""How far back a list of all calls goes without --from."""
AHEAD = timedelta(days=1)
"""The clock of this machine may be slow, and hides no access then."""

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "accesses",
    help=f"""List who accessed a call, or any call, when and why, the newest first.

    Every command that reads a call records the access first: show, restore, get, link, export; and
    so does each step of a legal hold. --from and --to are the times of the accesses here. Without
    calls and filters, the accesses of the last {DAYS} days to all calls are listed. The records
    themselves are in the archive, in the chain of digests, where `legato verify` proves them.

    \b
    Examples:
      legato accesses ringex/401555000/s-a0b1c2d3e4f5
      legato accesses --from 2026-11-01 --to 2026-11-30
      legato accesses --case 2026-117
      legato accesses --json
    """,
    ends=(Exit.NOT_FOUND,),
)
def list_accesses(
    context: typer.Context, times: Times, selection: Selection, as_json: AsJson = False
) -> None:
    from legato.evidence.access_log import to_json

    span = times.span()
    end = span.end or datetime.now(UTC) + AHEAD
    stack: Stack = context.obj
    log = stack.accesses()
    calls = _calls_of(selection, stack)
    if calls is None:
        found = list(log.between(span.begin or end - timedelta(days=DAYS), end))
    else:
        seen = _merged(one for call in calls for one in log.of_call(call))
        found = [one for one in seen if (span.begin or one.at) <= one.at < end]
    if as_json:
        lines = [to_json(one) for one in found]
        write_json(lines)
    elif found:
        _show(found, zone_of(times.zone))
    else:
        say("No accesses are recorded.")


def _calls_of(selection: Selection, stack: Stack) -> Iterable[CallId] | None:
    """Return the calls, or None for all."""
    query, names = selection.query(), selection.names()
    if query != Query():
        return [row.id for row in chosen(stack, names, query)]
    return looked_up(names, lambda call: _which(call, stack)) if names else None


def _which(text: str, stack: Stack) -> CallId:
    """Return a call. The log knows calls that the catalogue has lost, by their addresses."""
    try:
        return CallId.parse(text)
    except Refused:
        return call_named(text, stack.catalogue(), SystemClock()).id


def _merged(found: Iterable[Access]) -> list[Access]:
    """Return each access once, with all its calls, the newest first."""
    seen: dict[str, Access] = {}
    for one in found:
        calls = seen[one.id].calls if one.id in seen else ()
        seen[one.id] = replace(one, calls=(*calls, *one.calls))
    return sorted(seen.values(), key=lambda one: (one.at, one.key), reverse=True)


def _show(found: list[Access], zone: tzinfo) -> None:
    table = ListTable("When", "Who", "Action", "Call", "Reason", "Case", whole="Call")
    for one in found:
        said = (person(one.by), one.action, _named(one), one.reason, one.case)
        table.add(local_time(one.at, zone), *said)
    table.show()
    say(f"Times are {zone_name(zone)}.")


def _named(access: Access) -> str:
    if not access.calls:
        return ""
    more = len(access.calls) - 1
    return f"{access.calls[0]}" + (f" and {more} more" if more else "")
