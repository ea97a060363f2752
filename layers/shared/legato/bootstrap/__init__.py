"""Put the real adapters together, once a process. Whoever needs only a webhook loads no more.

What is `configured` is read from the stack, unless somebody gives it.

Here is what all providers share; each provider's part is in a module of its own.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.aws.secret import INBOUND_TOKENS, Secret
from legato.bootstrap.configuration import function_configuration
from legato.clock import SystemClock
from legato.config import (
    access_settings,
    auditor_settings,
    holder_settings,
    keeper_settings,
    processor_settings,
    push_settings,
    remover_settings,
    restorer_settings,
    sweeper_settings,
    webhook_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from legato.bootstrap.push import Pushing
    from legato.bootstrap.shared import Part, Tools
    from legato.config import ProcessorSettings, RemoverSettings, SweeperSettings
    from legato.discovery.subscription import Keeping
    from legato.discovery.sweep_all import Round
    from legato.discovery.webhook import Hook
    from legato.evidence.access_log import AccessLog
    from legato.evidence.digest import Chaining
    from legato.evidence.legal_hold import Holding
    from legato.evidence.safeguards import Comparing
    from legato.evidence.timestamp import Witnessing
    from legato.ingest.ports import Ports
    from legato.operations.backfill import Backfill
    from legato.operations.past import Reconciling
    from legato.operations.removal import Removal
    from legato.ports import Clock, Jobs, RecordingRemover
    from legato.retrieval.restore.event import Completing


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiving:
    """What WebhookFunction works with, as receive takes it."""

    hook: Hook
    jobs: Jobs
    clock: Clock
    settle_seconds: int


def receiving(environment: Mapping[str, str] = os.environ) -> Receiving:
    """Return what WebhookFunction needs."""
    from legato.discovery.webhook import CURRENT_TOKEN, PREVIOUS_TOKEN
    from legato.providers.ringex.hook import RingexHook

    settings = webhook_settings(environment)
    secret = Secret(
        client("secretsmanager", read_timeout=2),
        arn=settings.inbound_tokens,
        name=INBOUND_TOKENS,
    )

    def tokens(*, fresh: bool) -> list[str]:
        value = secret.value(fresh=fresh)
        return [str(value.get(name) or "") for name in (CURRENT_TOKEN, PREVIOUS_TOKEN)]

    return Receiving(
        hook=RingexHook(tokens),
        jobs=SqsJobs(client("sqs", read_timeout=2), queue=settings.ringex_queue),
        clock=SystemClock(),
        settle_seconds=settings.settle_seconds,
    )


def pushing(environment: Mapping[str, str] = os.environ) -> Pushing:
    """Return what PushFunction needs."""
    from legato.bootstrap import push

    return push.taking(push_settings(environment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribing:
    """What KeeperFunction works with. `answer` tells CloudFormation that it is done."""

    keeping: Keeping
    answer: Callable[..., None]


def keeper(configured: Mapping[str, str] | None = None) -> Subscribing:
    """Return what KeeperFunction needs for RingEX."""
    from legato.bootstrap import ringex
    from legato.bootstrap.custom import succeed

    return Subscribing(
        keeping=ringex.keeping(keeper_settings(configured or function_configuration())),
        answer=succeed,
    )


def holder(configured: Mapping[str, str] | None = None) -> Holding:
    """Return what HolderFunction needs."""
    from legato.bootstrap import hold

    return hold.holding(holder_settings(configured or function_configuration()))


def access_log(configured: Mapping[str, str] | None = None) -> AccessLog:
    """Return what AccessFunction needs."""
    from legato.bootstrap import access

    return access.access_log(access_settings(configured or function_configuration()))


def restorer(configured: Mapping[str, str] | None = None) -> Completing:
    """Return what RestorerFunction needs."""
    from legato.bootstrap import restore

    return restore.completing(restorer_settings(configured or function_configuration()))


def sweeper(provider: str, configured: Mapping[str, str] | None = None) -> Round:
    """Return what SweeperFunction needs for a provider. Raises Refused for one that is unknown."""
    from legato.errors import Refused
    from legato.model import PROVIDERS

    if provider not in PROVIDERS:
        raise Refused(f"the sweeper knows {', '.join(PROVIDERS)}, not {provider!r}")
    return part_of(provider).sweeping(sweeper_settings(configured or function_configuration()))


def remover(provider: str | None, configured: Mapping[str, str] | None = None) -> list[Removal]:
    """Return what RemoverFunction needs for a provider, or for all that are to delete.

    Raises Refused for one that is not.
    """
    from legato.aws.bucket import S3Archive
    from legato.bootstrap.shared import tools
    from legato.errors import Refused
    from legato.operations.removal import Removal

    settings = remover_settings(configured or function_configuration())
    deleting = settings.delete_at_source
    if provider is not None and provider not in deleting:
        named = ", ".join(deleting) or "nobody"
        raise Refused(f"DeleteAtSource lets {named} delete, not {provider!r}")
    made = tools(credentials=settings.credentials, table=settings.table)
    archive = S3Archive(client("s3", read_timeout=60), bucket=settings.bucket)
    wanted = deleting if provider is None else (provider,)
    sources = [_remover_of(each, settings, made) for each in wanted]
    return [
        Removal(
            source=source,
            archive=archive,
            ledger=made.ledger,
            notes=made.ledger,
            clock=made.clock,
            sleep=time.sleep,
        )
        for source in sources
        if source is not None
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What AuditorFunction works with, each made when its task comes."""

    chaining: Callable[[], Chaining]
    witnessing: Callable[[], Witnessing | None]
    comparing: Callable[[], Comparing]
    reconciling: Callable[[], Reconciling]
    clock: Clock


def auditor(configured: Mapping[str, str] | None = None) -> Audit:
    """Return what AuditorFunction needs."""
    from legato.bootstrap.audit import chaining, comparing, reconciling, witnessing

    settings = auditor_settings(configured or function_configuration())
    bucket, days = settings.bucket, settings.days
    return Audit(
        chaining=lambda: chaining(settings),
        witnessing=lambda: witnessing(settings),
        comparing=lambda: comparing(settings),
        reconciling=lambda: reconciling(
            settings.sweeper, bucket=bucket, lock=settings.retention.longest, days=days
        ),
        clock=SystemClock(),
    )


def processor_ports(queue: str, configured: Mapping[str, str] | None = None) -> Ports:
    """Return what ProcessorFunction needs for the jobs of a queue, which is given by its ARN.

    Raises Refused for a queue that is no provider's.
    """
    from legato.aws.bucket import S3Archive
    from legato.aws.catalogue import DynamoCatalogue
    from legato.bootstrap.shared import stitcher
    from legato.errors import Refused
    from legato.ingest.ports import Ports
    from legato.ingest.scratch import clear_scratch
    from legato.ledger.birthmark import Birthmark

    settings = processor_settings(configured or function_configuration())
    urls = {
        "ringex": settings.ringex_queue,
        "ringcx": settings.ringcx.queue,
        "kazoo": settings.kazoo.queue,
    }
    named = {url.rpartition("/")[2]: provider for provider, url in urls.items()}
    provider = named.get(queue.rpartition(":")[2])
    if provider is None:
        raise Refused(f"{queue} is not the queue of a provider")
    part = part_of(provider).archiving(settings)
    clock = SystemClock()
    birthmark = Birthmark(
        S3Archive(client("s3"), bucket=settings.bucket),
        part.ledger,
        clock,
        every=timedelta(seconds=settings.retry_seconds),
    )
    return Ports(
        provider=part.provider,
        jobs=part.jobs,
        ledger=part.ledger,
        notes=part.ledger,
        archive=S3Archive(
            client("s3", read_timeout=60),
            bucket=settings.bucket,
            lock=settings.retention.of(provider),
            clock=clock,
        ),
        catalogue=DynamoCatalogue(client("dynamodb"), table=settings.table),
        stitcher=stitcher(part.max_seconds),
        clock=clock,
        policy=part.policy,
        scratch=clear_scratch(Path(tempfile.gettempdir()) / "legato"),
        read=part.read,
        check_ledger=birthmark.check,
        identified=part.identified,
    )


class ProviderPart(Protocol):
    """What the module of each provider puts together."""

    def sweeping(self, settings: SweeperSettings) -> Round:
        """Return what the sweeper needs; without tails if the provider is not used."""
        ...

    def archiving(self, settings: ProcessorSettings) -> Part:
        """Return what the processor needs."""
        ...

    def backfiller(
        self,
        configured: Mapping[str, str],
        *,
        begin: datetime,
        end: datetime | None = None,
        sources: Sequence[str] = (),
    ) -> Backfill:
        """Return what a backfill needs. Raises Refused."""
        ...


def part_of(provider: str) -> ProviderPart:
    """Return a provider's module. Only the one that is needed is loaded."""
    part: ProviderPart
    match provider:
        case "ringex":
            from legato.bootstrap import ringex as part
        case "ringcx":
            from legato.bootstrap import ringcx as part
        case _:
            from legato.bootstrap import kazoo as part
    return part


def _remover_of(provider: str, settings: RemoverSettings, made: Tools) -> RecordingRemover | None:
    """Return who deletes a provider's recordings; None if the provider is not used."""
    if provider == "ringex":
        from legato.bootstrap import ringex

        return ringex.removing(settings, made)
    from legato.bootstrap import kazoo

    return kazoo.removing(settings, made)
