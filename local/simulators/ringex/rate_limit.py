"""Usage groups: a sliding window per user and app, and a penalty that every request restarts.

Rule: https://developers.ringcentral.com/guide/basics/rate-limits.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from dataclasses import dataclass, field

from local.simulators.ringex.config import Config, Limit
from local.simulators.ringex.problems import Problem
from local.simulators.stats import Stats
from local.simulators.times import Clock


@dataclass(slots=True)
class _Window:
    grants: deque[float] = field(default_factory=deque)
    penalty_until: float = 0


class RateLimits:
    """Grants or refuses each request."""

    def __init__(self, config: Config, clock: Clock, stats: Stats) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._windows: defaultdict[tuple[str, str], _Window] = defaultdict(_Window)

    def grant(self, who: str, group: str) -> dict[str, str]:
        """Return the headers of a granted request. Raises Problem 429 for one too many."""
        limit = self._config.limits[group]
        window = self._windows[who, group]
        now = self._clock()
        while window.grants and window.grants[0] <= now - limit.window:
            window.grants.popleft()
        if now < window.penalty_until:
            self._stats.broke("penalty restarted")
            raise self._refuse(window, group, limit, now)
        if len(window.grants) >= limit.limit:
            self._stats.broke("limit exceeded")
            raise self._refuse(window, group, limit, now)
        window.grants.append(now)
        self._stats.grants[group] += 1
        return _headers(group, limit, limit.limit - len(window.grants))

    def forget(self) -> None:
        """Open every window again."""
        self._windows.clear()

    def _refuse(self, window: _Window, group: str, limit: Limit, now: float) -> Problem:
        window.penalty_until = now + limit.penalty
        self._stats.too_many[group] += 1
        problem = Problem(429, "CMN-301", "Request rate exceeded")
        problem.headers = _headers(group, limit, 0)
        problem.headers["Retry-After"] = str(math.ceil(limit.penalty))
        return problem


def _headers(group: str, limit: Limit, remaining: int) -> dict[str, str]:
    return {
        "X-Rate-Limit-Group": group.lower(),
        "X-Rate-Limit-Limit": str(limit.limit),
        "X-Rate-Limit-Remaining": str(remaining),
        "X-Rate-Limit-Window": str(math.ceil(limit.window)),
    }
