"""Cold calls: what a restore is asked for with, and what other commands do about such calls."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import typer

from legato.archive.library import COLD, TIERS, Cold
from legato.cli.exit_codes import exit_of
from legato.cli.offers import agreed, show_offers
from legato.cli.options import completing
from legato.cli.output import end, in_short, moment, say
from legato.cli.select import few, recorded
from legato.format import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from legato.archive.library import Tier
    from legato.catalogue.index import Row
    from legato.cli.context import Stack
    from legato.model import Json
    from legato.retrieval.restore.ask import RestoreRequest
    from legato.retrieval.restore.offers import Offer
    from legato.retrieval.restore.survey import Restoring, Wanted

NOT_NOW = ("cold", "under way")
"""What cannot be read now, as Wanted.how says it."""


def _tier(text: str) -> Tier:
    for tier in TIERS:
        if text.casefold() == tier.casefold():
            return tier
    raise typer.BadParameter(f"{text!r} is not one of {', '.join(TIERS)}")


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The options that say how calls are restored."""

    tier: Annotated[
        str | None,
        typer.Option(
            parser=_tier,
            metavar="TIER",
            autocompletion=completing(TIERS),
            help=f"How fast a restore is ({', '.join(TIERS)}).",
        ),
    ] = None
    days: Annotated[
        int,
        typer.Option(min=1, max=365, metavar="DAYS", help="How long restored calls can be read."),
    ] = 7
    yes_expedited: Annotated[
        bool, typer.Option("--yes-expedited", help="Confirm the price of Expedited.")
    ] = False


@dataclass(frozen=True, kw_only=True)
class ColdCalls(Terms):
    """The options of a command that needs calls which can be read now."""

    skip_cold: Annotated[
        bool, typer.Option("--skip-cold", help="Leave out calls in cold storage.")
    ] = False
    restore: Annotated[
        bool,
        typer.Option(
            "--restore",
            help="Restore calls in cold storage, at a price that is shown first; run the command "
            "again when they can be read.",
        ),
    ] = False


def readable(
    rows: list[Row], *, stack: Stack, cold: ColdCalls, reason: str | None, yes: bool, err: bool
) -> list[Row]:
    """Return the calls that can be read now, if that is asked for, and order what cannot.

    Raises Cold if any cannot and is not to be skipped, or if none can; Refused if the price of the
    restore is not confirmed; Failed, Retry.
    """
    from legato.retrieval.restore.survey import survey

    if not (cold.skip_cold or cold.restore):
        return rows
    work = stack.restoring()
    wanted = survey([row for row in rows if row.storage_class in COLD], work)
    lying = {one.row.id: one for one in wanted if one.how in NOT_NOW}
    if not lying:
        return rows
    if cold.restore:
        _, done = order([*lying.values()], work, cold, stack, reason=reason, yes=yes, err=err)
        end_if_refused(done)
    ready = [row for row in rows if row.id not in lying]
    which = f"{counted(len(lying), 'call')} in cold storage ({few(map(str, lying))})"
    if not (cold.skip_cold and ready):
        then = "when they are restored" if cold.restore else "after `legato restore`"
        raise Cold(f"{which} cannot be read yet: run the same command again {then}")
    say(f"legato: left out: {which}", err=True)
    return ready


@contextmanager
def cold_named() -> Iterator[None]:
    """Add to an error about cold calls what else can be done about them."""
    try:
        yield
    except Cold as error:
        raise Cold(f"{error}; or add --restore to request it now, --skip-cold for the rest") from (
            error.__cause__
        )


def order(
    wanted: Sequence[Wanted],
    work: Restoring,
    terms: Terms,
    stack: Stack,
    *,
    reason: str | None,
    yes: bool,
    err: bool,
) -> tuple[list[Offer], RestoreRequest | None]:
    """Show what a restore costs, request it after a person agrees, and return the offers with it.

    None if nothing has to be requested. Raises Refused if nobody agrees, Failed, Retry.
    """
    from legato.retrieval.restore.offers import offers

    tier = cast("Tier | None", terms.tier)
    now = work.clock.now()
    found = offers(wanted, days=terms.days, now=now)
    # What is under way is sped up only on demand.
    if not any(one.asking(tier or TIERS[-1], terms.days, now) for one in wanted):
        return found, None
    show_offers(found, terms.days, err=err)
    chosen = agreed(found, tier, yes=yes, yes_expedited=terms.yes_expedited)
    done = _requested(wanted, work, {"tier": chosen, "days": terms.days}, stack, reason=reason)
    _say(done, next(one for one in found if one.tier == chosen), work, err=err)
    return found, done


def end_if_refused(done: RestoreRequest | None) -> None:
    """End the command if S3 refused some of a restore."""
    if done is not None and done.refused:
        refused = counted(len(done.refused), "object")
        code = exit_of(*done.refused.values())
        end(f"S3 refused to restore {refused}: run the same command again", code)


def _requested(
    wanted: Sequence[Wanted],
    work: Restoring,
    said: Json,
    stack: Stack,
    *,
    reason: str | None,
) -> RestoreRequest:
    """Record what is about to be restored, and request it from S3."""
    from legato.cli.progress import counting
    from legato.retrieval.restore.ask import restore
    from legato.retrieval.restore.survey import names

    now = work.clock.now()
    calls = names(one for one in wanted if one.asking(said["tier"], said["days"], now))
    request = recorded(stack, "restore", calls, reason=reason, details=said)
    with counting("Requesting", "calls") as tell:
        return restore(
            wanted,
            work,
            **said,
            request=request,
            tell=lambda done: tell(done, len(calls)),
        )


def _say(done: RestoreRequest, offer: Offer, work: Restoring, *, err: bool) -> None:
    for key, error in done.refused.items():
        say(f"legato: {key}: {in_short(error)}", err=True)
    by = work.clock.now() + offer.most
    there = f"readable by {moment(by)}" if offer.most else "readable already"
    objects, calls = counted(done.objects, "object"), counted(len(done.calls), "call")
    say(
        f"Requested {objects} of {calls} from S3, {there}. "
        "`legato restore --list` shows the progress.",
        err=err,
    )
