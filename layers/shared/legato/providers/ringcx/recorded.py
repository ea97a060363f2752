"""What RingCX's interaction metadata says was recorded in a stretch of the past."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.model import parse_time
from legato.providers.ringcx.rows import began_at, length_of
from legato.providers.ringcx.tail import LONGEST, RingcxTail

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock
    from legato.providers.ringcx.api import RingcxApi


class RingcxRecorded(RingcxTail):
    """A sub-account's segments from `begin` to `end`, which RingCX keeps for `kept`, in no hurry.

    `key` tells this reader from others. The end is never nearer to the present than `lag`; the next
    run of a stretch up to the present reads what was too young for this one.

    Which time of a segment makes it fall into a window is not documented, so a `margin` is read
    too: a segment that went on over the end may stand there.
    """

    def __init__(
        self,
        api: RingcxApi,
        clock: Clock,
        *,
        sub_account: str,
        begin: datetime,
        end: datetime,
        lag: timedelta,
        overlap: timedelta,
        kept: timedelta,
        key: str = "#recorded",
        margin: timedelta = LONGEST,
    ) -> None:
        end = min(end + margin, clock.now() - lag)
        super().__init__(
            api,
            clock,
            sub_account=sub_account,
            key=key,
            first=begin,
            lag=lag,
            overlap=overlap,
            end=end,
            behind=True,
        )
        self.source = sub_account
        self.begin = begin.replace(microsecond=0)
        self.end = end.replace(microsecond=0)
        self.kept = kept

    def reached(self, cursor: Json) -> datetime:
        """Return the moment up to which a reader with this cursor has read everything."""
        if "begin" not in cursor:
            return self.begin
        return parse_time(cursor["read"] if "read" in cursor else cursor["begin"])

    def share(self, cursor: Json) -> float:
        return min(1.0, (self.reached(cursor) - self.begin) / (self.end - self.begin))

    def requests(self, cursor: Json) -> int:
        """Return how many windows are left to ask for if none of them is full."""
        left = self.end - self.reached(cursor)
        if not cursor:
            # The first one overlaps with nothing.
            return max(1, math.ceil((left - self._overlap) / (LONGEST - self._overlap)))
        return max(0, math.ceil(left / (LONGEST - self._overlap)))

    def length(self, record: Json) -> timedelta:
        return timedelta(milliseconds=length_of(record) or 0)

    def began_at(self, record: Json) -> datetime | None:
        return began_at([record], latest=self.end)

    def covers(self, account: str, recording: str) -> bool:
        del recording
        return account == self.sub_account
