"""What Kazoo's list says was recorded in a stretch of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.providers.kazoo.documents import began_at
from legato.providers.kazoo.tail import OVERLAP, KazooTail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from legato.model import Json
    from legato.ports import Clock
    from legato.providers.kazoo.tail import Recordings


class KazooRecorded(KazooTail):
    """The recordings that began from `begin` to `end`, which Kazoo keeps for `kept`.

    They are listed by the time at which they were saved, which is after their end. And one that
    goes on over the end of a month may lie in the database of either, so the window reaches back.
    """

    behind = True

    def __init__(
        self,
        recordings: Recordings,
        clock: Clock,
        *,
        account: str,
        begin: datetime,
        end: datetime,
        kept: timedelta,
        user: str | None = None,
        filters: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            recordings,
            clock,
            account=account,
            first=begin - OVERLAP,
            end=end + OVERLAP,
            user=user,
            filters=filters,
        )
        self.key = f"{self.key}#recorded"
        self.kept = kept

    def began_at(self, record: Json) -> datetime | None:
        """Return when the recording began."""
        return began_at(record)
