"""`legato hold`, `legato release` and `legato holds`: calls that a legal case needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query
from legato.cli.command import command
from legato.cli.exit_codes import Exit, exit_of
from legato.cli.options import AsJson, Case
from legato.cli.output import ListTable, end, in_short, say, write_json
from legato.cli.select import Selection, chosen
from legato.errors import LegatoError
from legato.model import CallId, person

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.cli.context import Stack
    from legato.evidence.legal_hold import Held
    from legato.model import Json

AGAIN = "interrupted: run the same command again"

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "hold",
    help="""Place calls under legal hold for a case, so that nothing of them can be removed.

    Holds every version of every object of a call, and whatever is archived of it later. Several
    cases can hold a call. Who placed the hold, when and why is kept in the archive as evidence. A
    call that is not archived yet can be held too; an unknown call only by its address, with
    --force.

    \b
    Examples:
      legato hold s-a0b1c2d3e4f5 --case 2026-117 --reason "complaint of a customer"
      legato hold kazoo/5a2d994fbae69b1d6b01eb9f0e7dfe62/63962447024-1a2b --case 2026-117 \\
          --reason "the same"
      legato hold --number +15551230000 --from 2026-11-01 --case 2026-117 --reason "subpoena 4711"
    """,
    ends=(Exit.NOT_FOUND,),
    interrupted=AGAIN,
)
def place_hold(
    context: typer.Context,
    case: Case,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept as evidence.")],
    selection: Selection,
    force: Annotated[
        bool, typer.Option("--force", help="Also hold calls of which nothing is known.")
    ] = False,
) -> None:
    asked = {"action": "hold", "case": case, "reason": reason, "force": force}
    _ask(context.obj, asked, selection)


@command(
    app,
    "release",
    help="""Release calls from the legal hold of a case. This takes two people.

    One person requests the release with a reason, another one confirms it; AWS identifies both. A
    call can be removed again when no case holds it any more. --withdraw cancels a request. Without
    calls and other filters, all calls that the case holds are released.

    \b
    Examples:
      legato release ringex/401555000/s-a0b1c2d3e4f5 --case 2026-117 --reason "settled"
      legato release s-a0b1c2d3e4f5 --case 2026-117 --confirm
    """,
    ends=(Exit.NOT_FOUND,),
    interrupted=AGAIN,
)
def release(
    context: typer.Context,
    case: Case,
    selection: Selection,
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why; kept as evidence.")
    ] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Confirm the release that another person requested.")
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Cancel the requested release.")
    ] = False,
) -> None:
    if confirm and withdraw:
        raise typer.BadParameter("--confirm cannot be combined with --withdraw")
    if not (reason or confirm or withdraw):
        raise typer.BadParameter("give a --reason, or --confirm what another person requested")
    action = "confirm" if confirm else "withdraw" if withdraw else "request"
    asked = {"action": f"{action}-release", "case": case, "reason": reason or ""}
    if not selection.calls:
        selection = replace(selection, case=case)
    _ask(context.obj, asked, selection)


@command(
    app,
    "holds",
    help="""List all legal holds, by case.

    \b
    Examples:
      legato holds
      legato holds --case 2026-117 --json
    """,
)
def list_holds(
    context: typer.Context,
    case: Annotated[
        str | None, typer.Option(metavar="CASE", help="Only the holds of this case.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    found: list[Held] = context.obj.holds(case=case)
    if as_json:
        lines = [one.to_json() for one in found]
        write_json(lines)
        return
    if not found:
        say("No call is held." if case is None else f"No call is held for {case}.")
        return
    table = ListTable("Case", "Call", "Since", "By", "Why", "Release")
    for one in found:
        table.add(one.case, str(one.id), one.at, person(one.by), one.reason, _release(one))
    table.show()


def _ask(stack: Stack, asked: Json, selection: Selection) -> None:
    """Ask for each call by itself; one that is refused keeps none of the others from it."""
    calls = _calls(selection, stack)
    holder = stack.holder()
    errors: list[LegatoError] = []
    for call in calls:
        try:
            _show(holder.ask({**asked, "call": call}), asked["case"])
        except LegatoError as error:
            if len(calls) == 1 or exit_of(error) is Exit.NOT_PERMITTED:
                raise
            say(f"legato: {call}: {in_short(error)}", err=True)
            errors.append(error)
    if errors:
        end(f"{len(errors)} of {len(calls)} calls were not changed", exit_of(*errors))


def _calls(selection: Selection, stack: Stack) -> Sequence[str]:
    """Return the calls. Those that are named may be unknown to the catalogue, and known to AWS."""
    query = selection.query()
    if selection.calls and query == Query():
        return selection.calls
    return [str(row.id) for row in chosen(stack, selection.calls or (), query)]


def _show(answer: Json, case: str) -> None:
    before = " It was requested before." if answer["repeated"] else ""
    cases = ", ".join(sorted(answer["cases"]))
    state = f"held for {cases}" if answer["held"] else "free: no case holds it"
    say(f"{CallId.of(answer)} is {state}.{before} Objects: {answer['objects']}.")
    release = answer["cases"].get(case, {}).get("release")
    if release:
        by = person(release["by"])
        say(f"{by} requested the release: another person must confirm it.")


def _release(one: Held) -> str:
    words = [f"requested by {person(one.release['by'])}"] if one.release else []
    words += ["unfinished: run the last command again"] if one.unfinished else []
    return ", ".join(words)
