"""Put RingCX together: its API behind the gate, the tails of its sub-accounts, the backfill."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from legato.app.part import (
    AT_ONCE,
    JOB_SECONDS,
    LATE,
    check_sources,
    credential_ids,
    processing,
    windows,
)
from legato.discovery.accounts import Accounts
from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.errors import Failed, Refused
from legato.ledger.accounts import ours
from legato.ledger.listed_accounts import listed_accounts
from legato.ledger.listings import backfill_key
from legato.operations.backfill import Allowance, Backfill, check_days
from legato.operations.overview import Followed
from legato.providers.ringcx.api import RingcxApi
from legato.providers.ringcx.provider import Ringcx
from legato.providers.ringcx.recorded import RingcxRecorded
from legato.providers.ringcx.retention import RingcxRetention, known_days
from legato.providers.ringcx.tail import LONGEST, RingcxTail, watch_name
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.app.adapters import Adapters
    from legato.ingest.ports import Ports
    from legato.model import Json
    from legato.ports import Clock
    from legato.tuning import Tuning

ALL = "*"
OVERLAP = timedelta(minutes=10)
LEAST_BYTES_A_SECOND = 1000
"""No codec of telephony takes less."""


class RingcxPart:
    """RingCX in one stack, used if it has any sub-accounts."""

    def __init__(self, made: Adapters) -> None:
        self._made = made
        self._config, self._tuning = made.config, made.config.tuning

    def sweeper(self) -> partial[SweepAllReport]:
        """Return who sweeps RingCX; without tails if it is not used."""
        made = self._made
        return partial(
            sweep_all,
            provider=Ringcx.name,
            tails=lambda ask: self._tails(self._accounts.followed(ask=ask)),
            jobs=made.jobs(Ringcx.name),
            notes=made.ledger,
            clock=made.clock,
            settle=JOB_SECONDS,
            retention=RingcxRetention(
                self._api,
                made.ledger,
                made.clock,
                sub_accounts=self._accounts.followed,
                otherwise=self._tuning.ringcx_retention_days,
            ),
            at_once=AT_ONCE,
        )

    def processing(self) -> Ports:
        made, tuning = self._made, self._tuning
        return processing(
            made,
            Ringcx(
                self._api,
                made.ledger,
                made.clock,
                settle=timedelta(minutes=tuning.ringcx_settle_minutes),
                otherwise=tuning.ringcx_retention_days,
            ),
            identified=ours(self._accounts.followed, made.ledger),
            policy=self._policy(),
            # Bytes are the limit: there is no scratch disk that a long segment could fill.
            max_seconds=tuning.ringcx_max_segment_bytes // LEAST_BYTES_A_SECOND,
        )

    def source(self) -> None:
        """Return nobody: RingCX deletes nothing that it is asked to."""

    def recorded(
        self,
        *,
        begin: datetime,
        end: datetime,
        key: str = "#recorded",
        margin: timedelta = LONGEST,
        sources: Sequence[str] = (),
    ) -> list[RingcxRecorded]:
        """Return who says what was recorded in this time, by sub-account, or by each of these."""
        kept = self._kept_days(sources or self._accounts.followed())
        return [
            RingcxRecorded(
                self._api,
                self._made.clock,
                sub_account=name,
                begin=begin,
                end=end,
                lag=timedelta(minutes=self._tuning.ringcx_settle_minutes),
                overlap=OVERLAP,
                kept=timedelta(days=days),
                key=key,
                margin=margin,
            )
            for name, days in kept.items()
        ]

    def backfill(
        self, *, begin: datetime, end: datetime | None = None, sources: Sequence[str] = ()
    ) -> Backfill:
        made, tuning = self._made, self._tuning
        if not self._config.ringcx_sub_account_ids:
            raise Failed("the stack does not use RingCX: deploy it with RingcxSubAccountIds")
        now = made.clock.now()
        check_days(begin, end, now=now)
        lag = timedelta(minutes=tuning.ringcx_settle_minutes)
        if begin + timedelta(seconds=1) > now - lag:
            minutes = f"{tuning.ringcx_settle_minutes:g}"
            raise Refused(f"nothing is ready yet: segments are left alone for {minutes} min")
        known = self._accounts.followed()
        check_sources(sources, known, called="sub-account")
        made.credentials.value()  # who may not read it should know at once
        stretches = self.recorded(
            sources=tuple(dict.fromkeys(sources)) or known,
            begin=begin,
            end=end or now,
            key=backfill_key(begin, end),
            margin=timedelta(),
        )
        return Backfill(
            provider=Ringcx.name,
            stretches=stretches,
            limit=end,
            jobs=made.jobs(Ringcx.name),
            notes=made.ledger,
            clock=made.clock,
            sleep=time.sleep,
            settle_seconds=JOB_SECONDS,
            listing=Allowance(group="Metadata", limits=tuning.ringcx_limits["Metadata"]),
            fetching=Allowance(group="Recordings", limits=tuning.ringcx_limits["Recordings"]),
            sample_pages=0,  # three hours say nothing of the others, and cost a minute and a half
            bytes_a_second=2 * 2 * 8000,
            sound="two channels of PCM16 at 8 kHz",
        )

    def followed(self, secret: Mapping[str, Json]) -> Followed | None:
        if not self._config.ringcx_sub_account_ids:
            return None
        made, policy, limits = self._made, self._policy(), self._tuning.ringcx_limits
        names = self._accounts.followed()
        metadata, recordings = ({group: limits[group]} for group in ("Metadata", "Recordings"))
        gates = {f"ringcx#{name}": metadata for name in names}
        gates |= {f"ringcx#{name}": recordings for name in credential_ids(secret, Ringcx.name)}
        return Followed(
            provider=Ringcx.name,
            tails=[tail.key for tail in self._tails(names)],
            kept_days={watch_name(name): kept for name, kept in self._kept_days(names).items()},
            accounts=listed_accounts(Ringcx.name, made.ledger),
            late=LATE,
            usual=policy.usual,
            longest=policy.longest,
            jobs=made.jobs(Ringcx.name),
            dead_letters=made.dead_letters(Ringcx.name),
            gates=windows(gates),
        )

    @cached_property
    def _api(self) -> RingcxApi:
        """RingCX behind the gate that all functions share."""
        made, tuning = self._made, self._tuning
        return RingcxApi(
            platform=self._tuning.ringex_url,
            url=tuning.ringcx_url,
            prefix=tuning.ringcx_prefix,
            account=tuning.ringcx_account_id,
            time_zone=tuning.ringcx_time_zone,
            credentials=lambda: made.credentials.part(Ringcx.name, fresh=True),
            limits=tuning.ringcx_limits,
            notes=made.ledger,
            clock=made.clock,
        )

    @cached_property
    def _accounts(self) -> Accounts:
        """The sub-accounts that are followed: those that are named, or all that RingCX lists."""
        named = self._config.ringcx_sub_account_ids

        def listed(_: str) -> list[str]:
            return [str(one.get("accountId", "")) for one in self._api.accounts()]

        return Accounts(
            provider=Ringcx.name,
            named=[name for name in named if name != ALL],
            roots=[name for name in named if name == ALL],
            listed=listed,
            notes=self._made.ledger,
            clock=self._made.clock,
        )

    def _tails(self, names: Sequence[str]) -> list[RingcxTail]:
        return tails(self._api, self._made.clock, self._tuning, names)

    def _kept_days(self, names: Sequence[str]) -> dict[str, float]:
        days = known_days(self._made.ledger)
        return {name: days.get(name) or self._tuning.ringcx_retention_days for name in names}

    def _policy(self) -> Policy:
        tuning = self._tuning
        return Policy(
            settle=0,  # the sweep has waited already
            ladder=tuning.ringcx_ladder_seconds[:2],
            named_ladder=tuning.ringcx_ladder_seconds,
            lengths_stated=True,
            max_attempts=tuning.max_attempts,
            retry=tuning.retry_seconds,
            max_leg_bytes=tuning.ringcx_max_segment_bytes,
            storage_class=self._config.ringcx_storage_class,
            apart=True,
            at_once=tuning.ringcx_segments_at_once,
        )


def tails(api: RingcxApi, clock: Clock, tuning: Tuning, names: Sequence[str]) -> list[RingcxTail]:
    """Return the tails of these sub-accounts: what is new first, then the second looks."""
    now = clock.now()
    found = [
        RingcxTail(
            api,
            clock,
            sub_account=name,
            key="",
            first=now - timedelta(hours=tuning.ringcx_sweep_hours),
            lag=timedelta(minutes=tuning.ringcx_settle_minutes),
            overlap=timedelta(minutes=tuning.ringcx_overlap_minutes),
        )
        for name in names
    ]
    for hours in tuning.ringcx_look_again_hours:
        lag = timedelta(hours=hours)
        found += [
            RingcxTail(
                api,
                clock,
                sub_account=name,
                key=f"#again-{hours:g}h",
                first=now - lag,
                lag=lag,
                overlap=OVERLAP,
                least=LONGEST - OVERLAP,
                late=True,
            )
            for name in names
        ]
    return found
