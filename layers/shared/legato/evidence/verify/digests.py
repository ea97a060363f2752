"""The chain of digests, gone through from the newest to the oldest.

A digest is believed if the digest after it names its bytes, or if its signature is good. What one
that is not believed says is not held against anybody: the fault is its own, and it leaves a gap.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import batched, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from legato.archive.document import is_document
from legato.archive.layout import digest_key, stamp_key
from legato.evidence.verify.current_version import check_locks, is_other, standing
from legato.evidence.verify.finding import Report, VerifyProgress
from legato.evidence.verify.keys import Keys
from legato.evidence.verify.schema import moment, parsed
from legato.evidence.verify.times import AHEAD, WRITING
from legato.evidence.verify.timestamps import Witnesses
from legato.model import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from legato.archive.evidence import Evidence, Version
    from legato.evidence.verify.finding import Kind, Tell
    from legato.evidence.verify.keys import PublicKey
    from legato.evidence.verify.named_documents import Named
    from legato.evidence.verify.timestamps import Authority
    from legato.model import Json

HOUR = timedelta(hours=1)
LATE = timedelta(hours=2)
"""A digest is written when its hour is over; after so long, one is missing."""
AT_ONCE = 16
_NAME = re.compile(r"(digests/\d{4}/\d\d/\d\d/(\d{4}-\d\d-\d\dT\d\d)\.json)(|\.sig|\.tsr)")


@dataclass(slots=True, kw_only=True)
class ChainGap:
    """A fault of the chain, and how many documents of its time nothing proves because of it."""

    key: str
    kind: Kind
    problem: str
    begin: datetime | None = None
    end: datetime | None = None
    documents: int = 0

    def covers(self, moment: datetime) -> bool:
        """Say whether a document of that moment may have stood there."""
        # It is sealed a little before it is announced, and when that fails, announced again later.
        after = self.begin is None or moment >= self.begin - HOUR
        return after and (self.end is None or moment < self.end + HOUR)

    def tell(self, report: Report) -> None:
        many = f"; documents proven by nothing: {self.documents}" if self.documents else ""
        report.blame(self.key, self.kind, f"{self.problem}{many}")


@dataclass(slots=True)
class _Hour:
    """What lies in the archive for one digest."""

    key: str
    start: datetime
    digest: tuple[Version, ...] = ()
    signature: tuple[Version, ...] = ()
    stamp: tuple[Version, ...] = ()

    @property
    def end(self) -> datetime:
        return self.start + HOUR

    @property
    def kept(self) -> bool:
        return any(not version.gone for version in self.digest)


@dataclass(frozen=True, slots=True)
class _Loaded:
    hour: _Hour
    body: bytes
    signature: bytes | None
    stamp: bytes | None
    locks: Report


@dataclass(slots=True, kw_only=True)
class Chain:
    """The digests, of which `walk` makes findings, `gaps`, and the documents that are `named`.

    `written_at` is when the newest one was written, None if there is none at all. `kept` are the
    SHA-256 of digests that have to be among them. In a `sparse` chain digests may be absent: each
    is believed for its signature, or because the next one is there and names it.
    """

    evidence: Evidence
    named: Named
    known: Sequence[PublicKey]
    authorities: Sequence[Authority]
    report: Report
    kept: set[str]
    sparse: bool = False
    written_at: datetime | None = None
    gaps: list[ChainGap] = field(default_factory=list)
    _above: _Hour | None = None
    _newer: Json | None = None
    """The digest above, if it is believed."""
    _misdated: list[str] = field(default_factory=list)
    """Digests one above the other that S3 has since another time than they say."""

    def walk(self, at: datetime | None, tell: Tell, workers: Executor) -> None:
        """Go through all digests; `at` is the present moment, if it is known."""
        hours, keys = self._listed(at)
        ring = Keys(self.evidence, keys, self.known, self.report)
        witnesses = Witnesses(self.authorities, self.report)
        for done, batch in enumerate(batched(hours, AT_ONCE, strict=False)):
            tell(VerifyProgress(part="digests", done=done * AT_ONCE, total=len(hours)))
            for loaded in workers.map(self._load, batch):
                self._judge(loaded, ring, witnesses)
        tell(VerifyProgress(part="digests", done=len(hours), total=len(hours)))
        self._reach_bottom()
        self._tell_misdated()
        for sha256 in sorted(self.kept):
            problem = f"none has the SHA-256 {sha256}: it is another chain than the one it is of"
            self.report.blame("digests/", "chain-replaced", problem)
        ring.compare()
        if not self.sparse:
            witnesses.compare(self.report.end)

    def _listed(self, at: datetime | None) -> tuple[list[_Hour], dict[str, tuple[Version, ...]]]:
        """Return the hours that have a digest, the newest first, and the public keys."""
        hours: dict[str, _Hour] = {}
        keys = {}
        for key, group in groupby(self.evidence.listed("digests/"), attrgetter("key")):
            versions = tuple(group)
            if key.startswith("digests/keys/"):
                keys[key] = versions
            elif (match := _NAME.fullmatch(key)) and (start := _start(match[1], match[2])):
                hour = hours.setdefault(match[1], _Hour(match[1], start))
                if match[3] == ".sig":
                    hour.signature = versions
                elif match[3] == ".tsr":
                    hour.stamp = versions
                else:
                    hour.digest = versions
            elif not all(version.gone for version in versions):
                self.report.blame(key, "unlisted", "it is no digest, and nothing names it")
        found = sorted(hours.values(), key=attrgetter("start"), reverse=True)
        while found and not found[0].kept:
            self.report.blame(found.pop(0).key, "missing", "only what belongs to it is there")
        # The digest of this moment is not signed yet; nobody exports it then.
        young = found and at is not None and at - found[0].end < LATE
        if young and not found[0].signature and not self.sparse:
            del found[0]
        return [hour for hour in found if hour.kept], keys

    def _load(self, hour: _Hour) -> _Loaded:
        written = (_first(hour.digest), _first(hour.signature), _first(hour.stamp))
        kept = [version for version in written if version is not None]
        locks = Report()
        check_locks(kept, self.evidence, locks)
        bodies = {version.key: self.evidence.read(version) for version in kept}
        signature, stamp = bodies.get(f"{hour.key}.sig"), bodies.get(stamp_key(hour.key))
        return _Loaded(hour, bodies[hour.key], signature, stamp, locks)

    def _judge(self, loaded: _Loaded, ring: Keys, witnesses: Witnesses) -> None:
        """Believe a digest and take in what it says, or leave a gap in its place."""
        hour = loaded.hour
        self.report.add(loaded.locks)
        link = self._link(hour)
        if link is _STRANGER:
            self.report.blame(hour.key, "unlisted", "the digest after it does not follow it")
            return
        version = standing(hour.key, hour.digest, link["version_id"] if link else "", self.report)
        body = loaded.body
        if version is not None and version is not _first(hour.digest):
            body = self.evidence.read(version)
        content = self._believed(hour, body, loaded.signature, link, ring)
        if content is None:
            self._above, self._newer = hour, None
            return
        if link and version is not None and is_other(version, link["version_id"], self.evidence):
            self.report.blame(
                hour.key, "replaced", f"the version {link['version_id']} that was written is gone"
            )
            version = None
        if content["from"] != format_time(hour.start):
            self.report.blame(
                hour.key, "duplicate", f"it is the digest of another hour, {content['from']}"
            )
            return
        sha256 = hashlib.sha256(body).hexdigest()
        self.kept.discard(sha256)
        self.report.newest = self.report.newest or sha256
        self._date(hour, content, version)
        self._take_in(hour, content)
        witnesses.look(hour.key, body, content, hour.stamp, loaded.stamp)

    def _date(self, hour: _Hour, content: Json, version: Version | None) -> None:
        """Note a digest that S3 has since another time, as of all of a chain that is made anew."""
        written = None if version is None else version.modified_at
        said = moment(content["written_at"])
        if written is None or said is None or written - WRITING <= said <= written + AHEAD:
            self._tell_misdated()
        else:
            self._misdated.append(hour.key)

    def _tell_misdated(self) -> None:
        """Blame those that were noted, as one fault."""
        if self._misdated:
            newest, *others = self._misdated
            more = f", and so do {len(others)} before it, back to {others[-1]}" if others else ""
            problem = f"it says that it was written at another time than S3 has it since{more}"
            self.report.blame(newest, "clock", problem)
            self._misdated.clear()

    def _link(self, hour: _Hour) -> Json | None:
        """Return what the digest above says of this one; None if it cannot say anything."""
        above, newer = self._above, self._newer
        if above is None:
            return None
        if newer is None:
            if hour.end < above.start and not self.sparse:
                self._miss(digest_key(above.start - HOUR), hour.end, above.start)
            return None
        link: Json | None = newer["previous"]
        if link is None:
            self.report.blame(
                above.key, "sequence", f"it says that it is the first, and {hour.key} was before it"
            )
        elif link["key"] < hour.key:
            return _STRANGER
        elif link["key"] > hour.key:
            if not self.sparse:
                self._miss(link["key"], hour.end, above.start)
        else:
            return link
        self._newer = None
        return None

    def _miss(self, key: str, begin: datetime | None, end: datetime) -> None:
        since = "the beginning" if begin is None else format_time(begin)
        problem = f"the digests from {since} to {format_time(end)} are not there"
        self.gaps.append(ChainGap(key=key, kind="missing", problem=problem, begin=begin, end=end))

    def _believed(
        self, hour: _Hour, body: bytes, signature: bytes | None, link: Json | None, ring: Keys
    ) -> Json | None:
        """Return what a digest says, or None with a gap in its place."""
        if link is not None and hashlib.sha256(body).hexdigest() != link["sha256"]:
            above = "" if self._above is None else self._above.key
            self._doubt(hour, hour.key, "edited", f"it is not what {above} names")
            return None
        try:
            content = parsed(body, "digest.schema.json")
        except ValueError as error:
            kind: Kind = "edited" if link is None else "invalid"
            self._doubt(hour, hour.key, kind, f"it is no digest: {error}")
            return None
        if link is None:
            return self._signed(hour, body, signature, content, ring)
        key = f"{hour.key}.sig"
        if signature is None:
            self.report.blame(key, "signature-missing", "it is not there")
        elif base64.b64encode(signature).decode() != link["signature"]:
            self.report.blame(
                key, "signature-wrong", "it is not the one that the next digest names"
            )
        elif ring.signed(hour.key, body, signature, content) is False:
            self.report.blame(key, "signature-wrong", "it is no signature of the digest by its key")
        return content

    def _signed(
        self, hour: _Hour, body: bytes, signature: bytes | None, content: Json, ring: Keys
    ) -> Json | None:
        """Return what a digest says that nothing but its own signature can prove."""
        if signature is None:
            self._doubt(hour, f"{hour.key}.sig", "signature-missing", "it is not there")
            return None
        if ring.signed(hour.key, body, signature, content) is False:
            self._doubt(hour, hour.key, "edited", "it does not fit its signature")
            return None
        return content

    def _doubt(self, hour: _Hour, key: str, kind: Kind, problem: str) -> None:
        self.gaps.append(
            ChainGap(key=key, kind=kind, problem=problem, begin=hour.start, end=hour.end)
        )

    def _take_in(self, hour: _Hour, content: Json) -> None:
        self._check(hour, content)
        for described in (*content["objects"], *content["lost"]):
            if not is_document(described["key"]):
                problem = f"it names {described['key']}, which is no evidence document"
                self.report.blame(hour.key, "invalid", problem)
            elif not self.named.add(described, content):
                self.report.blame(
                    described["key"], "duplicate", f"{hour.key} and a later digest differ on it"
                )
        if hour.signature:
            standing(f"{hour.key}.sig", hour.signature, "", self.report)
        if self.report.end is None:
            self.report.end, self.written_at = hour.end, moment(content["written_at"])
        self.report.begin = hour.start
        self.report.digests += 1
        self._above, self._newer = hour, content

    def _check(self, hour: _Hour, content: Json) -> None:
        """Check what a digest says of itself, and the one above of it."""
        blame, newer, above = self.report.blame, self._newer, self._above
        whole = content["to"] == format_time(hour.end)
        if not whole:
            blame(hour.key, "span", f"its hour ends {content['to']}")
        if content["written_at"] < content["to"]:
            blame(hour.key, "clock", f"it was written {content['written_at']}, before its end")
        if sum(content["counts"].values()) != len(content["objects"]):
            blame(hour.key, "invalid", "its counts are not those of its objects")
        if newer is None or above is None:
            return
        if whole and newer["from"] != content["to"]:
            blame(above.key, "span", f"it follows {content['to']}, and begins {newer['from']}")
        if newer["sequence"] != content["sequence"] + 1:
            blame(
                above.key, "sequence", f"{newer['sequence']} does not follow {content['sequence']}"
            )
        if newer["to"] <= newer["written_at"] < content["written_at"]:
            blame(
                above.key,
                "clock",
                f"it was written {newer['written_at']}, before the digest before it",
            )

    def _reach_bottom(self) -> None:
        above, newer = self._above, self._newer
        if above is None or newer is None:
            return
        if newer["previous"] is not None:
            if self.sparse:
                return
            self._miss(newer["previous"]["key"], None, above.start)
        elif newer["sequence"] != 1:
            self.report.blame(above.key, "sequence", f"{newer['sequence']} is not 1")


_STRANGER: Json = {}
"""A digest that the one above passes over."""


def _start(key: str, name: str) -> datetime | None:
    """Return the hour of a digest; None if it is none, or lies in another day's folder."""
    start = moment(name)
    return start if start is not None and digest_key(start) == key else None


def _first(versions: Sequence[Version]) -> Version | None:
    """Return the version that was written first."""
    return next((version for version in reversed(versions) if not version.gone), None)
