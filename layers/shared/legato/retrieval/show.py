"""All that is known of one call: what its manifests say, how it is stored, who holds and saw it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from legato.errors import Failed
from legato.evidence.find_digest import Digests
from legato.model import CallId, format_time, parse_time
from legato.retrieval.manifests import manifests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from legato.archive.library import Library, State
    from legato.catalogue.index import Catalogue, Row
    from legato.evidence.legal_hold import Held
    from legato.model import Json
    from legato.ports import Access, Clock

AT_ONCE = 8
"""Questions to the archive at the same time."""
YOUNG = timedelta(hours=3)
"""So long after it was sealed, a document need not stand in a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An object of a call, and how it is stored now. Without a `state`, the `problem` says why."""

    name: str
    key: str
    version_id: str
    size: int
    state: State | None
    problem: str = ""

    def to_json(self) -> Json:
        """Write it for scripts."""
        said: Json = {
            "name": self.name,
            "key": self.key,
            "version_id": self.version_id,
            "bytes": self.size,
        }
        if self.state is None:
            return said | {"problem": self.problem}
        until, locked = self.state.restored_until, self.state.locked_until
        return said | {
            "storage_class": self.state.storage_class,
            "readable": self.state.readable,
            "restoring": self.state.restoring,
            "restored_until": until and format_time(until),
            "lock": self.state.lock,
            "locked_until": locked and format_time(locked),
            "held": self.state.held,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A revision. `digest` is the key of the digest that names it, None where none does (yet)."""

    revision: int
    sealed_at: str
    legs: int
    key: str
    digest: str | None
    young: bool

    def to_json(self) -> Json:
        """Write it for scripts."""
        return {
            "revision": self.revision,
            "sealed_at": self.sealed_at,
            "legs": self.legs,
            "manifest": self.key,
            "digest": self.digest,
            "young": self.young,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A call. `manifest` is the newest, `revisions` begin with it.

    `related` are the addresses of other calls, with what the catalogue has of them.
    """

    row: Row
    manifest: Json
    objects: Sequence[Kept]
    holds: Sequence[Held]
    revisions: Sequence[Sealed]
    related: Sequence[tuple[str, Row | None]]
    accesses: Sequence[Access]


def show(
    row: Row,
    *,
    catalogue: Catalogue,
    library: Library,
    holds: Sequence[Held],
    accesses: Sequence[Access],
    clock: Clock,
) -> Shown:
    """Read all that is known of a call.

    Raises Conflict for a manifest that was altered, and for a digest that is none; Retry.
    """
    sealed = manifests(row, library)
    first = next(sealed)
    _, newest = first
    return Shown(
        row=row,
        manifest=newest,
        objects=_stored(newest, library),
        holds=holds,
        revisions=list(_revisions(chain([first], sealed), library, clock)),
        related=[(call, catalogue.row(CallId.parse(call))) for call in newest["related"]],
        accesses=accesses,
    )


def _stored(manifest: Json, library: Library) -> list[Kept]:
    """Look at the audio of a call, all of it at once: a dialog may have a hundred segments."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda one: _kept(one[0], one[1], library), _objects(manifest)))


def _objects(manifest: Json) -> Iterator[tuple[str, Json]]:
    """Yield the audio of a call, by what a person calls it. A single leg is the recording."""
    legs, recording = manifest["legs"], manifest["recording"]
    if recording is not None and recording["how"] != "single":
        yield "recording", recording
    for number, leg in enumerate(legs, 1):
        yield f"leg {number}" if len(legs) > 1 else "recording", leg


def _kept(name: str, said: Json, library: Library) -> Kept:
    problem = ""
    try:
        state = library.state(said["key"], version_id=said["version_id"])
    except Failed as error:
        state, problem = None, str(error)
    return Kept(
        name=name,
        key=said["key"],
        version_id=said["version_id"],
        size=said["bytes"],
        state=state,
        problem=problem,
    )


def _revisions(
    sealed: Iterable[tuple[Json, Json]], library: Library, clock: Clock
) -> Iterator[Sealed]:
    """Yield the revisions, the newest first, with the digests that prove them."""
    digests = Digests(library)
    for named, content in sealed:
        sealed_at = parse_time(content["sealed_at"])
        yield Sealed(
            revision=content["revision"],
            sealed_at=content["sealed_at"],
            legs=len(content["legs"]),
            key=named["key"],
            digest=digests.find_digest_of(named["key"], sealed_at),
            young=clock.now() - sealed_at < YOUNG,
        )
