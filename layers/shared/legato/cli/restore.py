"""`legato restore`: calls out of cold storage, at a price that is said before."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, cast

import typer

from legato.cli import query as asked
from legato.cli.options import AsJson, completing
from legato.cli.say import (
    EXIT_CODES,
    FAILED,
    console_for_tables,
    end,
    in_short,
    moment,
    printable,
    speaking,
)
from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import timedelta

    from legato.cli.place import Place
    from legato.library import Tier
    from legato.model import Json
    from legato.restore import Asked, Offer, Restoring, Wanted

TIERS: tuple[Tier, ...] = ("Expedited", "Standard", "Bulk")
SHOWN = 50
"""So many calls are shown one by one. `--json` has all of them."""
WORDS = {
    "readable": "needing no restore",
    "restored": "restored",
    "under way": "on their way",
    "cold": "in cold storage",
}
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
      legato restore s-v-a0b1c2d3 --reason "subpoena 4711" --case 2026-117
      legato restore s-v-a0b1c2d3 --tier Standard --yes --wait --reason "subpoena 4711"
      legato restore --query "--agent 4711 --from 2026-11-01" --tier Bulk --days 14 --reason "audit"
      legato restore s-v-a0b1c2d3 --tier Expedited --yes-expedited --yes --reason "subpoena 4711"
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
    from legato.restore import offers, survey

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
        _show(wanted, err=as_json)
        done = None
        if _needed(wanted, named, days, work):
            _show_offers(found, days, err=as_json)
            chosen = _agreed(found, named, yes=yes, yes_expedited=yes_expedited)
            record = place.recorder().record(
                "restore",
                _calls(wanted, chosen, days, work),
                reason=reason,
                case=case,
                details={"tier": chosen, "days": days},
            )
            done = _restore(wanted, work, tier=chosen, days=days, request=record["id"])
            _say(done, next(one for one in found if one.tier == chosen), work, err=as_json)
        coming = done is not None or any(one.how == "under way" for one in wanted)
        if until_there and coming and not (done and done.refused):
            _wait(survey(rows, work), work)
            wanted = survey(rows, work)
            _show(wanted, err=as_json)
    if as_json:
        report = _to_json(wanted, found, done)
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    if done and done.refused:
        refused = _count(len(done.refused), "object")
        end(f"S3 refused {refused}: the same command asks again", FAILED)


def _needed(wanted: Sequence[Wanted], tier: Tier | None, days: int, work: Restoring) -> bool:
    """Say whether S3 is to be asked for anything. What is under way is hastened on demand only."""
    now = work.clock.now()
    return any(one.asking(tier or TIERS[-1], days, now) for one in wanted)


def _calls(
    wanted: Sequence[Wanted], tier: Tier, days: int, work: Restoring
) -> list[tuple[str, str]]:
    now = work.clock.now()
    asking = (one.row for one in wanted if one.asking(tier, days, now))
    return [(row.provider, row.call) for row in asking]


def _show(wanted: Sequence[Wanted], *, err: bool) -> None:
    from legato.restore import GIGABYTE

    if len(wanted) <= SHOWN:
        for one in wanted:
            name = printable(f"{one.row.provider} {one.row.call}")
            typer.echo(f"{name}: {_how(one)}", err=err)
        return
    hows = [one.how for one in wanted]
    words = ", ".join(f"{WORDS[how]}: {hows.count(how)}" for how in WORDS if how in hows)
    size = sum(piece.size for one in wanted for piece in one.pieces) / GIGABYTE
    typer.echo(f"{len(wanted)} calls, {size:.2f} GB. {words.capitalize()}.", err=err)


def _how(one: Wanted) -> str:
    match one.how:
        case "readable":
            return "can be read now, needs no restore"
        case "restored":
            return f"can be read now, until {moment(one.until)}" if one.until else "can be read"
        case "under way":
            return f"on its way ({one.tier})" if one.tier else "on its way"
    cold = sum(piece.lies_cold for piece in one.pieces)
    classes = sorted({piece.state.storage_class for piece in one.pieces if piece.lies_cold})
    return f"in cold storage ({', '.join(classes)}, {cold} of {len(one.pieces)} objects)"


def _show_offers(found: Sequence[Offer], days: int, *, err: bool) -> None:
    from rich.table import Table

    console = console_for_tables()
    console.stderr = err
    table = Table("Tier", "Price", "Takes", "Objects", "GB", box=None, pad_edge=False)
    for one in found:
        large = "; longer from 250 MB on" if one.large and one.tier == "Expedited" else ""
        size = f"{one.size / 2**30:.2f}"
        table.add_row(one.tier, _price(one), f"{_takes(one)}{large}", str(one.objects), size)
    console.print(table)
    typer.echo(
        f"List prices of us-east-1, with the copies in S3 Standard for {days} days; your region "
        "and your contract may have others.",
        err=err,
    )


def _price(one: Offer) -> str:
    return f"${one.price:,.2f}" if one.price >= 0.005 else "less than $0.01"


def _takes(one: Offer) -> str:
    if not one.most:
        return "no time: it is there"
    most = _span(one.most)
    if one.least == one.most:
        return f"up to {most}"
    return f"{_span(one.least).partition(' ')[0]} to {most}"


def _span(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:g} min" if minutes < 60 else f"{minutes / 60:g} h"


def _agreed(found: Sequence[Offer], tier: Tier | None, *, yes: bool, yes_expedited: bool) -> Tier:
    """Return the tier whose price somebody agrees to. Raises Refused, saying what to add."""
    offered = [one.tier for one in found]
    if tier is not None and tier not in offered:
        raise Refused(f"DEEP_ARCHIVE has no {tier}: take {' or '.join(offered)}")
    if tier == "Expedited" and not yes_expedited:
        raise Refused("nothing was asked for: add --yes-expedited to agree to what Expedited costs")
    asks = sys.stdin.isatty()
    if tier is None and not asks:
        raise Refused("nothing was asked for: add --tier and --yes")
    if tier is None:
        return _chosen([one for one in offered if one != "Expedited" or yes_expedited])
    if not yes and not asks:
        raise Refused("nothing was asked for: add --yes to agree to the price")
    if not yes and not typer.confirm(f"Restore at the price of {tier}?", err=True):
        end("nothing was asked for", FAILED)
    return tier


def _chosen(offered: Sequence[Tier]) -> Tier:
    """Ask a person which tier. Who says nothing chooses none."""
    words = " or ".join(offered)
    while True:
        said = typer.prompt(f"Which tier, {words}?", default="none", err=True).strip().casefold()
        if said == "none":
            end("nothing was asked for", FAILED)
        for tier in offered:
            if said == tier.casefold():
                return tier


def _restore(
    wanted: Sequence[Wanted], work: Restoring, *, tier: Tier, days: int, request: str
) -> Asked:
    from legato.restore import restore

    total = len(_calls(wanted, tier, days, work))
    with _progress("Asking S3", every=15) as tell:
        return restore(
            wanted,
            work,
            tier=tier,
            days=days,
            request=request,
            tell=lambda done: tell(done, total, "calls"),
        )


def _say(done: Asked, offer: Offer, work: Restoring, *, err: bool) -> None:
    for key, error in done.refused.items():
        typer.echo(f"legato: {printable(key)}: {in_short(error)}", err=True)
    by = work.clock.now() + offer.most
    there = f"to be there by {moment(by)}" if offer.most else "there already"
    typer.echo(
        f"S3 was asked for {_count(done.objects, 'object')} of {_count(len(done.calls), 'call')}, "
        f"{there}. "
        "`legato restore --list` says how far it is.",
        err=err,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _wait(wanted: Sequence[Wanted], work: Restoring) -> None:
    from legato.restore import wait

    with _progress("Restoring", every=LINE_EVERY) as tell:
        wait(wanted, work, lambda done, total: tell(done, total, "objects"))


@contextmanager
def _progress(title: str, *, every: float) -> Iterator[Callable[[int, int, str], None]]:
    """Show how far something is: a bar on a terminal, else lines; on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bars = Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal)
    task = bars.add_task(title, total=None)
    said_at, said = -every, -1

    def tell(done: int, total: int, what: str) -> None:
        nonlocal said_at, said
        bars.update(task, completed=done, total=total)
        late = time.monotonic() - said_at >= every
        if not console.is_terminal and (late or (done == total and done != said)):
            said_at, said = time.monotonic(), done
            typer.echo(f"legato: {title}: {done} of {total} {what}", err=True)

    with bars:
        yield tell


def _list(place: Place, *, as_json: bool) -> None:
    from legato.restore import restores

    found = restores(place.restoring())
    if as_json:
        lines = [one.to_json() for one in found]
        typer.echo(json.dumps(lines, ensure_ascii=False, indent=2))
        return
    if not found:
        typer.echo("Nothing is under way, and nothing is restored.")
        return
    from rich.table import Table

    table = Table("Provider", "Call", "Asked", "Tier", "Objects", "Now", box=None, pad_edge=False)
    for one in found:
        if one.until is not None:
            now = f"can be read until {moment(one.until)}"
        else:
            now = "on its way" + (f", by {moment(one.expected)}" if one.expected else "")
        parts = f"{one.done} of {one.objects}"
        call = printable(one.call)
        table.add_row(one.provider, call, moment(one.requested_at), one.tier, parts, now)
    console_for_tables().print(table)


def _to_json(wanted: Sequence[Wanted], found: Sequence[Offer], done: Asked | None) -> Json:
    return {
        "calls": [one.to_json() for one in wanted],
        "offers": [one.to_json() for one in found],
        "asked": None
        if done is None
        else {
            "calls": [list(call) for call in done.calls],
            "objects": done.objects,
            "refused": {key: in_short(error) for key, error in done.refused.items()},
        },
    }
