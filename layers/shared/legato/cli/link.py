"""`legato link`: URLs that open recordings for a limited time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query
from legato.cli.command import command
from legato.cli.exit_codes import Exit, exit_of
from legato.cli.options import Reason
from legato.cli.output import end, in_short, moment, say
from legato.cli.select import Selection, few, opened
from legato.errors import Failed, Refused

if TYPE_CHECKING:
    from legato.catalogue.index import Row
    from legato.cli.context import Stack
    from legato.errors import LegatoError

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "link",
    help="""Print URLs that open recordings for a limited time, one for each call.

    Anyone who has the URL can open it without an AWS identity, so give it only to the person it is
    for. It opens one version of one object for 15 minutes, or up to an hour with --minutes, and
    expires earlier if your own AWS credentials do: those of a role or of IAM Identity Center are
    temporary. A call whose legs are stored apart needs --leg. Several
    calls have to be named, so that no filter opens more than is meant.

    \b
    Examples:
      legato link ringex/401555000/s-a0b1c2d3e4f5 --reason "review with the agent"
      legato link 63962447024-1a2b --leg 202611-9f1c --minutes 60 --reason "subpoena 4711"
    """,
    ends=(Exit.COLD, Exit.NOT_FOUND, Exit.TAMPERED),
)
def link_call(
    context: typer.Context,
    selection: Selection,
    leg: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this leg, as the provider sent it.")
    ] = None,
    minutes: Annotated[
        int, typer.Option(min=1, max=60, metavar="COUNT", help="How long it opens.")
    ] = 15,
    reason: Reason = None,
) -> None:
    from legato.clock import SystemClock
    from legato.format import volume
    from legato.retrieval.link import link

    stack: Stack = context.obj
    details = {"minutes": minutes} | ({"leg": leg} if leg else {})
    named = selection.query() == Query()

    def checked(rows: list[Row]) -> list[Row]:
        if len(rows) > 1 and (leg or not named):
            why = "--leg is of one call" if leg else "filters open one call only"
            raise Refused(
                f"{len(rows)} calls match, and {why}: name it ({few(str(row.id) for row in rows)})"
            )
        return rows

    calls = opened(stack, selection, "link", reason=reason, details=details, narrowed=checked)
    errors: list[LegatoError] = []
    for row in calls.rows:
        try:
            made = link(row, calls.library, SystemClock(), leg=leg, minutes=minutes)
        except (Failed, Refused) as error:
            if len(calls.rows) == 1:
                raise
            say(f"legato: {row.id}: {in_short(error)}", err=True)
            errors.append(error)
            continue
        say(
            f"legato: opens {made.name}, {volume(made.size)}, for anyone who has the URL, until "
            f"{moment(made.until)}, or until your AWS credentials expire",
            err=True,
        )
        say(f"legato: its SHA-256 is {made.sha256}", err=True)
        say(made.url)
    if errors:
        end(f"{len(errors)} of {len(calls.rows)} calls have no link", exit_of(*errors))
