"""What there is to restore of calls: the objects that are played, and how each is stored now."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.archive.library import COLD, TIERS
from legato.model import format_time
from legato.retrieval.manifests import audio, manifest
from legato.retrieval.restore.note import Piece, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from legato.archive.library import Library, Tier
    from legato.catalogue.index import Row
    from legato.model import CallId, Json
    from legato.ports import Clock, Lists

AT_ONCE = 16
"""Requests at the same time. Each takes 20 ms or more: fewer than S3's 1,000 a second.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/archival-storage.html
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """What calls are restored with. `sleep` takes seconds."""

    library: Library
    notes: Lists
    clock: Clock
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call with what is to be played of it. What is under way has this `tier` and `days`."""

    row: Row
    pieces: tuple[Piece, ...]
    tier: Tier | None = None
    days: int = 0

    @property
    def until(self) -> datetime | None:
        """Until when all of it can be read; None if it cannot, or always can."""
        untils = [piece.state.restored_until for piece in self.pieces if piece.state.restored_until]
        return min(untils) if untils and self.how == "restored" else None

    @property
    def how(self) -> str:
        """Say how it is now: `readable` (always), `restored`, `under way`, `cold`."""
        if all(piece.state.storage_class not in COLD for piece in self.pieces):
            return "readable"
        if all(piece.state.readable for piece in self.pieces):
            return "restored"
        return "cold" if any(piece.lies_cold for piece in self.pieces) else "under way"

    def asking(self, tier: Tier, days: int, now: datetime) -> list[Piece]:
        """Return what S3 is to be asked for: what is cold, comes more slowly, or goes too soon.

        S3 takes another request for what is on its way if that is for a faster tier.
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-upgrade-speed.html
        """
        hurry = self.tier is not None and TIERS.index(tier) < TIERS.index(self.tier)
        stays = now + timedelta(days=days)
        return [
            piece
            for piece in self.pieces
            if piece.lies_cold
            or (piece.state.restoring and hurry)
            or (piece.state.restored_until is not None and piece.state.restored_until < stays)
        ]

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            **self.row.id._asdict(),
            "how": self.how,
            "until": self.until and format_time(self.until),
            "objects": len(self.pieces),
            "bytes": sum(piece.size for piece in self.pieces),
            "tier": self.tier,
        }


def survey(rows: Iterable[Row], work: Restoring) -> list[Wanted]:
    """Look at what is to be played of each call, in their order. Raises as library.manifest."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda row: _wanted(row, work), rows))


def names(wanted: Iterable[Wanted]) -> tuple[CallId, ...]:
    """Return which calls they are."""
    return tuple(one.row.id for one in wanted)


def _wanted(row: Row, work: Restoring) -> Wanted:
    pieces = tuple(_piece(entry, work) for entry in audio(manifest(row, work.library)))
    if not any(piece.state.restoring for piece in pieces):
        return Wanted(row=row, pieces=pieces)
    noted = work.notes.read(key_of(row.id)).content
    return Wanted(row=row, pieces=pieces, tier=noted.get("tier"), days=noted.get("days", 0))


def _piece(entry: Json, work: Restoring) -> Piece:
    """Return an object, as a manifest describes it, with its state."""
    key, version_id = entry["key"], entry["version_id"]
    state = work.library.state(key, version_id=version_id)
    return Piece(key=key, version_id=version_id, size=entry["bytes"], state=state)
