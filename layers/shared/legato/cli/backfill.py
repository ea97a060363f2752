"""`legato backfill`: archive what a provider still has of a stretch of the past."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.command import command, group
from legato.cli.exit_codes import Exit, exit_of, understood
from legato.cli.options import Yes
from legato.cli.output import asks, confirmed, end, in_short, moment, say, speaking
from legato.cli.times import TimesFrom
from legato.format import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.operations.backfill import Allowance, Backfill, BackfillProgress, Estimate

SOURCES = {"ringex": "RingEX", "ringcx": "Sub-account", "kazoo": "Account"}
"""What a provider's recordings are read from."""
HOW = """Shows first how many requests that takes, how long at the provider's limits, and about how
    many recordings there are. New calls go first: a backfill uses what is left of the limits.

    It can be interrupted at any time: the same command resumes where it stopped."""

app = group(
    "backfill",
    help="""Archive what a provider still has of the past.

    \b
    Examples:
      legato backfill ringex --from 2026-10-01 --to 2026-10-31 --dry-run
      legato backfill ringcx --from 2026-10-05 --to 2026-10-11
      legato backfill kazoo --from 2026-06-01
    """,
)

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what would be archived; change nothing.")
]
Discard = Annotated[
    bool,
    typer.Option("--discard-unfinished", help="Give up an unfinished backfill of other days."),
]
ENDS = (Exit.NEEDS_PERSON,)


@command(
    app,
    "ringex",
    help=f"""Archive what RingEX still has of the past.

    Reads the company's call log, a thousand recorded calls at a time, and sends a job for each call
    that the archive does not have.

    {HOW}

    \b
    Examples:
      legato backfill ringex --from 2026-10-01 --to 2026-10-31 --dry-run
      legato backfill ringex --from 2026-10-01 --to 2026-10-31
      legato --stack archive --region eu-central-1 backfill ringex --from 2026-09-01 --yes
    """,
    ends=ENDS,
)
def ringex(
    context: typer.Context,
    times: TimesFrom,
    dry_run: DryRun = False,
    discard: Discard = False,
    yes: Yes = False,
) -> None:
    _run(context, "ringex", times, (), dry_run=dry_run, discard=discard, yes=yes)


@command(
    app,
    "ringcx",
    help=f"""Archive what RingCX still has of the past.

    Reads RingCX's metadata window by window, as the sweeper does, and sends a job for each recorded
    dialog that the archive does not have.

    {HOW}

    \b
    Examples:
      legato backfill ringcx --from 2026-10-05 --to 2026-10-11 --dry-run
      legato backfill ringcx --from 2026-10-05 --to 2026-10-11
      legato --stack archive --region eu-central-1 \\
          backfill ringcx --from 2026-11-19T08:00+01:00 --sub-account 12345 --yes
    """,
    ends=ENDS,
)
def ringcx(
    context: typer.Context,
    times: TimesFrom,
    sub_account: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this sub-account of the stack; may be repeated."),
    ] = None,
    dry_run: DryRun = False,
    discard: Discard = False,
    yes: Yes = False,
) -> None:
    _run(context, "ringcx", times, sub_account or (), dry_run=dry_run, discard=discard, yes=yes)


@command(
    app,
    "kazoo",
    help=f"""Archive what Kazoo still has of the past.

    Reads each account's recordings by the time at which they were saved, and sends a job for each
    interaction that the archive does not have.

    {HOW}

    \b
    Examples:
      legato backfill kazoo --from 2026-06-01 --to 2026-10-31 --dry-run
      legato backfill kazoo --from 2026-06-01 --to 2026-10-31
      legato backfill kazoo --from 2026-11-19 --account 5a2d994fbae69b1d6b01eb9f0e7dfe62
    """,
    ends=ENDS,
)
def kazoo(
    context: typer.Context,
    times: TimesFrom,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="Only this account (or account/user) of the stack; may be repeated.",
        ),
    ] = None,
    dry_run: DryRun = False,
    discard: Discard = False,
    yes: Yes = False,
) -> None:
    _run(context, "kazoo", times, account or (), dry_run=dry_run, discard=discard, yes=yes)


def _run(
    context: typer.Context,
    provider: str,
    times: TimesFrom,
    sources: Sequence[str],
    *,
    dry_run: bool,
    discard: bool,
    yes: bool,
) -> None:
    from legato.cli.backfill_progress import Board

    begin, end_at = times.span()
    if end_at is not None:
        end_at = end_at.replace(microsecond=0)
    with speaking("interrupted before it began: nothing was done"):
        work = context.obj.backfill(
            provider, begin=begin.replace(microsecond=0), end=end_at, sources=sources
        )
        work.check(dry_run=dry_run, discard=discard)
        if not _announced(work, dry_run=dry_run):
            return
        if not (yes or dry_run) and asks() and not confirmed("Begin?"):
            end("not begun", Exit.FAILED)
    again = "nothing was written" if dry_run else "run the same command to resume"
    with speaking(f"interrupted: {again}"), Board(work, dry_run=dry_run) as board:
        found = work.run(
            tell=board.tell,
            dry_run=dry_run,
            hopeless=lambda error: understood(error) is not error,
        )
    _reported(work, found, dry_run=dry_run)


def _announced(work: Backfill, *, dry_run: bool) -> bool:
    """Say what is ahead; return whether there is anything."""
    from legato.model import PROVIDER_NAMES as NAMES
    from legato.operations.backfill import takes

    first = work.stretches[0]
    say(f"From {moment(first.begin)} to {moment(first.end)}.")
    ahead = work.estimate(dry_run=dry_run)
    for stretch, one in zip(work.stretches, ahead, strict=True):
        say(f"{_whose(work, one.source)}: {_left(work, one)}.")
        oldest = work.clock.now() - stretch.kept
        if first.begin < oldest and one.requests:
            days = stretch.kept / timedelta(days=1)
            say(
                f"warning: {NAMES[work.provider]} keeps recordings of {one.source} for {days:g} "
                f"days: recordings from before {moment(oldest)} are gone.",
                err=True,
            )
    if not any(one.requests for one in ahead):
        return False
    took = takes(work.listing, ahead, lambda one: one.requests)
    say(f"At {NAMES[work.provider]}'s limits that takes {_time(took)}, or longer with new calls.")
    recordings = sum(one.recordings or 0 for one in ahead)
    if recordings:
        took = takes(work.fetching, ahead, lambda one: one.recordings or 0)
        say(
            f"Their audio takes about {_requests(recordings, work.fetching)}, {_time(took)} if the "
            "archive has none of it."
        )
    return True


def _left(work: Backfill, one: Estimate) -> str:
    if not one.requests:
        return "already read to the end, nothing is left to do"
    about = "at least" if one.recordings is None else "about"
    requests = f"{about} {_requests(one.requests, work.listing)}"
    if one.share:
        requests = f"{one.share:.0%} already read, {requests} left"
    if one.recordings is None:
        return f"{requests}; the number of recordings is not known before they are read"
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
            say(f"  {one.buried} records name no call and {where} to the dead-letter queue.")
    failed = [(one, one.failed) for one in found if one.failed is not None]
    for one, error in failed:
        reason = f"gave up at {one.share:.0%}: {in_short(error)}"
        say(f"legato: {_whose(work, one.source)}: {reason}", err=True)
    if failed:
        again = "" if dry_run else ": run the same command to resume"
        many = counted(len(failed), "list")
        end(f"{many} not read to the end{again}", exit_of(*(error for _, error in failed)))


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
