"""`legato ledger rebuild`: make the ledger anew from the bucket."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.options import AsJson
from legato.cli.output import end, say, speaking, write_json

if TYPE_CHECKING:
    from legato.operations.ledger_rebuild import Remade

app = typer.Typer(
    name="ledger",
    help=f"""What is known and done of each call.

    \b
    Examples:
      legato ledger rebuild

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def ledger() -> None:
    pass


@app.command(
    name="rebuild",
    help=f"""Make the ledger anew from the bucket, after it was lost or restored from a backup.

    Functions stop sealing when the ledger knows less than the bucket; `legato status` says so. This
    writes what the bucket knows into it: every sealed call and where it lies, legal holds, evidence
    that no digest names yet, and the catalogue. Then the functions go on. Afterwards run
    `legato reconcile`, which finds what the providers have and the archive has not.

    \b
    Examples:
      legato ledger rebuild
      legato ledger rebuild --json

    {EXIT_CODES}
    """,
)
def command(context: typer.Context, as_json: AsJson = False) -> None:
    # What is logged of manifests that cannot be read is said here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    with speaking("interrupted; nothing is lost: the same command begins anew"):
        report = context.obj.rebuild_ledger(tell=_tell)
    if as_json:
        write_json(asdict(report))
    else:
        say(f"{report.calls} calls are sealed in the bucket, {report.holds} are held.")
        say(f"{report.forgotten} of them the ledger did not know.")
        if report.unsealed:
            say(f"{report.unsealed} folders are not sealed: they are fetched again.")
        if report.unnamed:
            say(f"{report.unnamed} documents are in no digest: the next one names them.")
        for folder in report.doubled:
            say(f"{folder} is a second folder of its call.", err=True)
        for folder, reason in report.unread.items():
            say(f"{folder} cannot be read: {reason}", err=True)
    if report.unread:
        end("functions stay stopped: mend what cannot be read, and run this again", FAILED)


def _tell(report: Remade) -> None:
    if report.calls and report.calls % 1024 < 64:
        say(f"{report.calls} calls", err=True)
