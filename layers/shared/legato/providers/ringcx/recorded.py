"""What RingCX's interaction metadata says was recorded in a stretch of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.providers.ringcx.rows import began_at
from legato.providers.ringcx.stretch import RingcxStretch
from legato.providers.ringcx.tail import LONGEST

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from legato.model import Json
    from legato.ports import Clock
    from legato.providers.ringcx.tail import Metadata


class RingcxRecorded(RingcxStretch):
    """A sub-account's segments that began from `begin` to `end`, which RingCX keeps for `kept`.

    Which time of a segment makes it fall into a window is not documented, so one window more is
    read: one that went on over the end may stand there.
    """

    def __init__(
        self,
        metadata: Metadata,
        clock: Clock,
        *,
        sub_account: str,
        begin: datetime,
        end: datetime,
        lag: timedelta,
        overlap: timedelta,
        kept: timedelta,
    ) -> None:
        super().__init__(
            metadata,
            clock,
            sub_account=sub_account,
            begin=begin,
            limit=end + LONGEST,
            lag=lag,
            overlap=overlap,
        )
        self.key = f"{self.watch}#recorded"
        self.kept = kept

    def began_at(self, record: Json) -> datetime | None:
        """Return when the row's segment began."""
        return began_at([record], latest=self.end)

    def covers(self, account: str, recording: str) -> bool:
        """Say whether a segment of an account has to be in this list."""
        del recording
        return account == self.sub_account
