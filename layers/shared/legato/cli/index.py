"""`legato index rebuild`: make the catalogue anew from the bucket."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.options import AsJson, LastDay, parsed_day
from legato.cli.output import end, say, speaking, write_json

if TYPE_CHECKING:
    from legato.operations.catalogue_rebuild import Rebuilt

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
    Each manifest is read once. In an archive of millions that takes hours, longer than many
    credentials last: --from and --to make some days anew (in UTC, both included), and no others.

    \b
    Examples:
      legato index rebuild
      legato index rebuild --json
      legato index rebuild --from 2026-11-01 --to 2026-11-30

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    first: Annotated[
        date | None,
        typer.Option("--from", parser=parsed_day, metavar="DAY", help="The first day; else all."),
    ] = None,
    last: LastDay = None,
    as_json: AsJson = False,
) -> None:
    from legato.operations.catalogue_rebuild import Days

    days = None
    if first is not None:
        days = Days(first, last or datetime.now(UTC).date())
        if days.first > days.last:
            raise typer.BadParameter(f"--from {days.first} is after {days.last}")
    elif last is not None:
        raise typer.BadParameter("--to goes with --from: say where to begin")
    # What is logged of manifests that cannot be read is said here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    with speaking(
        "interrupted; nothing is lost: the same command begins anew, and --from takes fewer days"
    ):
        report, accesses = context.obj.rebuild(days=days, tell=_tell)
    if as_json:
        write_json({**asdict(report), "accesses": accesses})
    else:
        say(f"{report.calls} calls are in the catalogue, {accesses} accesses in the log.")
        if report.removed:
            say(f"{report.removed} were taken out: the bucket does not have them.")
        if report.unsealed:
            say(f"{report.unsealed} folders are not sealed yet.")
        for folder, reason in report.unread.items():
            say(f"{folder} has no manifest that can be read: {reason}", err=True)
    if report.unread:
        end("some manifests cannot be read: `legato verify` says more", FAILED)


def _tell(report: Rebuilt) -> None:
    if report.calls and report.calls % 1024 < 64:
        say(f"{report.calls} calls", err=True)
