"""`legato setup`: from nothing to the first archived call, and every change after that."""

from __future__ import annotations

import json
import sys
import textwrap
import time
import tomllib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.ask import again, ask_provider, ask_providers, ask_the_rest
from legato.cli.command import command
from legato.cli.doctor import say_wrapped, show_finding
from legato.cli.exit_codes import Exit
from legato.cli.options import Yes
from legato.cli.output import asks, end, moment, say
from legato.errors import Refused
from legato.model import provider_name
from legato.setup.choices import CHOICES, Decided, given, present, providers_of, variable
from legato.setup.findings import State
from legato.setup.plan import Plan, plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from legato.app.deployed import Deployed
    from legato.cli.context import Stack
    from legato.model import Json
    from legato.setup.choices import Value
    from legato.setup.deploy import Deployer
    from legato.setup.findings import Finding

AGAIN = "interrupted: run the same command again, and it goes on"
WAIT_MINUTES = 30
"""RingCX reports a call within that."""
LOOK_SECONDS = 2
KEEPER_TRIES = 4
KEEPER_SECONDS = 10
SHOWN = 60
"""Characters of a parameter's value."""
SHARED = ("client_id", "client_secret", "jwt")
"""What RingCX may have from RingEX."""
LOGIN = [f"ringcx.{each}" for each in SHARED]
LISTED = textwrap.fill(
    ", ".join(name for name, each in CHOICES.items() if not each.hidden), 72
).replace("\n", "\n      ")
HIDDEN = textwrap.fill(
    ", ".join(variable(each) for each in CHOICES.values() if each.hidden), 72
).replace("\n", "\n      ")

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "setup",
    help=f"""Set the stack up, or change what it does: asks, checks, deploys, waits for a call.

    Asks which providers to archive and with which credentials, and for storage class, retention,
    mails and reasons for access. Every answer is tried at the provider before anything is deployed.
    Then it writes samconfig.toml, runs `sam deploy`, fills in the stack's secret, subscribes
    RingEX's webhook, and waits for the first call. Run it again to change something, or after an
    interruption: it shows what differs, and does only that.

    Without a terminal, or with --yes, nothing is asked. A file in TOML or JSON has the names of
    --set, by provider in tables; a `-` reads it from standard input. Secrets come from the file or
    the environment, and are written into the stack's secret only.

    \b
    Examples:
      legato setup
      legato setup --provider ringex --set alarm_email=recordings@example.com
      legato setup --file setup.toml --yes --minutes 0
      legato setup --file setup.toml --dry-run
      legato --local setup

    \b
    A file:
      alarm_email = "recordings@example.com"
      [kazoo]
      url = "https://kazoo.example.com:8443/v2"
      accounts = "5a2d994fbae69b1d6b01eb9f0e7dfe62/*"

    \b
    Names of --set:
      {LISTED}

    \b
    Secrets in the environment:
      {HIDDEN}
    """,
    ends=(Exit.NEEDS_PERSON,),
    interrupted=AGAIN,
)
def setup(
    context: typer.Context,
    providers: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="NAME", help="Archive this one; may be repeated."),
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Decide this; may be repeated."),
    ] = None,
    file: Annotated[
        str | None, typer.Option(metavar="FILE", help="TOML or JSON with what to decide, or -.")
    ] = None,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check, show what would change, and change nothing.")
    ] = False,
    minutes: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="COUNT",
            help=f"Wait for the first call. [default: {WAIT_MINUTES}; without a terminal 0]",
        ),
    ] = None,
) -> None:
    stack: Stack = context.obj
    asking = not yes and asks()
    fixed = _fixed(file, pairs or [], providers or [])
    work = _Setup(deployed=stack.deployed(), deployer=stack.deployer(), asking=asking, fixed=fixed)
    decided = work.decide()
    planned = work.plan(decided)
    _show_plan(planned, stack.stack)
    if dry_run:
        say("Nothing was changed.")
        return
    if asking and (planned.deploys or planned.secrets) and not again("Go on?"):
        end("nothing was changed", Exit.INTERRUPTED)
    work.carry_out(decided, planned)
    if minutes is None:
        minutes = WAIT_MINUTES if asking else 0
    work.wait(decided, minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What was decided by options, a file or the environment."""

    providers: tuple[str, ...] | None
    values: Mapping[str, Value]


@dataclass(slots=True, kw_only=True)
class _Setup:
    """One run. `fixed` is not asked for, unless it proves wrong."""

    deployed: Deployed
    deployer: Deployer
    asking: bool
    fixed: Fixed
    _parameters: dict[str, str] | None = field(default=None, init=False)
    _configured: dict[str, str] = field(default_factory=dict, init=False)
    _secret: Json = field(default_factory=dict, init=False)

    def decide(self) -> Decided:
        """Return what is decided, as far as the checks can tell right."""
        self._parameters = self.deployed.parameters(tell=say)
        self._configured = self.deployer.configured()
        self._secret = {} if self._parameters is None else self.deployed.credentials()
        known = {**self._configured, **(self._parameters or {})}
        before = present(known, self._secret)
        used = before.providers if self._parameters is not None else ()
        providers = self.fixed.providers
        if providers is None:
            providers = ask_providers(used) if self.asking else used
        values = {**before.values, **self.fixed.values}
        if not self.asking:
            values = _shared(Decided(providers=providers, values=values), before, self.fixed)
            self._refuse_problems(Decided(providers=providers, values=values))
        decided = Decided(providers=providers, values=values)
        for provider in providers:
            decided = self._provider(provider, decided, before)
        if self.asking:
            more = ask_the_rest(decided, fixed=[*self.fixed.values])
            decided = replace(decided, values={**decided.values, **more})
        self._refuse_problems(decided)
        self._check_aws(decided)
        return decided

    def plan(self, decided: Decided) -> Plan:
        return plan(
            decided,
            parameters=self._parameters,
            secret=self._secret,
            configured=self._configured,
        )

    def carry_out(self, decided: Decided, planned: Plan) -> None:
        """Deploy, fill in the secret, subscribe: each if it is to be done still."""
        if planned.deploys:
            say("Deploying…")
            self.deployer.deploy(planned.parameters)
        self._secret = self.deployed.credentials()
        filled = self.plan(decided)
        if filled.secrets:
            self.deployed.fill(filled.secret)
            say("The credentials are in the stack's secret.")
        if "ringex" in decided.providers:
            self._subscribe()

    def wait(self, decided: Decided, minutes: int) -> None:
        """Wait for the first call of each provider that has none, and show it."""
        waiting = [each for each in decided.providers if not self._shown(each)]
        if waiting and minutes:
            names = " and ".join(map(provider_name, waiting))
            say()
            say(f"Make a recorded call now. Waiting for the first one of {names}, at most")
            say(f"{minutes} minutes. Ctrl-C is fine: `legato find` shows it later.")
        until = time.monotonic() + timedelta(minutes=minutes).total_seconds()
        try:
            while waiting and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
                waiting = [each for each in waiting if not self._shown(each)]
        except KeyboardInterrupt:
            say()
        if waiting:
            say("No call is archived yet: `legato find` shows it when it is.")
        say("All is set up. `legato status` says what needs a person.")

    def _shown(self, provider: str) -> bool:
        """Show the newest call of a provider; say whether there is one."""
        row = self.deployed.newest(provider)
        if row is not None:
            say(f"Archived: {row.id}, of {moment(row.started_at)}.")
        return row is not None

    def _provider(self, provider: str, decided: Decided, before: Decided) -> Decided:
        """Ask for a provider and check it, until nothing is wrong."""
        fixed = [*self.fixed.values]
        shares = provider == "ringcx" and _shares(decided, before, self.fixed)
        while True:
            if shares:
                decided = replace(decided, values=_shared(decided, before, self.fixed))
            if self.asking:
                more = ask_provider(provider, decided, fixed=fixed, shared=shares)
                decided = replace(decided, values={**decided.values, **more})
            say(f"Checking {provider_name(provider)}…")
            parameters = {**self._configured, **decided.parameters()}
            if not _wrong(self.deployed.check(decided, provider, parameters)):
                return decided
            if not self.asking:
                end(f"{provider_name(provider)} is not right: nothing changed", Exit.NEEDS_PERSON)
            say()
            say("Mend it there or here: Enter keeps an answer and tries it again.")
            fixed, shares = [], False

    def _check_aws(self, decided: Decided) -> None:
        parameters = {**self._configured, **decided.parameters()}
        say("Checking AWS…")
        while _wrong(self.deployed.check_aws(parameters)):
            if not self.asking or not again("Check again?"):
                end("AWS is not right: nothing changed", Exit.NEEDS_PERSON)

    def _refuse_problems(self, decided: Decided) -> None:
        """Raise Refused, naming all that is missing or wrong."""
        if problems := decided.problems():
            raise Refused(f"{'; '.join(problems)}: `legato setup --help` says how to give it")

    def _subscribe(self) -> None:
        """Let the keeper look, until the functions have read the new credentials."""
        for left in reversed(range(KEEPER_TRIES)):
            report = self.deployer.keep({"subscribe": True})
            if report.get("healthy"):
                say("RingEX's webhook subscription is in place.")
                return
            if left:
                time.sleep(KEEPER_SECONDS)
        reasons = "; ".join(map(str, report.get("reasons", ())))
        say(f"RingEX's subscription is not in place yet: {reasons}.")
        say("It is tried again every ten minutes, and calls are found without it.")


def _shares(decided: Decided, before: Decided, fixed: Fixed) -> bool:
    """Say whether RingCX logs in as RingEX does: nobody has said anything else."""
    if "ringex" not in decided.providers or any(name in fixed.values for name in LOGIN):
        return False
    other = before.secret_of("ringcx")
    return not other or other == before.secret_of("ringex")


def _shared(decided: Decided, before: Decided, fixed: Fixed) -> dict[str, Value]:
    """Return the values, with RingEX's log-in for RingCX where it has none of its own."""
    values = dict(decided.values)
    if "ringcx" in decided.providers and _shares(decided, before, fixed):
        for name in SHARED:
            if (value := values.get(f"ringex.{name}")) is not None:
                values[f"ringcx.{name}"] = value
    return values


def _wrong(findings: Iterable[Finding]) -> bool:
    """Show what a check finds as it comes; say whether anything is wrong."""
    wrong = False
    for one in findings:
        wrong = wrong or one.state is State.WRONG
        show_finding(one, one.subject)
    return wrong


def _show_plan(planned: Plan, stack: str) -> None:
    if not planned.deploys and not planned.secrets:
        say(f"Nothing to change: the stack {stack} is as decided.")
        return
    say()
    say(f"The stack {stack} is {'created with' if planned.creates else 'changed'}:")
    for one in planned.changes:
        before = "" if planned.creates else f"{_short(one.before or '')} -> "
        say(f"  {one.name}: {before}{_short(one.after)}")
    if planned.secrets:
        say_wrapped("  Its secret: ", ", ".join(planned.secrets))


def _short(value: str) -> str:
    shown = value if len(value) <= SHOWN else f"{value[: SHOWN - 1]}…"
    return shown or "(empty)"


def _fixed(file: str | None, pairs: Sequence[str], providers: Sequence[str]) -> Fixed:
    """Read what is not to be asked for. Options go before the environment, that before the file.

    Raises Refused.
    """
    from legato.cli.context import variables

    named, values = (None, {}) if file is None else given(_document(file))
    by_variable = {variable(each): each for each in CHOICES.values() if each.hidden}
    for name, value in variables([*by_variable]).items():
        if wrong := by_variable[name].problem(value):
            raise Refused(f"{name}: {wrong}")
        values[by_variable[name].name] = value
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in CHOICES:
            raise typer.BadParameter(f"--set takes NAME=VALUE, not {name[:60]!r}: legato setup -h")
        choice = CHOICES[name]
        if choice.hidden:
            raise typer.BadParameter(
                f"{name} is a secret, which others could read in the list of processes: give it "
                f"in {variable(choice)} or a file"
            )
        if wrong := choice.problem(value):
            raise typer.BadParameter(wrong)
        values[name] = value
    if providers:
        named = providers_of(" ".join(providers))
    return Fixed(providers=named, values=values)


def _document(file: str) -> object:
    """Read a file in JSON or TOML. What is wrong with it is said without its content."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Refused(f"{file} cannot be read: {reason}") from error
    try:
        return json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        where = getattr(error, "lineno", "")
        raise Refused(
            f"{file} is neither TOML nor JSON{f' (line {where})' if where else ''}"
        ) from None
