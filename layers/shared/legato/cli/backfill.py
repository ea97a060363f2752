"""`legato backfill`: archive what a provider still has of a stretch of the past."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.aws.stack import advice
from legato.backfill import backfill, estimate
from legato.cli.board import Board
from legato.cli.say import EXIT_CODES, FAILED, end, in_short, moment, speaking
from legato.model import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.backfill import Backfill, Estimate, Progress

app = typer.Typer(
    name="backfill",
    help=f"""Archive what a provider still has of a stretch of the past.

    \b
    Example:
      legato backfill ringcx --from 2026-10-01 --to 2026-11-01 --dry-run

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Let each provider be a command of its own."""


def _parsed(text: str) -> datetime:
    try:
        return parse_time(text).replace(microsecond=0)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no date: write 2026-10-01, or 2026-10-01T08:00+02:00"
        ) from None


@app.command(
    help=f"""Archive what RingCX still has of a stretch of the past.

    Goes through RingCX's metadata window by window, as the sweeper does, and sends a job for each
    dialog with a recording that the archive does not know. What is new is found and archived first;
    a backfill takes what is left of RingCX's limits. Times without a zone are UTC, and a date is
    its first moment.

    Interrupt it whenever you like: the same command goes on where it stopped.

    \b
    Examples:
      legato backfill ringcx --from 2026-10-01 --to 2026-11-01 --dry-run
      legato backfill ringcx --from 2026-10-01 --to 2026-11-01
      legato --stack archive --region eu-central-1 \\
          backfill ringcx --from 2026-11-19T08:00+01:00 --sub-account 12345 --yes

    {EXIT_CODES}
    """
)
def ringcx(
    context: typer.Context,
    begin: Annotated[
        datetime,
        typer.Option("--from", parser=_parsed, metavar="TIME", help="Where the stretch begins."),
    ],
    limit: Annotated[
        datetime | None,
        typer.Option("--to", parser=_parsed, metavar="TIME", help="Where it ends; else now."),
    ] = None,
    sub_account: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this one of the stack's; may be repeated."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what there is: send and write nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,
) -> None:
    if limit is not None and begin >= limit:
        raise typer.BadParameter(f"--from {moment(begin)} is not before --to {moment(limit)}")
    with speaking("interrupted before it began; nothing was done"):
        work = context.obj.backfill(begin=begin, end=limit, sub_accounts=sub_account or ())
        if not _announced(work, dry_run=dry_run):
            return
        if not (yes or dry_run) and sys.stdin.isatty() and not typer.confirm("Begin?"):
            end("not begun", FAILED)
    again = "nothing was written" if dry_run else "run the same command to go on"
    with speaking(f"interrupted; {again}"), Board(work, dry_run=dry_run) as board:
        found = backfill(
            work,
            tell=board.tell,
            dry_run=dry_run,
            hopeless=lambda error: advice(error) is not None,
        )
    _reported(found, dry_run=dry_run)


def _announced(work: Backfill, *, dry_run: bool) -> bool:
    """Say what is ahead; return whether there is anything."""
    first = work.stretches[0]
    typer.echo(f"From {moment(first.begin)} to {moment(first.end)}.")
    ahead = estimate(work, dry_run=dry_run)
    for one in ahead:
        typer.echo(f"Sub-account {one.sub_account}: {_left(one)}.")
        kept = work.kept_days[one.sub_account]
        oldest = work.clock.now() - timedelta(days=kept)
        if first.begin < oldest and one.windows:
            typer.echo(
                f"warning: RingCX keeps recordings of {one.sub_account} for {kept:g} days: what is "
                f"older than {moment(oldest)} is gone.",
                err=True,
            )
    windows = max(one.windows for one in ahead)
    if windows:
        days = (first.end - first.begin) / timedelta(days=1)
        typer.echo(
            f"{days:.3g} days: at RingCX's limits {_time(max(one.takes for one in ahead))}; a "
            "window with more than 400 rows takes more."
        )
    return windows > 0


def _left(one: Estimate) -> str:
    if not one.windows:
        return "read to its end before, nothing is left to ask"
    if not one.share:
        return f"{one.windows} windows"
    return f"{one.share:.0%} was read before, {one.windows} windows are left"


def _time(span: timedelta) -> str:
    minutes = span / timedelta(minutes=1)
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:.0f} min" if minutes < 100 else f"about {minutes / 60:.0f} h"


def _reported(found: Sequence[Progress], *, dry_run: bool) -> None:
    for one in found:
        typer.echo(f"Sub-account {one.sub_account}: {_found(one, dry_run=dry_run)}.")
        if one.buried:
            where = "would go" if dry_run else "went"
            typer.echo(f"  {one.buried} rows name no dialog, and {where} to the dead letters.")
    failed = [one for one in found if one.failed is not None]
    for one in failed[:-1]:
        typer.echo(f"legato: {_failure(one)}", err=True)
    if failed:
        again = "" if dry_run else "; then run the same command to go on"
        end(f"{_failure(failed[-1])}{again}", FAILED)


def _found(one: Progress, *, dry_run: bool) -> str:
    words = f"{one.windows} windows asked, {one.segments} recordings of {one.dialogs} dialogs found"
    if not dry_run:
        return f"{words}, {one.jobs} jobs sent"
    hours = one.length / timedelta(hours=1)
    return (
        f"{words}, {one.known} of them known and {one.archived} archived; {one.jobs} jobs would be "
        f"sent; {hours:.1f} h of audio, about {_bytes(one.size)} (estimated: two channels of PCM16 "
        "at 8 kHz)"
    )


def _bytes(size: float) -> str:
    for unit in ("MB", "GB"):
        size /= 1000 if unit == "GB" else 1_000_000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _failure(one: Progress) -> str:
    reason = in_short(one.failed) if one.failed else ""
    return f"sub-account {one.sub_account} ended at {moment(one.reached)}: {reason}"
