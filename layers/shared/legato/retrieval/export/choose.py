"""What of the archive belongs to calls that are to be exported."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from legato.archive.layout import hold_prefix, refused_folder
from legato.archive.library import COLD
from legato.evidence.verify.call import named_objects
from legato.model import parse_time
from legato.retrieval.get import refusal
from legato.retrieval.joined import joined_size
from legato.retrieval.manifests import audio, manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from legato.archive.library import Library, State
    from legato.catalogue.index import Row
    from legato.model import Json
    from legato.ports import Access, Accesses
    from legato.retrieval.export.proofs import Proofs

AT_ONCE = 16
SMALL = 16 * 1024
"""Bytes of the documents of a call beside its manifests, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A manifest, or a record of a hold or an access, of which the chain has to know.

    It was announced to the chain `at` a time. `sha256` is None as long as nothing says it. `digest`
    is the key of the digest that names it, None if none does.
    """

    key: str
    version_id: str
    sha256: str | None
    at: datetime
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A call, its newest manifest without the provider's records, and all that belongs to it.

    `whole` are the revisions of which everything is exported; `objects` are what these name, as
    the manifests have it. What is no part of what plays, and lies cold, is `left_out`: `legato
    restore` does not bring it.
    """

    row: Row
    manifest: Json
    whole: tuple[int, ...]
    objects: tuple[Json, ...]
    documents: tuple[Document, ...]
    accesses: tuple[Access, ...]
    left_out: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes it takes, with what is joined of it."""
        apart = self.manifest["legs"] if self.manifest["recording"] is None else ()
        joined = joined_size(apart) if apart else 0
        evidence: int = sum(each["bytes"] for each in self.objects)
        return evidence + joined + SMALL

    @property
    def digests(self) -> set[str]:
        """Return the keys of the digests that name a document of it."""
        return {document.digest for document in self.documents if document.digest}

    @property
    def unchained(self) -> list[str]:
        """Return the keys of the documents that no digest names."""
        return [document.key for document in self.documents if not document.digest]


def choose(
    rows: Sequence[Row],
    library: Library,
    accesses: Accesses,
    *,
    all_revisions: bool,
    tell: Callable[[int], None] = lambda _: None,
) -> list[Chosen]:
    """Return all that belongs to these calls, the oldest first; who proves it is not known yet.

    Raises Cold, with all calls that have to be restored, Conflict for a manifest that is not the
    one that was sealed, Failed for one that is gone, Retry.
    """
    look = partial(_chosen, library=library, accesses=accesses, all_revisions=all_revisions)
    ordered = sorted(rows, key=lambda row: row.place)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found: list[Chosen] = []
        for chosen in pool.map(look, ordered):
            found.append(chosen)
            tell(len(found))
        cold = list(pool.map(partial(_cold, library=library), found))
    if error := refusal([stored for each in cold for stored in each.playing]):
        raise error
    return [
        replace(
            one,
            objects=tuple(each for each in one.objects if each["key"] not in lies.other),
            left_out=lies.other,
        )
        for one, lies in zip(found, cold, strict=True)
    ]


def proven(chosen: Sequence[Chosen], proofs: Proofs) -> list[Chosen]:
    """Return the calls with the digest of each document, and its SHA-256 where that says it.

    Raises Retry if something was written about them meanwhile, Failed.
    """
    known = {document.key for each in chosen for document in each.documents}
    folders = {folder for each in chosen for folder in _folders(each.row)}
    found = []
    for each in chosen:
        documents = tuple(_proven(document, proofs, folders, known) for document in each.documents)
        found.append(replace(each, documents=documents))
    return found


def _chosen(row: Row, library: Library, accesses: Accesses, *, all_revisions: bool) -> Chosen:
    manifests = list(_revisions(row, library))
    newest = manifests[0][1]
    wanted = manifests if all_revisions else manifests[:1]
    objects = {each["key"]: each for _, manifest in wanted for each in named_objects(manifest)}
    accessed = tuple(accesses.of_call(row.id))
    records = [*_holds(row, library), *_accesses(accessed, library)]
    return Chosen(
        row=row,
        manifest=newest,
        whole=tuple(sorted(manifest["revision"] for _, manifest in wanted)),
        objects=tuple(objects.values()),
        documents=(*(document for document, _ in manifests), *records),
        accesses=accessed,
    )


def _revisions(row: Row, library: Library) -> Iterator[tuple[Document, Json]]:
    """Yield all manifests of a call, the newest first, without the provider's records."""
    for named, manifest in manifests(row, library):
        del manifest["provider_records"]
        sealed = Document(
            key=named["key"],
            version_id=named["version_id"],
            sha256=named["sha256"],
            at=parse_time(manifest["sealed_at"]),
        )
        yield sealed, manifest


def _holds(row: Row, library: Library) -> Iterator[Document]:
    for stored in library.listed(hold_prefix(row.id)):
        at = stored.key.rpartition("/")[2].rpartition("-")[0]
        yield Document(key=stored.key, version_id=stored.version_id, sha256=None, at=parse_time(at))


def _accesses(accesses: Sequence[Access], library: Library) -> Iterator[Document]:
    for access in accesses:
        # The steps of holds lie with the holds.
        if access.key.startswith("access/"):
            for stored in library.listed(access.key):
                yield Document(
                    key=stored.key, version_id=stored.version_id, sha256=None, at=access.at
                )


@dataclass(frozen=True, slots=True)
class _Cold:
    """What of a call is in a cold class: how what plays is stored, and what else cannot be read."""

    playing: list[tuple[Row, State]]
    other: tuple[str, ...]


def _cold(chosen: Chosen, library: Library) -> _Cold:
    folders = (chosen.row.prefix, refused_folder(chosen.row.id))
    listed = (each for folder in folders for each in library.listed(folder))
    classes = {each.key: each.storage_class for each in listed}
    states = {
        each["key"]: library.state(each["key"], version_id=each["version_id"])
        for each in chosen.objects
        if classes.get(each["key"]) in COLD
    }
    playing = {each["key"] for each in audio(chosen.manifest)}
    return _Cold(
        playing=[(chosen.row, state) for key, state in states.items() if key in playing],
        other=tuple(
            key for key, state in states.items() if key not in playing and not state.readable
        ),
    )


def _folders(row: Row) -> tuple[str, str]:
    return row.prefix, hold_prefix(row.id)


def _proven(document: Document, proofs: Proofs, folders: set[str], known: set[str]) -> Document:
    digest = proofs.digest_of(document.key, document.at)
    if digest is None:
        return document
    described = proofs.described(digest, folders, known)[document.key]
    return replace(
        document,
        digest=digest,
        version_id=described["version_id"],
        sha256=document.sha256 or described["sha256"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What is exported, for whom, and as which `name`. `recorded` are the records that say so.

    The page shows times in the `zone`, an IANA name, at first.
    """

    name: str
    reason: str
    query: str | None
    all_revisions: bool
    max_size: int
    at: datetime
    zone: str = "UTC"
    by: str = ""
    recorded: tuple[str, ...] = ()
