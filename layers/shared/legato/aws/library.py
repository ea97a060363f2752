"""The archive's bucket as a person reads it, with an AWS identity of their own."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from legato.archive.library import Cold, State, Stored
from legato.aws.errors import code, translated
from legato.errors import Conflict, Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from legato.archive.library import Tier

PIECE_BYTES = 256 * 1024
LINKING: dict[str, Any] = {"signature_version": "s3v4", "s3": {"addressing_style": "virtual"}}
"""What a client needs whose links open everywhere. By itself it signs them in an old way that S3
does not take for objects under a KMS key, and for a host that sends new buckets' readers elsewhere.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""
_GONE = {"404", "405", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed"}
_RESTORED = re.compile(r'expiry-date="([^"]+)"')


class S3Library:
    """A versioned bucket, as archive.library.Library."""

    def __init__(self, s3: S3Client, *, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def listed(self, prefix: str) -> Iterator[Stored]:
        with translated(f"the archive cannot list {prefix}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            for page in pages:
                for item in page.get("Versions", ()):
                    if item["IsLatest"]:
                        yield Stored(
                            key=item["Key"],
                            version_id=item["VersionId"],
                            size=item["Size"],
                            storage_class=item.get("StorageClass", "STANDARD"),
                        )

    def folders(self, prefix: str) -> Iterator[str]:
        with translated(f"the archive cannot list {prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                yield from (item["Prefix"] for item in page.get("CommonPrefixes", ()))

    def first(self, prefix: str, *, after: str = "") -> str | None:
        with translated(f"the archive cannot list {prefix}"):
            found = self._s3.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after or prefix[:-1], MaxKeys=1
            )
        return next((item["Key"] for item in found.get("Contents", ())), None)

    def state(self, key: str, *, version_id: str) -> State:
        with translated(f"the archive cannot say how {key} is stored"), _there(key):
            head = self._s3.head_object(Bucket=self._bucket, Key=key, VersionId=version_id)
        restore = head.get("Restore", "")
        expires = _RESTORED.search(restore)
        return State(
            size=head["ContentLength"],
            storage_class=head.get("StorageClass", "STANDARD"),
            restoring='ongoing-request="true"' in restore,
            restored_until=parsedate_to_datetime(expires[1]) if expires else None,
            lock=head.get("ObjectLockMode"),
            locked_until=head.get("ObjectLockRetainUntilDate"),
            held=head.get("ObjectLockLegalHoldStatus") == "ON",
        )

    @contextmanager
    def read(self, key: str, *, version_id: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        part: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        with translated(f"the archive cannot read {key}"), _there(key):
            answer = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id, **part)
        with translated(f"reading {key} broke off"), closing(answer["Body"]) as body:
            yield body.iter_chunks(PIECE_BYTES)

    def restore(self, key: str, *, version_id: str, days: int, tier: Tier) -> bool:
        asked: Any = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
        with translated(f"the archive cannot restore {key}"), _there(key):
            try:
                self._s3.restore_object(
                    Bucket=self._bucket, Key=key, VersionId=version_id, RestoreRequest=asked
                )
            except ClientError as error:
                if code(error) == "RestoreAlreadyInProgress":
                    return False
                if code(error) == "GlacierExpeditedRetrievalNotAvailable":
                    raise Failed(
                        f"S3 has no room for Expedited now: try again, or take --tier Standard "
                        f"({key})"
                    ) from error
                raise
        return True

    def link(self, key: str, *, version_id: str, seconds: int, name: str) -> str:
        with translated(f"no link to {key} can be made"):
            address: str = self._s3.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "VersionId": version_id,
                    "ResponseContentDisposition": f'attachment; filename="{name}"',
                },
                ExpiresIn=seconds,
            )
        return address


@contextmanager
def _there(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if code(error) == "InvalidObjectState":
            raise Cold(f"{key} is in cold storage: `legato restore` it first") from error
        if code(error) in _GONE:
            raise Conflict(f"{key} is gone: run `legato verify`") from error
        raise
