"""`legato reconcile`: compare the archive with what the providers say was recorded."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.options import AsJson, LastDay, Providers, parsed_day
from legato.cli.output import Listing, end, moment, say, speaking, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.operations.report.reconciliation import Found, Reconciliation

SHOWN = 50
"""So many recordings are named on a terminal. The report names all."""

app = typer.Typer(rich_markup_mode=None)


@app.command(
    name="reconcile",
    help=f"""Compare the archive with what the providers say was recorded.

    Asks each provider what it recorded on these days (in UTC, both included), and looks for each
    recording in the ledger and in the bucket; and for each call that is archived in the provider's
    list. What is missing is put into the queue again, unless it is --report-only. A report is
    written into the bucket, as JSON and as a page for people; `legato status` says the findings.

    RingCX answers for 24 hours of a sub-account in a quarter of an hour, RingEX and Kazoo in
    seconds. It does not end with 0 if anything is missing or failed, or could not be asked.

    \b
    Examples:
      legato reconcile --from 2026-11-13 --to 2026-11-19
      legato reconcile --from 2026-11-19 --provider ringex --report-only
      legato --stack archive --region eu-central-1 reconcile --from 2026-11-19 --json

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    first: Annotated[
        date, typer.Option("--from", parser=parsed_day, metavar="DAY", help="The first day.")
    ],
    last: LastDay = None,
    provider: Providers = None,
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Put nothing into the queue.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    from legato.operations.reconcile import reconcile

    last = last or datetime.now(UTC).date()
    if first > last:
        raise typer.BadParameter(f"--from {first} is after {last}")
    # What is logged for the alarms is said here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    with speaking("interrupted; nothing was reported"):
        work = context.obj.reconciling(
            begin=_midnight(first),
            end=_midnight(last) + timedelta(days=1),
            providers=provider or (),
            report_only=report_only,
        )
        report = reconcile(work, tell=lambda words: say(words, err=True))
        if report is None:
            end("somebody else wrote to the same run: run the same command again", FAILED)
    if as_json:
        write_json(report.to_json())
    else:
        _show(report)
    if report.missing or report.failed or report.not_asked:
        raise typer.Exit(FAILED)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _show(report: Reconciliation) -> None:
    from legato.operations.report.reconciliation import FATES

    figures = ("Recorded", *(fate.capitalize() for fate in FATES))
    table = Listing("Day", "Provider", *figures, numbers=figures)
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
        say(f"{report.queued} put into the queue again.")
    say(f"Report: {report.key('json')} and .html in the archive's bucket.")


def _show_recordings(title: str, found: Sequence[Found]) -> None:
    if not found:
        return
    table = Listing("Call", "Recording", "What", "Began", "Seen", "Why")
    for one in found[:SHOWN]:
        began = moment(one.began_at) if one.began_at else f"{one.day}"
        seen = f"{one.times_seen} x"
        table.add(str(one.id), one.recording, one.kind, began, seen, one.reason)
    say()
    say(f"{title}: {len(found)}")
    table.show()
    if len(found) > SHOWN:
        say(f"and {len(found) - SHOWN} more, in the report")
