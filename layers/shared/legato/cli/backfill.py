"""`legato backfill`: archive what a provider still has of a stretch of the past."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.output import advised, confirmed, end, in_short, moment, say, speaking
from legato.format import counted
from legato.model import parse_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.operations.backfill import Allowance, Backfill, BackfillProgress, Estimate

SOURCES = {"ringex": "RingEX", "ringcx": "Sub-account", "kazoo": "Account"}
"""What it is that a provider's recordings are read of."""
HOW = """Says first how many requests that takes, how long at the provider's limits, and about how
    many recordings there are. What is new is found and archived first: a backfill takes what is
    left of the limits. Days are in UTC, and both included; a time is taken exactly, and one without
    a zone is UTC.

    Interrupt it whenever you like: the same command goes on where it stopped."""

app = typer.Typer(
    name="backfill",
    help=f"""Archive what a provider still has of a stretch of the past.

    \b
    Examples:
      legato backfill ringex --from 2026-10-01 --to 2026-10-31 --dry-run
      legato backfill ringcx --from 2026-10-05 --to 2026-10-11
      legato backfill kazoo --from 2026-06-01

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _begin(text: str) -> datetime:
    try:
        return parse_time(text).replace(microsecond=0)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no date: write 2026-10-01, or 2026-10-01T08:00+02:00"
        ) from None


def _end(text: str) -> datetime:
    """Return where a stretch ends: with a day, or at a time."""
    whole_day = len(text) <= len("2026-10-01")
    return _begin(text) + timedelta(days=1 if whole_day else 0)


From = Annotated[
    datetime, typer.Option("--from", parser=_begin, metavar="DAY", help="The first day, or a time.")
]
To = Annotated[
    datetime | None,
    typer.Option(
        "--to", parser=_end, metavar="DAY", help="The last day, or a time; else up to now."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what there is: send and write nothing.")
]
Instead = Annotated[
    bool, typer.Option("--instead", help="Give up an unfinished backfill of other days.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")]


@app.command(
    help=f"""Archive what RingEX still has of a stretch of the past.

    Goes through the company's call log, a thousand calls with a recording at a time, and sends a
    job for each call that the archive does not know.

    {HOW}

    \b
    Examples:
      legato backfill ringex --from 2026-10-01 --to 2026-10-31 --dry-run
      legato backfill ringex --from 2026-10-01 --to 2026-10-31
      legato --stack archive --region eu-central-1 backfill ringex --from 2026-09-01 --yes

    {EXIT_CODES}
    """
)
def ringex(
    context: typer.Context,
    begin: From,
    limit: To = None,
    dry_run: DryRun = False,
    instead: Instead = False,
    yes: Yes = False,
) -> None:
    _run(context, "ringex", begin, limit, (), dry_run=dry_run, instead=instead, yes=yes)


@app.command(
    help=f"""Archive what RingCX still has of a stretch of the past.

    Goes through RingCX's metadata window by window, as the sweeper does, and sends a job for each
    dialog with a recording that the archive does not know.

    {HOW}

    \b
    Examples:
      legato backfill ringcx --from 2026-10-05 --to 2026-10-11 --dry-run
      legato backfill ringcx --from 2026-10-05 --to 2026-10-11
      legato --stack archive --region eu-central-1 \\
          backfill ringcx --from 2026-11-19T08:00+01:00 --sub-account 12345 --yes

    {EXIT_CODES}
    """
)
def ringcx(
    context: typer.Context,
    begin: From,
    limit: To = None,
    sub_account: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this one of the stack's; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
    instead: Instead = False,
    yes: Yes = False,
) -> None:
    sources = sub_account or ()
    _run(context, "ringcx", begin, limit, sources, dry_run=dry_run, instead=instead, yes=yes)


@app.command(
    help=f"""Archive what Kazoo still has of a stretch of the past.

    Goes through each account's recordings by the time at which they were saved, and sends a job for
    each interaction that the archive does not know.

    {HOW}

    \b
    Examples:
      legato backfill kazoo --from 2026-06-01 --to 2026-10-31 --dry-run
      legato backfill kazoo --from 2026-06-01 --to 2026-10-31
      legato backfill kazoo --from 2026-11-19 --account 5a2d994fbae69b1d6b01eb9f0e7dfe62

    {EXIT_CODES}
    """
)
def kazoo(
    context: typer.Context,
    begin: From,
    limit: To = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Only this account, or account/user, of those that are followed; again for more.",
        ),
    ] = None,
    dry_run: DryRun = False,
    instead: Instead = False,
    yes: Yes = False,
) -> None:
    sources = account or ()
    _run(context, "kazoo", begin, limit, sources, dry_run=dry_run, instead=instead, yes=yes)


def _run(
    context: typer.Context,
    provider: str,
    begin: datetime,
    limit: datetime | None,
    sources: Sequence[str],
    *,
    dry_run: bool,
    instead: bool,
    yes: bool,
) -> None:
    from legato.cli.backfill_progress import Board
    from legato.operations.backfill import backfill, check

    if limit is not None and begin >= limit:
        raise typer.BadParameter(f"--from {moment(begin)} is not before {moment(limit)}")
    with speaking("interrupted before it began; nothing was done"):
        work = context.obj.backfill(provider, begin=begin, end=limit, sources=sources)
        check(work, dry_run=dry_run, instead=instead)
        if not _announced(work, dry_run=dry_run):
            return
        if not (yes or dry_run) and sys.stdin.isatty() and not confirmed("Begin?"):
            end("not begun", FAILED)
    again = "nothing was written" if dry_run else "run the same command to go on"
    with speaking(f"interrupted; {again}"), Board(work, dry_run=dry_run) as board:
        found = backfill(
            work,
            tell=board.tell,
            dry_run=dry_run,
            hopeless=lambda error: advised(error) is not None,
        )
    _reported(work, found, dry_run=dry_run)


def _announced(work: Backfill, *, dry_run: bool) -> bool:
    """Say what is ahead; return whether there is anything."""
    from legato.operations.backfill import estimate, takes
    from legato.operations.report.page import NAMES

    first = work.stretches[0]
    say(f"From {moment(first.begin)} to {moment(first.end)}.")
    ahead = estimate(work, dry_run=dry_run)
    for one in ahead:
        say(f"{_whose(work, one.source)}: {_left(work, one)}.")
        kept = work.kept_days[one.source]
        oldest = work.clock.now() - timedelta(days=kept)
        if first.begin < oldest and one.requests:
            say(
                f"warning: {NAMES[work.provider]} keeps recordings of {one.source} for {kept:g} "
                f"days: what is older than {moment(oldest)} is gone.",
                err=True,
            )
    if not any(one.requests for one in ahead):
        return False
    took = takes(work.listing, ahead, lambda one: one.requests)
    say(f"At {NAMES[work.provider]}'s limits that takes {_time(took)}, beside what is new more.")
    recordings = sum(one.recordings or 0 for one in ahead)
    if recordings:
        took = takes(work.fetching, ahead, lambda one: one.recordings or 0)
        say(
            f"Their audio follows: about {_requests(recordings, work.fetching)}, {_time(took)} if "
            "the archive has none of it."
        )
    return True


def _left(work: Backfill, one: Estimate) -> str:
    if not one.requests:
        return "read to its end before, nothing is left to ask"
    about = "at least" if one.recordings is None else "about"
    requests = f"{about} {_requests(one.requests, work.listing)}"
    if one.share:
        requests = f"{one.share:.0%} was read before, {requests} are left"
    if one.recordings is None:
        return f"{requests}; how many recordings there are shows when they are read"
    return (
        f"{requests}, with about {counted(one.recordings, 'recording')} (estimated from the first "
        f"{one.sampled})"
    )


def _requests(number: int, allowance: Allowance) -> str:
    return f"{counted(number, 'request')} of the group {allowance.group}"


def _whose(work: Backfill, source: str) -> str:
    return f"{SOURCES[work.provider]} {source}"


def _time(span: timedelta) -> str:
    minutes = span / timedelta(minutes=1)
    if minutes < 1:
        return "less than a minute"
    return f"about {minutes:.0f} min" if minutes < 100 else f"about {minutes / 60:.0f} h"


def _reported(work: Backfill, found: Sequence[BackfillProgress], *, dry_run: bool) -> None:
    for one in found:
        say(f"{_whose(work, one.source)}: {_found(work, one, dry_run=dry_run)}.")
        if one.buried:
            where = "would go" if dry_run else "went"
            say(f"  {one.buried} records name no call, and {where} to the dead letters.")
    failed = [one for one in found if one.failed is not None]
    for one in failed[:-1]:
        say(f"legato: {_failure(work, one)}", err=True)
    if failed:
        again = "" if dry_run else "; then run the same command to go on"
        end(f"{_failure(work, failed[-1])}{again}", FAILED)


def _found(work: Backfill, one: BackfillProgress, *, dry_run: bool) -> str:
    words = (
        f"{counted(one.requests, 'request')}, {counted(one.recordings, 'recording')} of "
        f"{counted(one.calls, 'call')} found"
    )
    if not dry_run:
        return f"{words}, {counted(one.jobs, 'job')} sent"
    size = one.length.total_seconds() * work.bytes_a_second
    hours = one.length / timedelta(hours=1)
    return (
        f"{words}, {one.known} of them known and {one.archived} archived; "
        f"{counted(one.jobs, 'job')} would be sent; {hours:.1f} h of audio, about {_bytes(size)} "
        f"(estimated: {work.sound})"
    )


def _bytes(size: float) -> str:
    for unit in ("MB", "GB"):
        size /= 1000 if unit == "GB" else 1_000_000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _failure(work: Backfill, one: BackfillProgress) -> str:
    reason = in_short(one.failed) if one.failed else ""
    return f"{_whose(work, one.source)} was given up at {one.share:.0%}: {reason}"
