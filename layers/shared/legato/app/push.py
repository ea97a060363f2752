"""Put together what PushFunction works with, which must start within milliseconds."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING

from legato.audio.formats import recognise
from legato.aws.clients import QUICK_S3_SECONDS, client
from legato.aws.push import PushInbox
from legato.aws.secret import INBOUND_TOKENS, Secret
from legato.config import PushSettings, environment_settings
from legato.discovery.push import KAZOO_PREVIOUS_PUSH_KEY, KAZOO_PUSH_KEY, push

if TYPE_CHECKING:
    from legato.api_request import Reply


@cache
def receiver() -> partial[Reply]:
    """Return who answers a push, made at the first one (legato.discovery.push)."""
    settings = environment_settings(PushSettings, os.environ)
    secret = Secret(
        client("secretsmanager", read_timeout=2),
        arn=settings.inbound_tokens,
        name=INBOUND_TOKENS,
    )
    return partial(
        push,
        keys=partial(secret.texts, KAZOO_PUSH_KEY, KAZOO_PREVIOUS_PUSH_KEY),
        recognise=recognise,
        inbox=PushInbox(client("s3", read_timeout=QUICK_S3_SECONDS), bucket=settings.inbox),
    )
