"""What the platform counts beyond the usual: notifications, their answers, deleted recordings."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from local.simulators import stats


@dataclass(kw_only=True)
class Stats(stats.Stats):
    """Counters since the start or the last reset."""

    RULES: ClassVar[tuple[str, ...]] = (
        "limit exceeded",
        "penalty restarted",
        "session evicted",
        "access token in the query",
        "handshake answered without content type application/json",
    )

    notifications: int = 0
    duplicates: int = 0
    dropped: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    handshakes: Counter[str] = field(default_factory=Counter)
    deletes: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Return everything counted. `deletes` are by recording."""
        notifications = {
            "sent": self.notifications,
            "duplicates": self.duplicates,
            "dropped": self.dropped,
            "answers": dict(self.answers),
            "handshakes": dict(self.handshakes),
        }
        own = {"notifications": notifications, "deletes": dict(self.deletes)}
        return super().to_json() | own
