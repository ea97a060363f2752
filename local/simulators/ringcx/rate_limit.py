"""Sliding windows, of which a request must find room in every one of its group."""

from __future__ import annotations

from collections import defaultdict, deque

from local.simulators.ringcx.config import Config
from local.simulators.ringcx.problems import too_many
from local.simulators.ringcx.stats import Stats
from local.simulators.times import Clock


class RateLimits:
    """Grants or refuses each request. What is refused does not count."""

    def __init__(self, config: Config, clock: Clock, stats: Stats) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._grants: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)

    def grant(self, who: str, group: str) -> None:
        """Count a request. Raises Problem 429 for one too many."""
        limits = self._config.limits[group]
        grants = self._grants[who, group]
        now = self._clock()
        longest = max((each.window for each in limits), default=0)
        while grants and grants[0] <= now - longest:
            grants.popleft()
        for each in limits:
            if sum(at > now - each.window for at in grants) >= each.limit:
                self._stats.too_many[group] += 1
                self._stats.broke("limit exceeded")
                raise too_many()
        grants.append(now)
        self._stats.grants[group] += 1

    def forget(self) -> None:
        """Open every window again."""
        self._grants.clear()
