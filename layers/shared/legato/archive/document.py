"""The evidence documents, which digests name: each says of itself what its key says of it.

They are manifests, records of the steps of legal holds, records of accesses, and the reports of
reconciliations with their pages.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from legato.archive.layout import (
    CALLS,
    access_key,
    account_prefix,
    hold_key,
    manifest_key,
    report_key,
)
from legato.model import CallId, encoded, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json, StoredObject

HOLDS, ACCESSES, REPORTS = "holds/", "access/", "reports/"
FOLDERS = (CALLS, HOLDS, ACCESSES, REPORTS)
_TIMES = {CALLS: "sealed_at", HOLDS: "at", ACCESSES: "at", REPORTS: "ended_at"}
_PAGE_TIME = re.compile(rb'<meta name="date" content="([^"]+)">')
"""A page says it as HTML does."""


def is_document(key: str) -> bool:
    """Say whether a key is one of an evidence document."""
    name = key.rpartition("/")[2]
    return key.startswith(FOLDERS) and (not key.startswith(CALLS) or name.startswith("manifest-"))


def is_page(key: str) -> bool:
    """Say whether a document is not JSON, but a page for people."""
    return key.startswith(REPORTS) and key.endswith(".html")


def said_at(key: str, content: Json) -> datetime:
    """Return when a document says that it was written.

    Raises ValueError if what it says of itself is not what its key says.
    """
    try:
        if _own_key(key, content) == key:
            return parse_time(content[_TIMES[_folder(key)]])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it does not say {error}") from error
    raise ValueError("what it says of itself is not what its key says")


def read(key: str, body: bytes) -> datetime:
    """Return when the document with these bytes says that it was written. Raises ValueError."""
    if is_page(key):
        said = _PAGE_TIME.search(body)
        return said_at(key, {"ended_at": said[1].decode("ascii", "replace")} if said else {})
    try:
        content = json.loads(body)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return said_at(key, content)


def to_bytes(content: Json) -> bytes:
    """Write a document as it is stored: UTF-8, indented for people, ending in LF."""
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"


def described(stored: StoredObject) -> Json:
    """Return how a document names an object."""
    return {
        "key": stored.key,
        "version_id": stored.version_id,
        "bytes": stored.size,
        "sha256": stored.sha256,
    }


def _folder(key: str) -> str:
    return f"{key.partition('/')[0]}/"


def _own_key(key: str, content: Json) -> str:
    """Return the key that a document of this content has."""
    if not is_document(key):
        raise ValueError("its key is none of an evidence document")
    if key.startswith(REPORTS):
        return report_key(parse_time(content["ended_at"]), "html" if is_page(key) else "json")
    if key.startswith(ACCESSES):
        return access_key(content["at"], content["id"])
    call = CallId.of(content)
    if key.startswith(HOLDS):
        return hold_key(call, content["at"], content["step"])
    day = "/".join(key.split("/")[3:6])
    folder = f"{account_prefix(call.provider, call.account)}{day}/{encoded(call.call)}/"
    return manifest_key(folder, content["revision"])
