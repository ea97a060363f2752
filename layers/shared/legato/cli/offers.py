"""What `legato restore` shows first: how calls are stored, and what each tier costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.cli.exit_codes import Exit
from legato.cli.output import ListTable, answered, asks, confirmed, end, moment, say
from legato.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from legato.archive.library import Tier
    from legato.retrieval.restore.offers import Offer
    from legato.retrieval.restore.survey import Wanted

SHOWN = 50
"""So many calls are shown one by one. `--json` has all of them."""
WORDS = {
    "readable": "needing no restore",
    "restored": "restored",
    "under way": "being restored",
    "cold": "in cold storage",
}


def show_calls(wanted: Sequence[Wanted], *, err: bool) -> None:
    """Say how each call is stored, or count them where they are many."""
    if len(wanted) > SHOWN:
        say(_counted(wanted), err=err)
        return
    for one in wanted:
        say(f"{one.row.id}: {_how(one)}", err=err)


def show_offers(found: Sequence[Offer], days: int, *, err: bool) -> None:
    """Say what each tier costs and how long it takes."""
    from legato.retrieval.restore.offers import GIGABYTE

    table = ListTable("Tier", "Price", "Takes", "Objects", "GB", numbers=("Objects", "GB"))
    for one in found:
        large = "; longer from 250 MB on" if one.large and one.tier == "Expedited" else ""
        size = f"{one.size / GIGABYTE:.2f}"
        table.add(one.tier, _price(one), f"{_takes(one)}{large}", str(one.objects), size)
    table.show(err=err)
    say(
        f"List prices of us-east-1, including the copies in S3 Standard for {days} days; your "
        "region and contract may differ.",
        err=err,
    )


def agreed(found: Sequence[Offer], tier: Tier | None, *, yes: bool, yes_expedited: bool) -> Tier:
    """Return the tier whose price a person confirms. Raises Refused, saying what to add."""
    offered = [one.tier for one in found]
    if tier is not None and tier not in offered:
        raise Refused(f"DEEP_ARCHIVE has no {tier}: use --tier {' or '.join(offered)}")
    if tier == "Expedited" and not yes_expedited:
        raise Refused("nothing was requested: add --yes-expedited to confirm Expedited's price")
    if tier is None and not asks():
        raise Refused("nothing was requested: add --tier and --yes")
    if tier is None:
        return _chosen([one for one in offered if one != "Expedited" or yes_expedited])
    if not yes and not asks():
        raise Refused("nothing was requested: add --yes to confirm the price")
    if not yes and not confirmed(f"Restore at the price of {tier}?", err=True):
        end("nothing was requested", Exit.FAILED)
    return tier


def _counted(wanted: Sequence[Wanted]) -> str:
    from legato.retrieval.restore.offers import GIGABYTE

    hows = [one.how for one in wanted]
    words = ", ".join(f"{WORDS[how]}: {hows.count(how)}" for how in WORDS if how in hows)
    size = sum(piece.size for one in wanted for piece in one.pieces) / GIGABYTE
    return f"{len(wanted)} calls, {size:.2f} GB. {words.capitalize()}."


def _how(one: Wanted) -> str:
    match one.how:
        case "readable":
            return "readable, needs no restore"
        case "restored":
            return f"readable until {moment(one.until)}" if one.until else "readable"
        case "under way":
            return f"being restored ({one.tier})" if one.tier else "being restored"
    cold = sum(piece.lies_cold for piece in one.pieces)
    classes = sorted({piece.state.storage_class for piece in one.pieces if piece.lies_cold})
    return f"in cold storage ({', '.join(classes)}, {cold} of {len(one.pieces)} objects)"


def _price(one: Offer) -> str:
    return f"${one.price:,.2f}" if one.price >= 0.005 else "less than $0.01"


def _takes(one: Offer) -> str:
    if not one.most:
        return "no time: restored already"
    most = _span(one.most)
    if one.least == one.most:
        return f"up to {most}"
    return f"{_span(one.least).partition(' ')[0]} to {most}"


def _span(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    return f"{minutes:g} min" if minutes < 60 else f"{minutes / 60:g} h"


def _chosen(offered: Sequence[Tier]) -> Tier:
    """Ask a person which tier. Who says nothing chooses none."""
    words = " or ".join(offered)
    while True:
        said = answered(f"Which tier: {words}?", default="none", err=True).strip().casefold()
        if said == "none":
            end("nothing was requested", Exit.FAILED)
        for tier in offered:
            if said == tier.casefold():
                return tier
