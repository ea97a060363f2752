"""What a verification found, and how much it looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from legato.archive.layout import folder_of, manifest_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

type Kind = Literal[
    "chain-missing",
    "chain-cut",
    "chain-replaced",
    "missing",
    "edited",
    "deleted",
    "overwritten",
    "replaced",
    "duplicate",
    "invalid",
    "span",
    "sequence",
    "clock",
    "signature-missing",
    "signature-wrong",
    "key-replaced",
    "key-unknown",
    "witness-missing",
    "witness-wrong",
    "unchained",
    "revision",
    "size",
    "unlisted",
    "hold-missing",
    "hold-unrecorded",
    "lock-missing",
    "lock-short",
    "lock-weak",
]
KINDS: tuple[Kind, ...] = get_args(Kind.__value__)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One fault of one object. docs/evidence.md says what each kind means."""

    key: str
    kind: Kind
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyProgress:
    """How far a verification is, of as much as is known of it."""

    part: Literal["digests", "documents"]
    done: int
    total: int


type Tell = Callable[[VerifyProgress], None]


@dataclass(slots=True, kw_only=True)
class Report:
    """What was looked at, and what is wrong with it. Sizes are in bytes.

    Nothing is proven of what was sealed after `at`. `young` documents are not in the chain yet, and
    `unsealed` objects not in a manifest. `hashed` objects were read to their end; `cold` ones could
    not be. `witnessed` digests have a time stamp, the newest of them of `witnessed_at`. The young
    documents of a package are `unproven`. `newest` is the SHA-256 of the newest digest.
    """

    findings: list[Finding] = field(default_factory=list)
    at: datetime | None = None
    begin: datetime | None = None
    end: datetime | None = None
    newest: str | None = None
    digests: int = 0
    documents: int = 0
    objects: int = 0
    size: int = 0
    hashed: int = 0
    cold: int = 0
    held: int = 0
    young: int = 0
    unsealed: int = 0
    keys: list[str] = field(default_factory=list)
    witnessed: int = 0
    witnessed_at: datetime | None = None
    authorities: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether nothing is wrong with anything."""
        return not self.findings

    def blame(self, key: str, kind: Kind, problem: str) -> None:
        self.findings.append(Finding(key=key, kind=kind, problem=problem))

    def add(self, other: Report) -> None:
        """Take in what was found in another part of the archive."""
        self.findings += other.findings
        self.documents += other.documents
        self.objects += other.objects
        self.size += other.size
        self.hashed += other.hashed
        self.cold += other.cold
        self.held += other.held


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a package holds.

    `calls` are folders, with the revisions of which everything is there; `holds` their folders of
    hold records. `documents` are the keys of all evidence documents, `unchained` of those that no
    digest named when it was exported at `at`. What is `left_out` is not there.
    """

    name: str
    at: datetime
    part: int
    parts: int
    calls: Mapping[str, frozenset[int]]
    holds: frozenset[str]
    documents: frozenset[str]
    unchained: frozenset[str]
    left_out: frozenset[str]

    def covers(self, key: str) -> bool:
        """Say whether a document that a digest names has to be in the package."""
        return key in self.documents or folder_of(key) in self.calls.keys() | self.holds

    def wants(self, call: str, revision: int, key: str) -> bool:
        """Say whether an object that a revision of a call names has to be in the package."""
        return revision in self.calls.get(call, ()) and key not in self.left_out

    def expected(self) -> set[str]:
        """Return the keys of all documents that have to be there."""
        whole = {manifest_key(call, each) for call, every in self.calls.items() for each in every}
        return whole | self.documents
