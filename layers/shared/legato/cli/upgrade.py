"""`legato upgrade`: this checkout's version over the running stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.options import Yes
from legato.cli.output import asks, confirmed, end, say
from legato.errors import NoStack, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.cli.context import Stack
    from legato.setup.deploy import Checkout

UNKNOWN = "unknown"
"""The version of a stack that says none."""
MOST_LINES = 40

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "upgrade",
    help="""Show what this checkout would change in the running stack, and deploy it.

    Compares the stack's version with the checkout's: entries of CHANGELOG.md in between, parameters
    that are new or gone, and values that differ from samconfig.toml. --changes adds the resources,
    from a change set that is not executed. Then it asks, and runs `sam deploy`. An older checkout
    goes back the same way.

    \b
    Examples:
      legato upgrade --changes
      legato upgrade --yes
    """,
    interrupted="interrupted: run the same command again",
)
def upgrade(
    context: typer.Context,
    changes: Annotated[
        bool, typer.Option("--changes", help="List the resources that would change, and end.")
    ] = False,
    yes: Yes = False,
) -> None:
    stack: Stack = context.obj
    deployed, deployer = stack.deployed(), stack.deployer()
    now = deployed.parameters(tell=say)
    if now is None:
        raise NoStack(f"there is no stack {stack.stack} here: create it with `legato setup`")
    checkout = deployer.checkout
    if checkout is None:
        raise Refused("run it in a checkout of Legato's repository")
    configured = deployer.configured()
    version = deployed.outputs().get("LegatoVersion", UNKNOWN)
    _show(stack.stack, version, checkout, now, configured)
    if changes:
        deployer.show_changes()
        return
    if not yes and not asks():
        say("Nothing was changed: --yes deploys it.")
        return
    if not yes and not confirmed("Deploy it?"):
        end("nothing was changed", Exit.INTERRUPTED)
    deployer.deploy(_wanted(checkout, now, configured))
    say(f"Done. `legato status` says what needs a person. Back: {_back(version)}")


def _wanted(
    checkout: Checkout, now: Mapping[str, str], configured: Mapping[str, str]
) -> dict[str, str]:
    """Return what the deployment says: all that differs from the template, as it is now."""
    defaults = checkout.parameters()
    kept = {name: now[name] for name in now if now[name] != defaults.get(name, now[name])}
    return {**kept, **configured}


def _show(
    name: str,
    version: str,
    checkout: Checkout,
    now: Mapping[str, str],
    configured: Mapping[str, str],
) -> None:
    say(f"The stack {name} has version {version}, this checkout {checkout.version()}.")
    lines = checkout.changelog(version)
    for line in lines[:MOST_LINES]:
        say(f"  {line}")
    if len(lines) > MOST_LINES:
        say(f"  … and {len(lines) - MOST_LINES} more lines of CHANGELOG.md")
    template = checkout.parameters()
    for title, names in (
        ("New parameters", template.keys() - now.keys()),
        ("Parameters that go", now.keys() - template.keys()),
    ):
        say(f"{title}: {', '.join(sorted(names)) or 'none'}.")
    for key, value in configured.items():
        if key in now and now[key] != value:
            say(f"samconfig.toml changes {key}: {now[key] or '(empty)'} -> {value or '(empty)'}")
    say(f"Back: {_back(version)}")


def _back(version: str) -> str:
    return f"check out {version}, and run `legato upgrade` there: docs/upgrade.md."
