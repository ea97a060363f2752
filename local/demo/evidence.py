"""What the demo checks of an archived call: with nothing but S3 and the published schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMA = Path(__file__).parents[2] / "docs" / "manifest.schema.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A sealed call. `wrong` names every object whose bytes are not what the manifest says."""

    manifest: dict[str, Any]
    checked: int
    wrong: tuple[str, ...]


def gather(s3: Any, bucket: str, entry: dict[str, Any]) -> Evidence:
    """Read the manifest that the ledger names and everything that it names, from S3."""
    sealed = entry["manifest"]
    text = _read(s3, bucket, sealed)
    manifest = json.loads(text)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(manifest)
    objects = {
        described["key"]: described
        for described in (*manifest["legs"], manifest["recording"], manifest["peaks"])
    }
    wrong = [
        key
        for key, described in objects.items()
        if _sha256(_read(s3, bucket, described)) != described["sha256"]
    ]
    if _sha256(text) != sealed["sha256"]:
        wrong.append(sealed["key"])
    return Evidence(manifest=manifest, checked=len(objects) + 1, wrong=tuple(wrong))


def save_recording(s3: Any, bucket: str, manifest: dict[str, Any], folder: Path, name: str) -> Path:
    """Write the audio of a call into the folder and return where."""
    recording = manifest["recording"]
    path = folder / f"{name}{Path(recording['key']).suffix}"
    path.write_bytes(_read(s3, bucket, recording))
    return path


def _read(s3: Any, bucket: str, described: dict[str, Any]) -> bytes:
    answer = s3.get_object(Bucket=bucket, Key=described["key"], VersionId=described["version_id"])
    body: bytes = answer["Body"].read()
    return body


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
