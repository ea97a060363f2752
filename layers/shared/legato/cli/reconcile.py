"""`legato reconcile`: compare the archive with what the providers say was recorded."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson, Providers
from legato.cli.output import ListTable, moment, say, write_json
from legato.cli.times import TimesFrom
from legato.errors import Refused, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.operations.report.reconciliation import Found, Reconciliation

SHOWN = 50
"""So many recordings are named on a terminal. The report names all."""

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "reconcile",
    help="""Compare the archive with what the providers recorded.

    Asks each provider what it recorded in this time, and looks for each recording in the ledger and
    in the bucket, and for each archived call in the provider's list. Missing calls are queued
    again, except with --report-only. A report is written to the bucket as JSON and as a web page;
    `legato status` shows the findings.

    RingCX takes a quarter of an hour for 24 hours of a sub-account, RingEX and Kazoo take seconds.

    \b
    Examples:
      legato reconcile --from 2026-11-13 --to 2026-11-19
      legato reconcile --from 2026-11-19 --provider ringex --report-only
      legato --stack archive --region eu-central-1 reconcile --from 2026-11-19 --json
    """,
    ends=(Exit.NEEDS_PERSON,),
    interrupted="interrupted: no report was written",
)
def reconcile_archive(
    context: typer.Context,
    times: TimesFrom,
    provider: Providers = None,
    report_only: Annotated[bool, typer.Option("--report-only", help="Queue nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    from legato.operations.reconcile import reconcile

    begin, end = times.span()
    if begin >= datetime.now(UTC):
        raise Refused("--from lies in the future")
    # What is logged for the alarms is shown here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    work = context.obj.reconciling(
        begin=begin,
        end=end or datetime.now(UTC),
        providers=provider or (),
        report_only=report_only,
    )
    report = reconcile(work, tell=lambda words: say(words, err=True))
    if report is None:
        raise Retry("another command wrote to the same run")
    if as_json:
        write_json(report.to_json())
    else:
        _show(report)
    if report.missing or report.failed or report.not_asked:
        raise typer.Exit(Exit.NEEDS_PERSON)


def _show(report: Reconciliation) -> None:
    from legato.operations.report.reconciliation import FATES

    figures = ("Recorded", *(fate.capitalize() for fate in FATES))
    table = ListTable("Day", "Provider", *figures, numbers=figures)
    for one in report.days():
        counts = (one.recorded, *(one.counts[fate] for fate in FATES))
        whole = "" if report.complete(one.provider) else " (not complete)"
        table.add(f"{one.day}", f"{one.provider}{whole}", *map(str, counts))
    table.show()
    for title, found in (("Missing", report.missing), ("Failed", report.failed)):
        _show_recordings(title, found)
    for gap in report.not_asked:
        say(f"Not asked: {gap.what}: {gap.reason}")
    if report.queued:
        say(f"{report.queued} queued again.")
    say(f"Report: {report.key('json')} and .html in the archive's bucket.")


def _show_recordings(title: str, found: Sequence[Found]) -> None:
    if not found:
        return
    table = ListTable("Call", "Recording", "What", "Began", "Seen", "Why", whole="Call")
    for one in found[:SHOWN]:
        began = moment(one.began_at) if one.began_at else f"{one.day}"
        seen = f"{one.times_seen} x"
        table.add(str(one.id), one.recording, one.kind, began, seen, one.reason)
    say()
    say(f"{title}: {len(found)}")
    table.show()
    if len(found) > SHOWN:
        say(f"and {len(found) - SHOWN} more in the report")
