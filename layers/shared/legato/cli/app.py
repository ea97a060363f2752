"""The command `legato`: what all its commands have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from legato.cli import backfill, failed, hold, kazoo, reconcile, verify
from legato.cli.place import Place, local_system, use
from legato.cli.say import EXIT_CODES, speaking

app = typer.Typer(
    name="legato",
    help=f"""Look after an archive of call recordings.

    \b
    Examples:
      legato --stack archive --region eu-central-1 backfill ringcx --from 2026-10-01
      legato --local backfill ringcx --from 2026-11-19 --dry-run
      legato kazoo install-hooks --dry-run
      legato verify --deep
      legato reconcile --from 2026-11-01 --to 2026-11-30
      legato failed
      legato hold s-a0b1c2d3e4f5 --case 2026-117 --reason "complaint of a customer"

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(backfill.app)
app.add_typer(kazoo.app)
app.add_typer(reconcile.app)
app.add_typer(failed.app)
app.add_typer(verify.app)
app.add_typer(hold.app)


@app.callback()
def legato(
    context: typer.Context,
    stack: Annotated[str, typer.Option(help="The CloudFormation stack.")] = "legato",
    region: Annotated[
        str | None, typer.Option(help="Its AWS region; without it, the environment's.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="The profile of your AWS configuration to use.")
    ] = None,
    local: Annotated[
        bool,
        typer.Option("--local", help="Talk to the system that `make local` runs on this machine."),
    ] = False,
) -> None:
    if local and (region or profile):
        raise typer.BadParameter("--local goes without --region and --profile")
    if context.obj is None:
        with speaking():
            context.obj = Place(stack=stack)
            use(local_system() if local else None, region=region, profile=profile)
