"""The archive's bucket, to be verified: all versions of all objects, and what guards them."""

from __future__ import annotations

import base64
import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from legato.archive.evidence import Guard, Version, VersionLock
from legato.archive.library import Cold
from legato.aws.bucket import PIECE_BYTES
from legato.aws.errors import BROKEN, code, translated
from legato.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

TRIES = 3
"""A long download may break off; botocore repeats only its beginning."""
_NO_LOCK = {
    "InvalidRequest",
    "NoSuchObjectLockConfiguration",
    "ObjectLockConfigurationNotFoundError",
}


class S3Evidence:
    """A versioned bucket, as archive.evidence.Evidence.

    `locked` says whether each object has to have a lock.
    """

    versioned = True

    def __init__(self, s3: S3Client, *, bucket: str, locked: bool) -> None:
        self._s3 = s3
        self._bucket = bucket
        self.locked = locked
        self._sees_locks = False

    def listed(self, prefix: str) -> Iterator[Version]:
        """Yield all versions and delete markers, a page at a time. Raises Retry.

        S3 gives the two in lists of their own, each by key, and of a key the newest first.
        """
        with translated(f"the archive cannot list the versions of {prefix}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            for page in pages:
                found = [
                    Version(
                        key=item["Key"],
                        id=item["VersionId"],
                        size=item["Size"],
                        modified_at=item["LastModified"],
                    )
                    for item in page.get("Versions", ())
                ]
                newest = {
                    (item["Key"], item["VersionId"])
                    for item in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                    if item["IsLatest"]
                }
                found += [
                    Version(
                        key=item["Key"],
                        id=item["VersionId"],
                        modified_at=item["LastModified"],
                        gone=True,
                    )
                    for item in page.get("DeleteMarkers", ())
                ]
                yield from sorted(found, key=lambda one: (one.key, (one.key, one.id) not in newest))

    def read(self, version: Version) -> bytes:
        """Return the bytes of a small object. Raises Retry, Failed if it is cold."""
        with translated(f"the archive cannot read {version.key}"):
            try:
                answer = self._s3.get_object(
                    Bucket=self._bucket, Key=version.key, VersionId=version.id
                )
                return answer["Body"].read()
            except ClientError as error:
                if code(error) != "InvalidObjectState":
                    raise
                raise Cold(f"{version.key} is in cold storage: restore it first") from error

    def sha256(self, version: Version) -> str | None:
        """Return the hash of all its bytes; of a cold object, what S3 keeps. Raises Retry."""
        with translated(f"the archive cannot read {version.key}"):
            for _ in range(TRIES):
                try:
                    return self._hashed(version)
                except BROKEN as error:
                    broken = error
                except ClientError as error:
                    if code(error) != "InvalidObjectState":
                        raise
                    return self._kept(version)
        raise Unavailable(f"reading {version.key} broke off") from broken

    def guard(self, version: Version) -> Guard:
        with translated(f"the archive cannot say how {version.key} is locked"):
            head = self._s3.head_object(Bucket=self._bucket, Key=version.key, VersionId=version.id)
            mode, until = head.get("ObjectLockMode"), head.get("ObjectLockRetainUntilDate")
            lock = None if mode is None or until is None else VersionLock(mode=mode, until=until)
            if lock is not None:
                self._sees_locks = True
            elif not self._sees_locks:
                self._ask_for_lock(version)
        return Guard(lock=lock, held=head.get("ObjectLockLegalHoldStatus") == "ON")

    def held(self, version: Version) -> bool:
        with translated(f"the archive cannot say whether {version.key} is under legal hold"):
            try:
                answer = self._s3.get_object_legal_hold(
                    Bucket=self._bucket, Key=version.key, VersionId=version.id
                )
            except ClientError as error:
                if code(error) not in _NO_LOCK:
                    raise
                return False
        return answer.get("LegalHold", {}).get("Status") == "ON"

    def _ask_for_lock(self, version: Version) -> None:
        """Make sure that locks can be seen: who may not is told of none, and of no error."""
        try:
            self._s3.get_object_retention(
                Bucket=self._bucket, Key=version.key, VersionId=version.id
            )
        except ClientError as error:
            if code(error) not in _NO_LOCK:
                raise

    def _hashed(self, version: Version) -> str:
        answer = self._s3.get_object(Bucket=self._bucket, Key=version.key, VersionId=version.id)
        sha256 = hashlib.sha256()
        with closing(answer["Body"]) as body:
            for piece in body.iter_chunks(PIECE_BYTES):
                sha256.update(piece)
        return sha256.hexdigest()

    def _kept(self, version: Version) -> str | None:
        """Return what S3 keeps of a cold object; of one in parts that is no hash of the whole."""
        head = self._s3.head_object(
            Bucket=self._bucket, Key=version.key, VersionId=version.id, ChecksumMode="ENABLED"
        )
        checksum = head.get("ChecksumSHA256", "")
        if not checksum or "-" in head["ETag"]:
            return None
        return base64.b64decode(checksum).hex()
