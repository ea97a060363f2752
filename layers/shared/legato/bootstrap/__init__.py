"""Put the real adapters together, once a process. Whoever needs only a webhook loads no more.

Here is what all providers share; each provider's part is in a module of its own.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.aws.secret import Secret
from legato.clock import SystemClock
from legato.settings import (
    keeper_settings,
    processor_settings,
    sweeper_settings,
    webhook_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from legato.bootstrap.shared import Part
    from legato.keep import Keeping
    from legato.ports import Clock, Jobs
    from legato.receive import Hook
    from legato.rounds import Round
    from legato.workshop import Workshop


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What the webhook works with: the hook and the queue of each provider, by route."""

    hooks: Mapping[str, tuple[Hook, Jobs]]
    clock: Clock
    settle_seconds: int


def reception(environment: Mapping[str, str] = os.environ) -> Reception:
    """Return what WebhookFunction needs."""
    from legato.providers.kazoo.hook import KazooHook
    from legato.providers.ringex.hook import RingexHook
    from legato.receive import CURRENT_TOKEN, KAZOO_TOKEN, PREVIOUS_TOKEN

    settings = webhook_settings(environment)
    secret = Secret(client("secretsmanager", read_timeout=2), arn=settings.secret)

    def tokens(*names: str) -> Callable[..., list[str]]:
        def read(*, fresh: bool) -> list[str]:
            value = secret.value(fresh=fresh)
            return [str(value.get(name) or "") for name in names]

        return read

    sqs = client("sqs", read_timeout=2)
    ringex = RingexHook(tokens(CURRENT_TOKEN, PREVIOUS_TOKEN))
    return Reception(
        hooks={
            "POST /webhook/ringcentral": (ringex, SqsJobs(sqs, queue=settings.ringex_queue)),
            "POST /webhook/kazoo": (
                KazooHook(tokens(KAZOO_TOKEN)),
                SqsJobs(sqs, queue=settings.kazoo_queue),
            ),
        },
        clock=SystemClock(),
        settle_seconds=settings.settle_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lodge:
    """What KeeperFunction works with. `answer` tells CloudFormation that it is done."""

    keeping: Keeping
    answer: Callable[..., None]


def keeper(environment: Mapping[str, str] = os.environ) -> Lodge:
    """Return what KeeperFunction needs for RingEX."""
    from legato.aws.custom import succeed
    from legato.bootstrap import ringex

    return Lodge(keeping=ringex.keeping(keeper_settings(environment)), answer=succeed)


def sweeper(provider: str, environment: Mapping[str, str] = os.environ) -> Round:
    """Return what SweeperFunction needs for a provider. Raises Refused for one that is unknown."""
    from legato.errors import Refused
    from legato.model import PROVIDERS

    if provider not in PROVIDERS:
        raise Refused(f"the sweeper knows {', '.join(PROVIDERS)}, not {provider!r}")
    made: Round = _part(provider).sweeping(sweeper_settings(environment))
    return made


def workshop(queue: str, environment: Mapping[str, str] = os.environ) -> Workshop:
    """Return what ProcessorFunction needs for the jobs of a queue, which is given by its ARN.

    Raises Refused for a queue that is no provider's.
    """
    from legato.audio.ffmpeg import find_tools
    from legato.audio.stitch import FfmpegStitcher
    from legato.aws.bucket import S3Archive
    from legato.errors import Refused
    from legato.workshop import Workshop

    settings = processor_settings(environment)
    urls = {
        "ringex": settings.ringex_queue,
        "ringcx": settings.ringcx.queue,
        "kazoo": settings.kazoo.queue,
    }
    named = {url.rpartition("/")[2]: provider for provider, url in urls.items()}
    provider = named.get(queue.rpartition(":")[2])
    if provider is None:
        raise Refused(f"{queue} is not the queue of a provider")
    part: Part = _part(provider).archiving(settings)
    return Workshop(
        provider=part.provider,
        jobs=part.jobs,
        ledger=part.ledger,
        notes=part.ledger,
        archive=S3Archive(client("s3", read_timeout=60), bucket=settings.bucket),
        stitcher=FfmpegStitcher(
            find_tools(Path(folder) for folder in os.get_exec_path(environment)),
            max_seconds=part.max_seconds,
        ),
        clock=SystemClock(),
        policy=part.policy,
        scratch=Path(tempfile.gettempdir()),
    )


def _part(provider: str) -> Any:
    """Return a provider's module. Only the one that is needed is loaded."""
    return import_module(f"legato.bootstrap.{provider}")
