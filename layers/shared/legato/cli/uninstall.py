"""`legato uninstall`: the end of a stack, and of what stays of it if that is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import Yes
from legato.cli.output import answered, asks, confirmed, end, moment, say
from legato.errors import LegatoError, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.app.deployed import Deployed
    from legato.aws.remains import Remains
    from legato.cli.context import Stack
    from legato.setup.deploy import Deployer

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "uninstall",
    help="""Delete the stack: says what goes and what stays, and asks twice.

    RingEX's webhook subscription is removed first. Archive, ledger, secrets and signing key stay.
    --everything removes them too, for ever, if no recording is locked or under legal hold; secrets
    and key can be restored for 30 days.

    \b
    Examples:
      legato uninstall
      legato uninstall --yes --name legato
      legato uninstall --everything
    """,
    interrupted="interrupted: run the same command again",
)
def uninstall(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--everything", help="Remove archive, ledger, secrets and key too.")
    ] = False,
    yes: Yes = False,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The stack's name, instead of typing.")
    ] = "",
) -> None:
    stack: Stack = context.obj
    deployed, deployer = stack.deployed(), stack.deployer()
    outputs = deployed.outputs()
    remains = deployed.remains()
    _show(stack, deployed, remains, everything=everything)
    if everything:
        _refuse_locked(remains)
    _ask(stack.stack, yes=yes, typed=name)
    if "KeeperFunctionName" in outputs:
        _unsubscribe(deployer)
    deployer.delete()
    say(f"The stack {stack.stack} is deleted.")
    if everything:
        remains.remove(say)
    else:
        say("What stays can be removed by hand: docs/deploy/options.md, Delete.")


def _show(stack: Stack, deployed: Deployed, remains: Remains, *, everything: bool) -> None:
    say(f"The stack {stack.stack} goes: functions, queues with messages, alarms, logs, and")
    say("RingEX's webhook subscription. From then on no recording is archived.")
    say("This goes too, for ever:" if everything else "This stays, and costs what it costs now:")
    for what, name in remains.names().items():
        say(f"  {what}: {name}")
    say(_locks(deployed.given()))
    try:
        held = len(stack.holds(case=None))
    except LegatoError:
        return  # a stack that was never whole has none
    say(f"Calls under legal hold: {held}.")


def _locks(parameters: Mapping[str, str]) -> str:
    mode = parameters.get("RetentionMode", "NONE")
    if mode == "NONE":
        return "What is archived now is not locked by a retention."
    years = max(int(value) for name, value in parameters.items() if name.endswith("LockYears"))
    last = datetime.now(UTC) + timedelta(days=years * 366 + 1)
    return f"Recordings are locked ({mode}), the newest until {moment(last)} at the latest."


def _refuse_locked(remains: Remains) -> None:
    """Raise Refused if anything may not be removed."""
    say("Looking for locks on every object…")
    locked = remains.locked(datetime.now(UTC))
    if locked.objects:
        until = f" until {moment(locked.until)}" if locked.until else ", by legal holds"
        raise Refused(
            f"{locked.objects} objects are locked{until}, so nothing was removed: without "
            "--everything the stack goes, and they stay"
        )


def _ask(name: str, *, yes: bool, typed: str) -> None:
    if not asks() and not (yes and typed):
        raise Refused(f"nothing was removed: without a terminal give --yes and --name {name}")
    if not yes and not confirmed(f"Delete the stack {name}?"):
        end("nothing was removed", Exit.INTERRUPTED)
    typed = typed or answered("Type the stack's name to delete it", default="", shown=False)
    if typed != name:
        raise Refused(f"{typed!r} is not {name}: nothing was removed")


def _unsubscribe(deployer: Deployer) -> None:
    try:
        report = deployer.keep({"unsubscribe": True})
        failed = report["counts"].get("KeeperFailed")
        reasons = "; ".join(map(str, report["reasons"])) if failed else ""
    except LegatoError as error:
        reasons = str(error)
    if reasons:
        say(f"RingEX's subscription may be left at RingCentral, which ends it later: {reasons}")
    else:
        say("RingEX's webhook subscription is removed.")
