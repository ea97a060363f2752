"""What each function and command works with, in one stack.

Each method loads what it needs and no more: a function that keeps the access log starts without
any provider.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from legato.app.adapters import Adapters
from legato.app.part import JOB_SECONDS
from legato.app.scratch import ScratchNotes
from legato.aws.clients import client
from legato.errors import Failed, LegatoError, Refused
from legato.model import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from legato.app.kazoo import KazooPart
    from legato.app.ringcx import RingcxPart
    from legato.app.ringex import RingexPart
    from legato.aws.mail import SnsMail
    from legato.discovery.subscription import Keeper
    from legato.evidence.access_log import AccessLog
    from legato.evidence.digest import DigestChain
    from legato.evidence.legal_hold import LegalHolds
    from legato.evidence.timestamp import DailyTimeStamps
    from legato.ingest.ports import Ports
    from legato.model import Json
    from legato.operations.failures import FailedCalls
    from legato.operations.health import HealthReport
    from legato.operations.overview import Overview
    from legato.operations.past import Reconciling
    from legato.operations.removal import Removal
    from legato.ports import Recorded
    from legato.retrieval.restore.event import Completing


NOTES_AT_ONCE = 100
"""So many notes of a list come with one request."""


class App(Adapters):
    """One stack, put together by its configuration."""

    def provider(self, name: str) -> RingexPart | RingcxPart | KazooPart:
        """Return what is put together for a provider. Raises Refused for one that is unknown."""
        match name:
            case "ringex":
                return self.ringex
            case "ringcx":
                return self.ringcx
            case "kazoo":
                return self.kazoo
        raise Refused(f"the providers are {', '.join(PROVIDERS)}, not {name!r}")

    @cached_property
    def ringex(self) -> RingexPart:
        from legato.app.ringex import RingexPart

        return RingexPart(self)

    @cached_property
    def ringcx(self) -> RingcxPart:
        from legato.app.ringcx import RingcxPart

        return RingcxPart(self)

    @cached_property
    def kazoo(self) -> KazooPart:
        from legato.app.kazoo import KazooPart

        return KazooPart(self)

    def processing(self, queue: str) -> Ports:
        """Return what ProcessorFunction needs for the jobs of a queue, which is given by its ARN.

        It is the same as long as the process works for one queue. Raises Refused for a queue that
        is no provider's.
        """
        name = queue.rpartition(":")[2]
        for provider, addresses in self.config.queues.items():
            if addresses.url.rpartition("/")[2] == name:
                if provider not in self._ports:
                    self._ports[provider] = self.provider(provider).processing()
                return self._ports[provider]
        raise Refused(f"{queue} is not the queue of a provider")

    def removals(self, provider: str | None = None) -> list[Removal]:
        """Return what RemoverFunction needs for a provider, or for all that are to delete.

        Raises Refused for one that is not.
        """
        from legato.operations.removal import Removal

        deleting = self.config.delete_at_source
        if provider is not None and provider not in deleting:
            named = ", ".join(deleting) or "nobody"
            raise Refused(f"DeleteAtSource lets {named} delete, not {provider!r}")
        sources = [self.provider(one).source() for one in ([provider] if provider else deleting)]
        return [
            Removal(
                source=source,
                archive=self.archive(),
                ledger=self.ledger,
                notes=self.ledger,
                clock=self.clock,
                sleep=time.sleep,
            )
            for source in sources
            if source is not None
        ]

    def keeper(self) -> Keeper:
        return self.ringex.keeper(self.config.ringex_webhook_url)

    def digest_chain(self) -> DigestChain:
        from legato.aws.signer import KmsSigner
        from legato.evidence.digest import DigestChain

        return DigestChain(
            archive=self.evidence(),
            notes=self.ledger,
            signer=KmsSigner(client("kms"), key_id=self.config.signing_key),
            clock=self.clock,
        )

    def time_stamps(self) -> DailyTimeStamps | None:
        """Return the time stamps of digests, or None if nobody is to be asked for one."""
        from legato.evidence.timestamp import DailyTimeStamps
        from legato.providers.timestamps import TimestampAuthority

        if not self.config.timestamp_authority_url:
            return None
        return DailyTimeStamps(
            authority=TimestampAuthority(self.config.timestamp_authority_url),
            archive=self.evidence(),
            notes=self.ledger,
            clock=self.clock,
        )

    def compare_safeguards(self) -> list[str] | None:
        """Compare the archive's safeguards with what was deployed, as compare does."""
        from legato.aws.safeguards import StackSafeguards
        from legato.evidence.safeguards import compare

        stack = StackSafeguards(
            stack=self.config.stack,
            cloudformation=client("cloudformation"),
            s3=self.s3,
            kms=client("kms"),
        )
        return compare(stack=stack, notes=self.ledger, clock=self.clock)

    def reconciling(self) -> Reconciling:
        """Return what the daily reconciliation needs: of some days, up to yesterday.

        Made anew at each event, since the days go by. It may be called every few minutes: each goes
        on where the last one ended, until there is a report of these days.
        """
        from legato.operations.reconcile import last_days

        begin, end = last_days(self.clock.now(), self.config.tuning.reconcile_days)
        return self._reconciling(begin, end)

    def reconciling_by_hand(
        self,
        *,
        begin: datetime,
        end: datetime,
        providers: Collection[str] = (),
        report_only: bool = False,
    ) -> Reconciling:
        """Return what a person's reconciliation needs; without `providers` it is all that are used.

        Raises Failed if one of them is not used, Retry if the secret cannot be read.
        """
        return replace(
            self._reconciling(begin, min(end, self.clock.now()), providers),
            name="by-hand",
            memory=ScratchNotes(),
            # Of the daily one a day is soon enough: nobody waits for it.
            backlogs={provider: self.jobs(provider) for provider in PROVIDERS},
            report_only=report_only,
        )

    def failed_calls(self, providers: Collection[str] = ()) -> FailedCalls:
        """Return the failed calls of these providers, or of all."""
        from legato.app.kazoo import jobs_of
        from legato.aws.dead_letters import SqsDeadLetters
        from legato.ingest.ports import one_job
        from legato.operations.failures import FailedCalls, FailureSource

        readers = {"kazoo": jobs_of}
        sources = [
            FailureSource(
                provider=name,
                letters=SqsDeadLetters(self.sqs, queue=queue.url, dead_letters=queue.dead_letters),
                jobs_of=readers.get(name, one_job),
            )
            for name, queue in self.config.queues.items()
            if name in (providers or PROVIDERS)
        ]
        return FailedCalls(sources=sources, ledger=self.ledger, notes=self.ledger, clock=self.clock)

    def check_health(self) -> HealthReport:
        """Check what needs a person, as HealthFunction does. Without a topic nobody gets a mail.

        It reads no secret: the windows of the providers' limits are no rule.
        """
        from legato.operations.health import check

        return check(self.overview(windows=False), mail=self._mail(self.config.alarm_topic))

    def overview(self, *, windows: bool = True) -> Overview:
        """Return what `legato status` and HealthFunction look at: no provider is asked anything.

        With the `windows` of the providers' limits the secret is read, which names the credentials;
        where that cannot be, they are unknown. Raises Retry.
        """
        from legato.aws.ledger import DynamoLedger
        from legato.aws.library import S3Library
        from legato.operations.overview import Overview

        ledger = DynamoLedger(client("dynamodb"), table=self.config.table, at_once=NOTES_AT_ONCE)
        unknown: dict[str, LegatoError] = {}
        secret: dict[str, Json] = {}
        if windows:
            try:
                secret = {name: self.credentials.part(name) for name in ("ringex", "ringcx")}
            except LegatoError as error:
                unknown["limits of credentials"] = error
        followed = [
            replace(
                one,
                gates=one.gates if windows else {},
                removes=one.provider in self.config.delete_at_source,
            )
            for name in PROVIDERS
            if (one := self.provider(name).followed(secret)) is not None
        ]
        return Overview(
            stack=self.config.stack.split("/")[1],
            followed=followed,
            ledger=ledger,
            notes=ledger,
            library=S3Library(self.s3, bucket=self.config.bucket),
            clock=self.clock,
            keeps_subscription=self.config.use_ringex,
            witnessed=bool(self.config.timestamp_authority_url),
            unknown=unknown,
        )

    @cached_property
    def legal_holds(self) -> LegalHolds:
        from legato.evidence.legal_hold import LegalHolds

        return LegalHolds(
            archive=self.evidence(quick=True),
            ledger=self.ledger,
            notes=self.ledger,
            clock=self.clock,
            accesses=self.accesses,
            catalogue=self.catalogue,
        )

    @cached_property
    def access_log(self) -> AccessLog:
        from legato.evidence.access_log import AccessLog

        return AccessLog(
            archive=self.evidence(quick=True),
            notes=self.ledger,
            accesses=self.accesses,
            clock=self.clock,
            reason_required=self.config.access_reason,
        )

    @cached_property
    def completing(self) -> Completing:
        """What RestorerFunction needs. Without a topic nobody is told by mail."""
        from legato.retrieval.restore.event import Completing

        mail = self._mail(self.config.restore_topic)
        return Completing(notes=self.ledger, clock=self.clock, mail=mail)

    def _mail(self, topic: str) -> SnsMail | None:
        from legato.aws.mail import SnsMail

        return SnsMail(client("sns"), topic=topic) if topic else None

    @cached_property
    def _ports(self) -> dict[str, Ports]:
        return {}

    def _reconciling(
        self, begin: datetime, end: datetime, providers: Collection[str] = ()
    ) -> Reconciling:
        from legato.operations.past import Reconciling
        from legato.operations.report.reconciliation import DAILY

        return Reconciling(
            name=DAILY,
            begin=begin,
            end=end,
            recorded=self._recorded(begin, end, providers),
            jobs={provider: self.jobs(provider) for provider in PROVIDERS},
            ledger=self.ledger,
            notes=self.ledger,
            memory=self.ledger,
            archive=self.evidence(),
            clock=self.clock,
            sleep=time.sleep,
            settle_seconds=JOB_SECONDS,
            catalogue=self.catalogue,
        )

    def _recorded(
        self, begin: datetime, end: datetime, providers: Collection[str]
    ) -> list[Recorded]:
        """Return who is asked; without `providers` it is all that are used."""
        asked = {
            name: self.provider(name).recorded(begin=begin, end=end)
            for name in providers or PROVIDERS
        }
        lacking = [name for name in providers if not asked[name]]
        if lacking or not any(asked.values()):
            named = ", ".join(lacking) or "any provider"
            how = "UseRingex, RingcxSubAccountIds and KazooUrl say which ones it uses"
            raise Failed(f"the stack does not use {named}: {how}")
        return [one for name in PROVIDERS for one in asked.get(name, ())]
