"""Fetch a leg: from the provider into the archive, or back from the archive if it is there."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from legato.archive.layout import leg_key, leg_keys, refused_key
from legato.disk import create
from legato.errors import Conflict, DamagedAudio, Failed, NotAudio, Retry, ShortAudio, TooLarge
from legato.model import MEDIA_TYPES, Leg, StoredLeg, StoredObject
from legato.tuning import tolerance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from legato.ingest.ports import Ports
    from legato.model import AudioFacts, Job, Trouble
    from legato.ports import Levels

SLOW_AFTER = timedelta(seconds=60)
SLOW_BYTES_A_SECOND = 16_000
"""Less than the line of a telephone call carries: others wait behind a leg that is so slow."""
SLIP_MS = 100
"""A header may promise so much more than there is: its writer counted something else in."""
SHORT_TRIES = 3
"""So often a recording is fetched that is shorter than it should be, before it is taken for all."""
MAX_REFUSED = 20
REFUSED = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedLeg:
    """A stored leg, what was heard of it, and where its bytes lie if they are on the local disk."""

    stored: StoredLeg
    levels: Levels
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """A leg that is to be fetched for a job, before `until`, with the `trouble` that it has made.

    `present` is what the archive already holds of its call (`stream.known_objects`): a leg that is
    there is never asked of the provider again. It ends in the folder `prefix`, and, where legs are
    joined, at `path`. After the `last_try` bytes that are no whole recording are kept, apart.
    """

    leg: Leg
    job: Job
    prefix: str
    present: Mapping[str, StoredObject]
    path: Path
    until: datetime
    trouble: Trouble | None
    last_try: bool


def fetch_leg(fetching: Fetching, ports: Ports) -> FetchedLeg:
    """Bring a leg to its path and into the archive.

    Raises whatever keeps the leg out: Denied, NotYet, Wait, Retry, ShortAudio, NotAudio,
    DamagedAudio, TooLarge, Conflict, Failed.
    """
    leg, path = fetching.leg, fetching.path
    kept = kept_leg(leg.id, fetching.prefix, fetching.present)
    if kept is not None:
        return _back_from_archive(leg, kept, path, ports)

    with ports.provider.open_leg(leg, turn=fetching.job.turn) as pieces:
        end = fetching.until - timedelta(seconds=ports.policy.reserve)
        sha256 = _write(in_time(pieces, fetching, end, ports), path, leg)
    try:
        audio, levels = ports.stitcher.inspect(path)
        short_ms = checked_length(audio, fetching, ports)
    except (DamagedAudio, NotAudio):
        if fetching.last_try and path.stat().st_size:
            _keep_refused(fetching, path, sha256, ports)
        raise
    stored = ports.archive.put_file(
        leg_key(fetching.prefix, leg.id, audio.extension),
        path,
        sha256=sha256,
        media_type=MEDIA_TYPES[audio.extension],
        storage_class=ports.policy.storage_class,
    )
    whole = StoredLeg(leg=leg, object=stored, audio=audio, short_ms=short_ms)
    return FetchedLeg(stored=whole, levels=levels, path=path)


def kept_leg(leg: str, prefix: str, present: Mapping[str, StoredObject]) -> StoredObject | None:
    """Return the object of a leg among those present, whatever its format."""
    return next((present[key] for key in leg_keys(prefix, leg) if key in present), None)


def in_time(
    pieces: Iterator[bytes], fetching: Fetching, end: datetime, ports: Ports
) -> Iterator[bytes]:
    """Pass on no more bytes than are allowed, and none after `end`.

    A leg that is slow for the first time is put off, so that the calls of the same batch need not
    wait for it; the next time it has all the time that there is. Raises TooLarge, Retry.
    """
    leg, limit, size = fetching.leg, ports.policy.max_leg_bytes, 0
    began_at = ports.clock.now()
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise TooLarge(f"leg {leg.id} is larger than the limit of {limit} bytes")
        now = ports.clock.now()
        if now > end:
            # An attempt, or a leg that is always too slow would be tried for ever.
            raise Retry(f"leg {leg.id} is too slow: {size} bytes had come when the time was over")
        took = now - began_at
        slow = took > SLOW_AFTER and size < SLOW_BYTES_A_SECOND * took.total_seconds()
        if slow and fetching.trouble is None:
            raise Retry(f"leg {leg.id} is slow: {size} bytes in {took.total_seconds():.0f} s")
        yield piece


def checked_length(audio: AudioFacts, fetching: Fetching, ports: Ports) -> int:
    """Return how much shorter a leg is than its own header or the provider states, in milliseconds.

    0 if it is not, or by a little. Raises ShortAudio while more of it may come. What its own header
    promises may have been cut off on the way: it is taken for all that there is when it lacks the
    same again, at the third try if that is much; what lacks something else each time is never
    taken, with DamagedAudio at the last try. One that is shorter than the provider states is
    fetched three times.
    """
    leg, before = fetching.leg, fetching.trouble
    before = before if before and before.kind == "short" else None
    tries = 1 + (before.tries if before else 0)
    cut_ms, short_ms = _cut_ms(audio), _short_ms(audio, leg, ports)
    lasts, lacks = audio.duration_ms / 1000, (audio.lacks_ms or short_ms) / 1000
    reason = f"leg {leg.id} lasts {lasts:.3f} s, which is {lacks:.3f} s short"
    if audio.lacks_ms:
        again = before is not None and before.reason == reason
        enough = again and (tries >= SHORT_TRIES or not cut_ms)
        if cut_ms and fetching.last_try and not again:
            raise DamagedAudio(f"{reason} of its own header", extension=audio.extension)
    else:
        enough = not short_ms or tries >= SHORT_TRIES
    if not (enough or fetching.last_try):
        raise ShortAudio(reason)
    return short_ms


def _short_ms(audio: AudioFacts, leg: Leg, ports: Ports) -> int:
    stated = leg.announced_ms if ports.policy.lengths_stated else None
    if stated is None or audio.unsupported is not None:
        return _cut_ms(audio)
    lacks = stated - audio.duration_ms
    return max(lacks if lacks > tolerance(stated) else 0, _cut_ms(audio))


def _cut_ms(audio: AudioFacts) -> int:
    """Return what its own header promises beyond what came, if that is much."""
    return audio.lacks_ms if audio.lacks_ms > SLIP_MS else 0


def _back_from_archive(leg: Leg, kept: StoredObject, path: Path, ports: Ports) -> FetchedLeg:
    with ports.archive.read(kept.key, version_id=kept.version_id) as pieces:
        sha256 = _write(pieces, path, leg)
    if sha256 != kept.sha256:
        raise Conflict(f"{kept.key} does not hold the bytes that were stored there")
    try:
        audio, levels = ports.stitcher.inspect(path)
    except (NotAudio, DamagedAudio) as error:
        # The archive's bytes never change, so asking again is no use.
        raise Failed(f"what is kept of leg {leg.id} is not whole: {error}") from error
    short_ms = _short_ms(audio, leg, ports)
    stored = StoredLeg(leg=leg, object=kept, audio=audio, short_ms=short_ms)
    return FetchedLeg(stored=stored, levels=levels, path=path)


def _keep_refused(fetching: Fetching, path: Path, sha256: str, ports: Ports) -> None:
    """Keep bytes that are no whole recording, where they are never in the way of a good one."""
    job = fetching.job
    for number in range(1, MAX_REFUSED + 1):
        try:
            ports.archive.put_file(
                refused_key(job.id, fetching.leg.id, number),
                path,
                sha256=sha256,
                media_type=REFUSED,
                storage_class=ports.policy.storage_class,
            )
        except Conflict:
            continue  # other bytes of an earlier ladder
        return


def _write(pieces: Iterator[bytes], path: Path, leg: Leg) -> str:
    digest = hashlib.sha256()
    try:
        with create(path) as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise TooLarge(f"leg {leg.id} does not fit the scratch disk") from error
    return digest.hexdigest()
