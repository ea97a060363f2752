"""The archive, on S3: every object written once, whole, and with its SHA-256."""

from __future__ import annotations

import base64
import hashlib
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from s3transfer.utils import ReadFileChunk

from legato.aws.errors import code, translated
from legato.errors import Conflict, Failed, Retry
from legato.model import StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

PART_BYTES = 16 * 1024 * 1024
"""10,000 parts are S3's limit, so the largest object has 160 GB. None is held in memory."""
PIECE_BYTES = 256 * 1024


class S3Archive:
    """A versioned bucket. Writes carry `If-None-Match: *`, so that no key is written twice.

    S3 checks the SHA-256 of what it receives; we keep it as the metadata `sha256` too, because
    S3's own checksum of an object in parts is not the hash of the whole.
    """

    def __init__(self, s3: S3Client, *, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def put_file(
        self, key: str, path: Path, *, sha256: str, media_type: str, storage_class: str
    ) -> StoredObject:
        """Store a file. Raises Conflict if the key holds other bytes, Retry if S3 refuses."""
        size = path.stat().st_size
        described: dict[str, Any] = {
            "ContentType": media_type,
            "Metadata": {"sha256": sha256},
            "StorageClass": storage_class,
        }
        if size <= PART_BYTES:
            with path.open("rb") as file:
                version = self._put_whole(key, file, sha256, described)
        else:
            version = self._put_parts(key, path, size, described)
        return self._stored(key, version, size, sha256)

    def put_bytes(self, key: str, body: bytes, *, media_type: str) -> StoredObject:
        """Store a small object in class STANDARD, by the same rules."""
        sha256 = hashlib.sha256(body).hexdigest()
        described = {"ContentType": media_type, "Metadata": {"sha256": sha256}}
        version = self._put_whole(key, body, sha256, described)
        return self._stored(key, version, len(body), sha256)

    def find(self, prefix: str) -> dict[str, StoredObject]:
        """Return every object below the prefix, by key. Raises Retry."""
        with translated(f"the archive cannot list {prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
            return {key: self._head(key) for key in keys}

    @contextmanager
    def read(self, key: str, *, version_id: str) -> Iterator[Iterator[bytes]]:
        """Open one version of an object for reading in pieces. Raises Retry, Failed if cold."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id)["Body"]
        except ClientError as error:
            if code(error) == "InvalidObjectState":
                raise Failed(f"{key} is in cold storage; restore it and retry") from error
            raise Retry(f"the archive cannot read {key}: {code(error)}") from error
        except BotoCoreError as error:
            raise Retry(f"the archive cannot read {key}: {type(error).__name__}") from error
        try:
            yield body.iter_chunks(PIECE_BYTES)
        except (BotoCoreError, HTTPClientError) as error:
            raise Retry(f"reading {key} broke off: {type(error).__name__}") from error
        finally:
            body.close()

    def _put_whole(
        self, key: str, body: bytes | IO[bytes], sha256: str, described: dict[str, Any]
    ) -> str | None:
        """Return the version id; None if the key is taken."""
        with translated(f"the archive does not take {key}"), _taken():
            answer = self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
                IfNoneMatch="*",
                **described,
            )
            return answer.get("VersionId", "null")
        return None

    def _put_parts(self, key: str, path: Path, size: int, described: dict[str, Any]) -> str | None:
        target: Any = {"Bucket": self._bucket, "Key": key}
        with translated(f"the archive does not take {key}"):
            upload = self._s3.create_multipart_upload(
                **target, ChecksumAlgorithm="SHA256", **described
            )["UploadId"]
            try:
                parts: Any = list(self._upload_parts(target, upload, path, size))
                with _taken():
                    answer = self._s3.complete_multipart_upload(
                        **target,
                        UploadId=upload,
                        MultipartUpload={"Parts": parts},
                        IfNoneMatch="*",
                    )
                    return answer.get("VersionId", "null")
                self._abort(target, upload)
                return None
            except BaseException:
                self._abort(target, upload)
                raise

    def _upload_parts(
        self, target: Any, upload: str, path: Path, size: int
    ) -> Iterator[dict[str, Any]]:
        for number, start in enumerate(range(0, size, PART_BYTES), start=1):
            chunk: Any = ReadFileChunk.from_filename(str(path), start, PART_BYTES)
            with chunk as part:
                answer = self._s3.upload_part(
                    **target,
                    UploadId=upload,
                    PartNumber=number,
                    Body=part,
                    ChecksumAlgorithm="SHA256",
                )
            yield {
                "PartNumber": number,
                "ETag": answer["ETag"],
                "ChecksumSHA256": answer.get("ChecksumSHA256"),
            }

    def _abort(self, target: Any, upload: str) -> None:
        # What stays behind all the same is removed by the bucket's own rule after a day.
        with suppress(ClientError, BotoCoreError):
            self._s3.abort_multipart_upload(**target, UploadId=upload)

    def _stored(self, key: str, version: str | None, size: int, sha256: str) -> StoredObject:
        if version is not None:
            return StoredObject(key=key, version_id=version, size=size, sha256=sha256)
        with translated(f"the archive cannot say what {key} is"):
            present = self._head(key)
        if (present.size, present.sha256) != (size, sha256):
            raise Conflict(f"{key} already holds other bytes")
        return present

    def _head(self, key: str) -> StoredObject:
        head = self._s3.head_object(Bucket=self._bucket, Key=key)
        return StoredObject(
            key=key,
            version_id=head.get("VersionId", "null"),
            size=head["ContentLength"],
            sha256=head["Metadata"].get("sha256", ""),
        )


@contextmanager
def _taken() -> Iterator[None]:
    """Let a refusal pass that says the key is taken already."""
    try:
        yield
    except ClientError as error:
        if code(error) != "PreconditionFailed":
            raise
