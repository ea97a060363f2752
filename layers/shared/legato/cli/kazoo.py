"""`legato kazoo`: the addresses that Kazoo pushes recordings to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.command import command, group
from legato.cli.exit_codes import Exit
from legato.cli.options import Yes
from legato.cli.output import asks, confirmed, end, say

if TYPE_CHECKING:
    from legato.discovery.push_addresses import PushAddresses, Wish

PUSH_ADVICE = (
    "A push can have at most 4.5 MB: 18 minutes of MP3 at 32 kbit/s, 70 seconds of stereo WAV. For "
    "longer calls let Kazoo store its recordings, which the sweep fetches, or let a storage plan "
    "write into the inbox (docs/deploy/kazoo.md)."
)

app = group(
    "kazoo",
    help="""Manage the URLs to which Kazoo pushes recordings.

    \b
    Examples:
      legato kazoo push-urls
    """,
)


@command(
    app,
    "push-urls",
    help="""Show the URL to which each Kazoo account of the stack may push its recordings.

    Set it as the url in the account's call_recording settings, or in a callflow's record_call. The
    URL contains a token of the account: anyone who has it can send recordings in its name. Tokens
    are derived from the push key in the secret; it is created if missing.

    To replace all tokens, create a new key (--rotate), set the new URLs at Kazoo, and then end the
    old ones (--revoke-previous).

    \b
    Examples:
      legato kazoo push-urls
      legato --stack archive --region eu-central-1 kazoo push-urls --rotate
    """,
    interrupted="interrupted: run the same command again",
)
def push_urls(
    context: typer.Context,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Create a new key; the present one stays valid.")
    ] = False,
    revoke_previous: Annotated[
        bool, typer.Option("--revoke-previous", help="End the validity of the previous key.")
    ] = False,
    yes: Yes = False,
) -> None:
    if rotate and revoke_previous:
        raise typer.BadParameter(
            "--rotate cannot be combined with --revoke-previous: set the new URLs in between"
        )
    wish: Wish = "rotate" if rotate else "revoke" if revoke_previous else "keep"
    pushing: PushAddresses = context.obj.pushing()
    if means := pushing.planned(wish):
        say(f"{means[0].upper()}{means[1:]}.", err=True)
        if not yes and asks() and not confirmed("Begin?", err=True):
            end("not begun", Exit.FAILED)
        pushing.change(wish)
    elif revoke_previous:
        say("There is no previous push key.", err=True)
    for account, url in pushing.urls().items():
        say(f"{account}: {url}")
    say(PUSH_ADVICE, err=True)
