"""Stream a leg: from the network straight into the archive, listened to on its way.

For archives that are cold from the first write: nothing that is stored can be read back, so what
is to be known of a leg is measured while it passes, and stands in the ledger before the object
appears. There is no temporary file, and no more than one part of the leg in memory.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from legato.errors import DamagedAudio, Failed, Retry, TooLarge
from legato.fetch import kept_leg
from legato.layout import leg_key
from legato.model import MEDIA_TYPES, AudioFacts, Leg, StoredLeg, StoredObject
from legato.notes import change
from legato.ports import Levels
from legato.seal import FetchedLeg

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from legato.model import Json
    from legato.ports import Listener, Sent, Stitcher, Upload
    from legato.workshop import Workshop

HEAD_BYTES = 4096
TIME_TO_REST = timedelta(seconds=20)
"""What is left of an invocation is needed to put the job back."""


def stream_leg(
    leg: Leg,
    *,
    prefix: str,
    present: Mapping[str, StoredObject],
    until: datetime,
    last_try: bool,
    turn: bool,
    shop: Workshop,
) -> FetchedLeg:
    """Bring a leg into the archive, before `until`, and say what was heard.

    `present` is what the archive already holds of this call (`known_objects`): a leg that is there
    is never asked of the provider again. Audio that is not whole is kept only on the `last_try`, as
    evidence. Raises NotYet, Wait, Retry, NotAudio, DamagedAudio, TooLarge, Conflict, Failed.
    """
    kept = kept_leg(leg.id, prefix, present)
    if kept is not None:
        return _remembered(leg, kept, shop)

    with shop.provider.open_leg(leg, turn=turn) as pieces:
        head, rest = _head(pieces)
        with shop.stitcher.listen(head) as listener:
            key = leg_key(prefix, leg.id, listener.extension)
            with shop.archive.upload(
                key,
                media_type=MEDIA_TYPES[listener.extension],
                storage_class=shop.policy.storage_class,
            ) as upload:
                limited = _limited(chain([head], rest), leg, until, shop)
                heard = _passed_on(limited, listener, upload, last_try=last_try)
                sent = upload.finish()
                _remember(key, sent, heard, shop)
                stored = upload.complete()
    if isinstance(heard, DamagedAudio):
        raise heard
    audio, levels = heard
    return FetchedLeg(stored=StoredLeg(leg=leg, object=stored, audio=audio), levels=levels)


def known_objects(prefix: str, shop: Workshop) -> dict[str, StoredObject]:
    """Return every object of a call. A streamed one has its SHA-256 from the ledger."""
    present = shop.archive.find(prefix)
    for key, stored in present.items():
        if not stored.sha256 and (said := _said_of(stored, shop)) is not None:
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


def _limited(pieces: Iterator[bytes], leg: Leg, until: datetime, shop: Workshop) -> Iterator[bytes]:
    """Pass on no more bytes than are allowed, and none when the invocation is about to end."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > shop.policy.max_leg_bytes:
            limit = shop.policy.max_leg_bytes
            raise TooLarge(f"leg {leg.id} is larger than the limit of {limit} bytes")
        if shop.clock.now() > until - TIME_TO_REST:
            # An attempt, or a leg that is always too slow would be tried for ever.
            raise Retry(f"leg {leg.id} is too slow: {size} bytes had come when the time was over")
        yield piece


def _passed_on(
    pieces: Iterator[bytes], listener: Listener, upload: Upload, *, last_try: bool
) -> tuple[AudioFacts, Levels] | DamagedAudio:
    """Let every piece be heard before it is written. Damage is returned on the last try only."""
    damage: DamagedAudio | None = None
    for piece in pieces:
        if damage is None:
            try:
                listener.hear(piece)
            except DamagedAudio as error:
                if not last_try:
                    raise
                damage = error
        upload.write(piece)
    if damage is not None:
        return damage
    try:
        return listener.heard()
    except DamagedAudio as error:
        if not last_try:
            raise
        return error


def _remember(
    key: str, sent: Sent, heard: tuple[AudioFacts, Levels] | DamagedAudio, shop: Workshop
) -> None:
    """Write down what was sent and heard, by the checksum under which the store will know it."""
    said: Json = {"sha256": sent.sha256}
    if not isinstance(heard, DamagedAudio):
        audio, levels = heard
        said |= {"audio": asdict(audio), "levels": asdict(levels)}
    # Another worker may be sending other bytes: only one of us will get the key.
    change(
        _note_key(key),
        lambda note: replace(note, content=note.content | {sent.checksum: said}),
        shop.notes,
    )


def _remembered(leg: Leg, kept: StoredObject, shop: Workshop) -> FetchedLeg:
    said = _said_of(kept, shop)
    if said is None:
        raise Failed(f"{kept.key} is in the archive, but the ledger does not know what it is")
    if "audio" not in said:
        raise Failed(f"what is kept of leg {leg.id} is not whole")
    levels = Levels(**said["levels"])
    stored = StoredLeg(leg=leg, object=kept, audio=AudioFacts(**said["audio"]))
    return FetchedLeg(stored=stored, levels=levels)


def _said_of(stored: StoredObject, shop: Workshop) -> Json | None:
    said: Json | None = shop.notes.read(_note_key(stored.key)).content.get(stored.checksum)
    return said


def _note_key(key: str) -> str:
    return f"heard#{key}"
