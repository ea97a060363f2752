"""How long nothing can be removed: S3's Object Lock, which each object is given at its write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

type Mode = Literal["GOVERNANCE", "COMPLIANCE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What an object is locked with."""

    mode: Mode
    years: int

    def until(self, now: datetime) -> datetime:
        """Return when the lock of what is written now ends: on the same day, never earlier."""
        try:
            return now.replace(year=now.year + self.years)
        except ValueError:  # that year has no 29 February
            return now.replace(year=now.year + self.years, month=3, day=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What the stack is deployed with; no `mode` locks nothing. `years` has each provider's."""

    mode: Mode | None
    years: Mapping[str, int]

    def of(self, provider: str) -> Lock | None:
        """Return the lock of a provider's calls."""
        return self.mode and Lock(mode=self.mode, years=self.years[provider])

    @property
    def longest(self) -> Lock | None:
        """The lock of what speaks of the calls of all providers: digests and hold records."""
        return self.mode and Lock(mode=self.mode, years=max(self.years.values()))
