"""`legato failed` and `legato retry`: failed calls, and how to try them again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import AsJson, Providers, Yes
from legato.cli.output import ListTable, asks, confirmed, end, say, write_json
from legato.cli.select import Names, few
from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.model import CallId
    from legato.operations.failures import FailedCalls, Failure

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "failed",
    help="""List failed calls in the ledger and messages in the dead-letter queues.

    Nothing is removed from a queue; for a moment its messages are hidden from other readers.
    `legato retry` tries failed calls again.

    \b
    Examples:
      legato failed
      legato failed --provider kazoo --json
    """,
    ends=(Exit.NEEDS_PERSON,),
)
def list_failed(
    context: typer.Context, provider: Providers = None, as_json: AsJson = False
) -> None:
    calls: FailedCalls = context.obj.failed_calls(providers=provider or ())
    found, now = calls.listed(), calls.clock.now()
    if as_json:
        write_json([one.to_json(now) for one in found])
    elif not found:
        say("Nothing failed.")
    else:
        table = ListTable("Call", "Since", "Where", "Why", numbers=("Since",), whole="Call")
        for one in found:
            table.add(_named(one), _age(now - one.since), _where(one), one.reason)
        table.show()
        say(f"{len(found)} failed. Retry them with `legato retry CALL` or `legato retry --all`.")
    if found:
        raise typer.Exit(Exit.NEEDS_PERSON)


@command(
    app,
    "retry",
    help="""Retry failed calls: by address or id, by their failure reason, or all.

    The job is added to the jobs queue before it leaves the dead-letter queue. If the command ends
    early, a call may be tried twice, which is harmless.

    \b
    Examples:
      legato retry ringex/401555000/s-a0b1c2d3e4f5
      legato failed --provider kazoo --json | legato retry -
      legato retry --error "404" --provider kazoo
      legato retry --all --yes
    """,
    ends=(Exit.NEEDS_PERSON, Exit.NOT_FOUND),
    interrupted="interrupted: the same command resumes",
)
def retry_failed(
    context: typer.Context,
    named: Names,
    everything: Annotated[bool, typer.Option("--all", help="All failed calls.")] = False,
    error: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Failed calls whose failure reason contains TEXT."),
    ] = None,
    provider: Providers = None,
    yes: Yes = False,
) -> None:
    calls = named.names()
    if [bool(calls), everything, bool(error)].count(True) != 1:
        raise typer.BadParameter("say what to retry: calls by address or id, --error, or --all")
    retried, left, unknown = 0, 0, list[str]()
    failed: FailedCalls = context.obj.failed_calls(providers=provider or ())
    if everything and not yes and asks() and not confirmed("Retry all?"):
        end("not begun", Exit.FAILED)
    for one in failed.retry(chosen=_chosen(calls, error, unknown)):
        if one.left:
            left += 1
            say(f"{_named(one.failure)}: not retried: {one.left}")
        else:
            retried += 1
            say(f"{_named(one.failure)}: queued again")
    say(f"{retried} queued again.")
    if unknown:
        what = "have not failed, or are unknown"
        end(f"{few(unknown)} {what}: see `legato failed`", Exit.NOT_FOUND)
    if left:
        raise typer.Exit(Exit.NEEDS_PERSON)


def _chosen(
    calls: Sequence[str], error: str | None, unknown: list[str]
) -> Callable[[Sequence[Failure]], list[Failure]]:
    """Return what chooses these calls, or those with an error, and fills `unknown`."""

    def chosen(found: Sequence[Failure]) -> list[Failure]:
        if not calls:
            return [one for one in found if error is None or _has(error, one)]
        known: dict[str, list[Failure]] = {}
        for one in found:
            for name in one.id.names:
                known.setdefault(name, []).append(one)
        meant: dict[CallId, Failure] = {}
        for text in calls:
            several = known.get(text, [])
            if len(several) > 1:
                addresses = ", ".join(sorted(map(_named, several)))
                raise Refused(f"{text} is an id of several calls: name one of {addresses}")
            unknown.extend([] if several else [text])
            meant |= {one.id: one for one in several}
        return [*meant.values()]

    return chosen


def _has(error: str, one: Failure) -> bool:
    reasons = (one.reason, *(letter.reason for letter in one.letters))
    return any(error.lower() in words.lower() for words in reasons)


def _named(one: Failure) -> str:
    from legato.operations.failures import UNREADABLE

    return f"{one.provider} {one.call}" if one.call == UNREADABLE else str(one.id)


def _where(one: Failure) -> str:
    count = len(one.letters)
    places = [f"{count} dead letter{'s' if count > 1 else ''}"] if count else []
    places += ["ledger"] if one.note else []
    places += ["queued again"] if one.retried_at else []
    return ", ".join(places)


def _age(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    if hours < 1:
        return f"{age / timedelta(minutes=1):.0f} min"
    return f"{hours:.0f} h" if hours < 100 else f"{hours / 24:.0f} days"
