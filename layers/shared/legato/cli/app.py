"""The command `legato`: what all its commands have in common."""

from __future__ import annotations

from itertools import chain
from textwrap import indent
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from legato import __version__
from legato.cli import (
    accesses,
    backfill,
    doctor,
    export,
    failed,
    find,
    get,
    hold,
    index,
    kazoo,
    ledger,
    link,
    reconcile,
    restore,
    setup,
    show,
    status,
    uninstall,
    upgrade,
    verify,
)
from legato.cli.command import HELP
from legato.cli.context import Stack, local_system, use
from legato.cli.exit_codes import Exit, listed
from legato.cli.output import say, speak_logs, speaking

GROUPS = {
    "Deployment": ("setup", "upgrade", "uninstall"),
    "Calls": ("find", "show", "get", "link", "export", "restore"),
    "Evidence": ("verify", "hold", "release", "holds", "accesses"),
    "Operation": (
        "status",
        "doctor",
        "failed",
        "retry",
        "reconcile",
        "backfill",
        "index",
        "ledger",
        "kazoo",
    ),
}


class Grouped(TyperGroup):
    """The commands in their groups, where all of them are listed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the groups, and whatever is in none behind them."""
        names = super().list_commands(ctx)
        grouped = [name for name in chain(*GROUPS.values()) if name in names]
        return [*grouped, *(name for name in names if name not in grouped)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a heading for each group, and each command with the beginning of its help."""
        names = self.list_commands(ctx)
        others = {"More": [name for name in names if name not in chain(*GROUPS.values())]}
        room = formatter.width - 6 - max(map(len, names))
        for title, group in (GROUPS | others).items():
            found = {name: self.get_command(ctx, name) for name in group}
            rows = [(name, one.get_short_help_str(room)) for name, one in found.items() if one]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=30)


app = typer.Typer(
    name="legato",
    cls=Grouped,
    help=f"""Manage an archive of call recordings.

    \b
    Examples:
      legato find --number "+1 555 123 0000" --from 2026-11-01
      legato get ringex/401555000/s-a0b1c2d3e4f5 --reason "subpoena 4711"
      legato hold s-a0b1c2d3e4f5 --case 2026-117 --reason "complaint of a customer"
      legato --stack archive --region eu-central-1 verify --deep
      legato --local status

    {indent(listed(Exit), " " * 4).lstrip()}
    """,
    context_settings=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(setup.app)
app.add_typer(upgrade.app)
app.add_typer(uninstall.app)
app.add_typer(find.app)
app.add_typer(show.app)
app.add_typer(status.app)
app.add_typer(doctor.app)
app.add_typer(get.app)
app.add_typer(link.app)
app.add_typer(export.app)
app.add_typer(restore.app)
app.add_typer(backfill.app)
app.add_typer(kazoo.app)
app.add_typer(reconcile.app)
app.add_typer(failed.app)
app.add_typer(verify.app)
app.add_typer(hold.app)
app.add_typer(accesses.app)
app.add_typer(index.app)
app.add_typer(ledger.app)


def _say_version(wanted: bool) -> None:
    if wanted:
        say(f"legato {__version__}")
        raise typer.Exit


@app.callback()
def legato(
    context: typer.Context,
    stack: Annotated[str, typer.Option(help="CloudFormation stack.")] = "legato",
    region: Annotated[
        str | None, typer.Option(help="AWS region. [default: that of your AWS configuration]")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of your AWS configuration.")] = None,
    local: Annotated[
        bool,
        typer.Option("--local", help="Use the system that `make local` runs on this machine."),
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    if local and (region or profile):
        raise typer.BadParameter("--local cannot be combined with --region or --profile")
    speak_logs()
    if context.obj is None:
        with speaking():
            context.obj = Stack(stack=stack, local=local, profile=profile)
            use(local_system() if local else None, region=region, profile=profile)
