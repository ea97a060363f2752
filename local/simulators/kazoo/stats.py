"""What Kazoo counts beyond the usual: tokens of the buckets, downloads, what it sends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, ClassVar

from local.simulators import stats


@dataclass(slots=True, kw_only=True)
class Tally:
    """How storing outside went. `answers` are by status, or `unreachable`."""

    answers: Counter[str] = field(default_factory=Counter)
    retried: int = 0
    given_up: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return everything counted."""
        answers = dict(self.answers)
        return {"answers": answers, "retried": self.retried, "givenUp": self.given_up}


@dataclass(kw_only=True)
class Stats(stats.Stats):
    """Counters since the start or the last reset. Grants and 429s are by account, or `login`."""

    RULES: ClassVar[tuple[str, ...]] = ("limit exceeded",)

    consumed: Counter[str] = field(default_factory=Counter)
    downloads: Counter[str] = field(default_factory=Counter)
    whole_downloads: Counter[str] = field(default_factory=Counter)
    deletes: Counter[str] = field(default_factory=Counter)
    pushes: Tally = field(default_factory=Tally)
    fetches: Counter[str] = field(default_factory=Counter)
    plans: Tally = field(default_factory=Tally)

    def to_json(self) -> dict[str, Any]:
        """Return everything counted. Downloads are by recording: begun, and sent to the end."""
        return super().to_json() | {
            "tokensConsumed": dict(self.consumed),
            "downloads": dict(self.downloads),
            "wholeDownloads": dict(self.whole_downloads),
            "deletes": dict(self.deletes),
            "pushes": {**self.pushes.to_json(), "fetches": dict(self.fetches)},
            "plans": self.plans.to_json(),
        }
