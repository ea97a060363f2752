"""Chain the evidence: each hour a digest names what was sealed, and the digest before it.

Who holds the newest digest can prove of every document below it that it is unaltered, and that none
was taken away. The signature says that it was Legato who wrote it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from legato import __version__, chain
from legato.errors import Conflict, Failed, LegatoError, Retry, Stale
from legato.layout import digest_key, public_key_key
from legato.model import Json, StoredObject, format_time, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Note
    from legato.ports import Archive, Clock, Lists

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=2)
"""An hour is over when the clocks of all workers say so."""
NEVER_WRITTEN = timedelta(hours=1)
"""A document that was announced so long ago is not on its way: no worker lives that long."""
RESERVE = timedelta(seconds=60)
MOST_OBJECTS = 20_000
"""In one digest; what is left goes into the next."""
HEAD = "digests"
DIGESTS = "digests/2"
"""Every year of them, and not the keys."""
JSON = "application/json"


class Signer(Protocol):
    """Who signs. The key never leaves its place."""

    key_id: str
    algorithm: str

    def sign(self, digest: bytes) -> bytes:
        """Return the signature, as DER, of what has this SHA-256. Raises Retry."""
        ...

    def public_key(self) -> bytes:
        """Return the public key as PEM. Raises Retry."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chaining:
    """What the digests are made with."""

    archive: Archive
    notes: Lists
    signer: Signer
    clock: Clock


@dataclass(slots=True, kw_only=True)
class DigestReport:
    """What a run wrote, and what `stopped` it.

    So long ago the newest digest ends, as `behind`; None as long as there is none.
    """

    digests: list[str] = field(default_factory=list)
    objects: int = 0
    behind: timedelta | None = None
    stopped: LegatoError | None = None


def digest(work: Chaining, *, until: datetime) -> DigestReport:
    """Write the digest of each hour that is over and has none, the oldest first, before `until`.

    Runs may be late, repeated, or at the same time: an hour's key can be written once, and who
    comes second goes on from what the first one wrote. Raises nothing but what nobody foresaw.
    """
    report = DigestReport()
    try:
        while (start := _next_hour(work)) is not None:
            if work.clock.now() > until - RESERVE:
                break
            key, named = _write(work, start)
            report.digests.append(key)
            report.objects += named
    except LegatoError as error:
        report.stopped = error
        log.error("no digest", extra={"reason": str(error)})
    with suppress(LegatoError):
        head = work.notes.read(HEAD).content
        report.behind = work.clock.now() - parse_time(head["to"]) if head else None
    return report


def _next_hour(work: Chaining) -> datetime | None:
    """Return the beginning of the next hour to write, or None if it is not over."""
    now, head = work.clock.now(), work.notes.read(HEAD)
    if head.content:
        start = parse_time(head.content["to"])
    else:
        start = _found(work, head) or now.replace(minute=0, second=0, microsecond=0) - HOUR
    return start if now >= start + HOUR + GRACE else None


def _found(work: Chaining, head: Note) -> datetime | None:
    """Return where the chain in the bucket goes on, of which the ledger knows nothing."""
    listed = work.archive.sizes(DIGESTS)  # years of them: no more is asked of any but the newest
    keys = sorted(key for key in listed if key.endswith(".json"))
    if not keys:
        return None
    signed = [key for key in keys if f"{key}.sig" in listed]
    if not signed:
        return parse_time(json.loads(_read(work, work.archive.find(keys[0])[keys[0]]))["from"])
    key = signed[-1]
    found = work.archive.find(key)
    stored, signature = found[key], found[f"{key}.sig"]
    newest = _newest(json.loads(_read(work, stored)), stored, _read(work, signature))
    work.notes.write(replace(head, content=newest))
    return parse_time(newest["to"])


def _write(work: Chaining, start: datetime) -> tuple[str, int]:
    """Write one digest, name it the newest, and take what it names off the list."""
    head = work.notes.read(HEAD)
    key = digest_key(start)
    present = work.archive.find(key)
    stored, signature = present.get(key), present.get(f"{key}.sig")
    body = _to_bytes(_content(work, start, head.content)) if stored is None else _read(work, stored)
    # Who cannot sign writes nothing. A second signature of the same bytes would be another one.
    signed = _signed(work, body) if signature is None else _read(work, signature)
    stored = stored or _put(work, key, body)
    if signature is None:
        _put(work, f"{key}.sig", signed)
    content = json.loads(body)
    try:
        work.notes.write(replace(head, content=_newest(content, stored, signed)))
    except Stale as error:
        raise Retry("another run has written the same digest") from error
    for named in content["objects"]:
        chain.chained(named["key"], work.notes)
    log.info("digest written", extra={"key": key, "objects": len(content["objects"])})
    return key, len(content["objects"])


def _content(work: Chaining, start: datetime, head: Json) -> Json:
    end = start + HOUR
    objects = _sealed(work, end)
    public_key = _public_key(work)
    linked = ("key", "version_id", "sha256", "signature")
    return {
        "schema_version": SCHEMA_VERSION,
        "legato_version": __version__,
        "sequence": head["sequence"] + 1 if head else 1,
        "from": format_time(start),
        "to": format_time(end),
        "written_at": format_time(work.clock.now()),
        "previous": {name: head[name] for name in linked} if head else None,
        "signed_with": {
            "key_id": work.signer.key_id,
            "algorithm": work.signer.algorithm,
            "public_key": _described(public_key),
        },
        "objects": [_described(stored) for stored in objects],
        "counts": {
            "manifests": sum(stored.key.startswith("calls/") for stored in objects),
            "holds": sum(stored.key.startswith("holds/") for stored in objects),
            "accesses": sum(stored.key.startswith("access/") for stored in objects),
        },
    }


def _newest(content: Json, stored: StoredObject, signature: bytes) -> Json:
    return {
        "sequence": content["sequence"],
        "to": content["to"],
        "key": stored.key,
        "version_id": stored.version_id,
        "sha256": stored.sha256,
        "signature": base64.b64encode(signature).decode(),
    }


def _sealed(work: Chaining, end: datetime) -> list[StoredObject]:
    """Return what was announced up to a moment and stands in the bucket."""
    found: list[StoredObject] = []
    for announced in chain.unchained(work.notes, until=end):
        key = announced.key
        written = announced.stored or work.archive.find(key).get(key)
        if written is not None:
            found.append(written)
        elif announced.at < work.clock.now() - NEVER_WRITTEN:
            chain.never_written(announced, work.notes)
        if len(found) == MOST_OBJECTS:
            break
    return found


def _public_key(work: Chaining) -> StoredObject:
    return _put(work, public_key_key(work.signer.key_id), work.signer.public_key())


def _signed(work: Chaining, body: bytes) -> bytes:
    return work.signer.sign(hashlib.sha256(body).digest())


def _put(work: Chaining, key: str, body: bytes) -> StoredObject:
    media_type = JSON if key.endswith(".json") else "application/octet-stream"
    try:
        return work.archive.put_bytes(key, body, media_type=media_type)
    except Conflict as error:
        raise Retry(f"another run has just written {key}") from error


def _read(work: Chaining, stored: StoredObject) -> bytes:
    with work.archive.read(stored.key, version_id=stored.version_id) as pieces:
        body = b"".join(pieces)
    if hashlib.sha256(body).hexdigest() != stored.sha256:
        raise Failed(f"{stored.key} does not hold the bytes that were written")
    return body


def _described(stored: StoredObject) -> Json:
    return {
        "key": stored.key,
        "version_id": stored.version_id,
        "bytes": stored.size,
        "sha256": stored.sha256,
    }


def _to_bytes(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"
