"""The archive, on S3: every object written once, whole, and with its SHA-256."""

from __future__ import annotations

import base64
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError, FlexibleChecksumError
from s3transfer.utils import ReadFileChunk

from legato.aws.errors import BROKEN, code, translated
from legato.clock import SystemClock
from legato.errors import Conflict, Failed
from legato.model import StoredDocument, StoredObject
from legato.ports import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectVersionTypeDef

    from legato.archive.object_lock import Lock
    from legato.ports import Clock

PART_BYTES = 5 * 1024 * 1024
"""The smallest that S3 takes, as several streams hold one each. 10,000 are its limit, so the
largest object has 52 GB.

S3's checksum of an object in parts depends on their size: after a change, a stream that is sent
again would look like other bytes.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""
PIECE_BYTES = 256 * 1024
DOCUMENT_BYTES = 32 * 1024 * 1024
"""No manifest is so large; and what somebody else has put in its place shall fit into memory."""
_GONE = {"404", "NoSuchKey"}
_NO_VERSION = {*_GONE, "NoSuchVersion", "InvalidArgument", "MethodNotAllowed"}
"""The last two: it is no version id at all, or that of a delete marker."""
AT_ONCE = 8
"""S3 holds and releases one version a request."""


class S3Archive:
    """A versioned bucket, as ports.Archive. Writes carry `If-None-Match: *`.

    S3 checks the SHA-256 of what it receives; we keep it as the metadata `sha256` too, because
    S3's own checksum of an object in parts is not the hash of the whole. Metadata is written before
    the first byte, so an object that came as a stream has none.

    `StoredObject.checksum` is S3's own: the SHA-256 of the whole or, for an object in parts, of the
    parts' SHA-256 one after the other, in Base64. S3 appends `-` and the number of parts to the
    latter in HeadObject and CompleteMultipartUpload and not in GetObjectAttributes; here it is
    without. https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html

    With a `lock` each object gets its own, whose time begins with its write, in parts with its
    first one.
    """

    def __init__(
        self,
        s3: S3Client,
        *,
        bucket: str,
        lock: Lock | None = None,
        clock: Clock | None = None,
        on_hold: bool = False,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._lock = lock
        self._clock = clock or SystemClock()
        self._on_hold = on_hold

    def holding(self) -> S3Archive:
        return S3Archive(
            self._s3, bucket=self._bucket, lock=self._lock, clock=self._clock, on_hold=True
        )

    @contextmanager
    def upload(self, key: str, *, media_type: str, storage_class: str) -> Iterator[S3Upload]:
        """Begin an object that comes as a stream, always in parts, in its class from the start.

        Left before it is complete, nothing remains. Raises Retry if S3 refuses.
        """
        described = {"ContentType": media_type, "StorageClass": storage_class}
        with self._in_parts(key, described) as parts:
            yield S3Upload(key, parts, partial(self._stored, key))

    def put_file(
        self, key: str, path: Path, *, sha256: str, media_type: str, storage_class: str
    ) -> StoredObject:
        size = path.stat().st_size
        described: dict[str, Any] = {
            "ContentType": media_type,
            "Metadata": {"sha256": sha256},
            "StorageClass": storage_class,
        }
        if size <= PART_BYTES:
            with path.open("rb") as file:
                return self._put_whole(key, file, size, bytes.fromhex(sha256), described)
        with self._in_parts(key, described) as parts:
            for start in range(0, size, PART_BYTES):
                chunk: Any = ReadFileChunk.from_filename(str(path), start, PART_BYTES)
                with chunk as part:
                    parts.send(part)
            sent = Sent(size=size, sha256=sha256, checksum=parts.checksum)
            return self._stored(key, parts.complete(), sent)

    def put_bytes(self, key: str, body: bytes, *, media_type: str) -> StoredObject:
        digest = hashlib.sha256(body)
        described = {"ContentType": media_type, "Metadata": {"sha256": digest.hexdigest()}}
        return self._put_whole(key, body, len(body), digest.digest(), described)

    def find(self, prefix: str) -> dict[str, StoredObject]:
        with translated(f"the archive cannot list {prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
            return {key: self._head(key) for key in keys}

    def first(self, prefix: str, *, after: str = "") -> str | None:
        with translated(f"the archive cannot list {prefix}"):
            found = self._s3.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after or prefix[:-1], MaxKeys=1
            )
        return next((item["Key"] for item in found.get("Contents", ())), None)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of every object below the prefix, by key: a request for a thousand."""
        with translated(f"the archive cannot list {prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            found = (item for page in pages for item in page.get("Contents", ()))
            return {item["Key"]: item["Size"] for item in found}

    def folders(self, prefix: str) -> list[str]:
        with translated(f"the archive cannot list {prefix}"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            return [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())]

    def stored(self, key: str) -> StoredObject | None:
        with translated(f"the archive cannot say what {key} is"):
            try:
                return self._head(key)
            except ClientError as error:
                if code(error) not in _GONE:
                    raise
                return None

    @contextmanager
    def read(self, key: str, *, version_id: str) -> Iterator[Iterator[bytes]]:
        """Open one version of an object for reading in pieces.

        Raises Retry, Failed if it is cold, Conflict if S3's own checksum is another one.
        """
        with translated(f"the archive cannot read {key}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id)
            except ClientError as error:
                if code(error) != "InvalidObjectState":
                    raise
                raise Failed(f"{key} is in cold storage; restore it and retry") from error
        with translated(f"reading {key} broke off"), closing(answer["Body"]) as body:
            try:
                yield body.iter_chunks(PIECE_BYTES)
            except FlexibleChecksumError as error:
                raise Conflict(f"{key} does not hold the bytes that were stored there") from error

    def document(self, key: str, *, version_id: str = "") -> StoredDocument | None:
        """Read one version of a small object, or what its key shows now; None if it is not there.

        What it says of itself is S3's word, but its SHA-256 is that of what was read. Raises Retry,
        Failed if it is cold or larger than DOCUMENT_BYTES.
        """
        version: Any = {"VersionId": version_id} if version_id else {}
        with translated(f"the archive cannot read {key}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key, **version)
            except ClientError as error:
                if code(error) in _NO_VERSION:
                    return None
                if code(error) != "InvalidObjectState":
                    raise
                raise Failed(f"{key} is in cold storage; restore it and retry") from error
        with translated(f"reading {key} broke off"), closing(answer["Body"]) as read:
            if answer["ContentLength"] > DOCUMENT_BYTES:
                raise Failed(f"{key} is larger than {DOCUMENT_BYTES} bytes")
            body = read.read()
        return StoredDocument(
            object=StoredObject(
                key=key,
                version_id=answer.get("VersionId", "null"),
                size=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
            ),
            body=body,
            modified_at=answer["LastModified"],
        )

    def held(self, key: str, *, version_id: str) -> bool:
        """Say whether a version of an object is under legal hold. Raises Retry.

        An object that nobody ever locked says so with an error, and so does a bucket without locks.
        """
        with translated(f"the archive cannot say whether {key} is under legal hold"):
            try:
                answer = self._s3.get_object_legal_hold(
                    Bucket=self._bucket, Key=key, VersionId=version_id
                )
            except ClientError as error:
                if not _without_lock(error):
                    raise
                return False
        return answer.get("LegalHold", {}).get("Status") == "ON"

    def hold(self, prefix: str, *, on: bool) -> int:
        with translated(f"the archive cannot hold {prefix}"):
            pages = self._s3.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            found = [item for page in pages for item in page.get("Versions", ())]
            with ThreadPoolExecutor(AT_ONCE) as workers:
                for _ in workers.map(partial(self._hold, on=on), found):
                    pass
        return len(found)

    def _hold(self, version: ObjectVersionTypeDef, *, on: bool) -> None:
        self._s3.put_object_legal_hold(
            Bucket=self._bucket,
            Key=version["Key"],
            VersionId=version["VersionId"],
            LegalHold={"Status": "ON" if on else "OFF"},
        )

    def _guarded(self) -> dict[str, Any]:
        """Return what keeps an object that is written now from being removed."""
        guarded: dict[str, Any] = {}
        if self._lock is not None:
            until = self._lock.until(self._clock.now())
            guarded = {"ObjectLockMode": self._lock.mode, "ObjectLockRetainUntilDate": until}
        if self._on_hold:
            guarded["ObjectLockLegalHoldStatus"] = "ON"
        return guarded

    def _put_whole(
        self, key: str, body: bytes | IO[bytes], size: int, digest: bytes, described: dict[str, Any]
    ) -> StoredObject:
        sent = Sent(size=size, sha256=digest.hex(), checksum=_base64(digest))
        version = None
        with translated(f"the archive does not take {key}"), _taken():
            answer = self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=sent.checksum,
                IfNoneMatch="*",
                **described,
                **self._guarded(),
            )
            version = answer.get("VersionId", "null")
        return self._stored(key, version, sent)

    @contextmanager
    def _in_parts(self, key: str, described: dict[str, Any]) -> Iterator[_Parts]:
        target: Any = {"Bucket": self._bucket, "Key": key}
        with translated(f"the archive does not take {key}"):
            answer = self._s3.create_multipart_upload(
                **target, ChecksumAlgorithm="SHA256", **described, **self._guarded()
            )
        target["UploadId"] = answer["UploadId"]
        parts = _Parts(self._s3, target)
        try:
            yield parts
        finally:
            if not parts.completed:
                # What stays behind all the same is removed by the bucket's own rule after a day.
                with suppress(ClientError, *BROKEN):
                    self._s3.abort_multipart_upload(**target)

    def _stored(self, key: str, version: str | None, sent: Sent) -> StoredObject:
        """Return what the key holds; `version` is None if it was there before."""
        if version is not None:
            return StoredObject(
                key=key,
                version_id=version,
                size=sent.size,
                sha256=sent.sha256,
                checksum=sent.checksum,
            )
        with translated(f"the archive cannot say what {key} is"):
            present = self._head(key)
        same = present.checksum == sent.checksum or present.sha256 == sent.sha256
        if present.size != sent.size or not same:
            raise Conflict(f"{key} already holds other bytes")
        return replace(present, sha256=sent.sha256)

    def _head(self, key: str) -> StoredObject:
        head = self._s3.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        return StoredObject(
            key=key,
            version_id=head.get("VersionId", "null"),
            size=head["ContentLength"],
            sha256=head["Metadata"].get("sha256", ""),
            checksum=_without_count(head.get("ChecksumSHA256", "")),
        )


class S3Upload:
    """An object on its way, of which no more than one part is in memory."""

    def __init__(
        self, key: str, parts: _Parts, stored: Callable[[str | None, Sent], StoredObject]
    ) -> None:
        self._key = key
        self._parts = parts
        self._stored = stored
        self._part = io.BytesIO()
        self._size = 0
        self._sha256 = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Add bytes, and send the part that they fill. Raises Retry if S3 refuses it."""
        self._size += len(piece)
        self._sha256.update(piece)
        rest = memoryview(piece)
        while rest:
            room = PART_BYTES - self._part.tell()
            self._part.write(rest[:room])
            rest = rest[room:]
            if self._part.tell() == PART_BYTES:
                self._send()

    def finish(self) -> Sent:
        """Send what is left. Raises Retry if S3 refuses it, Failed if nothing was written."""
        if not self._size:
            raise Failed(f"nothing was written to {self._key}")
        if self._part.tell():
            self._send()
        return Sent(size=self._size, sha256=self._sha256.hexdigest(), checksum=self._parts.checksum)

    def complete(self) -> StoredObject:
        """Let the object appear, unless its key is taken. Raises as `put_file`."""
        sent = self.finish()
        return self._stored(self._parts.complete(), sent)

    def _send(self) -> None:
        # BytesIO hands its bytes out as they are; so does botocore with bytes, and copies others.
        part = self._part.getvalue()
        self._part = io.BytesIO()
        self._parts.send(part, hashlib.sha256(part).digest())


class _Parts:
    """An object in parts, which appear together or not at all."""

    def __init__(self, s3: S3Client, target: Any) -> None:
        self._s3 = s3
        self._target = target
        self._parts: list[Any] = []
        self.completed = False

    @property
    def checksum(self) -> str:
        """S3's checksum of the whole, as StoredObject has it."""
        digests = b"".join(base64.b64decode(part["ChecksumSHA256"]) for part in self._parts)
        return _base64(hashlib.sha256(digests).digest())

    def send(self, body: bytes | IO[bytes], digest: bytes | None = None) -> None:
        """Send the next part. Its SHA-256 is for botocore to compute if it is not given."""
        number = len(self._parts) + 1
        part: Any = {"PartNumber": number, "Body": body, "ChecksumAlgorithm": "SHA256"}
        if digest is not None:
            part["ChecksumSHA256"] = _base64(digest)
        with translated(f"the archive does not take {self._target['Key']}"):
            answer = self._s3.upload_part(**self._target, **part)
        self._parts.append(
            {
                "PartNumber": number,
                "ETag": answer["ETag"],
                "ChecksumSHA256": answer["ChecksumSHA256"],
            }
        )

    def complete(self) -> str | None:
        """Return the version id; None if the key is taken, maybe by what is completed here.

        An answer may be lost, and whoever asks again is told that the key is taken, or that there
        is no such upload any more. A writer of the same key at the same moment is a Retry: S3 wants
        all parts again then.
        """
        taken = _taken("NoSuchUpload")
        with translated(f"the archive does not take {self._target['Key']}"), taken:
            answer = self._s3.complete_multipart_upload(
                **self._target, MultipartUpload={"Parts": self._parts}, IfNoneMatch="*"
            )
            self.completed = True
            if _without_count(answer.get("ChecksumSHA256", self.checksum)) != self.checksum:
                raise Conflict(f"{self._target['Key']} holds other bytes than were sent")
            return answer.get("VersionId", "null")
        return None


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _without_lock(error: ClientError) -> bool:
    """Say whether S3 means that there is no lock, on the object or in the whole bucket."""
    message = error.response.get("Error", {}).get("Message", "")
    without = code(error) == "InvalidRequest" and "missing Object Lock Configuration" in message
    return without or code(error) == "NoSuchObjectLockConfiguration"


def _without_count(checksum: str) -> str:
    return checksum.partition("-")[0]


@contextmanager
def _taken(*codes: str) -> Iterator[None]:
    """Let a refusal pass that says the key is taken already, or has one of these codes."""
    try:
        yield
    except ClientError as error:
        if code(error) not in ("PreconditionFailed", *codes):
            raise
