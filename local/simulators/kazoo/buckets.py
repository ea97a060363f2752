"""The token buckets: one for each client address and account, and one for its log-ins.

Rules: https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/rate_limiting.md and
core/kazoo_token_buckets/src/kz_token_bucket.erl: tokens come in bulk each second, and a log-in that
finds too few takes what there is all the same (`consume_until`). The path of a log-in names no
account, so it has a bucket of its own (cb_modules_util:bucket_name/1).
"""

from __future__ import annotations

from dataclasses import dataclass

from local.simulators.kazoo.config import Config
from local.simulators.kazoo.problems import Problem
from local.simulators.kazoo.stats import Stats
from local.simulators.times import Clock

LOGIN = "login"


@dataclass(slots=True)
class Bucket:
    """What one client has left. `poured_at` is when it last got tokens."""

    tokens: float
    poured_at: float


class Buckets:
    """All of them."""

    def __init__(self, config: Config, clock: Clock, stats: Stats) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def take(self, address: str, account: str | None) -> tuple[int, int]:
        """Take what a request costs; return that and what is left. Raises Problem 429."""
        config, name = self._config, account or LOGIN
        bucket = self._bucket(address, name)
        cost = config.request_cost if account else config.login_cost
        if bucket.tokens < cost:
            if not account:
                bucket.tokens = 0
            self._stats.too_many[name] += 1
            self._stats.broke("limit exceeded")
            raise Problem(429)
        bucket.tokens -= cost
        self._stats.grants[name] += 1
        self._stats.consumed[name] += int(cost)
        return int(cost), int(bucket.tokens)

    def left(self, address: str, account: str | None) -> int:
        """Return what a client has left."""
        return int(self._bucket(address, account or LOGIN).tokens)

    def forget(self) -> None:
        """Fill every bucket."""
        self._buckets.clear()

    def _bucket(self, address: str, name: str) -> Bucket:
        config, now = self._config, self._clock()
        full = Bucket(config.bucket_tokens, now)
        bucket = self._buckets.setdefault((address, name), full)
        seconds = int(now - bucket.poured_at)
        if seconds > 0:
            poured = bucket.tokens + seconds * config.tokens_per_second
            bucket.tokens = min(config.bucket_tokens, poured)
            bucket.poured_at += seconds
        return bucket
