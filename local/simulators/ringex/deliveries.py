"""Notifications on their way to the webhooks: many at once, in no promised order, some twice.

Nothing is ever sent a second time because it failed: no retry is documented. A webhook that keeps
failing is blacklisted: https://developers.ringcentral.com/guide/notifications/webhooks/troubleshooting.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import random
import uuid
from collections import deque
from dataclasses import dataclass
from itertools import count

import httpx

from local.simulators.ringex import webhooks
from local.simulators.ringex.calls import CallSession
from local.simulators.ringex.config import Config
from local.simulators.ringex.notifications import Change, body_of, wants
from local.simulators.ringex.stats import Stats
from local.simulators.ringex.subscriptions import Subscription, Subscriptions
from local.simulators.settings import Json
from local.simulators.times import Clock, write


@dataclass(frozen=True, slots=True)
class Notification:
    """One request to one webhook."""

    subscription: Subscription
    content: bytes


type Lane = deque[Notification]
"""Notifications that follow each other: without shuffling, those of one call to one webhook."""


class Deliveries:
    """Sends what is posted, with as many workers as the configuration says."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        stats: Stats,
        subscriptions: Subscriptions,
        transport: httpx.AsyncBaseTransport,
    ) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._subscriptions = subscriptions
        self._transport = transport
        self._random = random.Random(config.seed)  # repeatable  # nosec B311
        self._lanes: deque[Lane] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._later: list[tuple[float, int, CallSession, list[Change]]] = []
        self._order = count()

    @property
    def pending(self) -> int:
        """Return how many wait to be sent."""
        return sum(map(len, self._lanes)) + sum(len(changes) for *_, changes in self._later)

    def reseed(self) -> None:
        """Begin the shuffling and duplicating anew from the configured seed."""
        self._random = random.Random(self._config.seed)  # repeatable  # nosec B311

    def announce(self, session: CallSession, changes: list[Change]) -> int:
        """Send these changes to all who subscribed. Return how many notifications that is."""
        lanes: dict[str, Lane] = {}
        for change in changes:
            body = body_of(session, change)
            for subscription in self._subscriptions.living():
                live = [f for f in subscription.filters if f not in subscription.disabled]
                event = next((f for f in live if wants(f, change.party)), None)
                if event is not None:
                    notification = self._envelope(subscription, event, body)
                    lanes.setdefault(subscription.id, deque()).append(notification)
        return self._post([lane for lane in lanes.values() if lane])

    def announce_later(self, at: float, session: CallSession, changes: list[Change]) -> None:
        """Send these changes when the clock shows `at`."""
        heapq.heappush(self._later, (at, next(self._order), session, changes))

    def pump(self) -> None:
        """Send what has become due."""
        while self._later and self._later[0][0] <= self._clock():
            _, _, session, changes = heapq.heappop(self._later)
            self.announce(session, changes)

    async def drain(self) -> None:
        """Wait until everything that is due was sent and answered."""
        while self._workers:
            await asyncio.wait(self._workers)

    def forget(self) -> None:
        """Drop what was not sent yet."""
        self._lanes.clear()
        self._later.clear()

    def _envelope(self, subscription: Subscription, event: str, body: Json) -> Notification:
        envelope = {
            "uuid": str(uuid.uuid4()),
            "event": event.partition("?")[0],
            "timestamp": write(self._clock()),
            "subscriptionId": subscription.id,
            "ownerId": subscription.user,
            "body": body,
        }
        return Notification(subscription, json.dumps(envelope, separators=(",", ":")).encode())

    def _post(self, lanes: list[Lane]) -> int:
        sent = sum(map(len, lanes))
        for lane in lanes:
            # A repeated one has the same uuid, and comes whenever it comes.
            again = [n for n in lane if self._random.random() < self._config.duplicate_share]
            self._stats.duplicates += len(again)
            sent += len(again)
            self._lanes.extend(deque([each]) for each in again)
            if self._config.shuffle:
                self._lanes.extend(deque([each]) for each in lane)
            else:
                self._lanes.append(lane)
        while len(self._workers) < min(self._config.deliveries_at_once, len(self._lanes)):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return sent

    async def _work(self) -> None:
        # Let the others post first, so that there is something to shuffle.
        await asyncio.sleep(0)
        while self._lanes:
            if self._config.shuffle:
                self._lanes.rotate(self._random.randrange(len(self._lanes)))
            lane = self._lanes.popleft()
            await self._deliver(lane.popleft())
            if lane:
                # In front again: the call that began first is told first.
                self._lanes.appendleft(lane)

    async def _deliver(self, notification: Notification) -> None:
        subscription = notification.subscription
        if subscription.blacklisted_at is not None or subscription not in (
            self._subscriptions.living()
        ):
            self._stats.dropped += 1
            return
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json; charset=UTF-8",
        }
        if subscription.token is not None:
            headers["Verification-Token"] = subscription.token
        self._stats.notifications += 1
        try:
            answer = await webhooks.post(
                self._transport,
                subscription.address,
                notification.content,
                headers,
                seconds=self._config.handshake_seconds,
            )
        except webhooks.Unreachable as error:
            self._stats.answers["unreachable"] += 1
            self._failed(subscription, str(error))
            return
        self._stats.answers["oversize" if answer.oversize else str(answer.status)] += 1
        if answer.oversize:
            self._failed(subscription, webhooks.OVERSIZE)
        elif not 200 <= answer.status < 300:
            self._failed(
                subscription,
                f"Webhook responses with code: [{answer.status}], reason: [{answer.phrase}]",
            )
        else:
            subscription.failing_since = None

    def _failed(self, subscription: Subscription, reason: str) -> None:
        now = self._clock()
        if subscription.failing_since is None:
            subscription.failing_since = now
        patience = self._config.blacklist_seconds
        if patience is not None and now - subscription.failing_since >= patience:
            subscription.blacklisted_at = now
            subscription.reason = reason
