"""`legato restore`: calls out of cold storage, at a price that is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from legato.archive.library import TIERS
from legato.cli import query as asked
from legato.cli.exit_codes import EXIT_CODES, FAILED
from legato.cli.offers import agreed, show_calls, show_offers
from legato.cli.options import AsJson, completing
from legato.cli.output import Listing, end, in_short, moment, say, speaking, write_json
from legato.errors import Refused
from legato.format import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from legato.archive.library import Tier
    from legato.cli.context import Place
    from legato.model import Json
    from legato.retrieval.restore.ask import RestoreRequest
    from legato.retrieval.restore.listed import Restore
    from legato.retrieval.restore.offers import Offer
    from legato.retrieval.restore.survey import Restoring, Wanted

LINE_EVERY = 300
"""Seconds between two lines that say that nothing is new."""
STILL = "the restore goes on without this command: `legato restore --list` says how far it is"

app = typer.Typer(rich_markup_mode=None)


def _tier(text: str) -> Tier:
    for tier in TIERS:
        if text.casefold() == tier.casefold():
            return tier
    raise typer.BadParameter(f"{text!r} is not one of {', '.join(TIERS)}")


@app.command(
    name="restore",
    help=f"""Restore calls from cold storage, so that they can be read for some days.

    Says first what each tier costs and how long it takes, at us-east-1's list prices, and asks S3
    when you agree. Calls that need no restore are named. What is under way for a faster tier than
    before is hastened; what can be read, and goes sooner than --days from now, stays longer.

    Expedited costs many times as much, so it has to be agreed to with --yes-expedited as well.
    The stack's parameter RestoreEmail has somebody told when all of it can be read.

    \b
    Examples:
      legato restore ringcx/12345/s-v-a0b1c2d3 --reason "subpoena 4711" --case 2026-117
      legato restore s-v-a0b1c2d3 --tier Standard --days 30 --yes --wait --reason "subpoena 4711"
      legato restore --query "--agent 4711 --from 2026-11-01" --tier Bulk --days 14 --reason "audit"
      legato restore s-v-c4d5e6f7 --tier Expedited --yes-expedited --yes --reason "subpoena 4711"
      legato restore --list

    {EXIT_CODES}
    """,
)
def command(
    context: typer.Context,
    calls: asked.Calls = None,
    query: asked.QueryText = None,
    tier: Annotated[
        str | None,
        typer.Option(
            parser=_tier,
            metavar="TIER",
            autocompletion=completing(TIERS),
            help="How fast (Expedited, Standard, Bulk).",
        ),
    ] = None,
    days: Annotated[
        int, typer.Option(min=1, max=365, metavar="DAYS", help="How long it can be read.")
    ] = 7,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: the price is agreed to.")] = False,
    yes_expedited: Annotated[
        bool, typer.Option("--yes-expedited", help="Agree to what Expedited costs.")
    ] = False,
    until_there: Annotated[
        bool, typer.Option("--wait", help="End when all of it can be read.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Say what is under way, and what is there until when.")
    ] = False,
    reason: asked.Reason = None,
    case: asked.Case = None,
    as_json: AsJson = False,
) -> None:
    from legato.retrieval.restore.offers import offers
    from legato.retrieval.restore.survey import survey

    place: Place = context.obj
    named = cast("Tier | None", tier)
    with speaking(f"interrupted; {STILL}"):
        if listed:
            if calls or query is not None:
                raise Refused("--list lists all: it goes without calls and without --query")
            _list(place, as_json=as_json)
            return
        rows = asked.chosen(place.catalogue(), calls, query)
        work = place.restoring()
        wanted = survey(rows, work)
        found = offers(wanted, days=days, now=work.clock.now())
        show_calls(wanted, err=as_json)
        done = None
        if _needed(wanted, named, days, work):
            show_offers(found, days, err=as_json)
            chosen = agreed(found, named, yes=yes, yes_expedited=yes_expedited)
            order = {"tier": chosen, "days": days}
            done = _restore(wanted, work, order, place, reason=reason, case=case)
            _say(done, next(one for one in found if one.tier == chosen), work, err=as_json)
        coming = done is not None or any(one.how == "under way" for one in wanted)
        if until_there and coming and not (done and done.refused):
            _wait(survey(rows, work), work)
            wanted = survey(rows, work)
            show_calls(wanted, err=as_json)
    if as_json:
        write_json(_to_json(wanted, found, done))
    if done and done.refused:
        refused = counted(len(done.refused), "object")
        end(f"S3 refused {refused}: the same command asks again", FAILED)


def _needed(wanted: Sequence[Wanted], tier: Tier | None, days: int, work: Restoring) -> bool:
    """Say whether S3 is to be asked for anything. What is under way is hastened on demand only."""
    now = work.clock.now()
    return any(one.asking(tier or TIERS[-1], days, now) for one in wanted)


def _restore(
    wanted: Sequence[Wanted],
    work: Restoring,
    order: Json,
    place: Place,
    *,
    reason: str | None,
    case: str | None,
) -> RestoreRequest:
    """Write down what is about to be restored, and ask S3 for it."""
    from legato.cli.progress import counting
    from legato.retrieval.restore.ask import restore
    from legato.retrieval.restore.survey import names

    now = work.clock.now()
    calls = names(one for one in wanted if one.asking(order["tier"], order["days"], now))
    record = place.recorder().record("restore", calls, reason=reason, case=case, details=order)
    with counting("Asking S3", "calls") as tell:
        return restore(
            wanted,
            work,
            **order,
            request=record["id"],
            tell=lambda done: tell(done, len(calls)),
        )


def _say(done: RestoreRequest, offer: Offer, work: Restoring, *, err: bool) -> None:
    for key, error in done.refused.items():
        say(f"legato: {key}: {in_short(error)}", err=True)
    by = work.clock.now() + offer.most
    there = f"to be there by {moment(by)}" if offer.most else "there already"
    objects, calls = counted(done.objects, "object"), counted(len(done.calls), "call")
    say(
        f"S3 was asked for {objects} of {calls}, {there}. "
        "`legato restore --list` says how far it is.",
        err=err,
    )


def _wait(wanted: Sequence[Wanted], work: Restoring) -> None:
    from legato.cli.progress import counting
    from legato.retrieval.restore.wait import wait

    with counting("Restoring", "objects", every=LINE_EVERY) as tell:
        wait(wanted, work, tell)


def _list(place: Place, *, as_json: bool) -> None:
    from legato.retrieval.restore.listed import restores

    found = restores(place.restoring())
    if as_json:
        write_json([one.to_json() for one in found])
    elif found:
        table = Listing("Call", "Asked", "Tier", "Objects", "Now")
        for one in found:
            table.add(*_cells(one))
        table.show()
    else:
        say("Nothing is under way, and nothing is restored.")


def _cells(one: Restore) -> tuple[str, ...]:
    if one.until is not None:
        now = f"can be read until {moment(one.until)}"
    else:
        now = "on its way" + (f", by {moment(one.expected)}" if one.expected else "")
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
