"""What the demo checks of an archived call: with nothing but S3 and the published schema."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
COLD = ("GLACIER", "DEEP_ARCHIVE")
"""Storage classes whose objects cannot be read before they are restored."""
LOOK_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A sealed call. `wrong` names every object whose bytes are not what the manifest says.

    `classes` are the storage classes of its audio, `restored` says how many of the objects checked
    had to be restored before they could be read.
    """

    manifest: dict[str, Any]
    checked: int
    wrong: tuple[str, ...]
    classes: frozenset[str]
    restored: int


def gather(s3: Any, bucket: str, entry: dict[str, Any]) -> Evidence:
    """Read the manifest that the ledger names and everything that it names, from S3."""
    sealed = entry["manifest"]
    text = read(s3, bucket, sealed)
    manifest = json.loads(text)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(manifest)
    # A call of one leg has that leg as its recording; legs that are kept apart have none.
    audio = {
        described["key"]: described
        for described in (*manifest["legs"], manifest["recording"])
        if described is not None
    }
    objects = audio | {manifest["peaks"]["key"]: manifest["peaks"]}
    classes = [storage_class(s3, bucket, described) for described in audio.values()]
    for described, kept_in in zip(audio.values(), classes, strict=True):
        if kept_in in COLD:
            order(s3, bucket, described)
    wrong = [
        key
        for key, described in objects.items()
        if _sha256(read(s3, bucket, described)) != described["sha256"]
    ]
    if _sha256(text) != sealed["sha256"]:
        wrong.append(sealed["key"])
    return Evidence(
        manifest=manifest,
        checked=len(objects) + 1,
        wrong=tuple(wrong),
        classes=frozenset(classes),
        restored=sum(each in COLD for each in classes),
    )


def storage_class(s3: Any, bucket: str, described: dict[str, Any]) -> str:
    """Return the storage class of one version of an object, which S3 does not say of STANDARD."""
    head = s3.head_object(**_version(bucket, described))
    return str(head.get("StorageClass", "STANDARD"))


def read(s3: Any, bucket: str, described: dict[str, Any]) -> bytes:
    """Read one version of an object; what is cold is restored first, as an operator would do it.

    Here that takes a moment; at AWS it takes minutes or hours.
    """
    version = _version(bucket, described)
    if storage_class(s3, bucket, described) in COLD:
        order(s3, bucket, described)
        while 'ongoing-request="true"' in s3.head_object(**version)["Restore"]:
            time.sleep(LOOK_AGAIN_SECONDS)
    body: bytes = s3.get_object(**version)["Body"].read()
    return body


def order(s3: Any, bucket: str, described: dict[str, Any]) -> None:
    """Order a copy of a cold object, unless it is there or on its way."""
    version = _version(bucket, described)
    if "Restore" in s3.head_object(**version):
        return
    asked = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
    try:
        s3.restore_object(**version, RestoreRequest=asked)
    except ClientError as error:
        if error.response["Error"]["Code"] != "RestoreAlreadyInProgress":
            raise


def _version(bucket: str, described: dict[str, Any]) -> dict[str, str]:
    return {"Bucket": bucket, "Key": described["key"], "VersionId": described["version_id"]}


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
