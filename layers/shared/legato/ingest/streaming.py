"""Stream a leg: from the network straight into the archive, listened to on its way.

For archives that are cold from the first write: nothing that is stored can be read back, so what
is to be known of a leg is measured while it passes, and stands in the ledger before the object
appears. There is no temporary file, and no more than one part of the leg in memory.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from legato.archive.layout import leg_key, refused_key
from legato.archive.manifest import audio_of
from legato.errors import Conflict, DamagedAudio, NotAudio
from legato.ingest.fetch import (
    MAX_REFUSED,
    REFUSED,
    FetchedLeg,
    Fetching,
    checked_length,
    in_time,
    kept_leg,
)
from legato.ledger.notes import change
from legato.model import MEDIA_TYPES, AudioFacts, Leg, StoredLeg, StoredObject
from legato.ports import Levels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from legato.ingest.ports import Ports
    from legato.model import Json, Note
    from legato.ports import Notes, Sent, Stitcher

HEAD_BYTES = 4096
TIME_TO_REST = timedelta(seconds=50)
"""What is left of an invocation is needed to put the job back.

A read that began before may stand still for 30 s of it (legato.providers.http_client.TIMEOUT).
"""


def stream_leg(fetching: Fetching, ports: Ports) -> FetchedLeg:
    """Bring a leg into the archive and say what was heard. Nothing goes to its path.

    Raises Denied, NotYet, Wait, Retry, ShortAudio, NotAudio, DamagedAudio, TooLarge, Conflict,
    Failed.
    """
    leg = fetching.leg
    kept = kept_leg(leg.id, fetching.prefix, fetching.present)
    said = None if kept is None else _said_of(kept, ports)
    if kept is not None and said is not None:
        return _remembered(leg, kept, said)
    # What the archive has and the ledger does not know is fetched again: the same bytes fit there.
    try:
        return _streamed(fetching, ports)
    except (DamagedAudio, NotAudio):
        if fetching.last_try:
            _keep_refused(fetching, ports)
        raise


def _streamed(fetching: Fetching, ports: Ports) -> FetchedLeg:
    leg = fetching.leg
    with _opened(fetching, ports) as pieces:
        head, rest = _head(pieces)
        with ports.stitcher.listen(head) as listener:
            key = leg_key(fetching.prefix, leg.id, listener.extension)
            with ports.archive.upload(
                key,
                media_type=MEDIA_TYPES[listener.extension],
                storage_class=ports.policy.storage_class,
            ) as upload:
                for piece in chain([head], rest):
                    listener.hear(piece)
                    upload.write(piece)
                audio, levels = listener.heard()
                short_ms = checked_length(audio, fetching, ports)
                sent = upload.finish()
                _remember(key, sent, audio, levels, short_ms, ports)
                stored = upload.complete()
    whole = StoredLeg(leg=leg, object=stored, audio=audio, short_ms=short_ms)
    return FetchedLeg(stored=whole, levels=levels)


@contextmanager
def _opened(fetching: Fetching, ports: Ports) -> Iterator[Iterator[bytes]]:
    with ports.provider.open_leg(fetching.leg, turn=fetching.job.turn) as pieces:
        yield in_time(pieces, fetching, fetching.until - TIME_TO_REST, ports)


def _keep_refused(fetching: Fetching, ports: Ports) -> None:
    """Fetch once more what is no whole recording, to keep it where it is in nobody's way.

    Its key was another one, and cold at once; so it cannot be told before it has passed by.
    """
    job, leg = fetching.job, fetching.leg
    for number in range(1, MAX_REFUSED + 1):
        key = refused_key(job.id, leg.id, number)
        with suppress(Conflict):
            with (
                _opened(fetching, ports) as pieces,
                ports.archive.upload(
                    key, media_type=REFUSED, storage_class=ports.policy.storage_class
                ) as upload,
            ):
                came = False
                for piece in pieces:
                    came = True
                    upload.write(piece)
                if came:
                    sent = upload.finish()
                    _note(key, sent, {"sha256": sent.sha256}, ports)
                    upload.complete()
            return


def known_objects(prefix: str, ports: Ports) -> dict[str, StoredObject]:
    """Return every object of a call. A streamed one has its SHA-256 from the ledger."""
    present = ports.archive.find(prefix)
    for key, stored in present.items():
        if not stored.sha256 and (said := _said_of(stored, ports)) is not None:
            present[key] = replace(stored, sha256=said["sha256"])
    return present


def length_of(pieces: Iterator[bytes], stitcher: Stitcher) -> int:
    """Return how long audio is, in milliseconds. Raises NotAudio, DamagedAudio, TooLarge."""
    head, rest = _head(pieces)
    with stitcher.listen(head) as listener:
        for piece in chain([head], rest):
            listener.hear(piece)
        audio, _ = listener.heard()
    return audio.duration_ms


def _head(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Take as many bytes as are needed to know what comes."""
    head = bytearray()
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head), pieces


def _remember(
    key: str, sent: Sent, audio: AudioFacts, levels: Levels, short_ms: int, ports: Ports
) -> None:
    """Write down what was sent and heard, by the checksum under which the store will know it."""
    said: Json = {
        "sha256": sent.sha256,
        "audio": asdict(audio),
        "levels": _kept(levels),
        "short_ms": short_ms,
    }
    _note(key, sent, said, ports)


def _note(key: str, sent: Sent, said: Json, ports: Ports) -> None:
    # Another worker may be sending other bytes: only one of us will get the key.
    change(
        _note_key(key),
        lambda note: replace(note, content=note.content | {sent.checksum: said}),
        ports.notes,
    )


def _remembered(leg: Leg, kept: StoredObject, said: Json) -> FetchedLeg:
    audio, levels = AudioFacts(**said["audio"]), Levels(**said["levels"])
    stored = StoredLeg(leg=leg, object=kept, audio=audio, short_ms=said["short_ms"])
    return FetchedLeg(stored=stored, levels=levels)


def remember_sealed(leg: Json, levels: Json, peaks: Json, notes: Notes) -> None:
    """Write down what a manifest says of a leg, for a ledger that has lost what was heard of it.

    `levels` and `peaks` are the whole call's: those of a leg alone are not kept. Raises Retry.
    """
    audio = audio_of(leg)
    points = peaks["sample_rate"] / peaks["samples_per_pixel"] / 1000
    begin = 2 * round(leg["offset_ms"] * points)
    end = max(begin + 2, 2 * round((leg["offset_ms"] + leg["duration_ms"]) * points))
    data = peaks["data"][begin:end] or [0, 0]
    own = Levels(**levels, peaks={**peaks, "data": data, "length": len(data) // 2})
    said: Json = {
        "sha256": leg["sha256"],
        "audio": asdict(audio),
        "levels": _kept(own),
        "short_ms": leg["short_ms"],
    }

    def remembered(note: Note) -> Note:
        return note if note.content else replace(note, content={leg["version_id"]: said})

    change(_note_key(leg["key"]), remembered, notes)


def _kept(levels: Levels) -> Json:
    """Return what is remembered of how loud a leg is."""
    return {name: value for name, value in asdict(levels).items() if name != "envelope"}


def _said_of(stored: StoredObject, ports: Ports) -> Json | None:
    """Return what was heard of an object: by its checksum, or by its version if it was sealed."""
    heard = ports.notes.read(_note_key(stored.key)).content
    said: Json | None = heard.get(stored.checksum) or heard.get(stored.version_id)
    return said


def _note_key(key: str) -> str:
    return f"measured#{key}"
