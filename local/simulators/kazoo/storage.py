"""Storing audio outside of Kazoo when it is ready: tried again and again, then given up.

Rules: store_file of core/kazoo/src/kz_storage.erl tries five times; `storage_retry_times` of
media_recording.erl and kzc_recording.erl are further rounds of that
(https://github.com/2600hz/kazoo).
"""

from __future__ import annotations

import asyncio
import heapq
import random
from dataclasses import dataclass
from itertools import count

import httpx

from local.simulators.audio import Audio, Given
from local.simulators.kazoo.calls import PlanOrder, PushOrder, Recording
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.plan import Plans
from local.simulators.kazoo.problems import Problem
from local.simulators.kazoo.push import Pushes
from local.simulators.kazoo.stats import Stats
from local.simulators.times import Clock

_TRIES = 5
_ROUNDS = 1 + 5


@dataclass(slots=True, kw_only=True)
class Job:
    """A recording on its way."""

    recording: Recording
    tries: int = 0


class Storage:
    """Brings each recording to where its order says, all at once."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        stats: Stats,
        *,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._http = httpx.AsyncClient(transport=transport, trust_env=False)
        self._pushes = Pushes(config, stats, self._http)
        self.plans = Plans(clock, stats)
        self._later: list[tuple[float, int, Job]] = []
        self._order = count()
        self._random = random.Random(1)  # repeatable  # nosec B311
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Return how many recordings wait for their time, or are under way."""
        return len(self._later) + len(self._tasks)

    def expect(self, recording: Recording) -> None:
        """Store a recording when its audio is ready, which its document always is before."""
        if recording.storage is not None:
            self._wait(Job(recording=recording), until=recording.ready_at)

    def pump(self) -> None:
        """Begin what has become due."""
        while self._later and self._later[0][0] <= self._clock():
            _, _, job = heapq.heappop(self._later)
            task = asyncio.create_task(self._store(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until everything that is due was tried."""
        self.pump()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def forget(self) -> None:
        """Drop what was not stored yet."""
        self._later.clear()

    async def aclose(self) -> None:
        """Close the lines to the web servers."""
        await self._http.aclose()

    async def audio(self, recording: Recording) -> Audio | None:
        """Return what Kazoo hands out, None while it is not stored. Raises Problem."""
        if not recording.is_stored(self._clock()):
            return None
        order, place = recording.storage, recording.place
        if order is None or order.keeps or place is None:
            return recording.audio
        if isinstance(order, PushOrder):
            content = await self._pushes.get(place)
        else:
            content = await self.plans.get(order, place)
        if not content:
            # Which status an attachment handler's error becomes is not known:
            # crossbar_doc:load_attachment/4 says "returns 500 or 503".
            raise Problem(503, "datastore_fault")
        return Given(content)

    async def _store(self, job: Job) -> None:
        recording = job.recording
        match recording.storage:
            case PushOrder() as push:
                recording.place = await self._pushes.put(push, recording)
            case PlanOrder() as plan:
                recording.place = await self.plans.put(plan, recording)
        if recording.place is None:
            self._again(job)

    def _again(self, job: Job) -> None:
        pushed = isinstance(job.recording.storage, PushOrder)
        tally = self._stats.pushes if pushed else self._stats.plans
        job.tries += 1
        if job.tries == _TRIES * _ROUNDS:
            tally.given_up += 1
            return
        tally.retried += 1
        seconds = self._config.push_retry_seconds
        if job.tries % _TRIES == 0:
            seconds = self._config.push_outer_retry_seconds * self._random.randint(1, 10)
        self._wait(job, until=self._clock() + seconds)

    def _wait(self, job: Job, *, until: float) -> None:
        heapq.heappush(self._later, (until, next(self._order), job))
