"""Chain the evidence: each hour a digest names what was sealed, and the digest before it.

Who holds the newest digest can prove of every document below it that it is unaltered, and that none
was taken away. The signature says that it was Legato who wrote it: it is given for what was read
from the bucket a moment ago, and never for what the ledger says or for a file that somebody left.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import batched
from typing import TYPE_CHECKING, Protocol

from legato import __version__
from legato.archive import document
from legato.archive.layout import CALLS, digest_key, public_key_key
from legato.errors import Conflict, Failed, LegatoError, Retry, Stale
from legato.ledger import undigested
from legato.model import Json, StoredObject, format_time, parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from legato.ledger.undigested import Announced
    from legato.model import Note, StoredDocument
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
AT_ONCE = 16
BATCH = 256
LIFE = timedelta(minutes=20)
"""A run lives for a quarter of an hour, and no two clocks are the same."""
DAY = timedelta(days=1)
HEAD = "digests"
DIGESTS = "digests/2"
"""Every year of them, and not the keys."""
JSON = "application/json"
COUNTED = {
    "manifests": CALLS,
    "holds": document.HOLDS,
    "accesses": document.ACCESSES,
    "reports": document.REPORTS,
}
FIELDS = {
    "sequence",
    "from",
    "to",
    "written_at",
    "legato_version",
    "objects",
    "lost",
    "signed_with",
}


class Signer(Protocol):
    """Who signs. The key never leaves its place."""

    key_id: str
    algorithm: str

    def sign(self, digest: bytes) -> bytes:
        """Return the signature, as DER, of what has this SHA-256. Raises Retry."""
        ...

    def is_signed(self, digest: bytes, signature: bytes) -> bool:
        """Say whether it has signed what has this SHA-256. Raises Retry."""
        ...

    def public_key(self) -> bytes:
        """Return the public key as PEM. Raises Retry."""
        ...


@dataclass(slots=True, kw_only=True)
class DigestReport:
    """What a run wrote, and what `stopped` it.

    So long ago the newest digest ends, as `behind`; None as long as there is none.
    """

    digests: list[str] = field(default_factory=list)
    objects: int = 0
    behind: timedelta | None = None
    stopped: LegatoError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestChain:
    """The chain of digests in an archive, to which the next ones are added."""

    archive: Archive
    notes: Lists
    signer: Signer
    clock: Clock

    def write(self, *, until: datetime) -> DigestReport:
        """Write the digest of each hour that is over and has none, the oldest first, up to `until`.

        Runs may be late, repeated, or at the same time: an hour's key can be written once, and who
        comes second goes on from what the first one wrote. Raises nothing but what nobody foresaw.
        """
        report = DigestReport()
        try:
            while (start := self._next_hour()) is not None:
                if self.clock.now() > until - RESERVE:
                    break
                key, named = self._write_hour(start)
                report.digests.append(key)
                report.objects += named
        except LegatoError as error:
            report.stopped = error
            log.error("no digest", extra={"reason": str(error)})
        with suppress(LegatoError):
            head = self.notes.read(HEAD).content
            report.behind = self.clock.now() - parse_time(head["to"]) if head else None
        return report

    def _next_hour(self) -> datetime | None:
        """Return the beginning of the next hour to write, or None if it is not over."""
        now, head = self.clock.now(), self.notes.read(HEAD)
        if head.content:
            start = parse_time(head.content["to"])
        else:
            start = self._found(head) or now.replace(minute=0, second=0, microsecond=0) - HOUR
        return start if now >= start + HOUR + GRACE else None

    def _found(self, head: Note) -> datetime | None:
        """Return where the chain in the bucket goes on, of which the ledger knows nothing."""
        listed = self.archive.sizes(
            DIGESTS
        )  # years of them: no more is asked of any but the newest
        keys = sorted((key for key in listed if key.endswith(".json")), reverse=True)
        for key in keys:
            newest = self._signed_by_us(key)
            if newest is not None:
                self.notes.write(replace(head, content=newest))
                return parse_time(newest["to"])
            log.warning("no digest of ours, or not signed yet", extra={"key": key})
        # The very first one, whose run died before it was signed.
        first = self.archive.document(keys[-1]) if keys else None
        start = None if first is None else parse_time(_parsed(first)["from"])
        return start if start is not None and start > self.clock.now() - DAY else None

    def _signed_by_us(self, key: str) -> Json | None:
        """Return what is noted of the newest digest, if this may be it."""
        found, signature = self.archive.document(key), self.archive.document(f"{key}.sig")
        if found is None or signature is None:
            return None
        with suppress(Failed):
            newest = _newest(_parsed(found), found.object, signature.body)
            if (
                self._is_ours(found, signature.body)
                and parse_time(newest["to"]) <= self.clock.now()
            ):
                return newest
        return None

    def _write_hour(self, start: datetime) -> tuple[str, int]:
        """Write one digest, name it the newest, and take what it names off the list."""
        head = self.notes.read(HEAD)
        self._check_head(head.content)
        key = digest_key(start)
        found, signature = self.archive.document(key), self.archive.document(f"{key}.sig")
        if found is None and signature is not None:
            raise Failed(f"{key}.sig is there before its digest: nobody of ours has written it")
        if found is None:
            content = self._content(start, head.content)
            body = document.to_bytes(content)
            # Who cannot sign writes nothing: a second signature of the same bytes is another one.
            signed = self._signed(body)
            stored = self._put(key, body)
            self._put(f"{key}.sig", signed)
        elif signature is None:
            content, stored = self._unsigned(found, start, head.content), found.object
            signed = self._signed(found.body)
            self._put(f"{key}.sig", signed)
        else:
            if not self._is_ours(found, signature.body):
                raise Failed(f"{key} is there, and nobody of ours has signed it")
            content, stored, signed = _parsed(found), found.object, signature.body
        try:
            self.notes.write(replace(head, content=_newest(content, stored, signed)))
        except Stale as error:
            raise Retry("another run has written the same digest") from error
        for named in (*content["objects"], *content["lost"]):
            undigested.digested(named["key"], self.notes)
        log.info("digest written", extra={"key": key, "objects": len(content["objects"])})
        return key, len(content["objects"])

    def _check_head(self, head: Json) -> None:
        """Make sure that the digest before is one of ours: here it is only the ledger that says so.

        It may be gone from the bucket, which `legato verify` tells. Raises Failed.
        """
        if not head:
            return
        found = self.archive.document(head["key"], version_id=head["version_id"])
        said = head if found is None else _newest(_parsed(found), found.object, b"")
        same = all(said[name] == head[name] for name in ("sequence", "to", "sha256"))
        sha256, signature = bytes.fromhex(head["sha256"]), base64.b64decode(head["signature"])
        other_key = (
            found is not None and _parsed(found)["signed_with"]["key_id"] != self.signer.key_id
        )
        if not same or not (other_key or self.signer.is_signed(sha256, signature)):
            raise Failed(f"the ledger names {head['key']} as the newest digest, which it is not")

    def _is_ours(self, found: StoredDocument, signature: bytes) -> bool:
        """Say whether a digest was signed by this key, or says that it was by another one.

        A stack may get a new key: `legato verify` is told both.
        """
        if _parsed(found)["signed_with"]["key_id"] != self.signer.key_id:
            return True
        return self.signer.is_signed(bytes.fromhex(found.object.sha256), signature)

    def _unsigned(self, found: StoredDocument, start: datetime, head: Json) -> Json:
        """Return a digest whose run died before it was signed.

        Somebody else may have put it there. So all that it says is looked for once more, and must
        give the same bytes, which S3 has since it was written. Raises Failed.
        """
        key, content, lost = found.object.key, _parsed(found), self._announced(start + HOUR)[1]
        try:
            objects = [
                self._document(each["key"], each["version_id"]) for each in content["objects"]
            ]
            written_at = parse_time(content["written_at"])
            again = self._digest(
                start,
                head,
                objects=[each for each in objects if each is not None],
                lost=[each for each in map(document.described, lost) if each in content["lost"]],
                written_at=content["written_at"],
                version=content["legato_version"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Failed(f"{key} is no digest") from error
        timely = start + HOUR <= written_at and abs(found.modified_at - written_at) <= LIFE
        if not timely or document.to_bytes(again) != found.body:
            raise Failed(f"{key} was not written by a digest's run: somebody else has put it there")
        return content

    def _content(self, start: datetime, head: Json) -> Json:
        objects, lost = self._announced(start + HOUR)
        return self._digest(
            start,
            head,
            objects=objects,
            lost=[document.described(stored) for stored in lost],
            written_at=format_time(self.clock.now()),
            version=__version__,
        )

    def _digest(
        self,
        start: datetime,
        head: Json,
        *,
        objects: list[StoredDocument],
        lost: list[Json],
        written_at: str,
        version: str,
    ) -> Json:
        public_key = self._public_key()
        linked = ("key", "version_id", "sha256", "signature")
        return {
            "schema_version": SCHEMA_VERSION,
            "legato_version": version,
            "sequence": head["sequence"] + 1 if head else 1,
            "from": format_time(start),
            "to": format_time(start + HOUR),
            "written_at": written_at,
            "previous": {name: head[name] for name in linked} if head else None,
            "signed_with": {
                "key_id": self.signer.key_id,
                "algorithm": self.signer.algorithm,
                "public_key": document.described(public_key),
            },
            "objects": [
                document.described(each.object) | {"modified_at": format_time(each.modified_at)}
                for each in objects
            ],
            "lost": lost,
            "counts": {
                name: sum(each.object.key.startswith(folder) for each in objects)
                for name, folder in COUNTED.items()
            },
        }

    def _announced(self, end: datetime) -> tuple[list[StoredDocument], list[StoredObject]]:
        """Return what was announced up to a moment and stands in the bucket, and what is lost.

        That is what the ledger says was written, and the bucket does not have. What is no evidence
        document is taken off the list and named by no digest.
        """
        found: list[StoredDocument] = []
        lost: list[StoredObject] = []
        announced = undigested.listed(self.notes, until=end)
        with ThreadPoolExecutor(AT_ONCE) as workers:
            for batch in batched(announced, BATCH, strict=False):
                for each, read in zip(batch, workers.map(self._look, batch), strict=True):
                    if isinstance(read, Failed):
                        log.error("not signed", extra={"key": each.key, "reason": str(read)})
                        undigested.digested(each.key, self.notes)
                    elif read is not None:
                        found.append(read)
                    elif each.stored is not None:
                        log.error("lost before its digest", extra={"key": each.key})
                        lost.append(each.stored)
                    elif each.at < self.clock.now() - NEVER_WRITTEN:
                        undigested.never_written(each, self.notes)
                if len(found) > MOST_OBJECTS - BATCH:
                    break
        return found, lost

    def _look(self, announced: Announced) -> StoredDocument | Failed | None:
        """Read what was announced, of the version that was written if it is known. Raises Retry."""
        version_id = "" if announced.stored is None else announced.stored.version_id
        try:
            return self._document(announced.key, version_id)
        except Failed as error:
            return error

    def _document(self, key: str, version_id: str) -> StoredDocument | None:
        """Return an evidence document; None if it is not there. Raises Failed for anything else."""
        if not document.is_document(key):
            raise Failed("its key is none of an evidence document")
        found = self.archive.document(key, version_id=version_id)
        if found is not None:
            try:
                document.read(key, found.body)
            except ValueError as error:
                raise Failed(str(error)) from error
        return found

    def _public_key(self) -> StoredObject:
        return self._put(public_key_key(self.signer.key_id), self.signer.public_key())

    def _signed(self, body: bytes) -> bytes:
        return self.signer.sign(hashlib.sha256(body).digest())

    def _put(self, key: str, body: bytes) -> StoredObject:
        media_type = JSON if key.endswith(".json") else "application/octet-stream"
        try:
            return self.archive.put_bytes(key, body, media_type=media_type)
        except Conflict as error:
            raise Retry(f"another run has just written {key}") from error


def _newest(content: Json, stored: StoredObject, signature: bytes) -> Json:
    return {
        "sequence": content["sequence"],
        "to": content["to"],
        "key": stored.key,
        "version_id": stored.version_id,
        "sha256": stored.sha256,
        "signature": base64.b64encode(signature).decode(),
    }


def _parsed(found: StoredDocument) -> Json:
    """Return what a digest says. Raises Failed if it is none."""
    try:
        content: Json = json.loads(found.body)
        whole = content.keys() >= FIELDS and "key_id" in content["signed_with"]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Failed(f"{found.object.key} is no digest") from error
    if not whole:
        raise Failed(f"{found.object.key} is no digest")
    return content
