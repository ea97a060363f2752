"""Runs moto's server, with what it does not do as AWS made good, one by one with its reason."""

from __future__ import annotations

import base64
import json
import os
import re
import sys
import threading
import time
import uuid
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Response, abort, request
from moto import backends
from moto.cloudformation import parsing
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.comparisons import get_comparison_func
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table
from moto.iam.access_control import PermissionResult
from moto.kms.models import Key
from moto.kms.responses import KmsResponse
from moto.moto_api import state_manager
from moto.s3 import notifications
from moto.s3.exceptions import InvalidObjectState, MissingKey
from moto.s3.models import FakeBucket, FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response
from moto.s3.utils import ARCHIVE_STORAGE_CLASSES
from moto.server import main
from moto.sqs import models
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, SQSBackend

if TYPE_CHECKING:
    from collections.abc import Callable

RESTORE_SECONDS = "Standard=3,Bulk=5,Expedited=1"
"""How long restores take, where LEGATO_LOCAL_RESTORE_SECONDS does not say it."""
FASTER = ("Bulk", "Standard", "Expedited")
IN_PROGRESS = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RestoreAlreadyInProgress</Code>
<Message>Object restore is already in progress</Message></Error>"""

_query_table = Table.query
_item_size = Item.size
_item_copy = Item.__deepcopy__
_reading = threading.local()
_writing = threading.RLock()
_sign = KmsResponse.sign
_create_multipart_upload = S3Backend.create_multipart_upload
_complete_multipart_upload = S3Backend.complete_multipart_upload
_list_versions = S3Backend.list_object_versions
_get_key = S3Response._get_key
_get_s3_event = notifications._get_s3_event
_parse_and_update = parsing.parse_and_update_resource


def _one_at_a_time(write: Callable[..., Any]) -> Callable[..., Any]:
    """Let nobody write to a table between a write's condition and the write, as in DynamoDB.

    moto does, and a transaction that is refused undoes what others wrote meanwhile.
    """

    @wraps(write)
    def alone(*arguments: Any, **named: Any) -> Any:
        with _writing:
            return write(*arguments, **named)

    return alone


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


def _get_any_key(self: S3Response, validate_storage_class: bool = True) -> tuple[FakeKey, bool]:
    """Tell the legal hold of an object in cold storage too: it is nothing of its bytes."""
    return _get_key(self, validate_storage_class and "legal-hold" not in request.args)


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
        policy=json.dumps(asked["KeyPolicy"]),
        key_usage=asked.get("KeyUsage", "ENCRYPT_DECRYPT"),
        key_spec=asked.get("KeySpec", "SYMMETRIC_DEFAULT"),
        description=asked.get("Description"),
        tags=asked.get("Tags", []),
    )


def _update_resource(
    logical_id: str, resource_json: Any, resources_map: parsing.ResourceMap, **more: Any
) -> Any:
    """Update only what tells functions something; of all else moto loses much, or raises."""
    if resource_json["Type"] == "AWS::SSM::Parameter":
        return _parse_and_update(logical_id, resource_json, resources_map, **more)
    resource: Any = resources_map[logical_id]
    if resource_json["Type"] == "AWS::Lambda::Function":
        told = parsing.clean_json(resource_json["Properties"]["Environment"], resources_map)
        resource.update_configuration({"Environment": told})
    return resource


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


_on_their_way: dict[tuple[str, str, str], tuple[str, threading.Timer]] = {}
"""The restores that take their time, by bucket, key and version, with their tiers."""


def _restore_object(
    self: S3Backend,
    bucket_name: str,
    key_name: str,
    days: str | None,
    type_: str | None,  # noqa: ARG001 - moto's own
) -> bool:
    """Take as long as the tier asks for; moto restores at once, and whichever version is newest.

    Asked again it is refused, unless for a faster tier. What was restored before stays longer.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_RestoreObject.html
    """
    version = request.args.get("versionId")
    key = self.get_object(bucket_name, key_name, version_id=version)
    if key is None:
        raise MissingKey(key=key_name)
    if key.storage_class not in ARCHIVE_STORAGE_CLASSES:
        raise InvalidObjectState(storage_class=key.storage_class)
    named = re.search(rb"<Tier>(\w+)</Tier>", request.get_data())
    tier = named[1].decode() if named else "Standard"
    name = (bucket_name, key_name, str(key.version_id))
    before, timer = _on_their_way.get(name, ("", None))
    if timer is not None:
        if FASTER.index(tier) <= FASTER.index(before):
            abort(Response(IN_PROGRESS, status=409, mimetype="application/xml"))
        timer.cancel()
    until = datetime.now(UTC) + timedelta(int(days or 1) + 1)
    # S3 takes the copy away at a midnight.
    key.set_expiry(until.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None))
    if timer is None and key.status == "RESTORED":
        return True
    key.status = "IN_PROGRESS"
    arguments = (name, key, self.get_bucket(bucket_name))
    timer = threading.Timer(_restore_seconds()[tier], _restored, arguments)
    timer.daemon = True
    _on_their_way[name] = (tier, timer)
    timer.start()
    return False


def _restore_seconds() -> dict[str, float]:
    """Return how long each tier takes."""
    said = os.environ.get("LEGATO_LOCAL_RESTORE_SECONDS") or RESTORE_SECONDS
    pairs = (each.split("=") for each in f"{RESTORE_SECONDS},{said}".split(","))
    return {tier.strip(): float(seconds) for tier, seconds in pairs}


def _restored(name: tuple[str, str, str], key: FakeKey, bucket: FakeBucket) -> None:
    """Let the copy be read, and tell EventBridge, as S3 does where the bucket asks for it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    key.status = "RESTORED"
    _on_their_way.pop(name, None)
    configured = bucket.notification_configuration
    if configured is None or configured.event_bridge is None or key._expiry is None:
        return
    event: Any = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Object Restore Completed",
        "source": "aws.s3",
        "account": bucket.account_id,
        "time": time.time(),
        "region": bucket.region_name,
        "resources": [bucket.arn],
        "detail": {
            "version": "0",
            "event-version": "1.1",
            "bucket": {"name": bucket.name},
            "object": {
                "key": key.name,
                "size": key.size,
                "etag": key.etag.strip('"'),
                "version-id": key.version_id,
            },
            "request-id": "189F19CB7FB1B6A4",
            "requester": "s3.amazonaws.com",
            "restore-expiry-time": f"{key._expiry:%Y-%m-%dT%H:%M:%SZ}",
            "source-storage-class": key.storage_class,
        },
    }
    events = backends.get_backend("events")[bucket.account_id][bucket.region_name]
    for bus in events.event_buses.values():
        for rule in bus.rules.values():
            rule.send_to_targets(event, transform_input=False)


def _announced(event_name: str, bucket: FakeBucket, key: FakeKey, name: str) -> Any:
    """Say which version it is that has come, as S3 does; moto leaves it out."""
    said = _get_s3_event(event_name, bucket, key, name)
    if bucket.is_versioned:
        said["Records"][0]["s3"]["object"]["versionId"] = key.version_id
    return said


def _permitted(_self: FakeBucket, _action: str, _resource: str) -> PermissionResult:
    """Let local/permissions.py say who may do what; moto passes over a policy's conditions."""
    return PermissionResult.NEUTRAL


def _size(self: Item) -> int:
    """Return how large an item is; moto counts it anew for each query that passes it.

    Nothing here changes an item in place: it is written anew.
    """
    known: int | None = vars(self).get("size_once")
    if known is None:
        known = vars(self)["size_once"] = _item_size(self)
    return known


def _query(
    self: Table,
    hash_key: Any,
    comparison: str | None,
    bounds: list[Any],
    limit: int,
    start: Any,
    forward: bool,
    projected: Any,
    index: str | None = None,
    *arguments: Any,
    **named: Any,
) -> Any:
    """Look only at what may be in the answer; moto sorts the whole table for each query.

    A table's own order is taken to be that of strings.
    """
    narrow = copy(self)
    if index is None:
        found = {item.range_key.value: item for item in self.items.get(hash_key, {}).values()}
        if comparison is not None:
            is_within = get_comparison_func(comparison)
            values = [bound.value for bound in bounds]
            found = {place: found[place] for place in found if is_within(place, *values)}
        places = sorted(found, reverse=not forward)
        if start is not None:
            left = start[self.range_key_attr]["S"]
            places = [place for place in places if place != left and (place > left) == forward]
        # One more tells moto that there is another page.
        items = [found[place] for place in places[: limit and limit + 1]]
    else:
        [schema] = [each.schema for each in self.global_indexes if each.name == index]
        attribute = schema[0]["AttributeName"]
        items = [
            item
            for partition in self.items.values()
            for item in partition.values()
            if attribute in item.attrs
        ]
    narrow.all_items = lambda: items  # type: ignore[method-assign]
    _reading.now = True
    try:
        return _query_table(
            narrow,
            hash_key,
            comparison,
            bounds,
            limit,
            start,
            forward,
            projected,
            index,
            *arguments,
            **named,
        )
    finally:
        _reading.now = False


def _copied(self: Item, memo: dict[int, Any]) -> Item:
    """Return an item itself to a query, which only reads; moto copies all that it then filters."""
    return self if getattr(_reading, "now", False) else _item_copy(self, memo)


def _listed(self: FakeKey, _memo: dict[int, Any]) -> FakeKey:
    """Return what a list of versions says of an object; moto copies the bytes of all objects."""
    about = object.__new__(FakeKey)
    vars(about).update(
        vars(self),
        _etag=self.etag.strip('"'),
        # What is left to a copy is closed when the copy is let go.
        _value_buffer=None,
        multipart=None,
        disposed=True,
    )
    return about


def _list_object_versions(
    self: S3Backend, bucket_name: str, *, prefix: str = "", **named: Any
) -> Any:
    """Look only at what may be in the answer; moto copies and sorts all of a bucket."""
    narrow, bucket = copy(self), copy(self.get_bucket(bucket_name))
    found = {
        name: versions for name, versions in bucket.keys.iterlists() if name.startswith(prefix)
    }
    bucket.keys = type(bucket.keys)(found)
    vars(narrow)["get_bucket"] = lambda _name: bucket
    return _list_versions(narrow, bucket_name, prefix=prefix, **named)


def run(arguments: list[str]) -> None:
    """Serve until the process is ended."""
    Queue.delete_message = _delete_message  # type: ignore[method-assign]
    SQSBackend.is_message_valid_based_on_retention_period = _is_retained  # type: ignore[method-assign]
    vars(models)["unix_time_millis"] = _milliseconds
    for name in ("put_item", "update_item", "delete_item", "transact_write_items"):
        setattr(DynamoDBBackend, name, _one_at_a_time(getattr(DynamoDBBackend, name)))
    Item.__deepcopy__ = _copied  # type: ignore[method-assign]
    Item.size = _size  # type: ignore[method-assign]
    Table.query = _query  # type: ignore[method-assign, assignment]
    FakeKey.__deepcopy__ = _listed  # type: ignore[attr-defined]
    KmsResponse.sign = _sign_digest  # type: ignore[method-assign]
    Key.create_from_cloudformation_json = classmethod(_create_key)  # type: ignore[assignment]
    vars(notifications)["_get_s3_event"] = _announced
    vars(parsing)["parse_and_update_resource"] = _update_resource
    FakeBucket.get_permission = _permitted  # type: ignore[method-assign, assignment]
    S3Backend.create_multipart_upload = _create_upload  # type: ignore[method-assign]
    S3Backend.complete_multipart_upload = _complete_upload  # type: ignore[method-assign]
    S3Response._get_key = _get_any_key  # type: ignore[method-assign]
    S3Backend.restore_object = _restore_object  # type: ignore[method-assign]
    S3Backend.list_object_versions = _list_object_versions  # type: ignore[method-assign, assignment]
    # Nothing but time restores an object, however often somebody looks.
    never = {"progression": "manual", "times": sys.maxsize}
    state_manager.set_transition("s3::keyrestore", transition=never)
    # moto lists its own folder for each request.
    modules = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    main(arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
