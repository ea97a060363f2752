"""Where the stack is: in an AWS account, or in the system that runs on this machine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from legato.aws.clients import client
from legato.aws.evidence import S3Evidence
from legato.aws.ledger import DynamoLedger
from legato.aws.signer import KmsSigner
from legato.aws.stack import function_environment, outputs, parameters
from legato.bootstrap import kazoo, ringcx, ringex
from legato.bootstrap.audit import failures, reconciling_by_hand
from legato.bootstrap.hold import asking
from legato.bootstrap.kazoo import hooking
from legato.bootstrap.push import pushing
from legato.clock import SystemClock
from legato.errors import Failed, Refused
from legato.hold import holds
from legato.settings import BadSettings, sweeper_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from legato.backfill import Backfill
    from legato.bootstrap.hold import Holder
    from legato.failed import Failures
    from legato.hold import Held
    from legato.hooks import Hooking
    from legato.push_urls import Pushing
    from legato.reconcile import Reconciling
    from legato.verify.evidence import Evidence

ENDPOINTS = Path(".local") / "endpoints.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Puts together what a command works with, from exactly what the stack's functions are told."""

    stack: str

    def backfill(
        self, provider: str, *, begin: datetime, end: datetime | None, sources: Sequence[str]
    ) -> Backfill:
        """Return what a backfill of a provider needs. Raises as its backfiller does."""
        environment = function_environment(self.stack, "SweeperFunction")
        part = {"ringex": ringex, "ringcx": ringcx, "kazoo": kazoo}[provider]
        try:
            made: Backfill = part.backfiller(environment, begin=begin, end=end, sources=sources)
        except BadSettings as error:
            raise self._another_version(error) from error
        return made

    def reconciling(
        self, *, begin: datetime, end: datetime, providers: Sequence[str], report_only: bool
    ) -> Reconciling:
        """Return what a reconciliation needs. Raises as reconciling_by_hand does."""
        environment = function_environment(self.stack, "SweeperFunction")
        try:
            return reconciling_by_hand(
                sweeper_settings(environment),
                bucket=outputs(self.stack)["ArchiveBucketName"],
                begin=begin,
                end=end,
                providers=providers,
                report_only=report_only,
            )
        except BadSettings as error:
            raise self._another_version(error) from error

    def failures(self, *, providers: Sequence[str]) -> Failures:
        """Return what looks after failed calls."""
        environment = function_environment(self.stack, "SweeperFunction")
        try:
            return failures(sweeper_settings(environment), providers=providers)
        except BadSettings as error:
            raise self._another_version(error) from error

    def hooking(self) -> Hooking:
        """Return what Kazoo's webhooks are installed and removed with. Raises as hooking does."""
        environment = function_environment(self.stack, "SweeperFunction")
        address = outputs(self.stack).get("KazooWebhookUrl", "")
        try:
            return hooking(environment, address=address)
        except BadSettings as error:
            raise self._another_version(error) from error

    def pushing(self) -> Pushing:
        """Return what Kazoo's push URLs are made with. Raises as pushing does."""
        environment = function_environment(self.stack, "SweeperFunction")
        address = outputs(self.stack).get("KazooPushUrl", "")
        try:
            made = pushing(environment, address=address)
            if not address:
                raise BadSettings("it has no KazooPushUrl")
        except BadSettings as error:
            raise self._another_version(error) from error
        return made

    def holder(self) -> Holder:
        """Return who holds and releases calls. Raises Failed if the stack has nobody."""
        address = outputs(self.stack).get("HoldsUrl")
        if address is None:
            raise self._another_version(BadSettings("it has no HoldsUrl"))
        return asking(address)

    def holds(self, *, case: str | None) -> list[Held]:
        """Return all holds, or those of a case. Raises Refused if the stack has no ledger."""
        table = outputs(self.stack).get("LedgerTableName")
        if table is None:
            raise Refused(f"the stack {self.stack} has no ledger: name another one with --stack")
        return holds(DynamoLedger(client("dynamodb"), table=table), SystemClock(), case=case)

    def evidence(self) -> Evidence:
        """Return the archive's bucket, to be verified. Raises Refused if the stack has none."""
        bucket = outputs(self.stack).get("ArchiveBucketName")
        if bucket is None:
            raise Refused(f"the stack {self.stack} has no archive: name another one with --stack")
        locked = parameters(self.stack).get("RetentionMode", "NONE") != "NONE"
        return S3Evidence(client("s3"), bucket=bucket, locked=locked)

    def signing_key(self) -> bytes:
        """Return the public key of digests in PEM, as KMS has it. Raises Refused, Failed, Retry."""
        key_id = outputs(self.stack).get("SigningKeyId")
        if key_id is None:
            raise Refused(f"the stack {self.stack} does not name its key")
        return KmsSigner(client("kms"), key_id=key_id).public_key()

    def _another_version(self, error: BadSettings) -> Failed:
        return Failed(
            f"the stack {self.stack} was deployed from another version ({error}): deploy this one, "
            "or use that one's command"
        )


def local_system() -> dict[str, str]:
    """Return what leads AWS clients to the running local system. Raises Refused if none runs."""
    found = _endpoints()
    try:
        endpoints: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            f"no local system runs ({found} is not there): start it with `make local`, or name its "
            "directory in LEGATO_LOCAL_DIR"
        ) from None
    return {
        "AWS_ENDPOINT_URL": endpoints["aws"],
        "AWS_REGION": endpoints["region"],
        "AWS_DEFAULT_REGION": endpoints["region"],
        # Two people are needed to release a call, and the local system knows them by this.
        "AWS_ACCESS_KEY_ID": os.environ.get("LEGATO_LOCAL_PERSON") or "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        # Your own profile and session must not slip in.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PROFILE": "",
        "AWS_SESSION_TOKEN": "",
    }


def use(local: Mapping[str, str] | None, *, region: str | None, profile: str | None) -> None:
    """Lead this process's AWS clients there; what is not said is left as it is."""
    wanted = dict(local or {})
    if region:
        wanted |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    if profile:
        wanted["AWS_PROFILE"] = profile
    for name, value in wanted.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


def _endpoints() -> Path:
    """Return LEGATO_LOCAL_DIR's file, or the one of this directory or the nearest above it."""
    given = os.environ.get("LEGATO_LOCAL_DIR")
    if given:
        return Path(given) / ENDPOINTS.name
    here = Path.cwd()
    candidates = [folder / ENDPOINTS for folder in (here, *here.parents)]
    return next((path for path in candidates if path.exists()), candidates[0])
