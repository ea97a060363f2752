"""What happened, for `GET /_sim/stats`: the referee's notes, as far as all simulators take them."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(kw_only=True)
class Stats:
    """Counters since the start or the last reset."""

    RULES: ClassVar[tuple[str, ...]] = ()
    """What a good client never does. Each is 0 from the start, so that a check can name it."""

    requests: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    grants: Counter[str] = field(default_factory=Counter)
    too_many: Counter[str] = field(default_factory=Counter)
    tokens_minted: int = 0
    rules_broken: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        """Count from zero."""
        fresh = type(self)()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))

    def request(self, route: str, status: int) -> None:
        """Count an answered request."""
        self.requests[route][str(status)] += 1

    def broke(self, rule: str) -> None:
        """Count a rule that the client broke."""
        self.rules_broken[rule] += 1

    def to_json(self) -> dict[str, Any]:
        """Return everything counted."""
        return {
            "requests": {route: dict(by_status) for route, by_status in self.requests.items()},
            "grants": dict(self.grants),
            "tooManyRequests": dict(self.too_many),
            "tokensMinted": self.tokens_minted,
            "rulesBroken": {rule: self.rules_broken[rule] for rule in self.RULES},
            "faults": dict(self.faults),
        }
