"""The adapters of a stack, made of its configuration, each once."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from legato.aws.accesses import DynamoAccesses
from legato.aws.bucket import S3Archive
from legato.aws.catalogue import DynamoCatalogue
from legato.aws.clients import QUICK_S3_SECONDS, client
from legato.aws.ledger import DynamoLedger
from legato.aws.queue import SqsJobs
from legato.aws.secret import CREDENTIALS, INBOUND_TOKENS, Secret
from legato.clock import SystemClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

    from legato.archive.object_lock import Lock
    from legato.audio.stitch import FfmpegStitcher
    from legato.config import Config

S3_SECONDS = 60


class Adapters:
    """Everything of one stack that is not one provider's."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.clock = SystemClock()

    @cached_property
    def s3(self) -> S3Client:
        """S3, which may take its time."""
        made: S3Client = client("s3", read_timeout=S3_SECONDS)
        return made

    @cached_property
    def sqs(self) -> SQSClient:
        made: SQSClient = client("sqs")
        return made

    @cached_property
    def ledger(self) -> DynamoLedger:
        """The ledger, with its notes."""
        return DynamoLedger(self._dynamodb, table=self.config.table)

    @cached_property
    def catalogue(self) -> DynamoCatalogue:
        return DynamoCatalogue(self._dynamodb, table=self.config.table)

    @cached_property
    def accesses(self) -> DynamoAccesses:
        """Where looks at calls are looked up."""
        return DynamoAccesses(self._dynamodb, table=self.config.table)

    @cached_property
    def credentials(self) -> Secret:
        return Secret(self._secrets, arn=self.config.credentials, name=CREDENTIALS)

    @cached_property
    def inbound_tokens(self) -> Secret:
        """What webhooks and pushes are known by."""
        return Secret(self._secrets, arn=self.config.inbound_tokens, name=INBOUND_TOKENS)

    def archive(self, lock: Lock | None = None, *, quick: bool = False) -> S3Archive:
        """Return the archive; what is written into it is locked so."""
        return S3Archive(
            self._quick_s3 if quick else self.s3,
            bucket=self.config.bucket,
            lock=lock,
            clock=self.clock,
        )

    def evidence(self, *, quick: bool = False) -> S3Archive:
        """Return the archive for what speaks of calls of all providers: locked for the longest."""
        return self.archive(self.config.retention.longest, quick=quick)

    def jobs(self, provider: str) -> SqsJobs:
        queue = self.config.queues[provider]
        return SqsJobs(self.sqs, queue=queue.url, dead_letters=queue.dead_letters)

    def dead_letters(self, provider: str) -> SqsJobs:
        return SqsJobs(self.sqs, queue=self.config.queues[provider].dead_letters)

    @cached_property
    def _quick_s3(self) -> S3Client:
        made: S3Client = client("s3", read_timeout=QUICK_S3_SECONDS)
        return made

    @cached_property
    def _dynamodb(self) -> DynamoDBClient:
        made: DynamoDBClient = client("dynamodb")
        return made

    @cached_property
    def _secrets(self) -> SecretsManagerClient:
        made: SecretsManagerClient = client("secretsmanager")
        return made


def stitcher(max_seconds: int) -> FfmpegStitcher:
    """Return who touches audio, with the ffmpeg of the layer or of the PATH."""
    from legato.audio.ffmpeg import find_tools
    from legato.audio.stitch import FfmpegStitcher

    folders = map(Path, os.get_exec_path())
    return FfmpegStitcher(find_tools(folders), max_seconds=max_seconds)
