"""A stretch of RingCX's past, for a backfill: a tail that ends, and can say how much of it is read.

It has a cursor of its own, so that what is new is followed beside it.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.ledger.listings import backfill_key
from legato.model import parse_time
from legato.providers.ringcx.rows import length_of
from legato.providers.ringcx.tail import LONGEST, RingcxTail

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock
    from legato.providers.ringcx.tail import Metadata


class RingcxStretch(RingcxTail):
    """All segments of a sub-account from `begin` on, in no hurry.

    Without a `limit` the stretch goes to the present. `end` is never nearer to it than `lag`; the
    next run of the same stretch reads what was too young for this one.
    """

    def __init__(
        self,
        metadata: Metadata,
        clock: Clock,
        *,
        sub_account: str,
        begin: datetime,
        limit: datetime | None,
        lag: timedelta,
        overlap: timedelta,
    ) -> None:
        youngest = clock.now() - lag
        end = youngest if limit is None else min(limit, youngest)
        super().__init__(
            metadata,
            clock,
            sub_account=sub_account,
            key=backfill_key(begin, limit),
            first=begin,
            lag=lag,
            overlap=overlap,
            end=end,
            behind=True,
        )
        self.source = sub_account
        self.begin = begin.replace(microsecond=0)
        self.end = end.replace(microsecond=0)

    def reached(self, cursor: Json) -> datetime:
        """Return the moment up to which a reader with this cursor has read everything."""
        if "begin" not in cursor:
            return self.begin
        return parse_time(cursor["read"] if "read" in cursor else cursor["begin"])

    def share(self, cursor: Json) -> float:
        """Return how much of it a reader with this cursor has read, 0 to 1."""
        return min(1.0, (self.reached(cursor) - self.begin) / (self.end - self.begin))

    def requests(self, cursor: Json) -> int:
        """Return how many windows are left to ask for if none of them is full."""
        left = self.end - self.reached(cursor)
        if not cursor:
            # The first one overlaps with nothing.
            return max(1, math.ceil((left - self._overlap) / (LONGEST - self._overlap)))
        return max(0, math.ceil(left / (LONGEST - self._overlap)))

    def length(self, record: Json) -> timedelta:
        """Return how long a segment's recording is as far as its row says, or no time at all."""
        return timedelta(milliseconds=length_of(record) or 0)
