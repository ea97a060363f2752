"""The manifests of a call, read and compared with what was sealed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from legato.archive.library import Library, whole
from legato.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from legato.catalogue.index import Row
    from legato.model import Json


def manifest(row: Row, library: Library) -> Json:
    """Return a call's newest manifest. Raises as manifests."""
    return next(manifests(row, library))[1]


def manifests(row: Row, library: Library) -> Iterator[tuple[Json, Json]]:
    """Yield all manifests of a call, the newest first, each behind what names it.

    That is the key, the version, and the SHA-256 that was sealed. Raises Conflict if the bytes are
    others, and as Library.read.
    """
    named: Json | None = row.to_json()["manifest"]
    while named is not None:
        body = whole(library, named["key"], version_id=named["version_id"])
        if hashlib.sha256(body).hexdigest() != named["sha256"]:
            raise Conflict(
                f"{named['key']} does not hold the bytes that were sealed: `legato verify`"
            )
        content: Json = json.loads(body)
        yield named, content
        named = content["supersedes"]


def audio(manifest: Json) -> Sequence[Json]:
    """Return what to play of a call, in this order: its recording, or the legs kept apart."""
    recording: Json | None = manifest["recording"]
    legs: Sequence[Json] = manifest["legs"]
    return legs if recording is None else [recording]
