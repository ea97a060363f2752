"""`legato index rebuild`: make the catalogue anew from the bucket."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.say import EXIT_CODES, FAILED, end, speaking

if TYPE_CHECKING:
    from legato.index import Rebuilt

app = typer.Typer(
    name="index",
    help=f"""The catalogue in which calls are found.

    \b
    Examples:
      legato index rebuild

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def index() -> None:
    pass


@app.command(
    name="rebuild",
    help=f"""Make the catalogue and the look-up of the access log anew from the bucket.

    The bucket is the truth, so this may be run at any time, beside everything else, and again:
    after an update from a version without a catalogue, when the ledger was lost, or when in doubt.
    Each manifest is read once.

    \b
    Examples:
      legato index rebuild
      legato index rebuild --json

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")] = False,
) -> None:
    # What is logged of manifests that cannot be read is said here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    with speaking("interrupted; the same command again begins anew, and nothing is lost"):
        report, accesses = context.obj.rebuild(tell=_tell)
    if as_json:
        typer.echo(json.dumps({**asdict(report), "accesses": accesses}, indent=2))
    else:
        typer.echo(f"{report.calls} calls are in the catalogue, {accesses} accesses in the log.")
        if report.removed:
            typer.echo(f"{report.removed} were taken out: the bucket does not have them.")
        if report.unsealed:
            typer.echo(f"{report.unsealed} folders are not sealed yet.")
        for folder, reason in report.unread.items():
            typer.echo(f"{folder} has no manifest that can be read: {reason}", err=True)
    if report.unread:
        end("some manifests cannot be read: `legato verify` says more", FAILED)


def _tell(report: Rebuilt) -> None:
    if report.calls and report.calls % 1024 < 64:
        typer.echo(f"{report.calls} calls", err=True)
