"""Everything that the simulator holds, put together once."""

from __future__ import annotations

import asyncio
import time

import httpx

from local.simulators.faults import Sleep
from local.simulators.ringex.calls import Calls
from local.simulators.ringex.config import Config
from local.simulators.ringex.deliveries import Deliveries
from local.simulators.ringex.faults import Faults
from local.simulators.ringex.oauth import Sessions
from local.simulators.ringex.rate_limit import RateLimits
from local.simulators.ringex.raw import RawRecords
from local.simulators.ringex.recordings import Recordings
from local.simulators.ringex.stats import Stats
from local.simulators.ringex.subscriptions import Subscriptions
from local.simulators.settings import Json
from local.simulators.times import Clock


class World:
    """One RingCentral account and the platform around it."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock = time.time,
        sleep: Sleep = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.stats = Stats()
        self.transport = transport or _transport(config)
        self.limits = RateLimits(config, clock, self.stats)
        self.sessions = Sessions(config, clock, self.stats)
        self.recordings = Recordings(clock)
        self.calls = Calls(config, clock, self.recordings)
        self.raw = RawRecords(clock, self.calls, self.recordings)
        self.subscriptions = Subscriptions(config, clock, self.stats)
        self.deliveries = Deliveries(config, clock, self.stats, self.subscriptions, self.transport)
        self.faults = Faults(self.stats, clock, sleep)

    def configure(self, given: Json) -> None:
        """Change settings. Raises BadInput."""
        self.config.update(given)
        if "seed" in given:
            self.deliveries.reseed()

    def evict(self) -> None:
        """Log everybody out."""
        self.sessions.close_all()

    def reset(self) -> None:
        """Begin anew, with the same clients and webhooks."""
        self.deliveries.forget()
        self.calls.forget()
        self.raw.forget()
        self.recordings.forget()
        self.faults.clear()
        self.limits.forget()
        self.stats.clear()


def _transport(config: Config) -> httpx.AsyncBaseTransport:
    # No proxy of the environment: webhooks here are on this machine.
    limits = httpx.Limits(max_connections=config.deliveries_at_once + 4)
    return httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
