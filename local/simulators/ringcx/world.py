"""Everything that the simulator holds, put together once."""

from __future__ import annotations

import asyncio
import time

import httpx

from local.simulators.faults import Sleep
from local.simulators.ringcx.calls import Calls
from local.simulators.ringcx.config import Config
from local.simulators.ringcx.faults import Faults
from local.simulators.ringcx.platform import Platform
from local.simulators.ringcx.rate_limit import RateLimits
from local.simulators.ringcx.raw import RawRows
from local.simulators.ringcx.stats import Stats
from local.simulators.ringcx.tokens import Tokens
from local.simulators.settings import Json
from local.simulators.times import Clock


class World:
    """One contact centre, and of RingCentral what it needs."""

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
        self.limits = RateLimits(config, clock, self.stats)
        self.platform = Platform(config, clock, self.stats, transport)
        self.tokens = Tokens(config, clock)
        self.calls = Calls(config, clock)
        self.raw = RawRows(config, clock, self.calls)
        self.faults = Faults(self.stats, clock, sleep)

    def configure(self, given: Json) -> None:
        """Change settings. Raises BadInput."""
        self.config.update(given)

    def evict(self) -> None:
        """Let every token die, RingCentral's too as far as they are minted here."""
        self.tokens.close_all()
        self.platform.close_all()

    def reset(self) -> None:
        """Begin anew, with the same tokens."""
        self.calls.forget()
        self.raw.forget()
        self.faults.clear()
        self.limits.forget()
        self.platform.forget()
        self.stats.clear()
