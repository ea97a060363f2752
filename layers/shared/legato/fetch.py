"""Fetch a leg: from the provider into the archive, or back from the archive if it is there."""

from __future__ import annotations

import errno
import hashlib
from typing import TYPE_CHECKING

from legato.errors import Conflict, DamagedAudio, Failed, NotAudio, TooLarge
from legato.layout import leg_key, leg_keys
from legato.model import MEDIA_TYPES, Leg, StoredLeg, StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from legato.workshop import Workshop


def fetch_leg(
    leg: Leg,
    *,
    prefix: str,
    present: Mapping[str, StoredObject],
    path: Path,
    last_try: bool,
    turn: bool = False,
    shop: Workshop,
) -> StoredLeg:
    """Bring a leg to `path` and into the archive.

    `present` is what the archive already holds of this call: a leg that is there is never asked of
    the provider again. Audio that is not whole is kept as evidence only on the `last_try`, because
    a key can be written once and the whole recording may still come.

    Raises whatever keeps the leg out: NotYet, Wait, Retry, NotAudio, DamagedAudio, TooLarge,
    Conflict, Failed.
    """
    kept = kept_leg(leg.id, prefix, present)
    if kept is not None:
        return _back_from_archive(leg, kept, path, shop)

    with shop.provider.open_leg(leg, turn=turn) as pieces:
        sha256 = _write(pieces, path, leg, limit=shop.policy.max_leg_bytes)
    try:
        audio = shop.stitcher.inspect(path)
    except DamagedAudio as error:
        if last_try:
            _store(leg, error.extension, prefix, path, sha256, shop)
        raise
    stored = _store(leg, audio.extension, prefix, path, sha256, shop)
    return StoredLeg(leg=leg, object=stored, audio=audio)


def kept_leg(leg: str, prefix: str, present: Mapping[str, StoredObject]) -> StoredObject | None:
    """Return the object of a leg among those present, whatever its format."""
    return next((present[key] for key in leg_keys(prefix, leg) if key in present), None)


def _back_from_archive(leg: Leg, kept: StoredObject, path: Path, shop: Workshop) -> StoredLeg:
    with shop.archive.read(kept.key, version_id=kept.version_id) as pieces:
        sha256 = _write(pieces, path, leg, limit=kept.size)
    if sha256 != kept.sha256:
        raise Conflict(f"{kept.key} does not hold the bytes that were stored there")
    try:
        audio = shop.stitcher.inspect(path)
    except (NotAudio, DamagedAudio) as error:
        # The archive's bytes never change, so asking again is no use.
        raise Failed(f"what is kept of leg {leg.id} is not whole: {error}") from error
    return StoredLeg(leg=leg, object=kept, audio=audio)


def _store(
    leg: Leg, extension: str, prefix: str, path: Path, sha256: str, shop: Workshop
) -> StoredObject:
    return shop.archive.put_file(
        leg_key(prefix, leg.id, extension),
        path,
        sha256=sha256,
        media_type=MEDIA_TYPES[extension],
        storage_class=shop.policy.storage_class,
    )


def _write(pieces: Iterator[bytes], path: Path, leg: Leg, *, limit: int) -> str:
    """Write the pieces to the file and return their SHA-256, never more than `limit` bytes."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                if size > limit:
                    raise TooLarge(f"leg {leg.id} is larger than the limit of {limit} bytes")
                digest.update(piece)
                file.write(piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise TooLarge(
            f"leg {leg.id} does not fit the scratch disk; enlarge the parameter ProcessorStorageMb"
        ) from error
    return digest.hexdigest()
