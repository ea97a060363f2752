"""`legato kazoo`: what is set up at Kazoo. Webhooks are made there, push URLs are only shown."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.say import (
    EXIT_CODES,
    FAILED,
    advised,
    console_for_tables,
    end,
    in_short,
    speaking,
    table_of,
)
from legato.errors import Barred, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.errors import LegatoError
    from legato.hooks import Done, Hooking, Plan
    from legato.push_urls import Pushing, Wish

PUSH_ADVICE = (
    "AWS takes at most 4.5 MB in a push: 18 minutes of MP3 at 32 kbit/s, 70 seconds of WAV in "
    "stereo. For longer calls let Kazoo store its recordings, and the sweep fetches them, or let a "
    "storage plan write into the inbox (docs/operations.md)."
)

app = typer.Typer(
    name="kazoo",
    help=f"""Look after what is set up at Kazoo: webhooks, and the addresses of pushes.

    \b
    Examples:
      legato kazoo install-hooks --dry-run
      legato kazoo remove-hooks
      legato kazoo push-urls

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")]


@app.command(
    help=f"""Install the webhook that tells of saved recordings in each Kazoo account of the stack.

    Makes sure that exactly one leads from each account to the stack's KazooWebhookUrl, with the
    secret's token. One that Kazoo has disabled, or that has another token or other settings, is
    replaced. Webhooks to other addresses are not touched. Where the secret has no token, one is
    made. Webhooks only make it faster: without them the sweep finds the same recordings.

    \b
    Examples:
      legato kazoo install-hooks --dry-run
      legato kazoo install-hooks
      legato --stack archive --region eu-central-1 kazoo install-hooks --yes

    {EXIT_CODES}
    """
)
def install_hooks(context: typer.Context, dry_run: DryRun = False, yes: Yes = False) -> None:
    from legato.hooks import plan_to_install

    with speaking("interrupted before it began; nothing was done"):
        hooking = _hooking(context)
        plans = plan_to_install(hooking)
        for account in hooking.narrowed:
            typer.echo(
                f"note: account {account} gets no webhook, since only a part of its recordings is "
                "kept (KazooAccountIds, KazooFilters): the sweep finds them.",
                err=True,
            )
    _run(hooking, plans, dry_run=dry_run, yes=yes)
    if not dry_run:
        typer.echo("Notifications only make it faster: what they miss, the sweep finds.")


@app.command(
    help=f"""Remove the webhooks that lead to this stack from its Kazoo accounts.

    Removes all that lead to the stack's KazooWebhookUrl, and no other. Recordings are archived all
    the same, when the sweep finds them. Do this before you delete the stack, or take an account out
    of KazooAccountIds.

    \b
    Examples:
      legato kazoo remove-hooks --dry-run
      legato --stack archive --region eu-central-1 kazoo remove-hooks --yes

    {EXIT_CODES}
    """
)
def remove_hooks(context: typer.Context, dry_run: DryRun = False, yes: Yes = False) -> None:
    from legato.hooks import plan_to_remove

    with speaking("interrupted before it began; nothing was done"):
        hooking = _hooking(context)
        plans = plan_to_remove(hooking)
    _run(hooking, plans, dry_run=dry_run, yes=yes)


@app.command(
    help=f"""Show the address to which each Kazoo account of the stack may push its recordings.

    Set it as the url in the account's call_recording settings, or in a callflow's record_call. It
    holds a token of that account: whoever has it may send recordings in its name. The tokens hang
    on the secret's push key, which is made if there is none.

    To change all of them, make a new key (--rotate), set the new addresses at Kazoo, and then let
    the old ones end (--retire).

    \b
    Examples:
      legato kazoo push-urls
      legato --stack archive --region eu-central-1 kazoo push-urls --rotate

    {EXIT_CODES}
    """
)
def push_urls(
    context: typer.Context,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new key; the present one is taken too.")
    ] = False,
    retire: Annotated[
        bool, typer.Option("--retire", help="Take the previous key no more.")
    ] = False,
    yes: Yes = False,
) -> None:
    if rotate and retire:
        raise typer.BadParameter("--rotate goes without --retire: set the new addresses in between")
    wish: Wish = "rotate" if rotate else "retire" if retire else "keep"
    with speaking("interrupted; run the same command again"):
        pushing: Pushing = context.obj.pushing()
        if means := pushing.planned(wish):
            typer.echo(f"{means[0].upper()}{means[1:]}.", err=True)
            if not yes and sys.stdin.isatty() and not typer.confirm("Begin?", err=True):
                end("not begun", FAILED)
            pushing.change(wish)
        elif retire:
            typer.echo("There is no previous push key.", err=True)
        for account, url in pushing.urls().items():
            typer.echo(f"{account}: {url}")
    typer.echo(PUSH_ADVICE, err=True)


def _hooking(context: typer.Context) -> Hooking:
    # What is logged for the alarms is an error that is said here anyway.
    logging.getLogger("legato").addHandler(logging.NullHandler())
    hooking: Hooking = context.obj.hooking()
    return hooking


def _run(hooking: Hooking, plans: Sequence[Plan], *, dry_run: bool, yes: bool) -> None:
    """Show the plans and carry them out, if that is wanted. Leaves where anything failed."""
    from legato.hooks import carry_out

    typer.echo(f"Webhooks to {hooking.address}:")
    _show(plans)
    if dry_run:
        _complain(plans)
        return
    if any(plan.changes for plan in plans):
        with speaking("interrupted before it began; nothing was done"):
            if not yes and sys.stdin.isatty() and not typer.confirm("Begin?"):
                end("not begun", FAILED)
    ended = []
    with speaking("interrupted; run the same command to go on"):
        for done in carry_out(hooking, [plan for plan in plans if plan.changes or plan.failed]):
            typer.echo(f"{done.account}: {_done(done)}.")
            ended.append(done)
    _complain(ended)


def _show(plans: Sequence[Plan]) -> None:
    table = table_of("Account", "Plan", "Why")
    for plan in plans:
        why = in_short(plan.failed) if plan.failed else "; ".join(plan.reasons)
        table.add_row(plan.account, _planned(plan), why)
    console_for_tables().print(table)


def _planned(plan: Plan) -> str:
    if plan.failed is not None:
        return "none"
    if plan.creates:
        return "replace" if plan.removes else "create"
    return f"remove {len(plan.removes)}" if plan.removes else "leave"


def _done(done: Done) -> str:
    words = [f"{done.created} created"] if done.created else []
    words += [f"{name} removed" for name in done.removed]
    if done.failed is not None:
        words.append("then it failed" if words else "failed")
    return ", ".join(words)


def _complain(ended: Sequence[Plan | Done]) -> None:
    """Say what failed, and what to do next; leave, if anything did."""
    accounts: dict[str, list[str]] = {}
    for one in ended:
        if one.failed is not None:
            accounts.setdefault(_next(one.failed), []).append(one.account)
    lines = [f"account {', '.join(names)}: {words}" for words, names in accounts.items()]
    for line in lines[:-1]:
        typer.echo(f"legato: {line}", err=True)
    if lines:
        end(lines[-1], FAILED)


def _next(error: LegatoError) -> str:
    if advised(error) is not None:
        return in_short(error)
    again = "then run the same command again"
    if isinstance(error, Barred):
        return f"{error}: mend the part `kazoo` of the secret, or what its user may do, {again}"
    if isinstance(error, Failed):
        return f"{error}: look whether KazooUrl and KazooAccountIds are right, {again}"
    return f"{error}: run the same command again"
