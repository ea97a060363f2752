"""The evidence documents, which digests name: each says of itself what its key says of it.

They are manifests, records of the steps of legal holds, and records of accesses.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from legato.layout import CALLS, access_key, account_prefix, hold_key, manifest_key
from legato.model import CallId, encoded, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json

HOLDS, ACCESSES = "holds/", "access/"
FOLDERS = (CALLS, HOLDS, ACCESSES)


def is_document(key: str) -> bool:
    """Say whether a key is one of an evidence document."""
    name = key.rpartition("/")[2]
    return key.startswith(FOLDERS) and (not key.startswith(CALLS) or name.startswith("manifest-"))


def said_at(key: str, content: Json) -> datetime:
    """Return when a document says that it was written.

    Raises ValueError if what it says of itself is not what its key says.
    """
    try:
        if _own_key(key, content) == key:
            return parse_time(content["sealed_at" if key.startswith(CALLS) else "at"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it does not say {error}") from error
    raise ValueError("what it says of itself is not what its key says")


def read(key: str, body: bytes) -> datetime:
    """Return when the document with these bytes says that it was written. Raises ValueError."""
    try:
        content = json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return said_at(key, content)


def _own_key(key: str, content: Json) -> str:
    """Return the key that a document of this content has."""
    if not is_document(key):
        raise ValueError("its key is none of an evidence document")
    if key.startswith(ACCESSES):
        return access_key(content["at"], content["id"])
    call = CallId.of(content)
    if key.startswith(HOLDS):
        return hold_key(call, content["at"], content["step"])
    day = "/".join(key.split("/")[3:6])
    folder = f"{account_prefix(call.provider, call.account)}{day}/{encoded(call.call)}/"
    return manifest_key(folder, content["revision"])
