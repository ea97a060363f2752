"""Storage plans: recordings in a bucket of the operator's, under keys of Kazoo's making.

Rules: aws_default_fields of core/kazoo_attachments/src/kz_att_s3.erl, default_format_url_fields of
kz_att_util.erl, and validate_attachment_setting of applications/crossbar/src/modules/cb_storage.erl
(https://github.com/2600hz/kazoo). Each part of a key is encoded as in a URL, so the key of an
object holds percent signs.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.aws import CREDENTIALS, REGION
from local.simulators.audio import Audio, Given
from local.simulators.kazoo.calls import PlanOrder, Recording
from local.simulators.kazoo.documents import document, media_name
from local.simulators.kazoo.gregorian import month_of, prefix_of
from local.simulators.kazoo.stats import Stats
from local.simulators.settings import Json
from local.simulators.times import Clock

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class Plans:
    """Stores audio in buckets and reads it back. S3 is asked in threads."""

    def __init__(self, clock: Clock, stats: Stats) -> None:
        self._clock = clock
        self._stats = stats

    async def put(self, order: PlanOrder, recording: Recording) -> str | None:
        """Store the audio; return its key, or None when the bucket did not take it."""
        key = key_of(
            order,
            account=recording.account,
            month=recording.month,
            owner=document(recording).get("owner_id"),
            name=recording.id,
            attachment=media_name(recording),
        )
        answer = await self._ask(order, lambda s3: _write(s3, order.bucket, key, recording.audio))
        self._stats.plans.answers[answer] += 1
        return key if answer == "200" else None

    async def get(self, order: PlanOrder, key: str) -> bytes | None:
        """Read the audio back; None when the bucket does not hand it out."""
        found: list[bytes] = []
        await self._ask(order, lambda s3: found.append(_read(s3, order.bucket, key)))
        return found[0] if found else None

    async def check(self, order: PlanOrder, account: str) -> Json:
        """Write a small file and read it back, as Kazoo does before it takes a plan."""
        mark = secrets.token_hex(16)
        content = f"some random content: {mark}".encode()
        key = key_of(
            order,
            account=account,
            month=month_of(self._clock()),
            owner=None,
            name=secrets.token_hex(16),
            attachment=f"{mark}_test_credentials_file.txt",
        )
        written = await self._ask(order, lambda s3: _write(s3, order.bucket, key, Given(content)))
        read_back = written == "200" and await self.get(order, key) == content
        return {"key": key, "written": written, "readBack": read_back}

    async def _ask(self, order: PlanOrder, act: Callable[[S3Client], None]) -> str:
        """Return the status that S3 answers with."""
        # Not in the thread: boto3 cannot make two clients at the same time.
        s3 = _client(order.endpoint)
        try:
            await asyncio.to_thread(act, s3)
        except ClientError as error:
            return str(error.response["ResponseMetadata"]["HTTPStatusCode"])
        except BotoCoreError:
            return "unreachable"
        return "200"


def key_of(
    order: PlanOrder, *, account: str, month: int, owner: str | None, name: str, attachment: str
) -> str:
    """Return the key of an attachment of the document `name`, in the database of a month."""
    if order.keys == "by-fields":
        # A field that the document lacks is left out.
        return "/".join(_quoted(each) for each in (account, owner, name, attachment) if each)
    database = f"account/{account[:2]}/{account[2:4]}/{account[4:]}-{prefix_of(month)[:-1]}"
    return f"{_quoted(database)}/{_quoted(name)}_{_quoted(attachment)}"


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _write(s3: S3Client, bucket: str, key: str, audio: Audio) -> None:
    with tempfile.TemporaryFile() as body:
        for piece in audio.read(0, audio.size):
            body.write(piece)
        body.seek(0)
        s3.put_object(Bucket=bucket, Key=key, Body=body)


def _read(s3: S3Client, bucket: str, key: str) -> bytes:
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


@cache
def _client(endpoint: str) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            s3={"addressing_style": "path"},
            # Kazoo repeats by itself, and sends no checksums.
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
