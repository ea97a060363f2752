"""Put Kazoo together: its API behind the gate, the tails of its accounts, their push URLs."""

from __future__ import annotations

import time
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from legato.app.adapters import stitcher
from legato.app.part import AT_ONCE, JOB_SECONDS, LATE, check_sources, processing, windows
from legato.aws.inbox import S3Inbox, announced
from legato.discovery.accounts import Accounts
from legato.discovery.push_addresses import PushAddresses
from legato.discovery.sweep_all import SweepAllReport, sweep_all
from legato.errors import Failed
from legato.ingest.ports import one_job
from legato.ingest.streaming import length_of
from legato.ledger.accounts import ours
from legato.ledger.listed_accounts import listed_accounts
from legato.ledger.listings import backfill_key
from legato.operations.backfill import Allowance, Backfill, check_days
from legato.operations.overview import Followed
from legato.providers.kazoo.api import KazooApi
from legato.providers.kazoo.inbox import CALL, Inbox, job_of
from legato.providers.kazoo.provider import Kazoo, KazooSource
from legato.providers.kazoo.recorded import KazooRecorded
from legato.providers.kazoo.tail import KazooTail
from legato.tuning import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from legato.app.adapters import Adapters
    from legato.ingest.ports import Ports
    from legato.model import Job, Json

BELOW = "/*"
SAMPLE_PAGES = 10


class KazooPart:
    """Kazoo in one stack, used if it has an address.

    A source is an account, or a user as `account/user`.
    """

    def __init__(self, made: Adapters) -> None:
        self._made = made
        self._config, self._tuning = made.config, made.config.tuning

    def sweeper(self) -> partial[SweepAllReport]:
        """Return who sweeps Kazoo; without tails if it is not used."""
        made, days = self._made, self._tuning.kazoo_retention_days
        return partial(
            sweep_all,
            provider=Kazoo.name,
            tails=lambda ask: self._tails(self._accounts.followed(ask=ask)),
            jobs=made.jobs(Kazoo.name),
            notes=made.ledger,
            clock=made.clock,
            settle=JOB_SECONDS,
            retention=lambda watches: dict.fromkeys(watches, days),
            at_once=AT_ONCE,
        )

    def processing(self) -> Ports:
        made, tuning, bucket = self._made, self._tuning, self._config.inbox
        max_seconds = int(tuning.max_audio_hours * 3600)
        inbox = Inbox(
            S3Inbox(made.s3, bucket=bucket),
            self._api,
            made.jobs(Kazoo.name),
            made.ledger,
            made.ledger,
            made.clock,
            accounts=self.accounts,
            length=lambda pieces: length_of(pieces, stitcher(max_seconds)),
            max_bytes=tuning.max_leg_bytes,
        )
        return processing(
            made,
            Kazoo(
                self._api,
                made.ledger,
                made.clock,
                quiet=timedelta(seconds=tuning.kazoo_quiet_seconds),
                inbox=inbox,
            ),
            policy=self._policy(),
            max_seconds=max_seconds,
            read=partial(jobs_of, inbox=bucket),
            identified=ours(self.accounts, made.ledger, unplaced=CALL),
        )

    def source(self) -> KazooSource | None:
        return KazooSource(self._api) if self._config.kazoo_url else None

    def accounts(self) -> tuple[str, ...]:
        """Return the accounts of all sources that are followed. Raises Retry."""
        return accounts_of(self._accounts.followed())

    def recorded(
        self,
        *,
        begin: datetime,
        end: datetime,
        key: str = "#recorded",
        sources: Sequence[str] = (),
    ) -> list[KazooRecorded]:
        """Return who says what was recorded in this time, by source, or by each of these."""
        return [
            KazooRecorded(
                self._api,
                self._made.clock,
                account=account,
                user=user,
                filters=self._tuning.kazoo_filters,
                begin=begin,
                end=end,
                kept=timedelta(days=self._tuning.kazoo_retention_days),
                key=key,
            )
            for account, user in _split(sources or self._accounts.followed())
        ]

    def backfill(
        self, *, begin: datetime, end: datetime | None = None, sources: Sequence[str] = ()
    ) -> Backfill:
        self._must_be_used()
        made, now = self._made, self._made.clock.now()
        check_days(begin, end, now=now)
        check_sources(sources, self._accounts.followed(), called="account")
        made.credentials.value()  # who may not read it should know at once
        stretches = self.recorded(
            sources=tuple(dict.fromkeys(sources)),
            begin=begin,
            end=min(end or now, now),
            key=backfill_key(begin, end),
        )
        requests = Allowance(group="Requests", limits=self._tuning.kazoo_limits["Requests"])
        return Backfill(
            provider=Kazoo.name,
            stretches=stretches,
            limit=end,
            jobs=made.jobs(Kazoo.name),
            notes=made.ledger,
            clock=made.clock,
            sleep=time.sleep,
            settle_seconds=JOB_SECONDS,
            listing=requests,
            fetching=requests,
            sample_pages=SAMPLE_PAGES,
            bytes_a_second=4000,
            sound="MP3 at 32 kbit/s",
        )

    def followed(self, secret: Mapping[str, Json]) -> Followed | None:
        del secret  # its limits count by account
        if not self._config.kazoo_url:
            return None
        made, policy = self._made, self._policy()
        sources, limits = self._accounts.followed(), self._tuning.kazoo_limits
        tails = self._tails(sources)
        return Followed(
            provider=Kazoo.name,
            tails=[tail.key for tail in tails],
            kept_days={tail.watch: self._tuning.kazoo_retention_days for tail in tails},
            accounts=listed_accounts(Kazoo.name, made.ledger),
            late=LATE,
            usual=policy.usual,
            longest=policy.longest,
            jobs=made.jobs(Kazoo.name),
            dead_letters=made.dead_letters(Kazoo.name),
            gates=windows({f"kazoo#{name}": limits for name in accounts_of(sources)}),
        )

    def pushing(self, address: str) -> PushAddresses:
        """Return what push URLs below this address are made of. Raises Failed, Retry."""
        self._must_be_used()
        self._made.inbound_tokens.value()  # who may not read it should know at once
        return PushAddresses(
            tokens=self._made.inbound_tokens, address=address, accounts=self.accounts()
        )

    def _must_be_used(self) -> None:
        config = self._config
        missing = {"KazooUrl": config.kazoo_url, "KazooAccountIds": config.kazoo_account_ids}
        if lacks := [name for name, value in missing.items() if not value]:
            raise Failed(f"the stack does not use Kazoo: deploy it with {' and '.join(lacks)}")

    def _tails(self, sources: Sequence[str]) -> list[KazooTail]:
        first = self._made.clock.now() - timedelta(hours=self._tuning.kazoo_sweep_hours)
        return [
            KazooTail(
                self._api,
                self._made.clock,
                account=account,
                user=user,
                filters=self._tuning.kazoo_filters,
                first=first,
            )
            for account, user in _split(sources)
        ]

    @cached_property
    def _api(self) -> KazooApi:
        """Kazoo behind the gate that all functions share."""
        made = self._made
        return KazooApi(
            url=self._config.kazoo_url,
            credentials=lambda: made.credentials.part(Kazoo.name, fresh=True),
            limits=self._tuning.kazoo_limits,
            notes=made.ledger,
            clock=made.clock,
        )

    @cached_property
    def _accounts(self) -> Accounts:
        """The sources that are followed: those that are named, and all below `account/*`."""
        named = self._config.kazoo_account_ids if self._config.kazoo_url else ()
        return Accounts(
            provider=Kazoo.name,
            named=[source.removesuffix(BELOW) for source in named],
            roots=[source.removesuffix(BELOW) for source in named if source.endswith(BELOW)],
            listed=self._api.descendants,
            notes=self._made.ledger,
            clock=self._made.clock,
        )

    def _policy(self) -> Policy:
        tuning = self._tuning
        return Policy(
            settle=0,  # resolving waits for the quiet time
            ladder=tuning.kazoo_ladder_seconds[:2],
            named_ladder=tuning.kazoo_ladder_seconds,
            lengths_stated=True,
            max_attempts=tuning.max_attempts,
            retry=tuning.retry_seconds,
            max_leg_bytes=tuning.max_leg_bytes,
            storage_class=self._config.kazoo_storage_class,
            delete_at_source=Kazoo.name in self._config.delete_at_source,
        )


def jobs_of(body: str, *, inbox: str = "") -> list[Job]:
    """Return the jobs of a message, be it a job or what S3 says of the `inbox`, the bucket.

    Without its name any bucket's will do. Raises Refused.
    """
    arrivals = announced(body, bucket=inbox)
    if arrivals is None:
        return one_job(body)
    return [job for arrival in arrivals if (job := job_of(arrival)) is not None]


def accounts_of(sources: Sequence[str]) -> tuple[str, ...]:
    """Return the accounts of sources, each once."""
    return tuple(dict.fromkeys(account for account, _ in _split(sources)))


def _split(sources: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the account and the user of each source."""
    for source in sources:
        account, _, user = source.partition("/")
        yield account, user or None
