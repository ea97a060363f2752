"""`legato hold`, `legato release` and `legato holds`: calls that a legal case needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.exit_codes import EXIT_CODES
from legato.cli.options import AsJson
from legato.cli.output import Listing, say, speaking, write_json
from legato.model import CallId, person

if TYPE_CHECKING:
    from legato.evidence.legal_hold import Held
    from legato.model import Json

app = typer.Typer(rich_markup_mode=None)

Call = Annotated[str, typer.Argument(metavar="CALL", help="The call, by its address or its id.")]
Case = Annotated[str, typer.Option(metavar="CASE", help="The case, by your own name for it.")]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why it may be released.")]


@app.command(
    name="hold",
    help=f"""Place a call under legal hold for a case: nothing of it can be removed then.

    Holds every version of every object of the call, and whatever is archived of it later. Several
    cases may hold a call. Who asked, when and why is kept in the archive as evidence. A call that
    is not archived yet may be held too; one that nobody knows only with --force and its address.

    \b
    Examples:
      legato hold s-a0b1c2d3e4f5 --case 2026-117 --reason "complaint of a customer"
      legato hold kazoo/5a2d994fbae69b1d6b01eb9f0e7dfe62/63962447024-1a2b \\
          --case 2026-117 --reason "the same"

    {EXIT_CODES}
    """,
)
def place_hold(
    context: typer.Context,
    call: Call,
    case: Case,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever reads it later.")],
    force: Annotated[
        bool, typer.Option("--force", help="Hold a call of which nothing is known.")
    ] = False,
) -> None:
    asked = {"action": "hold", "call": call, "case": case, "reason": reason, "force": force}
    _ask(context, asked)


@app.command(
    name="release",
    help=f"""Let go of a call that a case holds. It takes two people.

    One asks for it, with a reason; another one confirms it. AWS says who they are. The call is free
    when the last case has let go. A request may be taken back with --withdraw.

    \b
    Examples:
      legato release ringex/401555000/s-a0b1c2d3e4f5 --case 2026-117 --reason "settled"
      legato release s-a0b1c2d3e4f5 --case 2026-117 --confirm

    {EXIT_CODES}
    """,
)
def release(
    context: typer.Context,
    call: Call,
    case: Case,
    reason: Reason = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm what another person has asked for.")
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take back what was asked for.")
    ] = False,
) -> None:
    if confirm and withdraw:
        raise typer.BadParameter("--confirm goes without --withdraw")
    if not (reason or confirm or withdraw):
        raise typer.BadParameter("say why with --reason, or --confirm what another one asked for")
    action = "confirm" if confirm else "withdraw" if withdraw else "request"
    asked = {"action": f"{action}-release", "call": call, "case": case, "reason": reason or ""}
    _ask(context, asked)


@app.command(
    name="holds",
    help=f"""List all legal holds, by case.

    \b
    Examples:
      legato holds
      legato holds --case 2026-117 --json

    {EXIT_CODES}
    """,
)
def list_holds(
    context: typer.Context,
    case: Annotated[
        str | None, typer.Option(metavar="CASE", help="Only those of this case.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    with speaking():
        found: list[Held] = context.obj.holds(case=case)
    if as_json:
        lines = [one.to_json() for one in found]
        write_json(lines)
        return
    if not found:
        say("Nothing is held." if case is None else f"Nothing is held for {case}.")
        return
    table = Listing("Case", "Call", "Since", "By", "Why", "Release")
    for one in found:
        table.add(one.case, str(one.id), one.at, person(one.by), one.reason, _release(one))
    table.show()


def _ask(context: typer.Context, asked: Json) -> None:
    with speaking("interrupted; the same command again makes sure"):
        answer = context.obj.holder().ask(asked)
    name = CallId.of(answer)
    before = " It was asked for before." if answer["repeated"] else ""
    cases = ", ".join(sorted(answer["cases"]))
    state = f"held for {cases}" if answer["held"] else "free: no case holds it"
    say(f"{name} is {state}.{before} Objects: {answer['objects']}.")
    release = answer["cases"].get(asked["case"], {}).get("release")
    if release:
        by = person(release["by"])
        say(f"{by} has asked to release it: another person must confirm that.")


def _release(one: Held) -> str:
    words = [f"asked for by {person(one.release['by'])}"] if one.release else []
    words += ["not carried out: run the last command again"] if one.unfinished else []
    return ", ".join(words)
