"""`legato index rebuild`: rebuild the catalogue from the bucket."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

from legato.cli.command import command, group
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson
from legato.cli.output import end, say, write_json
from legato.cli.times import Span, Times
from legato.errors import Refused

if TYPE_CHECKING:
    from legato.operations.catalogue_rebuild import Days, Rebuilt

app = group(
    "index",
    help="""Rebuild the catalogue in which calls are found.

    \b
    Examples:
      legato index rebuild
    """,
)


@command(
    app,
    "rebuild",
    help="""Rebuild the catalogue and the index of the access log from the bucket.

    This is safe at any time and can be repeated: after the ledger was lost, or when in doubt. Each
    manifest is read once. In an archive of millions of calls that takes hours, longer than many
    credentials last: --from and --to rebuild some days only. The bucket's folders are days in UTC,
    and each day that the span touches is rebuilt as a whole.

    \b
    Examples:
      legato index rebuild
      legato index rebuild --json
      legato index rebuild --from 2026-11-01 --to 2026-11-30
    """,
    ends=(Exit.TAMPERED,),
    interrupted="interrupted, nothing is lost: the same command starts again, --from takes fewer "
    "days",
)
def rebuild_index(context: typer.Context, times: Times, as_json: AsJson = False) -> None:
    days = _days(times.span())
    # Manifests that cannot be read are logged, and named here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    report, accesses = context.obj.rebuild(days=days, tell=_tell)
    if as_json:
        write_json({**asdict(report), "accesses": accesses})
    else:
        say(f"{report.calls} calls are in the catalogue, {accesses} accesses in the log.")
        if report.removed:
            say(f"{report.removed} were removed: the bucket does not have them.")
        if report.unsealed:
            say(f"{report.unsealed} folders are not sealed yet.")
        for folder, reason in report.unread.items():
            say(f"{folder} has no readable manifest: {reason}", err=True)
    if report.unread:
        end("some manifests cannot be read: run `legato verify`", Exit.TAMPERED)


def _days(span: Span) -> Days | None:
    """Return the days in UTC that a span touches, or None for all."""
    from legato.operations.catalogue_rebuild import Days

    if span.begin is None:
        if span.end is not None:
            raise Refused("--to needs --from: say where to begin")
        return None
    last = datetime.now(UTC) if span.end is None else span.end - timedelta(microseconds=1)
    if span.begin > last:
        raise Refused("--from lies in the future")
    return Days(span.begin.date(), last.date())


def _tell(report: Rebuilt) -> None:
    if report.calls and report.calls % 1024 < 64:
        say(f"{report.calls} calls", err=True)
