"""Assemble one call: decide which legs it has, fetch them, seal them as a revision."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from legato import failed, layout, troubles
from legato.errors import Failed, LegatoError, Limited, NotYet, Unavailable, Wait
from legato.fetch import FetchedLeg, Fetching, fetch_leg, kept_leg
from legato.hold import Holding, inherited
from legato.manifest import Missing
from legato.model import Leg, Trouble, parse_time
from legato.provider_health import last_granted
from legato.relate import related_to, tell
from legato.seal import index, known, read_manifest, seal
from legato.stream import TIME_TO_REST, known_objects, stream_leg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.model import CallStatus, Listing, StoredLeg, StoredObject, TroubleKind
    from legato.settle import Work
    from legato.workshop import Workshop

MAY_STILL_APPEAR = timedelta(hours=48)
"""A recording that is not there so long after its call is gone, not late."""
SCRATCH = "legato-"
"""Begins the name of every folder for audio on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What became of a call. `next_try` is when a recording is asked for that is not there yet."""

    status: CallStatus
    next_try: datetime | None = None


def assemble(work: Work, listing: Listing, shop: Workshop) -> Assembled:
    """Archive what is listed; `empty` if nothing was recorded.

    `work.state` is kept up to date with the ledger. A recording that cannot be had goes into its
    `troubles`, and keeps no other out: the good legs are sealed without it. Raises what is no
    recording's fault (Wait, NotYet, Retry), or Failed naming each recording that is given up. What
    is under legal hold, stays so as a whole.
    """
    holding = Holding(archive=shop.archive, ledger=shop.ledger, notes=shop.notes, clock=shop.clock)
    with inherited(work.job.id, holding) as archive:
        return _assembled(work, listing, replace(shop, archive=archive))


def _assembled(work: Work, listing: Listing, shop: Workshop) -> Assembled:
    legs = _legs(work, listing, shop)
    if not legs and not listing.unreadable:
        work.state = work.state.changed(troubles={})
        return Assembled(status="archived" if work.state.revision else "empty")
    tell(work.job, listing.related, shop)
    related = related_to(work.job.id, shop) | set(listing.related)
    listing = replace(listing, related=tuple(sorted(related)))
    told_all = related <= work.state.related
    if legs:
        shop.check_ledger()
        prefix = _placed(work, listing, legs, shop)
        present = known_objects(prefix, shop)
        legs = _with_sealed_legs(work, legs, prefix, present, shop)
        _begin_troubles(work, legs, listing, shop)
        if told_all and {leg.id for leg in legs} <= work.state.legs.keys():
            _index(work, shop)
        else:
            _fetch_and_seal(work, listing, legs, prefix, present, told_all, shop)
    else:
        _begin_troubles(work, legs, listing, shop)
    return _ended(work)


def _ended(work: Work) -> Assembled:
    """Say what became of the call. Raises Failed if a recording is given up, and none awaited."""
    troubled = work.state.troubles
    status: CallStatus = "archived" if work.state.revision else "empty"
    next_try = troubles.next_try(troubled.values())
    kept_out = {leg: one for leg, one in troubled.items() if troubles.keeps_out(one)}
    if next_try is None and kept_out:
        raise Failed(troubles.described(kept_out))
    return Assembled(status=status, next_try=next_try)


def _fetch_and_seal(
    work: Work,
    listing: Listing,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    told_all: bool,
    shop: Workshop,
) -> None:
    with TemporaryDirectory(dir=shop.scratch, prefix=SCRATCH) as name:
        folder = Path(name)
        fetched = _fetched(work, listing, legs, prefix, present, folder, shop)
        gained = not {leg.stored.leg.id for leg in fetched} <= work.state.legs.keys()
        waited_for = any(map(troubles.is_waited_for, work.state.troubles.values()))
        if fetched and ((gained and not waited_for) or not told_all):
            present = known_objects(prefix, shop)
            sealed = seal(
                work.state,
                listing,
                fetched,
                prefix=prefix,
                present=present,
                missing=_missing(work, shop),
                folder=folder,
                shop=shop,
            )
            work.state = shop.ledger.save(sealed)
    _index(work, shop)


def _index(work: Work, shop: Workshop) -> None:
    """Enter a revision into the catalogue that was sealed by a worker which died before it could.

    Or by a version of Legato that had no catalogue.
    """
    sealed = work.state.manifest
    if sealed is not None and work.state.catalogued < work.state.revision:
        work.state = index(work.state, read_manifest(sealed, shop.archive), shop)


def _legs(work: Work, listing: Listing, shop: Workshop) -> list[Leg]:
    """Return the legs to archive; a recording that only a notification named is one of them."""
    if listing.ongoing and not _must_be_over(work, listing, shop):
        raise Wait("the call is not over", seconds=shop.policy.ongoing)
    unlisted = work.state.named - {leg.id for leg in listing.legs} - work.state.legs.keys()
    nothing = not (listing.legs or listing.unreadable)
    incomplete = nothing and (unlisted or not listing.final)
    if incomplete and work.job.looks < len(shop.policy.ladder):
        raise NotYet("the provider does not list the recording yet")
    named = [shop.provider.named_leg(work.job, recording) for recording in sorted(unlisted)]
    return [*listing.legs, *named]


def _must_be_over(work: Work, listing: Listing, shop: Workshop) -> bool:
    """Say whether no call lasts as long as this one is said to go on."""
    signs = [work.job.seen_at, *filter(None, (listing.started_at,))]
    return shop.clock.now() - min(signs) > timedelta(seconds=shop.policy.max_call)


def _placed(work: Work, listing: Listing, legs: Sequence[Leg], shop: Workshop) -> str:
    """Return the folder of the call, written down before its first object.

    A start time that the provider corrects later does not move the call.
    """
    if work.state.prefix is None:
        started_at = listing.started_at or min(leg.started_at for leg in legs)
        prefix = layout.call_prefix(work.job.id, started_at)
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


def _begin_troubles(work: Work, legs: Sequence[Leg], listing: Listing, shop: Workshop) -> None:
    """Keep the troubles of the recordings that there are, with those that nobody can read."""
    now, before = shop.clock.now(), work.state.troubles
    ids = {leg.id for leg in legs}
    kept = {
        leg: one
        for leg, one in before.items()
        if leg in ids
        and one.kind != "unreadable"
        and (leg not in work.state.legs or _is_accepted(one))
    }
    for odd in listing.unreadable:
        since = before[odd.id].since if odd.id in before else now
        kept[odd.id] = Trouble(kind="unreadable", reason=odd.reason, since=since, tried_at=now)
    work.state = work.state.changed(troubles=kept)


def _fetched(
    work: Work,
    listing: Listing,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    folder: Path,
    shop: Workshop,
) -> list[FetchedLeg]:
    """Fetch every leg that is due, and put what keeps others out into their troubles.

    Raises what is no recording's fault: all that is fetched is safe in the archive by then.
    """
    _survived(work, shop)
    fetched: dict[str, FetchedLeg] = {}
    asked = False
    # What was in trouble before comes last: it may be slow or deadly, and what is granted to the
    # others tells its own fault from the provider's.
    for number, leg in enumerate(sorted(legs, key=lambda leg: leg.id in work.state.troubles)):
        before = work.state.troubles.get(leg.id)
        kept = kept_leg(leg.id, prefix, present)
        if kept is None and before and not troubles.is_due(before, shop.clock.now()):
            continue
        if kept is None and asked and shop.clock.now() >= work.until - _spare(shop):
            raise Wait("this invocation has no time left for another leg", seconds=1)
        asked = asked or kept is None
        path = folder / f"leg-{number}"
        try:
            with _told_before(work, leg, before, shop) if kept is None else nullcontext():
                got = _fetched_leg(work, leg, before, prefix, present, path, shop)
        except Unavailable:
            raise
        except LegatoError as error:
            if isinstance(error, Wait) and not isinstance(error, Limited):
                raise
            # The provider keeps no recording of a few seconds, and its log has said so.
            if listing.short and leg.named_only and isinstance(error, NotYet):
                _settled(work, leg)
                continue
            _troubled(work, listing, leg, error, shop)
        else:
            fetched[leg.id] = got
            # A worker may have died between the archive and the ledger: what is kept is settled.
            if kept is None or not (before is None or _is_accepted(before)):
                _settled(work, leg)
                if got.stored.short_ms:
                    _is_short(work, got.stored, shop)
                if unheard := got.stored.audio.unheard:
                    _is_accepted_as(work, "unheard", leg.id, unheard, shop)
            if leg.unverified is not None and leg.id not in work.state.legs:
                _is_accepted_as(work, "unverified", leg.id, leg.unverified, shop)
    return [fetched[leg.id] for leg in legs if leg.id in fetched]


def _spare(shop: Workshop) -> timedelta:
    """Return how much of an invocation is left for what comes after the legs."""
    return TIME_TO_REST if shop.policy.apart else timedelta(seconds=shop.policy.reserve)


def _survived(work: Work, shop: Workshop) -> None:
    """Put off the recordings that workers have died of: the others come first.

    The call is listed at once, since this worker may die of another one of them.
    """
    now, policy = shop.clock.now(), shop.policy
    deadly = {
        leg: troubles.outlived(one, now=now, policy=policy)
        for leg, one in work.state.troubles.items()
        if one.kind == "deadly"
    }
    if work.is_suspect and deadly:
        work.state = work.state.changed(troubles=work.state.troubles | deadly)
        failed.noted(work.job.anew(), troubles.described(deadly), shop.notes, shop.clock)


@contextmanager
def _told_before(work: Work, leg: Leg, before: Trouble | None, shop: Workshop) -> Iterator[None]:
    """Write down which leg is fetched where a worker has died of one, and nobody knows of which."""
    deadly = before is not None and before.kind == "deadly"
    if not (work.is_suspect or deadly):
        yield
        return
    known = work.state.troubles
    trouble = troubles.deadly(before, now=shop.clock.now(), policy=shop.policy)
    work.state = shop.ledger.save(work.state.changed(troubles=known | {leg.id: trouble}))
    try:
        yield
    finally:
        work.state = work.state.changed(troubles=known)


def _fetched_leg(
    work: Work,
    leg: Leg,
    before: Trouble | None,
    prefix: str,
    present: Mapping[str, StoredObject],
    path: Path,
    shop: Workshop,
) -> FetchedLeg:
    if not leg.address and kept_leg(leg.id, prefix, present) is None:
        raise Failed("it was sealed, its object is gone, and the provider lists it no more")
    spent = before.spent if before else 0
    fetching = Fetching(
        leg=replace(leg, tries=before.tries) if before else leg,
        job=work.job,
        prefix=prefix,
        present=present,
        path=path,
        until=work.until,
        trouble=before,
        last_try=spent >= len(shop.policy.named_ladder),
    )
    return (stream_leg if shop.policy.apart else fetch_leg)(fetching, shop)


def _troubled(work: Work, listing: Listing, leg: Leg, error: LegatoError, shop: Workshop) -> None:
    """Write down what keeps a leg out. Raises a 429 that is only the provider's limit."""
    now = shop.clock.now()
    found = troubles.troubled(
        error,
        work.state.troubles.get(leg.id),
        now=now,
        policy=shop.policy,
        granted_at=last_granted(work.job.provider, shop.notes),
        asked=work.job.looks if leg.named_only else 0,
    )
    ended_at = listing.ended_at or work.job.seen_at
    if found.kind == "missing" and now - ended_at >= MAY_STILL_APPEAR:
        found = replace(found, next_at=None)
    work.state = work.state.changed(troubles=work.state.troubles | {leg.id: found})
    if isinstance(error, Limited) and found.spent <= troubles.LIMITED_TRIES:
        raise error


def _is_accepted(trouble: Trouble) -> bool:
    """Say whether the recording is in the archive all the same, and a person is told."""
    return trouble.kind in ("short", "unheard", "unverified") and trouble.next_at is None


def _settled(work: Work, leg: Leg) -> None:
    left = {name: one for name, one in work.state.troubles.items() if name != leg.id}
    work.state = work.state.changed(troubles=left)


def _is_short(work: Work, got: StoredLeg, shop: Workshop) -> None:
    """Let a person know of a leg that is in the archive, and not as long as it should be."""
    reason = f"{got.short_ms / 1000:.1f} s of it lack, as often as it was fetched"
    _is_accepted_as(work, "short", got.leg.id, reason, shop)


def _is_accepted_as(work: Work, kind: TroubleKind, leg: str, reason: str, shop: Workshop) -> None:
    """Let a person know what is wrong with a leg that is in the archive."""
    now = shop.clock.now()
    trouble = Trouble(kind=kind, reason=reason, since=now, tried_at=now)
    work.state = work.state.changed(troubles=work.state.troubles | {leg: trouble})


def _missing(work: Work, shop: Workshop) -> list[Missing]:
    """Describe what is not in the recording, with the bytes that were kept of it."""
    return [
        Missing(
            leg=leg,
            reason=one.reason,
            evidence=_evidence(work, leg, shop) if one.kind == "damaged" else None,
        )
        for leg, one in sorted(work.state.troubles.items())
        if troubles.keeps_out(one)
    ]


def _evidence(work: Work, leg: str, shop: Workshop) -> StoredObject | None:
    prefix = layout.refused_prefix(work.job.id, leg)
    kept = known_objects(prefix, shop)
    numbers = [int(end) for key in kept if (end := key.removeprefix(prefix)).isdecimal()]
    newest = kept[f"{prefix}{max(numbers)}"] if numbers else None
    # A ledger that was lost does not know any more what was streamed; an earlier manifest does.
    return newest if newest is not None and newest.sha256 else None
