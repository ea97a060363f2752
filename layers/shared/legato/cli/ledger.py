"""`legato ledger rebuild`: rebuild the ledger from the bucket."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from legato.cli.command import command, group
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson
from legato.cli.output import end, say, write_json

if TYPE_CHECKING:
    from legato.operations.ledger_rebuild import Remade

app = group(
    "ledger",
    help="""Rebuild the ledger, which knows the state of each call.

    \b
    Examples:
      legato ledger rebuild
    """,
)


@command(
    app,
    "rebuild",
    help="""Rebuild the ledger from the bucket, after it was lost or restored from a backup.

    Functions stop sealing when the ledger knows less than the bucket; `legato status` reports it.
    This command writes to the ledger what the bucket knows: every sealed call and its folder, legal
    holds, evidence that no digest names yet, and the catalogue. Then the functions continue.
    Afterwards run `legato reconcile`, which finds what the providers have and the archive does not.

    \b
    Examples:
      legato ledger rebuild
      legato ledger rebuild --json
    """,
    ends=(Exit.TAMPERED,),
    interrupted="interrupted, nothing is lost: the same command starts again",
)
def rebuild_ledger(context: typer.Context, as_json: AsJson = False) -> None:
    # Manifests that cannot be read are logged, and named here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    report = context.obj.rebuild_ledger(tell=_tell)
    if as_json:
        write_json(asdict(report))
    else:
        say(f"{report.calls} calls are sealed in the bucket, {report.holds} are held.")
        say(f"{report.forgotten} of them were unknown to the ledger.")
        if report.unsealed:
            say(f"{report.unsealed} folders are not sealed: their calls are fetched again.")
        if report.unnamed:
            say(f"{report.unnamed} documents are in no digest: the next one names them.")
        for folder in report.doubled:
            say(f"{folder} is a second folder of its call.", err=True)
        for folder, reason in report.unread.items():
            say(f"{folder} cannot be read: {reason}", err=True)
    if report.unread:
        end("functions stay stopped: repair these folders and run this again", Exit.TAMPERED)


def _tell(report: Remade) -> None:
    if report.calls and report.calls % 1024 < 64:
        say(f"{report.calls} calls", err=True)
