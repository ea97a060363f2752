"""`legato accesses`: who looked at which calls, when and why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES
from legato.cli.options import AsJson, LastDay, parsed_day
from legato.cli.output import Listing, say, speaking, write_json
from legato.errors import Refused
from legato.model import CallId, format_time, person

if TYPE_CHECKING:
    from legato.cli.context import Place
    from legato.ports import Access

DAYS = 30
"""So far back goes a list of all calls, if nobody says how far."""
DAY = timedelta(days=1)

app = typer.Typer(rich_markup_mode=None)


@app.command(
    name="accesses",
    help=f"""List who looked at a call, or at any call, when and why. The newest comes first.

    Whatever is read of a call by a command of Legato is written down before: show, restore, get,
    link, export; and each step of a legal hold. Without CALL it is all calls of the last {DAYS}
    days. Days are in UTC, both included. The records themselves lie in the archive, in the chain of
    digests, where `legato verify` proves them.

    \b
    Examples:
      legato accesses ringex/401555000/s-a0b1c2d3e4f5
      legato accesses --from 2026-11-01 --to 2026-11-30
      legato accesses --json

    {EXIT_CODES}
    """,
)
def list_accesses(
    context: typer.Context,
    call: Annotated[
        str | None,
        typer.Argument(metavar="CALL", help="The call, by its address or any of its ids."),
    ] = None,
    first: Annotated[
        date | None, typer.Option("--from", parser=parsed_day, metavar="DAY", help="The first day.")
    ] = None,
    last: LastDay = None,
    as_json: AsJson = False,
) -> None:
    from legato.evidence.access_log import to_json

    end = _midnight(last or datetime.now(UTC).date()) + DAY
    begin = _midnight(first) if first else None
    if begin is not None and begin >= end:
        raise typer.BadParameter(f"--from {first} is after {end - DAY:%Y-%m-%d}")
    place: Place = context.obj
    with speaking():
        log = place.accesses()
        if call is None:
            found = list(log.between(begin or end - DAYS * DAY, end))
        else:
            seen = log.of_call(_which(call, place))
            found = [one for one in seen if one.at < end and not _before(one, begin)]
    if as_json:
        lines = [to_json(one) for one in found]
        write_json(lines)
    elif found:
        _show(found)
    else:
        say("Nobody did anything that is written down.")


def _which(text: str, place: Place) -> CallId:
    """Return the call. The log knows calls that no catalogue has any more, by their addresses."""
    from legato.catalogue.index import named

    try:
        return CallId.parse(text)
    except Refused:
        return named(text, place.catalogue()).id


def _before(access: Access, begin: datetime | None) -> bool:
    return begin is not None and access.at < begin


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _show(found: list[Access]) -> None:
    table = Listing("When", "Who", "Action", "Call", "Reason", "Case")
    for one in found:
        said = (person(one.by), one.action, _calls(one), one.reason, one.case)
        table.add(format_time(one.at), *said)
    table.show()


def _calls(access: Access) -> str:
    if not access.calls:
        return ""
    more = len(access.calls) - 1
    return f"{access.calls[0]}" + (f" and {more} more" if more else "")
