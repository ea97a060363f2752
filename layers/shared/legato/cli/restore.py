"""`legato restore`: make calls in cold storage readable, at a price that is shown first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from legato.cli.cold import Terms, end_if_refused, order
from legato.cli.command import command
from legato.cli.exit_codes import Exit
from legato.cli.offers import show_calls
from legato.cli.options import AsJson, Reason, Yes
from legato.cli.output import ListTable, in_short, moment, say, write_json
from legato.cli.select import Selection
from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.cli.context import Stack
    from legato.model import Json
    from legato.retrieval.restore.ask import RestoreRequest
    from legato.retrieval.restore.listed import Restore
    from legato.retrieval.restore.offers import Offer
    from legato.retrieval.restore.survey import Restoring, Wanted

LINE_EVERY = 300
"""Seconds between two lines that say that nothing is new."""
STILL = "the restore continues without this command: `legato restore --list` shows its progress"

app = typer.Typer(rich_markup_mode=None)


@command(
    app,
    "restore",
    help="""Restore calls from cold storage, so that they can be read for some days.

    Shows the price and duration of each tier, at us-east-1's list prices, and requests the restore
    from S3 after you confirm. A restore that is under way is sped up if --tier is faster; a
    restored copy that expires sooner than --days from now is kept longer.

    Expedited costs many times more and also needs --yes-expedited. The stack's parameter
    RestoreEmail names who is notified when everything can be read.

    \b
    Examples:
      legato restore ringcx/12345/s-v-a0b1c2d3 --reason "subpoena 4711"
      legato restore s-v-a0b1c2d3 --tier Standard --days 30 --yes --wait --reason "subpoena 4711"
      legato restore --agent 4711 --from 2026-11-01 --tier Bulk --days 14 --reason "audit"
      legato restore s-v-c4d5e6f7 --tier Expedited --yes-expedited --yes --reason "subpoena 4711"
      legato restore --list
    """,
    ends=(Exit.NOT_FOUND, Exit.TAMPERED),
    interrupted=f"interrupted: {STILL}",
)
def restore_calls(
    context: typer.Context,
    selection: Selection,
    terms: Terms,
    yes: Yes = False,
    until_there: Annotated[
        bool, typer.Option("--wait", help="End when everything can be read.")
    ] = False,
    listed: Annotated[
        bool,
        typer.Option("--list", help="List restores under way, and calls that are restored."),
    ] = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    from legato.retrieval.restore.survey import survey

    stack: Stack = context.obj
    if listed:
        if selection != Selection(zone=selection.zone):
            raise Refused("--list lists all restores: leave out calls and filters")
        _list(stack, as_json=as_json)
        return
    rows = selection.rows(stack)
    work = stack.restoring()
    wanted = survey(rows, work)
    show_calls(wanted, err=as_json)
    found, done = order(wanted, work, terms, stack, reason=reason, yes=yes, err=as_json)
    coming = done is not None or any(one.how == "under way" for one in wanted)
    if until_there and coming and not (done and done.refused):
        _wait(survey(rows, work), work)
        wanted = survey(rows, work)
        show_calls(wanted, err=as_json)
    if as_json:
        write_json(_to_json(wanted, found, done))
    end_if_refused(done)


def _wait(wanted: Sequence[Wanted], work: Restoring) -> None:
    from legato.cli.progress import counting
    from legato.retrieval.restore.wait import wait

    with counting("Restoring", "objects", every=LINE_EVERY) as tell:
        wait(wanted, work, tell)


def _list(stack: Stack, *, as_json: bool) -> None:
    from legato.retrieval.restore.listed import restores

    found = restores(stack.restoring())
    if as_json:
        write_json([one.to_json() for one in found])
    elif found:
        table = ListTable(
            "Call", "Requested", "Tier", "Objects", "State", numbers=("Objects",), whole="Call"
        )
        for one in found:
            table.add(*_cells(one))
        table.show()
    else:
        say("No restore is under way, and nothing is restored.")


def _cells(one: Restore) -> tuple[str, ...]:
    if one.until is not None:
        now = f"readable until {moment(one.until)}"
    else:
        now = "under way" + (f", by {moment(one.expected)}" if one.expected else "")
    parts = f"{one.done} of {one.objects}"
    return str(one.call), moment(one.requested_at), one.tier, parts, now


def _to_json(wanted: Sequence[Wanted], found: Sequence[Offer], done: RestoreRequest | None) -> Json:
    return {
        "calls": [one.to_json() for one in wanted],
        "offers": [one.to_json() for one in found],
        "asked": done and _asked_to_json(done),
    }


def _asked_to_json(done: RestoreRequest) -> Json:
    return {
        "calls": [call._asdict() for call in done.calls],
        "objects": done.objects,
        "refused": {key: in_short(error) for key, error in done.refused.items()},
    }
