"""What restores cost and how long they take, by storage class and tier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.archive.library import TIERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.archive.library import Tier
    from legato.model import Json
    from legato.retrieval.restore.note import Piece
    from legato.retrieval.restore.survey import Wanted

LARGE = 250 * 1000 * 1000
"""Bytes, over which Expedited takes longer than it says."""
GIGABYTE = 2**30
COPY_PRICE = 0.023
"""Dollars for a gigabyte a month of the copy, which lies in S3 Standard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a tier costs in dollars for 1,000 requests and for a gigabyte, and how long it takes."""

    requests: float
    gigabyte: float
    least: timedelta
    most: timedelta


TERMS: Mapping[str, Mapping[Tier, Terms]] = {
    "GLACIER": {
        "Expedited": Terms(
            requests=10, gigabyte=0.03, least=timedelta(minutes=1), most=timedelta(minutes=5)
        ),
        "Standard": Terms(
            requests=0.05, gigabyte=0.01, least=timedelta(hours=3), most=timedelta(hours=5)
        ),
        "Bulk": Terms(requests=0, gigabyte=0, least=timedelta(hours=5), most=timedelta(hours=12)),
    },
    "DEEP_ARCHIVE": {
        "Standard": Terms(
            requests=0.10, gigabyte=0.02, least=timedelta(hours=12), most=timedelta(hours=12)
        ),
        "Bulk": Terms(
            requests=0.025, gigabyte=0.0025, least=timedelta(hours=48), most=timedelta(hours=48)
        ),
    },
}
"""By storage class. The prices are those of us-east-1, without a discount or a free allowance.
https://aws.amazon.com/s3/pricing/
https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a tier would cost in dollars, at us-east-1's list prices, and how long it would take.

    `large`: objects of LARGE bytes or more are among them, which Expedited takes longer for.
    """

    tier: Tier
    objects: int
    size: int
    price: float
    least: timedelta
    most: timedelta
    large: bool

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            "tier": self.tier,
            "objects": self.objects,
            "bytes": self.size,
            "dollars": round(self.price, 4),
            "seconds": [int(self.least.total_seconds()), int(self.most.total_seconds())],
        }


def offers(wanted: Sequence[Wanted], *, days: int, now: datetime) -> list[Offer]:
    """Return what may be chosen for all of these calls together, the fastest tier first.

    Nothing if S3 has nothing to be asked for. DEEP_ARCHIVE knows no Expedited.
    """
    found = []
    for tier in TIERS:
        pieces = [piece for one in wanted for piece in one.asking(tier, days, now)]
        fetched = [piece for piece in pieces if not piece.state.readable]
        if all(tier in TERMS[piece.state.storage_class] for piece in fetched) and pieces:
            found.append(_offer(tier, pieces, fetched, days))
    return found


def _offer(tier: Tier, pieces: Sequence[Piece], fetched: Sequence[Piece], days: int) -> Offer:
    size = sum(piece.size for piece in pieces)
    terms = [TERMS[piece.state.storage_class][tier] for piece in fetched]
    retrieved = sum(
        each.requests / 1000 + piece.size / GIGABYTE * each.gigabyte
        for piece, each in zip(fetched, terms, strict=True)
    )
    return Offer(
        tier=tier,
        objects=len(pieces),
        size=size,
        price=retrieved + size / GIGABYTE * COPY_PRICE * days / 30,
        # The call that takes longest decides.
        least=max((each.least for each in terms), default=timedelta()),
        most=max((each.most for each in terms), default=timedelta()),
        large=any(piece.size >= LARGE for piece in fetched),
    )
