"""Put the real adapters together, once a process. Whoever needs only a webhook loads no more."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.aws.secret import Secret
from legato.clock import SystemClock
from legato.settings import processor_settings, webhook_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from legato.ports import Clock, Jobs
    from legato.receive import Hook
    from legato.workshop import Workshop

VERIFICATION_TOKEN = "ringexVerificationToken"  # noqa: S105 - the name of the secret's field


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What the webhook works with: the hook and the queue of each provider, by route."""

    hooks: Mapping[str, tuple[Hook, Jobs]]
    clock: Clock
    settle_seconds: int


def reception(environment: Mapping[str, str] = os.environ) -> Reception:
    """Return what WebhookFunction needs."""
    from legato.providers.ringex.hook import RingexHook

    settings = webhook_settings(environment)
    secret = Secret(client("secretsmanager", read_timeout=2), arn=settings.secret)

    def token(*, fresh: bool) -> str:
        return str(secret.value(fresh=fresh).get(VERIFICATION_TOKEN, ""))

    ringex = SqsJobs(client("sqs", read_timeout=2), queue=settings.ringex_queue)
    return Reception(
        hooks={"POST /webhook/ringcentral": (RingexHook(token), ringex)},
        clock=SystemClock(),
        settle_seconds=settings.settle_seconds,
    )


def workshop(environment: Mapping[str, str] = os.environ) -> Workshop:
    """Return what ProcessorFunction needs for RingEX."""
    from legato.audio.ffmpeg import find_tools
    from legato.audio.stitch import FfmpegStitcher
    from legato.aws.bucket import S3Archive
    from legato.aws.ledger import DynamoLedger
    from legato.policy import Policy
    from legato.providers.ringex.api import RingexApi
    from legato.providers.ringex.provider import Ringex
    from legato.workshop import Workshop

    settings = processor_settings(environment)
    clock = SystemClock()
    secret = Secret(client("secretsmanager"), arn=settings.secret)
    api = RingexApi(
        platform=settings.ringex_url,
        media=settings.ringex_media_url,
        credentials=lambda: secret.value(fresh=True).get("ringex", {}),
        clock=clock,
    )
    return Workshop(
        provider=Ringex(api, max_call_hours=settings.max_call_hours),
        jobs=SqsJobs(
            client("sqs"), queue=settings.ringex_queue, dead_letters=settings.ringex_dead_letters
        ),
        ledger=DynamoLedger(client("dynamodb"), table=settings.table),
        archive=S3Archive(client("s3", read_timeout=60), bucket=settings.bucket),
        stitcher=FfmpegStitcher(
            find_tools(Path(folder) for folder in os.get_exec_path(environment)),
            max_seconds=int(settings.max_audio_hours * 3600),
        ),
        clock=clock,
        policy=Policy(
            settle=settings.settle_seconds,
            ladder=settings.ladder_seconds,
            named_ladder=settings.named_ladder_seconds,
            ongoing=settings.ongoing_seconds,
            max_attempts=settings.max_attempts,
            retry=settings.retry_seconds,
            max_leg_bytes=settings.max_leg_bytes,
            storage_class=settings.ringex_storage_class,
        ),
        scratch=Path(tempfile.gettempdir()),
    )
