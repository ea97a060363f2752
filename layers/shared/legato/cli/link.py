"""`legato link`: an address that opens one recording for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli import query as asked
from legato.cli.exit_codes import EXIT_CODES
from legato.cli.output import say, speaking

if TYPE_CHECKING:
    from legato.cli.context import Place

app = typer.Typer(rich_markup_mode=None)


@app.command(
    name="link",
    help=f"""Print an address that opens one recording for a while, for whoever has it.

    It needs no AWS identity, so give it to nobody but the one it is for: it opens for 15 minutes,
    or up to an hour with --minutes. It ends earlier if your own credentials do: those of a role or
    of a login with IAM Identity Center are temporary. What it opens is one version of one object; a
    call whose legs lie apart needs --leg.

    \b
    Examples:
      legato link ringex/401555000/s-a0b1c2d3e4f5 --reason "review with the agent"
      legato link 63962447024-1a2b --leg 202611-9f1c --minutes 60 --reason "subpoena 4711"

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    call: Annotated[
        str, typer.Argument(metavar="CALL", help="The call, by its address or any of its ids.")
    ],
    leg: Annotated[
        str | None, typer.Option(metavar="ID", help="Only this leg, as the provider sent it.")
    ] = None,
    minutes: Annotated[
        int, typer.Option(min=1, max=60, metavar="COUNT", help="How long it opens, up to 60.")
    ] = 15,
    reason: asked.Reason = None,
    case: asked.Case = None,
) -> None:
    from legato.catalogue.index import named
    from legato.cli.output import moment
    from legato.clock import SystemClock
    from legato.format import volume
    from legato.retrieval.link import link

    place: Place = context.obj
    with speaking():
        row = named(call, place.catalogue())
        place.recorder().record(
            "link",
            [row.id],
            reason=reason,
            case=case,
            details={"minutes": minutes} | ({"leg": leg} if leg else {}),
        )
        made = link(row, place.library(), SystemClock(), leg=leg, minutes=minutes)
    say(
        f"legato: opens {made.name}, {volume(made.size)}, for whoever has the address, until "
        f"{moment(made.until)}; temporary AWS credentials may end it earlier",
        err=True,
    )
    say(f"legato: its SHA-256 is {made.sha256}", err=True)
    say(made.url)
