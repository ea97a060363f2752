"""Assemble one call: decide which legs it has, fetch them, seal them as a revision."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from legato import layout
from legato.errors import Failed, LegatoError, NotYet, Retry, Wait
from legato.fetch import fetch_leg, kept_leg
from legato.hold import Holding, inherited
from legato.manifest import Missing
from legato.model import Leg, parse_time
from legato.relate import related_to, tell
from legato.seal import FetchedLeg, index, known, read_manifest, seal
from legato.stream import known_objects, stream_leg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.model import CallStatus, Listing, StoredObject
    from legato.settle import Work
    from legato.workshop import Workshop

MAY_STILL_APPEAR = timedelta(hours=48)
"""A recording that is not there so long after its call is gone, not late."""


def assemble(work: Work, listing: Listing, shop: Workshop) -> CallStatus:
    """Archive what is listed and return `archived`, or `empty` if nothing was recorded.

    `work.state` is kept up to date with the ledger. Raises what keeps the call from its end: Wait,
    NotYet, Retry, or Failed naming each leg that is not in the archive. The legs that are good are
    sealed before a call fails for the others. What is under legal hold, stays so as a whole.
    """
    holding = Holding(archive=shop.archive, ledger=shop.ledger, notes=shop.notes, clock=shop.clock)
    with inherited(work.job.provider, work.job.call, holding) as archive:
        return _assembled(work, listing, replace(shop, archive=archive))


def _assembled(work: Work, listing: Listing, shop: Workshop) -> CallStatus:
    legs = _legs(work, listing, shop)
    if not legs:
        return "archived" if work.state.revision else "empty"
    tell(work.job, listing.related, shop)
    related = related_to(work.job.call, shop) | set(listing.related)
    listing = replace(listing, related=tuple(sorted(related)))
    prefix = _placed(work, listing, legs, shop)
    present = known_objects(prefix, shop)
    legs = _with_sealed_legs(work, legs, prefix, present, shop)
    told_all = related <= work.state.related
    if told_all and {leg.id for leg in legs} <= work.state.legs.keys():
        _index(work, shop)
        return "archived"

    with TemporaryDirectory(dir=shop.scratch) as name:
        folder = Path(name)
        fetched, missing = _fetched(work, listing, legs, prefix, present, folder, shop)
        if fetched and not (
            told_all and {leg.stored.leg.id for leg in fetched} <= work.state.legs.keys()
        ):
            present = known_objects(prefix, shop)
            sealed = seal(
                work.state,
                listing,
                fetched,
                prefix=prefix,
                present=present,
                missing=_described(missing, prefix, present),
                folder=folder,
                shop=shop,
            )
            work.state = shop.ledger.save(sealed)
    _index(work, shop)
    if missing:
        raise Failed("; ".join(f"leg {leg.id}: {error}" for leg, error in missing))
    return "archived" if work.state.revision else "empty"


def _index(work: Work, shop: Workshop) -> None:
    """Enter a revision into the catalogue that was sealed by a worker which died before it could.

    Or by a version of Legato that had no catalogue.
    """
    sealed = work.state.manifest
    if sealed is not None and work.state.catalogued < work.state.revision:
        work.state = index(work.state, read_manifest(sealed, shop.archive), shop)


def _legs(work: Work, listing: Listing, shop: Workshop) -> list[Leg]:
    """Return the legs to archive; a recording that only a notification named is one of them."""
    if listing.ongoing:
        raise Wait("the call is not over", seconds=shop.policy.ongoing)
    unlisted = work.state.named - {leg.id for leg in listing.legs} - work.state.legs.keys()
    incomplete = unlisted or not (listing.legs or listing.final)
    if incomplete and work.job.looks < len(shop.policy.ladder):
        raise NotYet("the provider does not list the recording yet")
    named = [shop.provider.named_leg(work.job, recording) for recording in sorted(unlisted)]
    return [*listing.legs, *named]


def _placed(work: Work, listing: Listing, legs: Sequence[Leg], shop: Workshop) -> str:
    """Return the folder of the call, written down before its first object.

    A start time that the provider corrects later does not move the call.
    """
    if work.state.prefix is None:
        started_at = listing.started_at or min(leg.started_at for leg in legs)
        prefix = layout.call_prefix(work.job.provider, work.job.call, started_at)
        work.state = shop.ledger.save(work.state.changed(prefix=prefix))
        return prefix
    return work.state.prefix


def _with_sealed_legs(
    work: Work,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    shop: Workshop,
) -> list[Leg]:
    """Return all legs in playing order, with those of the newest sealed revision among them.

    A leg that the provider drops stays in the call. And the bucket is the truth: a manifest that
    the ledger does not know was sealed by a worker that died before it could say so.
    """
    by_id: dict[str, Leg] = {}
    if newest := layout.newest_revision(present):
        sealed = present[layout.manifest_key(prefix, newest)]
        content = read_manifest(sealed, shop.archive)
        if newest >= work.state.revision:
            work.state = known(work.state, sealed, content)
        by_id = {
            leg["id"]: Leg(
                id=leg["id"],
                started_at=parse_time(leg["started_at"]),
                address="",
                announced_ms=leg["announced_ms"],
                named_only=leg["named_only"],
                details=leg.get("details"),
            )
            for leg in content["legs"]
        }
    by_id |= {leg.id: leg for leg in legs}
    # Nor is a leg archived whose object is gone: it is fetched anew, and makes another revision.
    there = {
        leg: sha256
        for leg, sha256 in work.state.legs.items()
        if kept_leg(leg, prefix, present) is not None
    }
    work.state = work.state.changed(legs=there)
    return sorted(by_id.values(), key=_playing_order)


def _playing_order(leg: Leg) -> tuple[datetime, str]:
    return (leg.started_at, leg.id)


def _fetched(
    work: Work,
    listing: Listing,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    folder: Path,
    shop: Workshop,
) -> tuple[list[FetchedLeg], list[tuple[Leg, LegatoError]]]:
    """Fetch every leg; return those that are here and those that will never be, with the reason.

    Raises the error of a leg that may still come, once all the others are safe in the archive.
    """
    fetched: list[FetchedLeg] = []
    missing: list[tuple[Leg, LegatoError]] = []
    last_try = work.job.attempt + 1 >= shop.policy.max_attempts
    for number, leg in enumerate(legs):
        path = folder / f"leg-{number}"
        try:
            fetched.append(_fetched_leg(work, leg, prefix, present, path, last_try, shop))
            work.gained |= kept_leg(leg.id, prefix, present) is None
        except Wait:
            raise
        except LegatoError as error:
            # The provider keeps no recording of a few seconds, and its log has said so.
            if not (listing.short and leg.named_only and isinstance(error, NotYet)):
                missing.append((leg, error))

    faults = [error for _, error in missing if isinstance(error, Retry)]
    if faults and not last_try:
        raise faults[0]
    late = [error for _, error in missing if isinstance(error, NotYet)]
    if late and _may_appear(work, listing, shop):
        raise late[0]
    return fetched, missing


def _fetched_leg(
    work: Work,
    leg: Leg,
    prefix: str,
    present: Mapping[str, StoredObject],
    path: Path,
    last_try: bool,
    shop: Workshop,
) -> FetchedLeg:
    if not leg.address and kept_leg(leg.id, prefix, present) is None:
        raise Failed("it was sealed, its object is gone, and the provider lists it no more")
    if shop.policy.apart:
        return stream_leg(
            leg,
            prefix=prefix,
            present=present,
            until=work.until,
            last_try=last_try,
            turn=work.job.turn,
            shop=shop,
        )
    stored = fetch_leg(
        leg,
        prefix=prefix,
        present=present,
        path=path,
        last_try=last_try,
        turn=work.job.turn,
        shop=shop,
    )
    return FetchedLeg(stored=stored, path=path)


def _may_appear(work: Work, listing: Listing, shop: Workshop) -> bool:
    age = shop.clock.now() - (listing.ended_at or work.job.seen_at)
    return work.job.looks < len(shop.policy.named_ladder) and age < MAY_STILL_APPEAR


def _described(
    missing: Sequence[tuple[Leg, LegatoError]], prefix: str, present: Mapping[str, StoredObject]
) -> list[Missing]:
    return [
        Missing(leg=leg.id, reason=str(error), evidence=kept_leg(leg.id, prefix, present))
        for leg, error in missing
    ]
