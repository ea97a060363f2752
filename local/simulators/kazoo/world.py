"""Everything that the simulator holds, put together once."""

from __future__ import annotations

import asyncio
import time

import httpx

from local.simulators.faults import Sleep
from local.simulators.kazoo.buckets import Buckets
from local.simulators.kazoo.calls import CallOrder, Calls, placed
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.faults import Faults
from local.simulators.kazoo.raw import RawDocuments
from local.simulators.kazoo.stats import Stats
from local.simulators.kazoo.storage import Storage
from local.simulators.kazoo.tokens import Tokens
from local.simulators.settings import Json
from local.simulators.times import Clock


class World:
    """One Kazoo with its accounts."""

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
        self.buckets = Buckets(config, clock, self.stats)
        self.tokens = Tokens(config, clock)
        self.calls = Calls(config, clock)
        self.raw = RawDocuments(clock, self.calls)
        self.storage = Storage(config, clock, self.stats, transport=transport)
        self.faults = Faults(self.stats, clock, sleep)

    def place(self, order: CallOrder) -> Json:
        """Let a call have happened, with all that follows. Return its ids. Raises BadInput."""
        account, interaction, recordings = self.calls.place(order)
        for recording in recordings:
            self.storage.expect(recording)
        return placed(account, interaction, recordings)

    def pump(self) -> None:
        """Store what has become due."""
        self.storage.pump()

    async def drain(self) -> None:
        """Wait until everything that is due was tried."""
        await self.storage.drain()

    async def aclose(self) -> None:
        """Close the lines to everybody else."""
        await self.storage.aclose()

    def configure(self, given: Json) -> None:
        """Change settings. Raises BadInput."""
        self.config.update(given)

    def evict(self) -> None:
        """Let every token die."""
        self.tokens.close_all()

    def reset(self) -> None:
        """Begin anew, with the same tokens."""
        self.calls.forget()
        self.raw.forget()
        self.storage.forget()
        self.faults.clear()
        self.buckets.forget()
        self.stats.clear()
