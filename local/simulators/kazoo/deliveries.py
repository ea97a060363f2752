"""What the webhooks are told, once: `{id, account_id, action, type, cluster_id}`.

Rules: applications/webhooks/src/webhooks_util.erl and modules/webhooks_object.erl of
https://github.com/2600hz/kazoo. Only a line that breaks makes it try again.
"""

from __future__ import annotations

import asyncio
import heapq
import json
from itertools import count
from urllib.parse import urlencode

import httpx

from local.simulators.faults import Sleep
from local.simulators.kazoo.calls import Recording
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.stats import Stats
from local.simulators.kazoo.tokens import CLUSTER
from local.simulators.kazoo.webhooks import TYPE, Hook, Webhooks
from local.simulators.settings import Json
from local.simulators.times import Clock

CREATED, EDITED, DELETED = "doc_created", "doc_edited", "doc_deleted"
_RETRY_SECONDS = 2


class Deliveries:
    """Sends each event to the webhooks that want it, all at once."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        stats: Stats,
        webhooks: Webhooks,
        *,
        sleep: Sleep,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._stats = stats
        self._webhooks = webhooks
        self._sleep = sleep
        self._http = httpx.AsyncClient(transport=transport, trust_env=False)
        self._later: list[tuple[float, int, str, Recording]] = []
        self._order = count()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pending(self) -> int:
        """Return how many events wait for their time."""
        return len(self._later)

    def expect(self, recording: Recording) -> None:
        """Tell of a recording when its document is saved and when its audio is stored."""
        self.announce(CREATED, recording, at=recording.saved_at)
        # 4.3 says nothing more when the audio goes into its own database, and either version when
        # it has arrived elsewhere.
        if recording.version == "master" and recording.storage is None:
            self.announce(EDITED, recording, at=recording.ready_at)

    def announce(self, action: str, recording: Recording, *, at: float) -> None:
        """Tell of what was done to a document when the clock shows `at`."""
        heapq.heappush(self._later, (at, next(self._order), action, recording))

    def pump(self) -> None:
        """Send what has become due."""
        while self._later and self._later[0][0] <= self._clock():
            _, _, action, recording = heapq.heappop(self._later)
            for hook in self._webhooks.all():
                if hook.wants(recording.account, action, self._config):
                    task = asyncio.create_task(self._deliver(hook, _event(action, recording)))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def drain(self) -> None:
        """Wait until everything that is due was sent and answered, or given up."""
        self.pump()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def forget(self) -> None:
        """Drop what was not sent yet."""
        self._later.clear()

    async def aclose(self) -> None:
        """Close the lines to the webhooks."""
        await self._http.aclose()

    async def _deliver(self, hook: Hook, event: Json) -> None:
        for retries_left in range(hook.settings["retries"], -1, -1):
            if not hook.is_on:
                return
            self._stats.webhooks += 1
            try:
                answer = await self._http.send(_request(hook, event, self._config.webhook_seconds))
            except httpx.TransportError:
                self._stats.answers["unreachable"] += 1
                self._failed(hook)
                if retries_left:
                    await self._sleep(_RETRY_SECONDS)
                continue
            self._stats.answers[str(answer.status_code)] += 1
            if not self._is_success(hook, answer.status_code):
                self._failed(hook)
            return

    def _is_success(self, hook: Hook, status: int) -> bool:
        created = self._config.version == "master" and hook.settings["http_verb"] == "put"
        return status == 200 or (created and status == 201)

    def _failed(self, hook: Hook) -> None:
        if hook.failed(self._clock()):
            self._stats.disabled += 1


def _event(action: str, recording: Recording) -> Json:
    return {
        "id": recording.id,
        "account_id": recording.account,
        "action": action,
        "type": TYPE,
        "cluster_id": CLUSTER,
    }


def _request(hook: Hook, event: Json, seconds: float) -> httpx.Request:
    settings = hook.settings
    own = settings.get("custom_data", {})
    payload = event | {k: v for k, v in own.items() if k not in ("type", "action")}
    headers = {"X-Hook-ID": hook.id, "X-Account-ID": event["account_id"]}
    timeout = httpx.Timeout(seconds).as_dict()
    verb = settings["http_verb"].upper()
    uri = httpx.URL(settings["uri"])
    if verb == "GET":
        return httpx.Request(
            verb,
            uri.copy_merge_params(payload),
            headers=headers,
            extensions={"timeout": timeout},
        )
    if settings["format"] == "json":
        kind, content = "application/json", json.dumps(payload)
    else:
        kind, content = "application/x-www-form-urlencoded", urlencode(payload)
    headers["Content-Type"] = kind
    return httpx.Request(
        verb, uri, content=content, headers=headers, extensions={"timeout": timeout}
    )
