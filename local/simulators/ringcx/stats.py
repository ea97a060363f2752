"""What RingCX counts beyond the usual: exchanged tokens, and what was downloaded how often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from local.simulators import stats


@dataclass(kw_only=True)
class Stats(stats.Stats):
    """Counters since the start or the last reset. `tokens_minted` are RingCentral's."""

    RULES: ClassVar[tuple[str, ...]] = (
        "limit exceeded",
        "penalty restarted",
        "session evicted",
        "browser-like user agent",
    )

    exchanges: int = 0
    refreshes: int = 0
    downloads: Counter[str] = field(default_factory=Counter)
    whole_downloads: Counter[str] = field(default_factory=Counter)
    touched_young: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return everything counted. Downloads are by segment: begun, and sent to the last byte."""
        return super().to_json() | {
            "exchanges": self.exchanges,
            "refreshes": self.refreshes,
            "downloads": dict(self.downloads),
            "wholeDownloads": dict(self.whole_downloads),
            "touchedYoung": self.touched_young,
        }
