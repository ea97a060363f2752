"""Assemble one call: decide which legs it has, fetch them, seal them as a revision."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from legato.archive import layout
from legato.archive.manifest import Missing, read_manifest
from legato.errors import Failed, LegatoError, Limited, NotYet, Unavailable, Wait
from legato.evidence.legal_hold import inherited
from legato.ingest.fetch import FetchedLeg, Fetching, fetch_leg, kept_leg
from legato.ingest.related import related_to, tell
from legato.ingest.seal import index, known, seal
from legato.ingest.streaming import TIME_TO_REST, known_objects, stream_leg
from legato.ledger import failures, troubles
from legato.ledger.provider_health import last_granted
from legato.model import Leg, Party, Trouble, distinct, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.ingest.outcome import CallWork
    from legato.ingest.ports import Ports
    from legato.model import CallStatus, Listing, StoredLeg, StoredObject, TroubleKind

MAY_STILL_APPEAR = timedelta(hours=48)
"""A recording that is not there so long after its call is gone, not late."""
SCRATCH = "legato-"
"""Begins the name of every folder for audio on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What became of a call. `next_try` is when a recording is asked for that is not there yet."""

    status: CallStatus
    next_try: datetime | None = None


def assemble(work: CallWork, listing: Listing, ports: Ports) -> Assembled:
    """Archive what is listed; `empty` if nothing was recorded.

    `work.state` is kept up to date with the ledger. A recording that cannot be had goes into its
    `troubles`, and keeps no other out: the good legs are sealed without it. Raises what is no
    recording's fault (Wait, NotYet, Retry), or Failed naming each recording that is given up. What
    is under legal hold, stays so as a whole.
    """
    held = inherited(work.job.id, archive=ports.archive, ledger=ports.ledger, notes=ports.notes)
    with held as archive:
        return _assembled(work, listing, replace(ports, archive=archive))


def _assembled(work: CallWork, listing: Listing, ports: Ports) -> Assembled:
    legs = _legs(work, listing, ports)
    if not legs and not listing.unreadable:
        work.state = work.state.changed(troubles={})
        return Assembled(status="archived" if work.state.revision else "empty")
    tell(work.job, listing.related, ports)
    related = related_to(work.job.id, ports) | set(listing.related)
    listing = replace(listing, related=tuple(sorted(related)))
    told_all = related <= work.state.related
    if legs:
        ports.check_ledger()
        prefix = _placed(work, listing, legs, ports)
        present = known_objects(prefix, ports)
        legs = _with_sealed_legs(work, legs, prefix, present, ports)
        _begin_troubles(work, legs, listing, ports)
        if told_all and {leg.id for leg in legs} <= work.state.legs.keys():
            _index(work, ports)
        else:
            _fetch_and_seal(work, listing, legs, prefix, present, told_all, ports)
    else:
        _begin_troubles(work, legs, listing, ports)
    return _ended(work)


def _ended(work: CallWork) -> Assembled:
    """Say what became of the call. Raises Failed if a recording is given up, and none awaited."""
    troubled = work.state.troubles
    status: CallStatus = "archived" if work.state.revision else "empty"
    next_try = troubles.next_try(troubled.values())
    kept_out = {leg: one for leg, one in troubled.items() if troubles.keeps_out(one)}
    if next_try is None and kept_out:
        raise Failed(troubles.described(kept_out))
    return Assembled(status=status, next_try=next_try)


def _fetch_and_seal(
    work: CallWork,
    listing: Listing,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    told_all: bool,
    ports: Ports,
) -> None:
    with TemporaryDirectory(dir=ports.scratch, prefix=SCRATCH) as name:
        folder = Path(name)
        fetched = _fetched(work, listing, legs, prefix, present, folder, ports)
        gained = not {leg.stored.leg.id for leg in fetched} <= work.state.legs.keys()
        waited_for = any(map(troubles.is_waited_for, work.state.troubles.values()))
        if fetched and ((gained and not waited_for) or not told_all):
            present = known_objects(prefix, ports)
            sealed = seal(
                work.state,
                listing,
                fetched,
                prefix=prefix,
                present=present,
                missing=_missing(work, ports),
                folder=folder,
                ports=ports,
            )
            work.state = ports.ledger.save(sealed)
    _index(work, ports)


def _index(work: CallWork, ports: Ports) -> None:
    """Enter a revision into the catalogue that was sealed by a worker which died before it could.

    Or by a version of Legato that had no catalogue.
    """
    sealed = work.state.manifest
    if sealed is not None and work.state.catalogued < work.state.revision:
        work.state = index(work.state, read_manifest(sealed, ports.archive), ports)


def _legs(work: CallWork, listing: Listing, ports: Ports) -> list[Leg]:
    """Return the legs to archive; a recording that only a notification named is one of them."""
    if listing.ongoing and not _must_be_over(work, listing, ports):
        raise Wait("the call is not over", seconds=ports.policy.ongoing)
    unlisted = work.state.named - {leg.id for leg in listing.legs} - work.state.legs.keys()
    nothing = not (listing.legs or listing.unreadable)
    incomplete = nothing and (unlisted or not listing.final)
    if incomplete and work.job.looks < len(ports.policy.ladder):
        raise NotYet("the provider does not list the recording yet")
    named = [ports.provider.named_leg(work.job, recording) for recording in sorted(unlisted)]
    return [*listing.legs, *named]


def _must_be_over(work: CallWork, listing: Listing, ports: Ports) -> bool:
    """Say whether no call lasts as long as this one is said to go on."""
    signs = [work.job.seen_at, *filter(None, (listing.started_at,))]
    return ports.clock.now() - min(signs) > timedelta(seconds=ports.policy.max_call)


def _placed(work: CallWork, listing: Listing, legs: Sequence[Leg], ports: Ports) -> str:
    """Return the folder of the call, written down before its first object.

    A start time that the provider corrects later does not move the call.
    """
    if work.state.prefix is None:
        started_at = listing.started_at or min(leg.started_at for leg in legs)
        prefix = layout.call_prefix(work.job.id, started_at)
        work.state = ports.ledger.save(work.state.changed(prefix=prefix))
        return prefix
    return work.state.prefix


def _with_sealed_legs(
    work: CallWork,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    ports: Ports,
) -> list[Leg]:
    """Return all legs in playing order, with those of the newest sealed revision among them.

    A leg that the provider drops stays in the call. And the bucket is the truth: a manifest that
    the ledger does not know was sealed by a worker that died before it could say so.
    """
    by_id: dict[str, Leg] = {}
    if newest := layout.newest_revision(present):
        sealed = present[layout.manifest_key(prefix, newest)]
        content = read_manifest(sealed, ports.archive)
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
                parties=tuple(Party(**party) for party in leg["parties"]),
            )
            for leg in content["legs"]
        }
    for leg in legs:
        known_parties = by_id[leg.id].parties if leg.id in by_id else ()
        by_id[leg.id] = replace(leg, parties=distinct((*leg.parties, *known_parties)))
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


def _begin_troubles(work: CallWork, legs: Sequence[Leg], listing: Listing, ports: Ports) -> None:
    """Keep the troubles of the recordings that there are, with those that nobody can read."""
    now, before = ports.clock.now(), work.state.troubles
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
    work: CallWork,
    listing: Listing,
    legs: Sequence[Leg],
    prefix: str,
    present: Mapping[str, StoredObject],
    folder: Path,
    ports: Ports,
) -> list[FetchedLeg]:
    """Fetch every leg that is due, and put what keeps others out into their troubles.

    Raises what is no recording's fault: all that is fetched is safe in the archive by then.
    """
    _survived(work, ports)
    fetched: dict[str, FetchedLeg] = {}
    asked = False
    # What was in trouble before comes last: it may be slow or deadly, and what is granted to the
    # others tells its own fault from the provider's.
    for number, leg in enumerate(sorted(legs, key=lambda leg: leg.id in work.state.troubles)):
        before = work.state.troubles.get(leg.id)
        kept = kept_leg(leg.id, prefix, present)
        if kept is None and before and not troubles.is_due(before, ports.clock.now()):
            continue
        if kept is None and asked and ports.clock.now() >= work.until - _spare(ports):
            raise Wait("this invocation has no time left for another leg", seconds=1)
        asked = asked or kept is None
        path = folder / f"leg-{number}"
        try:
            with _told_before(work, leg, before, ports) if kept is None else nullcontext():
                got = _fetched_leg(work, leg, before, prefix, present, path, ports)
        except Unavailable:
            raise
        except LegatoError as error:
            if isinstance(error, Wait) and not isinstance(error, Limited):
                raise
            # The provider keeps no recording of a few seconds, and its log has said so.
            if listing.short and leg.named_only and isinstance(error, NotYet):
                _settled(work, leg)
                continue
            _troubled(work, listing, leg, error, ports)
        else:
            fetched[leg.id] = got
            # A worker may have died between the archive and the ledger: what is kept is settled.
            if kept is None or not (before is None or _is_accepted(before)):
                _settled(work, leg)
                if got.stored.short_ms:
                    _is_short(work, got.stored, ports)
                if unheard := got.stored.audio.unheard:
                    _is_accepted_as(work, "unheard", leg.id, unheard, ports)
            if leg.unverified is not None and leg.id not in work.state.legs:
                _is_accepted_as(work, "unverified", leg.id, leg.unverified, ports)
    return [fetched[leg.id] for leg in legs if leg.id in fetched]


def _spare(ports: Ports) -> timedelta:
    """Return how much of an invocation is left for what comes after the legs."""
    return TIME_TO_REST if ports.policy.apart else timedelta(seconds=ports.policy.reserve)


def _survived(work: CallWork, ports: Ports) -> None:
    """Put off the recordings that workers have died of: the others come first.

    The call is listed at once, since this worker may die of another one of them.
    """
    now, policy = ports.clock.now(), ports.policy
    deadly = {
        leg: troubles.outlived(one, now=now, policy=policy)
        for leg, one in work.state.troubles.items()
        if one.kind == "deadly"
    }
    if work.is_suspect and deadly:
        work.state = work.state.changed(troubles=work.state.troubles | deadly)
        failures.noted(work.job.anew(), troubles.described(deadly), ports.notes, ports.clock)


@contextmanager
def _told_before(work: CallWork, leg: Leg, before: Trouble | None, ports: Ports) -> Iterator[None]:
    """Write down which leg is fetched where a worker has died of one, and nobody knows of which."""
    deadly = before is not None and before.kind == "deadly"
    if not (work.is_suspect or deadly):
        yield
        return
    known = work.state.troubles
    trouble = troubles.deadly(before, now=ports.clock.now(), policy=ports.policy)
    work.state = ports.ledger.save(work.state.changed(troubles=known | {leg.id: trouble}))
    try:
        yield
    finally:
        work.state = work.state.changed(troubles=known)


def _fetched_leg(
    work: CallWork,
    leg: Leg,
    before: Trouble | None,
    prefix: str,
    present: Mapping[str, StoredObject],
    path: Path,
    ports: Ports,
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
        last_try=spent >= len(ports.policy.named_ladder),
    )
    return (stream_leg if ports.policy.apart else fetch_leg)(fetching, ports)


def _troubled(work: CallWork, listing: Listing, leg: Leg, error: LegatoError, ports: Ports) -> None:
    """Write down what keeps a leg out. Raises a 429 that is only the provider's limit."""
    now = ports.clock.now()
    found = troubles.troubled(
        error,
        work.state.troubles.get(leg.id),
        now=now,
        policy=ports.policy,
        granted_at=last_granted(work.job.provider, ports.notes),
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


def _settled(work: CallWork, leg: Leg) -> None:
    left = {name: one for name, one in work.state.troubles.items() if name != leg.id}
    work.state = work.state.changed(troubles=left)


def _is_short(work: CallWork, got: StoredLeg, ports: Ports) -> None:
    """Let a person know of a leg that is in the archive, and not as long as it should be."""
    reason = f"{got.short_ms / 1000:.1f} s of it lack, as often as it was fetched"
    _is_accepted_as(work, "short", got.leg.id, reason, ports)


def _is_accepted_as(work: CallWork, kind: TroubleKind, leg: str, reason: str, ports: Ports) -> None:
    """Let a person know what is wrong with a leg that is in the archive."""
    now = ports.clock.now()
    trouble = Trouble(kind=kind, reason=reason, since=now, tried_at=now)
    work.state = work.state.changed(troubles=work.state.troubles | {leg: trouble})


def _missing(work: CallWork, ports: Ports) -> list[Missing]:
    """Describe what is not in the recording, with the bytes that were kept of it."""
    return [
        Missing(
            leg=leg,
            reason=one.reason,
            evidence=_evidence(work, leg, ports) if one.kind == "damaged" else None,
        )
        for leg, one in sorted(work.state.troubles.items())
        if troubles.keeps_out(one)
    ]


def _evidence(work: CallWork, leg: str, ports: Ports) -> StoredObject | None:
    prefix = layout.refused_prefix(work.job.id, leg)
    kept = known_objects(prefix, ports)
    numbers = [int(end) for key in kept if (end := key.removeprefix(prefix)).isdecimal()]
    newest = kept[f"{prefix}{max(numbers)}"] if numbers else None
    # A ledger that was lost does not know any more what was streamed; an earlier manifest does.
    return newest if newest is not None and newest.sha256 else None
