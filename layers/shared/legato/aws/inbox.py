"""The inbox, on S3: where audio arrives by itself, and the messages in which S3 says so."""

from __future__ import annotations

import json
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_plus

from botocore.exceptions import ClientError

from legato.aws.bucket import PIECE_BYTES
from legato.aws.errors import code, translated
from legato.errors import NotYet, Refused
from legato.model import Arrival, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

_GONE = ("404", "NoSuchKey", "NoSuchVersion")
_ARCHIVED: Any = {"TagSet": [{"Key": "legato", "Value": "archived"}]}
"""What has this tag is removed by the bucket's own rule, after some days."""


def announced(body: str) -> list[Arrival] | None:
    """Return the objects that a message of S3 announces; None for a message of somebody else.

    S3 tries a queue with a message that announces nothing. Raises Refused for one that is broken.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    try:
        message = json.loads(body)
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    if message.get("Event") == "s3:TestEvent":
        return []
    records = message.get("Records")
    if not isinstance(records, list):
        return None
    try:
        return [
            Arrival(
                # Encoded as in a form.
                key=unquote_plus(record["s3"]["object"]["key"]),
                version_id=record["s3"]["object"].get("versionId", ""),
                arrived_at=parse_time(record["eventTime"]),
            )
            for record in records
        ]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(f"the message is no announcement of S3's: {error!r}") from error


class S3Inbox:
    """A versioned bucket that others write into."""

    def __init__(self, s3: S3Client, *, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def describe(self, arrival: Arrival) -> Arrival | None:
        """Return the arrival with what came with it, or None if it is gone. Raises Retry."""
        with translated(f"the inbox cannot say what {arrival.key} is"):
            try:
                version: Any = {"VersionId": arrival.version_id} if arrival.version_id else {}
                head = self._s3.head_object(Bucket=self._bucket, Key=arrival.key, **version)
            except ClientError as error:
                if code(error) not in _GONE:
                    raise
                return None
        return Arrival(
            key=arrival.key,
            version_id=head.get("VersionId", "null"),
            arrived_at=head["LastModified"],
            facts=dict(parse_qsl(head["Metadata"].get("facts", ""))),
        )

    @contextmanager
    def open(self, key: str, version_id: str) -> Iterator[Iterator[bytes]]:
        """Open an object for reading in pieces. Raises NotYet if it is gone, Retry."""
        with translated(f"the inbox cannot read {key}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id)
            except ClientError as error:
                if code(error) not in _GONE:
                    raise
                raise NotYet(f"{key} is gone from the inbox") from error
        with translated(f"reading {key} broke off"), closing(answer["Body"]) as body:
            yield body.iter_chunks(PIECE_BYTES)

    def mark_archived(self, arrival: Arrival) -> None:
        """Let the bucket remove the object in its own time. Raises Retry."""
        with translated(f"the inbox does not mark {arrival.key}"):
            self._s3.put_object_tagging(
                Bucket=self._bucket,
                Key=arrival.key,
                VersionId=arrival.version_id,
                Tagging=_ARCHIVED,
            )
