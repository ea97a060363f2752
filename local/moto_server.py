"""Runs moto's server, with what it does not do as AWS made good, one by one with its reason."""

from __future__ import annotations

import base64
import json
import sys
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from flask import request
from moto import backends
from moto.core.exceptions import JsonRESTError
from moto.kms.models import Key
from moto.kms.responses import KmsResponse
from moto.s3.models import FakeKey, FakeMultipart, S3Backend
from moto.server import main
from moto.sqs import models
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend

_sign = KmsResponse.sign
_create_multipart_upload = S3Backend.create_multipart_upload
_complete_multipart_upload = S3Backend.complete_multipart_upload


def _delete_message(self: Queue, receipt_handle: str) -> None:
    """Take one message out of the list.

    moto writes the list anew, so that one that is sent at the same moment is lost, and looks at
    every message twice.
    """
    if receipt_handle in self.deleted_messages:
        return
    with self._messages_lock:
        for message in self._messages:
            if message.had_receipt_handle(receipt_handle):
                self._messages.remove(message)
                self.pending_messages.discard(message)
                self.deleted_messages.update(filter(None, message.all_receipt_handles))
                return
    raise ReceiptHandleIsInvalid


def _is_retained(self: SQSBackend, queue_name: str, message: Message) -> bool:
    """Say whether a message is young enough; moto counts the whole queue for each one."""
    seconds = self.get_queue(queue_name).message_retention_period  # type: ignore[attr-defined]
    return (message.sent_timestamp or 0) + int(seconds) * 1000 > _milliseconds()


def _milliseconds() -> float:
    """Return the time as moto does, which takes a detour over calendars for each message."""
    return time.time() * 1000


def _sign_digest(self: KmsResponse) -> str:
    """Sign a message of type DIGEST as what it is; moto hashes it once more.

    A key that is disabled does not sign.
    """
    asked = self._get_param
    key = self.kms_backend.describe_key(asked("KeyId"))
    if not key.enabled:
        raise JsonRESTError("DisabledException", f"{key.arn} is disabled.")
    if asked("MessageType") != "DIGEST":
        return _sign(self)
    private_key: ec.EllipticCurvePrivateKey = key.private_key.private_key  # type: ignore[attr-defined]
    signature = private_key.sign(asked("Message"), ec.ECDSA(Prehashed(SHA256())))
    return json.dumps(
        {
            "KeyId": key.arn,
            "Signature": base64.b64encode(signature).decode(),
            "SigningAlgorithm": asked("SigningAlgorithm"),
        }
    )


def _create_key(
    _cls: type[Key],
    /,
    _name: str,
    cloudformation_json: Any,
    account_id: str,
    region_name: str,
    **_more: Any,
) -> Key:
    """Create a key of the kind that the template asks for; moto's are all symmetric."""
    asked = cloudformation_json["Properties"]
    backend = backends.get_backend("kms")[account_id][region_name]
    return backend.create_key(
        policy=asked["KeyPolicy"],
        key_usage=asked.get("KeyUsage", "ENCRYPT_DECRYPT"),
        key_spec=asked.get("KeySpec", "SYMMETRIC_DEFAULT"),
        description=asked.get("Description"),
        tags=asked.get("Tags", []),
    )


def _create_upload(self: S3Backend, *arguments: Any, **named: Any) -> FakeMultipart:
    """Keep how the object shall be locked; moto locks only what comes whole."""
    upload = _create_multipart_upload(self, *arguments, **named)
    headers = request.headers
    vars(upload)["guard"] = {
        "lock_mode": headers.get("x-amz-object-lock-mode"),
        "lock_until": headers.get("x-amz-object-lock-retain-until-date"),
        "lock_legal_status": headers.get("x-amz-object-lock-legal-hold"),
    }
    return upload


def _complete_upload(
    self: S3Backend, bucket_name: str, multipart_id: str, body: Any
) -> FakeKey | None:
    """Lock the object as it was asked for when its upload began."""
    upload = self.get_bucket(bucket_name).multiparts[multipart_id]
    key = _complete_multipart_upload(self, bucket_name, multipart_id, body)
    if key is not None:
        vars(key).update(vars(upload)["guard"])
    return key


def run(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    Queue.delete_message = _delete_message  # type: ignore[method-assign]
    SQSBackend.is_message_valid_based_on_retention_period = _is_retained  # type: ignore[method-assign]
    vars(models)["unix_time_millis"] = _milliseconds
    KmsResponse.sign = _sign_digest  # type: ignore[method-assign]
    Key.create_from_cloudformation_json = classmethod(_create_key)  # type: ignore[assignment]
    S3Backend.create_multipart_upload = _create_upload  # type: ignore[method-assign]
    S3Backend.complete_multipart_upload = _complete_upload  # type: ignore[method-assign]
    # moto lists its own folder for each request.
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    main(arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
