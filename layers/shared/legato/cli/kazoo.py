"""`legato kazoo`: the addresses that Kazoo pushes recordings to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.output import confirmed, end, say, speaking

if TYPE_CHECKING:
    from legato.discovery.push_addresses import Pushing, Wish

PUSH_ADVICE = (
    "AWS takes at most 4.5 MB in a push: 18 minutes of MP3 at 32 kbit/s, 70 seconds of WAV in "
    "stereo. For longer calls let Kazoo store its recordings, and the sweep fetches them, or let a "
    "storage plan write into the inbox (docs/deploy/kazoo.md)."
)

app = typer.Typer(
    name="kazoo",
    help=f"""Look after what is set up at Kazoo: the addresses that it pushes recordings to.

    \b
    Examples:
      legato kazoo push-urls

    {EXIT_CODES}
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,
) -> None:
    if rotate and retire:
        raise typer.BadParameter("--rotate goes without --retire: set the new addresses in between")
    wish: Wish = "rotate" if rotate else "retire" if retire else "keep"
    with speaking("interrupted; run the same command again"):
        pushing: Pushing = context.obj.pushing()
        if means := pushing.planned(wish):
            say(f"{means[0].upper()}{means[1:]}.", err=True)
            if not yes and sys.stdin.isatty() and not confirmed("Begin?", err=True):
                end("not begun", FAILED)
            pushing.change(wish)
        elif retire:
            say("There is no previous push key.", err=True)
        for account, url in pushing.urls().items():
            say(f"{account}: {url}")
    say(PUSH_ADVICE, err=True)
