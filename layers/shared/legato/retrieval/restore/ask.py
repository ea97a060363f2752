"""Ask S3 for copies of what lies cold. What is asked for together has one request in common."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.errors import Failed, LegatoError
from legato.ledger.notes import change
from legato.model import format_time
from legato.retrieval.restore.note import copy_of, key_of, ordered, settled
from legato.retrieval.restore.survey import AT_ONCE, names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from legato.archive.library import Library, Tier
    from legato.model import CallId, Json
    from legato.retrieval.restore.note import Piece
    from legato.retrieval.restore.survey import Restoring, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """What came of it: how many objects S3 was asked for, of which calls, and what it refused."""

    calls: tuple[CallId, ...]
    objects: int
    refused: Mapping[str, LegatoError]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is asked for together: how fast, and for how many days."""

    request: str
    tier: Tier
    days: int
    at: datetime

    def pieces(self, one: Wanted) -> list[Piece]:
        return one.asking(self.tier, self.days, self.at)

    def to_json(self) -> Json:
        at = format_time(self.at)
        return {"request": self.request, "requested_at": at, "tier": self.tier, "days": self.days}


def restore(
    wanted: Sequence[Wanted],
    work: Restoring,
    *,
    tier: Tier,
    days: int,
    request: str,
    tell: Callable[[int], None] = lambda _: None,
) -> RestoreRequest:
    """Ask S3 for copies that stay for so many days, and note what is under way.

    What is asked for together has a `request` of its own, and one mail at its end. `tell` gets the
    number of calls that are asked for so far. What S3 refuses is in the answer. Raises Retry, and
    then the same again goes on.
    """
    order = _Order(request=request, tier=tier, days=days, at=work.clock.now())
    chosen = [one for one in wanted if order.pieces(one)]
    objects, refused = 0, dict[str, LegatoError]()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        asking = [pool.submit(_ask, one, order, work) for one in chosen]
        for number, each in enumerate(as_completed(asking), start=1):
            asked, failed = each.result()
            objects += asked
            refused |= failed
            tell(number)
    finally:
        # Also after Ctrl-C, or when AWS answers nobody: what is begun is noted, the rest is not.
        pool.shutdown(cancel_futures=True)
    return RestoreRequest(calls=names(chosen), objects=objects, refused=refused)


def _ask(one: Wanted, order: _Order, work: Restoring) -> tuple[int, dict[str, LegatoError]]:
    """Note a call and ask for it; return how many objects were asked for, and what was refused."""
    key = key_of(one.row.id)
    change(key, lambda note: ordered(note, one.pieces, order.to_json()), work.notes)
    pieces, asked, refused = order.pieces(one), set[str](), dict[str, LegatoError]()
    try:
        for piece in pieces:
            # To ask for what is on its way is to hasten it: nothing else may be different.
            days = one.days if piece.state.restoring else order.days
            if error := _refusal(piece, order.tier, days, work.library):
                refused[piece.key] = error
            else:
                asked.add(piece.key)
    finally:
        _settle(one, pieces, asked, work)
    return len(asked), refused


def _refusal(piece: Piece, tier: Tier, days: int, library: Library) -> Failed | None:
    """Ask S3 for an object; return why it does not want to. Raises Retry."""
    try:
        library.restore(piece.key, version_id=piece.version_id, days=days, tier=tier)
    except Failed as error:
        return error
    return None


def _settle(one: Wanted, pieces: Sequence[Piece], asked: Collection[str], work: Restoring) -> None:
    """Note what S3 was not asked for after all, and how long the other copies stay."""
    at = format_time(work.clock.now())
    copies = {
        piece.key: copy_of(work.library.state(piece.key, version_id=piece.version_id), at)
        for piece in pieces
        if piece.state.readable and piece.key in asked
    }
    missed = [piece for piece in pieces if piece.key not in asked]
    if not (missed or copies):
        return
    unasked = {piece.key for piece in missed if piece.lies_cold}
    # What could not be hastened comes as it would have, and may be hastened the next time.
    tier = one.tier if any(piece.state.restoring for piece in missed) else None
    key = key_of(one.row.id)
    change(key, lambda note: settled(note, unasked, copies, tier), work.notes)
