"""Put RingEX together: the call log behind the gate, the tail, the keeper's subscription."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from legato.app.part import credential_ids, processing, windows
from legato.aws.secret import FRESH_SECONDS
from legato.discovery.subscription import Keeper
from legato.discovery.sweep import sweep
from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.errors import Failed
from legato.ledger.listings import backfill_key
from legato.operations.backfill import Allowance, Backfill, check_days
from legato.operations.overview import Followed
from legato.providers.credentials import read_credentials
from legato.providers.ringex.account import RingexAccount
from legato.providers.ringex.api import RingexApi
from legato.providers.ringex.provider import Ringex, RingexSource
from legato.providers.ringex.recorded import RingexRecorded
from legato.providers.ringex.retention import RingexRetention, known_retention
from legato.providers.ringex.subscriptions import RingexSubscriptions, first_user, shake_hands
from legato.providers.ringex.tail import RingexTail
from legato.providers.ringex.tailed import TailedRingex
from legato.settings import Limit
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from legato.app.adapters import Adapters
    from legato.ingest.ports import Ports
    from legato.model import Json

LATE = timedelta(minutes=15)
"""A tail that was not read for so long needs a person."""
PROCESSORS_SWEEP = timedelta(seconds=60)
"""How long a processor reads the tail before it sees to its calls."""
SAMPLE_PAGES = 3
SLICE = timedelta(minutes=5)
"""A page of a backfill has a thousand calls, and somebody's machine may be far from AWS."""
_PLATFORM = "://platform."


class RingexPart:
    """RingEX in one stack. There is one call log for the company."""

    def __init__(self, made: Adapters) -> None:
        self._made = made
        self._config, self._tuning = made.config, made.config.tuning

    def sweeper(self) -> partial[SweepAllReport]:
        """Return who sweeps RingEX; without a tail if it is not used."""
        made = self._made
        return partial(
            sweep_all,
            provider=Ringex.name,
            tails=lambda _: [self._tail] if self._config.use_ringex else [],
            jobs=made.jobs(Ringex.name),
            notes=made.ledger,
            clock=made.clock,
            settle=self._config.ringex_settle_seconds,
            rest=timedelta(seconds=self._tuning.ringex_tail_seconds),
            retention=RingexRetention(self._api, made.ledger, made.clock),
        )

    def processing(self) -> Ports:
        return processing(
            self._made,
            self._provider(),
            identified=self._account.identified,
            policy=self._policy(),
            max_seconds=int(self._tuning.max_audio_hours * 3600),
        )

    def source(self) -> RingexSource:
        return RingexSource(self._api)

    def recorded(self, *, begin: datetime, end: datetime) -> list[RingexRecorded]:
        if not self._config.use_ringex:
            return []
        kept = known_retention(self._made.ledger)
        return [RingexRecorded(self._api, self._account, begin=begin, end=end, kept=kept)]

    def backfill(
        self, *, begin: datetime, end: datetime | None = None, sources: Sequence[str] = ()
    ) -> Backfill:
        del sources  # there is one call log for the company
        made, now = self._made, self._made.clock.now()
        check_days(begin, end, now=now)
        if not self._config.use_ringex:
            raise Failed("the stack does not use RingEX: deploy it with UseRingex=true")
        users = len(read_credentials(made.credentials.part(Ringex.name), Ringex.name))
        heavy = [
            Limit(limit.calls * users, limit.seconds)
            for limit in self._tuning.ringex_limits["Heavy"]
        ]
        stretch = RingexRecorded(
            self._api,
            self._account,
            begin=begin,
            end=min(end or now, now),
            kept=known_retention(made.ledger),
            key=backfill_key(begin, end),
            overlap=timedelta(hours=self._tuning.max_call_hours),
            behind=True,
        )
        return Backfill(
            provider=Ringex.name,
            stretches=[stretch],
            limit=end,
            jobs=made.jobs(Ringex.name),
            notes=made.ledger,
            clock=made.clock,
            sleep=time.sleep,
            settle_seconds=self._config.ringex_settle_seconds,
            listing=Allowance(group="Heavy", limits=heavy),
            fetching=Allowance(group="Heavy", limits=heavy),
            sample_pages=SAMPLE_PAGES,
            bytes_a_second=4000,
            sound="MP3 at 32 kbit/s",
            slice=SLICE,
        )

    def followed(self, secret: Mapping[str, Json]) -> Followed | None:
        if not self._config.use_ringex:
            return None
        made, policy = self._made, self._policy()
        kept, limits = known_retention(made.ledger), self._tuning.ringex_limits
        return Followed(
            provider=Ringex.name,
            tails=[self._tail.key],
            kept_days={self._tail.watch: kept / timedelta(days=1)},
            late=LATE,
            usual=policy.usual,
            longest=policy.longest,
            jobs=made.jobs(Ringex.name),
            dead_letters=made.dead_letters(Ringex.name),
            gates=windows(
                {f"ringex#{name}": limits for name in credential_ids(secret, Ringex.name)}
            ),
        )

    def keeper(self, address: str) -> Keeper:
        """Return who looks after the subscription of the webhook at this address."""
        made, tuning = self._made, self._tuning
        return Keeper(
            subscriptions=RingexSubscriptions(self._api_of(first_user)),
            tokens=made.inbound_tokens,
            warm=shake_hands,
            notes=made.ledger,
            clock=made.clock,
            address=address,
            seconds=tuning.ringex_subscription_seconds,
            token_age=timedelta(days=tuning.ringex_token_days),
            settles=timedelta(seconds=2 * FRESH_SECONDS),
        )

    @cached_property
    def _api(self) -> RingexApi:
        return self._api_of(lambda ringex: ringex)

    @cached_property
    def _account(self) -> RingexAccount:
        return RingexAccount(self._api, self._made.ledger)

    @cached_property
    def _tail(self) -> RingexTail:
        return RingexTail(
            self._api,
            self._account,
            self._made.clock,
            first=timedelta(hours=self._tuning.ringex_sweep_hours),
            overlap=timedelta(hours=self._tuning.max_call_hours),
        )

    def _api_of(self, users: Callable[[Json], Json]) -> RingexApi:
        """Return RingCentral behind the gate that all functions share; `users` picks some."""
        made = self._made
        return RingexApi(
            platform=self._tuning.ringex_url,
            media=media_host(self._tuning.ringex_url),
            credentials=lambda: users(made.credentials.part(Ringex.name, fresh=True)),
            limits=self._tuning.ringex_limits,
            notes=made.ledger,
            clock=made.clock,
        )

    def _provider(self) -> TailedRingex:
        """Return RingCentral, whose calls are found by the tail."""
        made, tuning = self._made, self._tuning
        jobs, settle = made.jobs(Ringex.name), self._config.ringex_settle_seconds
        return TailedRingex(
            Ringex(self._api, made.ledger, max_call_hours=tuning.max_call_hours),
            made.ledger,
            made.clock,
            sweep=lambda: sweep(
                tail=self._tail,
                jobs=jobs,
                notes=made.ledger,
                clock=made.clock,
                until=made.clock.now() + PROCESSORS_SWEEP,
                settle=settle,
                rest=timedelta(seconds=tuning.ringex_tail_seconds),
            ),
            patience=timedelta(seconds=max(settle, tuning.ringex_log_lag_seconds)),
            max_call=timedelta(hours=tuning.max_call_hours),
        )

    def _policy(self) -> Policy:
        config, tuning = self._config, self._tuning
        return Policy(
            settle=config.ringex_settle_seconds,
            ladder=tuning.ringex_ladder_seconds,
            named_ladder=tuning.ringex_named_ladder_seconds,
            ongoing=tuning.ongoing_seconds,
            max_call=tuning.max_call_hours * 3600,
            max_attempts=tuning.max_attempts,
            retry=tuning.retry_seconds,
            max_leg_bytes=tuning.max_leg_bytes,
            storage_class=config.ringex_storage_class,
            delete_at_source=Ringex.name in config.delete_at_source,
        )


def media_host(platform: str) -> str:
    """Return the address of the host that hands out recordings, by that of the API.

    https://developers.ringcentral.com/guide/basics/media. What is not called `platform`, as the
    simulator, serves both.
    """
    return platform.replace(_PLATFORM, "://media.", 1)
