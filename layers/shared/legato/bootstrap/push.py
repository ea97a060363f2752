"""Put together what takes Kazoo's pushes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato.audio.formats import recognise
from legato.aws.clients import client
from legato.aws.push import PushInbox
from legato.aws.secret import INBOUND_TOKENS, Secret
from legato.discovery.push import KAZOO_PREVIOUS_PUSH_KEY, KAZOO_PUSH_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.config import PushSettings

S3_SECONDS = 6
"""Three tries fit into the half minute that API Gateway waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushing:
    """What PushFunction works with, as push takes it."""

    keys: Callable[..., Sequence[str]]
    recognise: Callable[[bytes], str]
    inbox: PushInbox


def taking(settings: PushSettings) -> Pushing:
    """Return what PushFunction needs."""
    secret = Secret(
        client("secretsmanager", read_timeout=2),
        arn=settings.inbound_tokens,
        name=INBOUND_TOKENS,
    )

    def keys(*, fresh: bool) -> list[str]:
        value = secret.value(fresh=fresh)
        return [str(value.get(name) or "") for name in (KAZOO_PUSH_KEY, KAZOO_PREVIOUS_PUSH_KEY)]

    return Pushing(
        keys=keys,
        recognise=recognise,
        inbox=PushInbox(client("s3", read_timeout=S3_SECONDS), bucket=settings.inbox),
    )
