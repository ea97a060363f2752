"""Put together what WebhookFunction works with, which must start within milliseconds."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.queue import SqsJobs
from legato.aws.secret import INBOUND_TOKENS, Secret
from legato.clock import SystemClock
from legato.config import WebhookSettings, environment_settings
from legato.discovery.webhook import CURRENT_TOKEN, PREVIOUS_TOKEN, receive
from legato.providers.ringex.hook import RingexHook

if TYPE_CHECKING:
    from legato.api_request import Reply


@cache
def receiver() -> partial[Reply]:
    """Return who answers a request, made at the first one (legato.discovery.webhook)."""
    settings = environment_settings(WebhookSettings, os.environ)
    secret = Secret(
        client("secretsmanager", read_timeout=2),
        arn=settings.inbound_tokens,
        name=INBOUND_TOKENS,
    )
    return partial(
        receive,
        hook=RingexHook(partial(secret.texts, CURRENT_TOKEN, PREVIOUS_TOKEN)),
        jobs=SqsJobs(client("sqs", read_timeout=2), queue=settings.ringex_queue),
        clock=SystemClock(),
        settle=settings.ringex_settle_seconds,
    )
