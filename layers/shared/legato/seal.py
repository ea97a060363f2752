"""Seal a revision of a call: join its legs, measure, store, and write the manifest last."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from legato import manifest
from legato.errors import Conflict, Failed, Wait
from legato.layout import manifest_key, peaks_key, recording_key
from legato.manifest import Missing, Recording, Revision
from legato.model import Json, StoredLeg, StoredObject
from legato.ports import Joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from legato.model import CallState, Listing
    from legato.ports import Levels
    from legato.workshop import Workshop

JSON = "application/json"
MAX_LEFTOVERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLeg:
    """A stored leg, and where its bytes lie on the local disk."""

    stored: StoredLeg
    path: Path


def seal(
    state: CallState,
    listing: Listing,
    legs: Sequence[LocalLeg],
    *,
    prefix: str,
    present: Mapping[str, StoredObject],
    missing: Sequence[Missing],
    folder: Path,
    shop: Workshop,
) -> CallState:
    """Store the next revision of a call and return the state that knows it.

    The manifest is written when everything it names is stored, so a revision exists whole or not
    at all. What an interrupted attempt left behind is either the same bytes, and used, or named in
    the manifest as `abandoned`. Raises Failed (the legs cannot be joined), Wait (another worker
    sealed the same revision first), Retry (the archive refuses).
    """
    joined, path = _join(legs, folder, shop)
    levels = shop.stitcher.measure(path, joined.audio)
    number, recording, abandoned = _store(state, legs, joined, path, levels, prefix, present, shop)
    content = manifest.to_json(
        Revision(
            provider=state.provider,
            call=state.call,
            number=number,
            listing=listing,
            legs=[leg.stored for leg in legs],
            recording=recording,
            sealed_at=shop.clock.now(),
            missing=missing,
            supersedes=state.manifest,
            abandoned=abandoned,
        )
    )
    key = manifest_key(prefix, number)
    try:
        sealed = shop.archive.put_bytes(key, manifest.to_bytes(content), media_type=JSON)
    except Conflict as error:
        raise Wait(f"another worker sealed {key}", seconds=60) from error
    return known(state, sealed, content)


def known(state: CallState, sealed: StoredObject, content: Json) -> CallState:
    """Return the state that knows a sealed manifest."""
    return state.changed(
        revision=content["revision"],
        legs={leg["id"]: leg["sha256"] for leg in content["legs"]},
        related=frozenset(content["related"]),
        manifest=sealed,
    )


def read_manifest(sealed: StoredObject, shop: Workshop) -> Json:
    """Read a manifest back. Raises Failed if its bytes are not those that were sealed."""
    with shop.archive.read(sealed.key, version_id=sealed.version_id) as pieces:
        body = b"".join(pieces)
    if hashlib.sha256(body).hexdigest() != sealed.sha256:
        raise Failed(f"{sealed.key} does not hold the bytes that were sealed")
    content: Json = json.loads(body)
    return content


def _join(legs: Sequence[LocalLeg], folder: Path, shop: Workshop) -> tuple[Joined | Single, Path]:
    if len(legs) == 1:
        return Single(legs[0]), legs[0].path
    target = folder / "recording"
    joined = shop.stitcher.join([(leg.path, leg.stored.audio) for leg in legs], target)
    return joined, target


class Single:
    """A call of one leg: nothing is joined, the leg is the recording."""

    how = "single"
    offsets_ms = (0,)

    def __init__(self, leg: LocalLeg) -> None:
        self.audio = leg.stored.audio


def _store(
    state: CallState,
    legs: Sequence[LocalLeg],
    joined: Joined | Single,
    path: Path,
    levels: Levels,
    prefix: str,
    present: Mapping[str, StoredObject],
    shop: Workshop,
) -> tuple[int, Recording, list[StoredObject]]:
    """Store audio and peaks under the first revision number that is free for these bytes."""
    peaks_body = json.dumps(levels.peaks, separators=(",", ":")).encode()
    digest = None if isinstance(joined, Single) else _sha256(path)
    abandoned: list[StoredObject] = []
    for number in range(state.revision + 1, state.revision + 1 + MAX_LEFTOVERS):
        audio_key = recording_key(prefix, number, joined.audio.extension)
        try:
            if digest is None:
                stored = legs[0].stored.object
            else:
                stored = shop.archive.put_file(
                    audio_key,
                    path,
                    sha256=digest,
                    media_type=joined.audio.media_type,
                    storage_class=shop.policy.storage_class,
                )
            peaks = shop.archive.put_bytes(peaks_key(prefix, number), peaks_body, media_type=JSON)
        except Conflict:
            leftovers = [
                present[key]
                for key in (
                    recording_key(prefix, number, "mp3"),
                    recording_key(prefix, number, "wav"),
                    peaks_key(prefix, number),
                )
                if key in present
            ]
            if not leftovers:
                raise
            abandoned += leftovers
            continue
        recording = Recording(
            object=stored,
            audio=joined.audio,
            how=joined.how,
            offsets_ms=joined.offsets_ms,
            levels=levels,
            peaks=peaks,
        )
        return number, recording, abandoned
    raise Failed(f"{prefix} holds more than {MAX_LEFTOVERS} unsealed revisions")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
