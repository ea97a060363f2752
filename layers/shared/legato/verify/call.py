"""What lies in one folder: a call with all that its manifests name, or records of what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from legato.layout import access_key, manifest_key, newest_revision
from legato.model import CallId, encoded
from legato.verify.finding import Report
from legato.verify.schema import moment, parsed
from legato.verify.standing import check_locks, is_other, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.model import Json
    from legato.verify.evidence import Evidence, Version
    from legato.verify.package import Scope

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

type Versions = Mapping[str, Sequence[Version]]
"""By key, the newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loose:
    """An object that nothing names, and since when it is there.

    A bucket knows that by itself. In a folder it is what the object says, as is `claimed` always.
    """

    key: str
    since: datetime
    claimed: datetime


@dataclass(slots=True, kw_only=True)
class Examined:
    """What was found in one folder: documents that no digest, and objects that no manifest names.

    `newest` is the last time at which something was sealed. `absent` are documents that a package
    is to hold, as long as nobody came across them.
    """

    report: Report = field(default_factory=Report)
    unchained: list[Loose] = field(default_factory=list)
    unsealed: list[Loose] = field(default_factory=list)
    newest: datetime = LONG_AGO
    absent: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """A document that was read. `described` is what a digest says of it, if one does."""

    version: Version
    body: bytes
    sha256: str
    described: Json | None

    @property
    def version_id(self) -> str:
        return self.version.id if self.described is None else str(self.described["version_id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    document: _Document
    content: Json


def named_objects(manifest: Json) -> Iterator[Json]:
    """Yield all that a manifest names beside other manifests."""
    yield from manifest["legs"]
    if manifest["recording"] is not None:
        yield manifest["recording"]
    yield manifest["peaks"]
    yield from (leg["evidence"] for leg in manifest["missing"] if leg["evidence"] is not None)
    yield from manifest["abandoned"]


def folder_of(key: str) -> str:
    """Return the folder that is examined at once, with its trailing slash.

    It belongs to one call, or to one day of the access log.
    """
    parts = key.split("/")
    depth = 7 if parts[0] == "calls" else 4
    return "/".join(parts[:depth]) + "/"


def examine(
    folder: str,
    versions: Versions,
    named: Mapping[str, Json],
    evidence: Evidence,
    *,
    deep: bool,
    scope: Scope | None = None,
) -> Examined:
    """Examine one folder; `named` is what digests name in it. Raises Retry, Failed.

    In a package, of the revisions that its `scope` does not say to be whole only the manifests have
    to be there.
    """
    found = _Folder(
        folder=folder, versions=versions, named=named, evidence=evidence, deep=deep, scope=scope
    )
    if folder.startswith("calls/"):
        found.call()
    elif folder.startswith("access/"):
        found.accesses()
    else:
        found.holds()
    return found.out


@dataclass(slots=True, kw_only=True)
class _Folder:
    folder: str
    versions: Versions
    named: Mapping[str, Json]
    evidence: Evidence
    deep: bool
    scope: Scope | None
    out: Examined = field(default_factory=Examined)
    _unclear: bool = False
    """A manifest cannot be believed, so nobody knows what else there has to be."""
    _seen: dict[str, set[tuple[str, int, str]]] = field(default_factory=dict)

    def call(self) -> None:
        """Examine a call."""
        manifests = [found for key in self._manifest_keys() if (found := self._manifest(key))]
        self._check_revisions(manifests)
        for manifest in manifests:
            group = [manifest.document.version]
            for described in named_objects(manifest.content):
                if self._is_wanted(manifest.content["revision"], described["key"]):
                    group += self._object(described)
            check_locks(group, self.evidence, self.out.report)
        if self._unclear:
            return
        sealed = {manifest.document.version.key for manifest in manifests}
        for key in self.versions.keys() - self._seen.keys() - sealed:
            kept = [version for version in self.versions[key] if not version.gone]
            if kept and self.scope is not None:
                self.out.report.blame(key, "unlisted", "no manifest names it")
            elif kept:
                since = kept[-1].modified_at or _day_end(self.folder)
                self.out.unsealed.append(Loose(key=key, since=since, claimed=since))

    def _is_wanted(self, revision: int, key: str) -> bool:
        return (
            self.scope is None
            or key in self.versions
            or self.scope.wants(self.folder, revision, key)
        )

    def holds(self) -> None:
        """Examine what was noted about the legal holds of a call."""
        for key in sorted(self.versions.keys() | self.named.keys()):
            document = self._document(key)
            if document is not None:
                self._note(document, moment(key.rpartition("/")[2].rpartition("-")[0]))
                check_locks([document.version], self.evidence, self.out.report)

    def accesses(self) -> None:
        """Examine what was noted about the accesses of a day."""
        for key in sorted(self.versions.keys() | self.named.keys()):
            document = self._document(key)
            if document is not None:
                self._access(key, document)
                check_locks([document.version], self.evidence, self.out.report)

    def _access(self, key: str, document: _Document) -> None:
        try:
            content = parsed(document.body, "access.schema.json")
            if access_key(content["at"], content["id"]) != key:
                raise ValueError("it is the record of another access")
        except ValueError as error:
            if document.described is None:
                self._note(document, None)
            else:
                self.out.report.blame(key, "invalid", str(error))
            return
        self._note(document, moment(content["at"]))

    def _manifest_keys(self) -> list[str]:
        revisions = ((newest_revision([key]), key) for key in {*self.versions, *self.named})
        return [
            key
            for number, key in sorted(revisions)
            if number and key == manifest_key(self.folder, number)
        ]

    def _manifest(self, key: str) -> _Manifest | None:
        """Return a manifest that can be believed as far as the chain knows."""
        document = self._document(key)
        if document is None:
            self._unclear = True
            return None
        try:
            content = parsed(document.body, "manifest.schema.json")
            if not self._belongs(key, content):
                raise ValueError("it is of another call or revision")
        except ValueError as error:
            self._unclear = True
            if document.described is None:
                self._note(document, None)
            else:
                self.out.report.blame(key, "invalid", str(error))
            return None
        self._note(document, moment(content["sealed_at"]))
        return _Manifest(document=document, content=content)

    def _belongs(self, key: str, content: Json) -> bool:
        _, provider, account, *_, call, _ = self.folder.split("/")
        return tuple(map(encoded, CallId.of(content))) == (provider, account, call) and content[
            "revision"
        ] == newest_revision([key])

    def _document(self, key: str) -> _Document | None:
        """Read a document; return None, and blame it, if it is not what a digest names."""
        report, described = self.out.report, self.named.get(key)
        version_id = "" if described is None else described["version_id"]
        version = standing(key, self.versions.get(key, ()), version_id, report)
        if version is None:
            return None
        body = self.evidence.read(version)
        sha256 = hashlib.sha256(body).hexdigest()
        if described is not None:
            if described["sha256"] != sha256:
                report.blame(key, "edited", "its bytes are not those that its digest names")
                return None
            if is_other(version, version_id, self.evidence):
                report.blame(key, "replaced", f"the version {version_id} that was sealed is gone")
        report.documents += 1
        report.size += version.size
        return _Document(version=version, body=body, sha256=sha256, described=described)

    def _note(self, document: _Document, claimed: datetime | None) -> None:
        """Remember when a document was written, and whether no digest names it."""
        written = claimed or LONG_AGO
        self.out.newest = max(self.out.newest, written)
        if document.described is None:
            since = document.version.modified_at or written
            key = document.version.key
            self.out.unchained.append(Loose(key=key, since=since, claimed=claimed or since))

    def _check_revisions(self, manifests: Sequence[_Manifest]) -> None:
        """Check that each manifest names the one before, as far as all of them are known."""
        if self._unclear:
            return
        # One that no digest names is blamed itself, and not for what comes after it.
        before: list[_Document | None] = [None]
        for manifest in manifests:
            document = manifest.document
            if document.described is None:
                before.append(document)
                continue
            if not any(_names(manifest.content["supersedes"], each) for each in before):
                self.out.report.blame(
                    document.version.key,
                    "revision",
                    "it does not name the manifest of the revision before it",
                )
            before = [document]

    def _object(self, described: Json) -> list[Version]:
        """Check an object that a manifest names; return it, unless that was done before."""
        report, key, version_id = self.out.report, described["key"], described["version_id"]
        identity = (version_id, described["bytes"], described["sha256"])
        if identity in self._seen.setdefault(key, set()):
            return []
        self._seen[key].add(identity)
        version = standing(key, self.versions.get(key, ()), version_id, report)
        if version is None:
            return []
        report.objects += 1
        report.size += version.size
        if is_other(version, version_id, self.evidence):
            report.blame(key, "replaced", f"the version {version_id} that was sealed is gone")
        elif version.size != described["bytes"]:
            report.blame(
                key,
                "size",
                f"it has {version.size} bytes, and had {described['bytes']} when sealed",
            )
        elif self.deep:
            self._hash(version, described["sha256"])
        return [version]

    def _hash(self, version: Version, sealed: str) -> None:
        report, sha256 = self.out.report, self.evidence.sha256(version)
        if sha256 is None:
            report.cold += 1
            return
        report.hashed += 1
        if sha256 != sealed:
            report.blame(version.key, "edited", "its SHA-256 is not the one that was sealed")


def _names(described: Json | None, document: _Document | None) -> bool:
    if described is None or document is None:
        return described is None and document is None
    return (
        described["key"] == document.version.key
        and described["sha256"] == document.sha256
        and document.version_id in ("", described["version_id"])
    )


def _day_end(folder: str) -> datetime:
    """Return when the day of a call ends; long ago if its folder names none."""
    return moment("-".join(folder.split("/")[3:6]) + "T23:59:59") or LONG_AGO
