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
from legato.model import MAX_JOB_BYTES, Arrival, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

_LONGEST = 1024
"""Bytes of a key, and of a version's id. A job names both."""
_GONE = ("404", "NoSuchKey", "NoSuchVersion")
_ARCHIVED: Any = {"TagSet": [{"Key": "legato", "Value": "archived"}]}
"""What has this tag is removed by the bucket's own rule, after some days."""


def announced(body: str, *, bucket: str = "") -> list[Arrival] | None:
    """Return the objects that a message of S3 announces; None for a message of somebody else.

    S3 tries a queue with a message that announces nothing. Raises Refused for one that is broken,
    or of another bucket than this one.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    if len(body) > MAX_JOB_BYTES:
        raise Refused(f"the message has {len(body)} characters, more than {MAX_JOB_BYTES}")
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    if message.get("Event") == "s3:TestEvent":
        return []
    records = message.get("Records")
    if not isinstance(records, list):
        return None
    try:
        return [_arrival(record["s3"], record, bucket) for record in records]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise Refused(f"the message is no announcement of S3's: {error!r}"[:200]) from error


def _arrival(said: Any, record: Any, bucket: str) -> Arrival:
    """Read a record. Raises Refused, and what Python raises where a field is missing or odd."""
    if bucket and said["bucket"]["name"] != bucket:
        raise Refused("the message announces an object of another bucket than the inbox")
    key = unquote_plus(said["object"]["key"])  # encoded as in a form
    version = said["object"].get("versionId", "")
    if not key or max(len(key.encode()), len(version.encode())) > _LONGEST:
        raise ValueError("no key of S3")
    return Arrival(key=key, version_id=version, arrived_at=parse_moment(record["eventTime"]))


class S3Inbox:
    """A versioned bucket that others write into."""

    def __init__(self, s3: S3Client, *, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def describe(self, arrival: Arrival) -> Arrival | None:
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
            size=head["ContentLength"],
            facts=dict(parse_qsl(head["Metadata"].get("facts", ""))),
        )

    @contextmanager
    def open(self, key: str, version_id: str) -> Iterator[Iterator[bytes]]:
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
