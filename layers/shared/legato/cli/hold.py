"""`legato hold`, `legato release` and `legato holds`: calls that a legal case needs."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import batched
from typing import TYPE_CHECKING, Annotated

import typer

from legato.catalogue.index import Query
from legato.catalogue.named import UnknownCriterion
from legato.cli.command import command
from legato.cli.exit_codes import Exit, exit_of
from legato.cli.last_find import call_named
from legato.cli.options import AsJson, Case, Yes
from legato.cli.output import ListTable, end, in_short, moment, say, write_json
from legato.cli.select import Selection, chosen, confirm_many, looked_up, meant_case
from legato.clock import SystemClock
from legato.errors import LegatoError, NotFound, Refused
from legato.format import counted
from legato.model import CallId, parse_time, person

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.cli.context import Stack
    from legato.evidence.legal_hold import Held
    from legato.model import Json

AGAIN = "interrupted: run the same command again"
AT_ONCE = 8
"""Calls at the same time. Each is a request to HolderFunction, of some hundred milliseconds."""
GIVE_UP = 10
"""So many answers in a row that nobody gave are enough."""

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
    new_case: Annotated[
        bool, typer.Option("--new-case", help="The case is new, though its name is like another.")
    ] = False,
    yes: Yes = False,
) -> None:
    stack: Stack = context.obj
    calls = _calls(selection, stack, "hold", force=force, yes=yes)
    case = case.strip()
    _check_case(case, stack, new=new_case)
    _ask(stack, {"action": "hold", "case": case, "reason": reason, "force": force}, calls)


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
    yes: Yes = False,
) -> None:
    if confirm and withdraw:
        raise typer.BadParameter("--confirm cannot be combined with --withdraw")
    if not (reason or confirm or withdraw):
        raise typer.BadParameter("give a --reason, or --confirm what another person requested")
    action = "confirm" if confirm else "withdraw" if withdraw else "request"
    asked = {"action": f"{action}-release", "case": case.strip(), "reason": reason or ""}
    if not (selection.calls or selection.calls_from):
        selection = replace(selection, case=case)
    calls = _calls(selection, context.obj, "release", yes=yes)
    _ask(context.obj, asked, calls)


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
        which = "" if case is None else f" for {case}{meant_case(context.obj, case)}"
        say(f"No call is held{which}" + ("" if which.endswith("?") else "."))
        return
    table = ListTable("Case", "Call", "Since", "By", "Why", "Release", whole="Call")
    for one in found:
        since = moment(parse_time(one.at))
        table.add(one.case, str(one.id), since, person(one.by), one.reason, _release(one))
    table.show()


def _check_case(case: str, stack: Stack, *, new: bool) -> None:
    """Say that a case is new. Raises Refused if another spelling of it, or nearly so, is known."""
    found = stack.spellings(case)
    if found.known:
        return
    if not new and (meant := found.same or found.doubtful):
        others = " or ".join(f"--case {shlex.quote(each)}" for each in meant)
        raise Refused(
            f"there is no case {case}, and nothing was held; did you mean {others}? "
            "Add --new-case if not"
        )
    similar = f"; similar cases: {', '.join(found.near)}" if found.near else ""
    say(f"legato: {case} is a new case{similar}", err=True)


def _ask(stack: Stack, asked: Json, calls: Sequence[str]) -> None:
    """Ask for each call by itself; one that is refused keeps none of the others from it.

    What was done is said however it ends. The same again does the rest: a step that was taken
    before is not taken twice.
    """
    holder = stack.holder()
    work = _Work(count=len(calls))

    def one(call: str) -> Json | LegatoError:
        try:
            return holder.ask({**asked, "call": call})
        except LegatoError as error:
            return error

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for part in batched(calls, AT_ONCE, strict=False):
                for call, answer in zip(part, pool.map(one, part), strict=True):
                    work.take(call, answer, asked["case"])
                work.stop_if_vain()
    finally:
        work.sum_up()
    if work.errors:
        code = exit_of(*work.errors)
        again = ": run the same command again" if code is Exit.UNAVAILABLE else ""
        end(f"{len(work.errors)} of {len(calls)} calls were not changed{again}", code)


@dataclass(slots=True, kw_only=True)
class _Work:
    """What came of `count` calls so far. `vain` answers in a row say that AWS does not answer."""

    count: int
    done: int = 0
    repeated: int = 0
    vain: int = 0
    errors: list[LegatoError] = field(default_factory=list)

    def take(self, call: str, answer: Json | LegatoError, case: str) -> None:
        """Say what came of a call. Raises the error of the only one."""
        if isinstance(answer, LegatoError):
            if self.count == 1:
                raise answer
            self.errors.append(answer)
            self.vain += exit_of(answer) is Exit.UNAVAILABLE
            say(f"legato: {call}: {in_short(answer)}", err=True)
            return
        self.vain = 0
        self.done += 1
        self.repeated += answer["repeated"]
        _show(answer, case)

    def stop_if_vain(self) -> None:
        """Raise the last error if it is that of all others to come."""
        refused = any(exit_of(error) is Exit.NOT_PERMITTED for error in self.errors)
        if refused or self.vain >= GIVE_UP:
            raise self.errors[-1]

    def sum_up(self) -> None:
        """Say how many calls were changed, of several."""
        if self.count > 1:
            before = f", {self.repeated} of them before" if self.repeated else ""
            say(f"legato: {self.done} of {counted(self.count, 'call')} done{before}", err=True)


def _calls(
    selection: Selection, stack: Stack, what: str, *, force: bool = False, yes: bool
) -> Sequence[str]:
    """Return the calls. Those that are named may be unknown to the catalogue, and known to AWS.

    Of several, all are looked up before anything is asked; the address of one, or what the
    catalogue does not know, is HolderFunction's own business.
    """
    query = selection.query()
    names = selection.names()
    if len(names) == 1 and query == Query():
        return [_only(names[0], stack)]
    if names and query == Query():
        found = looked_up(names, lambda call: _address(call, stack, force=force))
        return list(dict.fromkeys(found))
    rows = chosen(stack, names, query)
    confirm_many(what, len(rows), yes=yes)
    return [str(row.id) for row in rows]


def _address(call: str, stack: Stack, *, force: bool) -> str:
    """Return the address of a call. Raises Refused, NotFound; Retry."""
    try:
        return str(_meant(call, stack, force=force))
    except NotFound:
        known = stack.known_calls(call)
        if len(known) == 1:
            return str(known[0])
        if not force:
            raise
    return str(CallId.parse(call))


def _only(call: str, stack: Stack) -> str:
    """Return the address of a call that is named by its row, an id, or the beginning of one."""
    if _is_address(call):
        return call
    try:
        return str(_meant(call, stack))
    except UnknownCriterion:
        return call
    except Refused:
        raise
    except LegatoError:
        # Who may hold calls need not be permitted to search them.
        return call


def _meant(call: str, stack: Stack, *, force: bool = False) -> CallId:
    """Return the call of the catalogue that is meant. Raises as call_named.

    A call that is not archived yet goes before one whose id only begins so, and by force so does
    any address.
    """
    row = call_named(call, stack.catalogue(), SystemClock())
    name = call.strip().casefold()
    if name in {str(row.id).casefold(), *(each.casefold() for each in row.ids)}:
        return row.id
    known = stack.known_calls(call)
    if len(known) == 1:
        return known[0]
    return CallId.parse(call) if force and _is_address(call) else row.id


def _is_address(text: str) -> bool:
    try:
        CallId.parse(text)
    except Refused:
        return False
    return True


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
