"""What stays of a stack that was deleted: how much of it is locked, and its removal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legato.aws.clients import client
from legato.aws.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

BUCKETS = ("ArchiveBucketName", "InboxBucketName")
SECRETS = ("CredentialsArn", "InboundTokensArn")
RECOVERY_DAYS = 30
"""For so long AWS gives a secret and a key back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """Objects that nobody may remove yet. `until` is the end of the last retention."""

    objects: int
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Remains:
    """What the template retains, by the stack's outputs."""

    outputs: Mapping[str, str]

    def names(self) -> dict[str, str]:
        """Return the name of each thing that stays, by what it is."""
        known = {
            "archive": self.outputs.get("ArchiveBucketName"),
            "inbox": self.outputs.get("InboxBucketName"),
            "ledger": self.outputs.get("LedgerTableName"),
            "credentials": self.outputs.get("CredentialsArn"),
            "tokens": self.outputs.get("InboundTokensArn"),
            "signing key": self.outputs.get("SigningKeyId"),
        }
        return {what: name for what, name in known.items() if name}

    def locked(self, now: datetime) -> Locked:
        """Count what is locked or under legal hold, each version by itself. Raises Unavailable."""
        s3: Any = client("s3", read_timeout=60)
        count, latest = 0, None
        for bucket, each in self._versions(s3):
            with translated(f"{bucket} cannot be read"):
                about = s3.head_object(Bucket=bucket, **each)
            until = about.get("ObjectLockRetainUntilDate")
            until = until if until is not None and until > now else None
            if until is not None or about.get("ObjectLockLegalHoldStatus") == "ON":
                count += 1
                latest = max(filter(None, (latest, until)), default=None)
        return Locked(objects=count, until=latest)

    def remove(self, tell: Callable[[str], None]) -> None:
        """Remove all of it, telling of each. What is gone already is passed over.

        Raises Unavailable, as for what S3 still keeps from being removed.
        """
        s3: Any = client("s3", read_timeout=60)
        for bucket in self._buckets():
            with translated(f"{bucket} cannot be removed"):
                self._empty(s3, bucket)
                s3.delete_bucket(Bucket=bucket)
            tell(f"{bucket} is removed.")
        if table := self.outputs.get("LedgerTableName"):
            with translated(f"{table} cannot be removed"):
                dynamodb = client("dynamodb")
                dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
                dynamodb.delete_table(TableName=table)
            tell(f"{table} is removed.")
        for name in SECRETS:
            if arn := self.outputs.get(name):
                with translated(f"{arn} cannot be removed"):
                    secrets = client("secretsmanager")
                    secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=RECOVERY_DAYS)
                tell(f"{arn} is removed in {RECOVERY_DAYS} days.")
        if key := self.outputs.get("SigningKeyId"):
            with translated(f"{key} cannot be removed"):
                kms = client("kms")
                kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=RECOVERY_DAYS)
            tell(f"The key {key} is removed in {RECOVERY_DAYS} days.")

    def _buckets(self) -> list[str]:
        return [name for each in BUCKETS if (name := self.outputs.get(each))]

    def _versions(self, s3: Any) -> Iterator[tuple[str, dict[str, str]]]:
        for bucket in self._buckets():
            for page in _pages(s3, bucket):
                for each in page.get("Versions", ()):
                    yield bucket, {"Key": each["Key"], "VersionId": each["VersionId"]}

    def _empty(self, s3: Any, bucket: str) -> None:
        for page in _pages(s3, bucket):
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
            if objects:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


def _pages(s3: Any, bucket: str) -> Iterator[Any]:
    with translated(f"{bucket} cannot be listed"):
        yield from s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
