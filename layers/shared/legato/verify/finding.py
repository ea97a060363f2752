"""What a verification found, and how much it looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable
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
class Progress:
    """How far a verification is, of as much as is known of it."""

    part: Literal["digests", "documents"]
    done: int
    total: int


type Tell = Callable[[Progress], None]


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
        """Add a finding."""
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
