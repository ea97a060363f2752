"""What lies in one folder: a call with all that its manifests name, or records of what was done."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from legato.archive.document import ACCESSES, REPORTS, is_page, read, said_at
from legato.archive.layout import CALLS, call_in, manifest_key, newest_revision
from legato.evidence.verify.current_version import check_locks, is_other, standing
from legato.evidence.verify.finding import Report
from legato.evidence.verify.holds import Steps
from legato.evidence.verify.manifests import contradictions, lost
from legato.evidence.verify.schema import moment, parsed
from legato.evidence.verify.times import AHEAD, FRESH, NAMED, STEP, WRITING
from legato.model import format_time, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

    from legato.archive.evidence import Evidence, Version
    from legato.evidence.verify.finding import Scope
    from legato.model import Json

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
    is to hold, as long as nobody came across them. `sealed` is the key of a manifest that a digest
    names. `held` is what the records of holds come to, if it is a folder of them: the `cases` that
    hold the call, None if nobody knows, and `since` when.
    """

    report: Report = field(default_factory=Report)
    unchained: list[Loose] = field(default_factory=list)
    unsealed: list[Loose] = field(default_factory=list)
    newest: datetime = LONG_AGO
    absent: set[str] = field(default_factory=set)
    sealed: str | None = None
    held: Json | None = None


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


def examine(
    folder: str,
    versions: Versions,
    named: Mapping[str, Json],
    held: Json | None,
    evidence: Evidence,
    *,
    deep: bool,
    scope: Scope | None = None,
    at: datetime | None = None,
) -> Examined:
    """Examine one folder; `named` is what digests name in it. Raises Retry, Failed.

    Of a call, `held` is what the records of its holds come to. In a package, of the revisions that
    its `scope` does not say to be whole only the manifests have to be there. `at` is the present
    moment, if it is known.
    """
    found = _Folder(folder, versions, named, held, evidence, deep, scope, at)
    if folder.startswith(CALLS):
        found.call()
    elif folder.startswith(ACCESSES):
        found.records("access.schema.json")
    elif folder.startswith(REPORTS):
        found.records("report.schema.json")
    else:
        found.holds()
    return found.out


@dataclass(slots=True)
class _Folder:
    folder: str
    versions: Versions
    named: Mapping[str, Json]
    held: Json | None
    evidence: Evidence
    deep: bool
    scope: Scope | None
    at: datetime | None
    out: Examined = field(default_factory=Examined)
    _unclear: bool = False
    """A manifest cannot be believed, so nobody knows what else there has to be."""
    _seen: dict[str, set[tuple[str, int, str]]] = field(default_factory=dict)
    _refused: Versions | None = None

    def call(self) -> None:
        manifests = [found for key in self._manifest_keys() if (found := self._manifest(key))]
        self._check_revisions(manifests)
        for manifest in manifests:
            group = [manifest.document.version]
            sealed_at = parse_time(manifest.content["sealed_at"])
            for described in named_objects(manifest.content):
                if self._is_wanted(manifest.content["revision"], described["key"]):
                    group += self._object(described, sealed_at)
            check_locks(group, self.evidence, self.out.report)
        self._check_holds()
        if self._unclear:
            return
        for key in self.versions.keys() - self._seen.keys() - set(self._manifest_keys()):
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

    def _check_holds(self) -> None:
        """Compare the legal holds of a call's objects with the records of them."""
        if not self.evidence.versioned:
            return
        versions = [each for every in self.versions.values() for each in every if not each.gone]
        if self.held is None:
            # Nobody asks each object of each call for what nobody ever had.
            if self.out.report.held and not self._is_fresh(versions):
                many = self.out.report.held
                problem = f"{many} objects are under legal hold, and no record says so"
                self.out.report.blame(self.folder, "hold-unrecorded", problem)
            return
        cases = self.held["cases"]
        if cases is None or self.at is None or self.at - parse_time(self.held["since"]) <= FRESH:
            return
        old = [each for each in versions if not self._is_fresh([each])]
        wrong = [each.key for each in old if self.evidence.held(each) != bool(cases)]
        if wrong and cases:
            problem = (
                f"its records hold it for {', '.join(cases)}, and {len(wrong)} of {len(old)} "
                f"objects are under no legal hold, such as {wrong[0]}"
            )
            self.out.report.blame(self.folder, "hold-missing", problem)
        elif wrong:
            problem = f"its records release it, and {len(wrong)} objects are under legal hold"
            self.out.report.blame(self.folder, "hold-unrecorded", problem)

    def _is_fresh(self, versions: Sequence[Version]) -> bool:
        written = [each.modified_at for each in versions if each.modified_at is not None]
        return self.at is None or any(self.at - each <= FRESH for each in written)

    def holds(self) -> None:
        """Examine what was noted about the legal holds of a call."""
        found: list[tuple[_Document, Json]] = []
        for key in sorted(self.versions.keys() | self.named.keys()):
            document = self._document(key)
            if document is None:
                self._unclear = True
                continue
            check_locks([document.version], self.evidence, self.out.report)
            content = self._said(document, "hold.schema.json", STEP)
            if content is not None:
                found.append((document, content))
        self._take_steps(sorted(found, key=lambda one: one[1]["step"]))

    def _take_steps(self, found: Sequence[tuple[_Document, Json]]) -> None:
        """Go through the steps that led to the holds of a call, as far as all of them are known."""
        steps, since = Steps(), LONG_AGO
        for document, content in found:
            problem = steps.take(content)
            if problem and document.described is not None and not self._unclear:
                self.out.report.blame(document.version.key, "invalid", problem)
            since = max(since, document.version.modified_at or parse_time(content["at"]))
        cases = None if self._unclear else sorted(steps.cases)
        self.out.held = {"cases": cases, "since": format_time(since)}

    def records(self, schema: str) -> None:
        """Examine documents of a day that have nothing to do with each other."""
        for key in sorted(self.versions.keys() | self.named.keys()):
            document = self._document(key)
            if document is not None:
                self._said(document, schema, WRITING)
                check_locks([document.version], self.evidence, self.out.report)

    def _said(self, document: _Document, schema: str, late: timedelta) -> Json | None:
        """Return what a document says, if it fits its schema and its key.

        If not, it is blamed, or it is one that no digest names. `late` is how much later than it
        says it may have been written.
        """
        key = document.version.key
        try:
            if is_page(key):
                content, at = {}, read(key, document.body)
            else:
                content = parsed(document.body, schema)
                at = said_at(key, content)
            if schema == "manifest.schema.json" and document.described is not None:
                problems = "; ".join(contradictions(self.folder, content))
                if problems:
                    raise ValueError(problems)
        except ValueError as error:
            if document.described is None:
                # The key of a record begins with its time.
                self._note(document, moment(key.rpartition("/")[2][: len(format_time(LONG_AGO))]))
            else:
                self._unclear = True
                self.out.report.blame(key, "invalid", str(error))
            return None
        if document.described is not None and (problem := _misdated(document, at, late)):
            self.out.report.blame(key, "clock", problem)
        else:
            self._note(document, at)
        return content

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
        content = self._said(document, "manifest.schema.json", WRITING)
        if content is None:
            return None
        if document.described is not None:
            self.out.sealed = self.out.sealed or key
        return _Manifest(document=document, content=content)

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
        before: list[_Manifest | None] = [None]
        for manifest in manifests:
            key, content = manifest.document.version.key, manifest.content
            if manifest.document.described is None:
                before.append(manifest)
                continue
            named = [each for each in before if _names(content["supersedes"], each)]
            before = [manifest]
            if not named:
                problem = "it does not name the manifest of the revision before it"
                self.out.report.blame(key, "revision", problem)
                continue
            earlier = named[0]
            if earlier is None:
                continue
            if problem := "; ".join(lost(earlier.content, content)):
                self.out.report.blame(key, "revision", problem)

    def _object(self, described: Json, sealed_at: datetime) -> list[Version]:
        """Check an object that a manifest names; return it, unless that was done before."""
        report, key, version_id = self.out.report, described["key"], described["version_id"]
        identity = (version_id, described["bytes"], described["sha256"])
        if identity in self._seen.setdefault(key, set()):
            return []
        self._seen[key].add(identity)
        version = standing(key, self._versions(key), version_id, report)
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
        elif version.modified_at is not None and version.modified_at > sealed_at + AHEAD:
            problem = f"S3 has it since {format_time(version.modified_at)}, after it was sealed"
            report.blame(key, "clock", problem)
        elif self.deep:
            self._hash(version, described["sha256"])
        return [version]

    def _versions(self, key: str) -> Sequence[Version]:
        """Return the versions of an object that a manifest of the call names."""
        if not key.startswith("refused/"):
            return self.versions.get(key, ())
        if self._refused is None:
            listed = self.evidence.listed(f"refused/{call_in(self.folder)}/")
            self._refused = {key: tuple(each) for key, each in groupby(listed, attrgetter("key"))}
        return self._refused.get(key, ())

    def _hash(self, version: Version, sealed: str) -> None:
        report, sha256 = self.out.report, self.evidence.sha256(version)
        if sha256 is None:
            report.cold += 1
            return
        report.hashed += 1
        if sha256 != sealed:
            report.blame(version.key, "edited", "its SHA-256 is not the one that was sealed")


def _misdated(document: _Document, said: datetime, late: timedelta) -> str | None:
    """Return what is wrong with the time that a document says it is of, or None.

    S3 knows when it was written. In a folder, and of a version that is gone, the digest does.
    """
    named = document.described or {}
    written = document.version.modified_at
    if document.version.id != named["version_id"] and named["modified_at"] is not None:
        written = parse_time(named["modified_at"])
    if written is not None and not written - late <= said <= written + AHEAD:
        return f"it says {format_time(said)}, and was written {format_time(written)}"
    if not parse_time(named["begin"]) - NAMED <= said <= parse_time(named["end"]) + AHEAD:
        return f"it says {format_time(said)}, and is in the digest of {named['begin']}"
    return None


def _names(described: Json | None, manifest: _Manifest | None) -> bool:
    if described is None or manifest is None:
        return described is None and manifest is None
    document = manifest.document
    return (
        described["key"] == document.version.key
        and described["sha256"] == document.sha256
        and document.version_id in ("", described["version_id"])
    )


def _day_end(folder: str) -> datetime:
    """Return when the day of a call ends; long ago if its folder names none."""
    return moment("-".join(folder.split("/")[3:6]) + "T23:59:59") or LONG_AGO
