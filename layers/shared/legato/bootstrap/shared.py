"""What the parts of all providers are made with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from legato.aws.clients import client
from legato.aws.ledger import DynamoLedger
from legato.aws.secret import CREDENTIALS, Secret
from legato.clock import SystemClock
from legato.ingest.ports import as_it_is, one_job
from legato.ledger.rate_limit import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from legato.audio.stitch import FfmpegStitcher
    from legato.aws.queue import SqsJobs
    from legato.config import Limits
    from legato.model import Job
    from legato.ports import Clock, Provider
    from legato.tuning import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The adapters that every part needs."""

    credentials: Secret
    ledger: DynamoLedger
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a provider brings to the processor; legato.ingest.ports describes the rest."""

    provider: Provider
    jobs: SqsJobs
    ledger: DynamoLedger
    policy: Policy
    max_seconds: int
    """Of audio in one leg."""
    read: Callable[[str], Sequence[Job]] = one_job
    identified: Callable[[Job], Job] = as_it_is


def tools(*, credentials: str, table: str) -> Tools:
    """Return the adapters for the credentials' secret of this ARN and the ledger in this table."""
    return Tools(
        credentials=Secret(client("secretsmanager"), arn=credentials, name=CREDENTIALS),
        ledger=DynamoLedger(client("dynamodb"), table=table),
        clock=SystemClock(),
    )


def stitcher(max_seconds: int) -> FfmpegStitcher:
    """Return who touches audio, with the ffmpeg of the layer or of the PATH."""
    from legato.audio.ffmpeg import find_tools
    from legato.audio.stitch import FfmpegStitcher

    folders = map(Path, os.get_exec_path())
    return FfmpegStitcher(find_tools(folders), max_seconds=max_seconds)


def gate_limits(settings: Limits) -> dict[str, tuple[Limit, ...]]:
    """Return limits as the gate has them."""
    return {group: tuple(Limit(*limit) for limit in limits) for group, limits in settings.items()}
