"""Who asks the providers for the checks: their APIs, with one credential each."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from legato.app.observed import ANSWER_SECONDS, Observed
from legato.app.ringex import media_host
from legato.app.scratch import ScratchNotes
from legato.clock import SystemClock
from legato.errors import Failed
from legato.ledger.rate_limit import Gate
from legato.model import Priority
from legato.providers.client import web_client
from legato.providers.http_client import Line
from legato.providers.kazoo.api import KazooApi
from legato.providers.log_in import platform_tokens
from legato.providers.ringcx.api import RingcxApi
from legato.providers.ringex.api import ACCOUNT, RingexApi
from legato.providers.ringex.subscriptions import PATH as SUBSCRIPTIONS
from legato.providers.ringex.subscriptions import RingexSubscriptions
from legato.setup.answers import Fault, Seen
from legato.setup.kazoo import Documents
from legato.setup.ringcx import Segment, Window
from legato.setup.stack import Shaken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Clock, Notes, Subscription
    from legato.providers.credentials import Credential
    from legato.tuning import Tuning

PAGE = 200
HANDSHAKES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """How a provider is asked.

    `gate` returns where it is kept what was granted of its rate limits. Before a deployment that is
    this process's own; for a running stack it is the ledger, which all of its functions share.
    """

    gate: Callable[[], Notes] = ScratchNotes
    clock: Clock = field(default_factory=SystemClock)
    sleep: Callable[[float], None] = time.sleep
    transport: httpx.BaseTransport | None = None


class _Platform:
    """One user of one app at RingCentral."""

    def __init__(self, credential: Credential, platform: str, tuning: Tuning, through: Through):
        self.jwt = credential.jwt
        self.platform = platform
        self._credential = credential
        self._notes = through.gate()
        self._observed = Observed(through.transport)
        gate = Gate(self._notes, through.clock, limits=tuning.ringex_limits, sleep=through.sleep)
        line = Line(gate, through.clock, transport=self._observed)
        self._tokens = platform_tokens(
            line, httpx.URL(platform), self._notes, through.clock, sleep=through.sleep
        )

    @property
    def seen(self) -> Seen | None:
        return self._observed.seen

    def log_in(self) -> Json:
        _, told = self._tokens.token_and_facts(self._credential)
        return told

    def _secret(self) -> Json:
        one = self._credential
        return {"clientId": one.client_id, "clientSecret": one.client_secret, "jwt": one.jwt}


class AskedRingex(_Platform):
    """RingEX as one user sees it."""

    def __init__(self, credential: Credential, platform: str, tuning: Tuning, through: Through):
        super().__init__(credential, platform, tuning, through)
        self._api = RingexApi(
            platform=platform,
            media=media_host(platform),
            credentials=self._secret,
            limits=tuning.ringex_limits,
            notes=self._notes,
            clock=through.clock,
            sleep=through.sleep,
            transport=self._observed,
        )

    def account(self) -> str:
        name = self._get(ACCOUNT, {}).get("id")
        if not name or not isinstance(name, int | str):
            raise Failed(f"{ACCOUNT} has no `id`")
        return str(name)

    def recorded(self, *, since: str, most: int) -> Sequence[Json]:
        params = {"view": "Simple", "recordingType": "All", "dateFrom": since, "perPage": most}
        return _objects(self._get(f"{ACCOUNT}/call-log", params).get("records"))

    def other_host(self, address: str) -> str | None:
        return self._api.other_host(address)

    def begin(self, address: str) -> int:
        return _begun(self._api.stream(address, priority=Priority.RESERVED))

    def subscriptions(self) -> int:
        return len(_objects(self._get(SUBSCRIPTIONS, {}).get("records")))

    def webhooks(self) -> Sequence[Subscription]:
        return RingexSubscriptions(self._api).list()

    def _get(self, path: str, params: Json) -> Json:
        return self._api.get(path, params, priority=Priority.RESERVED)


class AskedRingcx(_Platform):
    """RingCX as one user sees it."""

    def __init__(
        self,
        credential: Credential,
        platform: str,
        tuning: Tuning,
        through: Through,
        *,
        url: str,
        account: str,
    ):
        super().__init__(credential, platform, tuning, through)
        self.account = account
        self._api = RingcxApi(
            platform=platform,
            url=url,
            prefix=tuning.ringcx_prefix,
            account=account,
            time_zone=tuning.ringcx_time_zone,
            credentials=self._secret,
            limits=tuning.ringcx_limits,
            notes=self._notes,
            clock=through.clock,
            sleep=through.sleep,
            transport=self._observed,
        )

    def sub_accounts(self) -> Sequence[Json]:
        return self._api.accounts()

    def window(self, sub_account: str, *, begin: datetime, seconds: int) -> Window:
        rows = _objects(
            self._api.interactions(
                sub_account, begin=begin, seconds=seconds, priority=Priority.RESERVED
            )
        )
        voice = [row for row in rows if row.get("channelClass") == "VOICE"]
        recorded = [row for row in voice if row.get("hasRecording") is True]
        names = [
            (row.get("dialogId"), row.get("segmentId") or row.get("segmentID")) for row in recorded
        ]
        segments = [Segment(str(dialog), str(name)) for dialog, name in names if dialog and name]
        return Window(len(voice), segments)

    def begin(self, sub_account: str, segment: Segment) -> int:
        return _begun(self._api.stream(sub_account, *segment, priority=Priority.RESERVED))


class AskedKazoo:
    """Kazoo as one credential sees it."""

    def __init__(self, secret: Mapping[str, Any], url: str, tuning: Tuning, through: Through):
        self.url = url
        self.by_key = bool(secret.get("apiKey"))
        self._observed = Observed(through.transport)
        self._api = KazooApi(
            url=url,
            credentials=lambda: dict(secret),
            limits=tuning.kazoo_limits,
            notes=through.gate(),
            clock=through.clock,
            sleep=through.sleep,
            transport=self._observed,
        )

    @property
    def seen(self) -> Seen | None:
        return self._observed.seen

    def log_in(self) -> None:
        self._api.log_in()

    def recorded(
        self, account: str, user: str | None, *, begin: datetime, end: datetime
    ) -> Documents:
        page = self._api.recordings(
            account,
            user=user,
            created_from=begin,
            created_to=end,
            page_size=PAGE,
            priority=Priority.RESERVED,
        )
        ids = [str(one["id"]) for one in _objects(page.documents) if one.get("id")]
        return Documents(ids, page.next_start_key is not None)

    def below(self, account: str) -> int:
        return len(self._api.descendants(account))

    def begin(self, account: str, recording: str) -> int:
        return _begun(self._api.stream(account, recording, priority=Priority.RESERVED))


def shake_hands(address: str, transport: httpx.BaseTransport | None = None) -> Shaken:
    """Shake hands with a webhook as RingCentral does; the second time counts, when it is warm."""
    observed = Observed(transport)
    echoed, seconds = False, 0.0
    with web_client(transport=observed, timeout=ANSWER_SECONDS) as client:
        for _ in range(HANDSHAKES):
            token, began = str(uuid.uuid4()), time.monotonic()
            try:
                answer = client.post(address, headers={"Validation-Token": token})
            except (httpx.HTTPError, httpx.InvalidURL):
                echoed = False
            else:
                echoed = answer.headers.get("validation-token") == token
            seconds = time.monotonic() - began
    seen = observed.seen or Seen(host=address, path="", fault=Fault.BROKEN)
    return Shaken(seen=seen, echoed=echoed, seconds=seconds)


def _objects(listed: object) -> list[Json]:
    entries = listed if isinstance(listed, list) else []
    return [one for one in entries if isinstance(one, dict)]


def _begun(opened: AbstractContextManager[Iterator[bytes]]) -> int:
    """Return the length of the first piece; the rest is not waited for."""
    with opened as pieces:
        return len(next(pieces, b""))
