"""The inbox as PushFunction sees it, on S3: it may put something in, and nothing else."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from legato.aws.errors import code, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class PushInbox:
    """A bucket of which S3 itself announces what is new."""

    def __init__(self, s3: S3Client, *, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put(self, key: str, body: bytes, *, media_type: str, facts: str) -> bool:
        with translated(f"the inbox does not take {key}"):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=body,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
                    ContentType=media_type,
                    IfNoneMatch="*",
                    Metadata={"facts": facts},
                )
            except ClientError as error:
                if code(error) != "PreconditionFailed":
                    raise
                return False
        return True
