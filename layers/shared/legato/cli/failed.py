"""`legato failed` and `legato retry`: what failed, and the way back."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.options import AsJson, Providers
from legato.cli.output import Listing, confirmed, end, say, speaking, write_json
from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.operations.failures import Failure, Failures

app = typer.Typer(rich_markup_mode=None)


@app.command(
    name="failed",
    help=f"""List what failed: calls by the ledger, and messages in the dead-letter queues.

    Nothing is taken out of a queue. While the command runs, for a moment, its letters are hidden
    from others. Whatever is listed can be tried again with `legato retry`.

    \b
    Examples:
      legato failed
      legato failed --provider kazoo --json

    {EXIT_CODES}
    """,
)
def list_failed(
    context: typer.Context, provider: Providers = None, as_json: AsJson = False
) -> None:
    from legato.operations.failures import failed

    with speaking():
        work: Failures = context.obj.failures(providers=provider or ())
        found = failed(work)
        now = work.clock.now()
    if as_json:
        lines = [one.to_json(now) for one in found]
        write_json(lines)
        return
    if not found:
        say("Nothing failed.")
        return
    table = Listing("Call", "Since", "Where", "Why")
    for one in found:
        since = _age(now - one.since)
        table.add(_named(one), since, _where(one), one.reason)
    table.show()
    say(f"{len(found)} failed. `legato retry CALL` or `legato retry --all` tries them again.")


@app.command(
    name="retry",
    help=f"""Try again what failed: calls by address or id, all, or those that failed for a reason.

    The job goes into the jobs queue first and leaves the dead letters afterwards. So whatever ends
    this early, the worst is that something is tried twice, which changes nothing.

    \b
    Examples:
      legato retry ringex/401555000/s-a0b1c2d3e4f5
      legato retry --reason "404" --provider kazoo
      legato retry --all --yes

    {EXIT_CODES}
    """,
)
def retry_failed(
    context: typer.Context,
    calls: Annotated[
        list[str] | None,
        typer.Argument(metavar="CALL...", help="Calls, by their addresses or ids."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Those whose reason has this text.")
    ] = None,
    provider: Providers = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,
) -> None:
    from legato.operations.failures import retry

    if [bool(calls), everything, bool(reason)].count(True) != 1:
        raise typer.BadParameter("say what: calls by address or id, or --all, or --reason TEXT")
    retried, left, unknown = 0, 0, list[str]()
    with speaking("interrupted; the same command goes on"):
        work: Failures = context.obj.failures(providers=provider or ())
        if everything and not yes and sys.stdin.isatty() and not confirmed("Try all again?"):
            end("not begun", FAILED)
        for one in retry(work, chosen=_chosen(calls, reason, unknown)):
            if one.left:
                left += 1
                say(f"{_named(one.failure)}: left where it is: {one.left}")
            else:
                retried += 1
                say(f"{_named(one.failure)}: put into the queue again")
    say(f"{retried} put into the queue again.")
    if unknown:
        end(f"not failed, or not known: {', '.join(unknown)}: see `legato failed`", FAILED)
    if left:
        raise typer.Exit(FAILED)


def _chosen(
    calls: list[str] | None, reason: str | None, unknown: list[str]
) -> Callable[[Sequence[Failure]], list[Failure]]:
    """Return what chooses these calls, or those with a reason. Nothing is chosen of `unknown`."""

    def named(text: str, found: Sequence[Failure]) -> list[Failure]:
        meant = [one for one in found if one.id.is_meant_by(text)]
        if len(meant) > 1:
            addresses = ", ".join(sorted(map(_named, meant)))
            raise Refused(f"{text} is an id of several calls: name one of {addresses}")
        unknown.extend([] if meant else [text])
        return meant

    def chosen(found: Sequence[Failure]) -> list[Failure]:
        if calls:
            return list({one.id: one for text in calls for one in named(text, found)}.values())
        return [one for one in found if reason is None or _has(reason, one)]

    return chosen


def _has(reason: str, one: Failure) -> bool:
    reasons = (one.reason, *(letter.reason for letter in one.letters))
    return any(reason.lower() in words.lower() for words in reasons)


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
