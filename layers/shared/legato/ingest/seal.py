"""Seal a revision of a call: join its legs, measure, store, write the manifest last, index it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from legato.archive import document, manifest
from legato.archive.layout import manifest_key, peaks_key, recording_key
from legato.archive.manifest import JSON, Missing, Recording, Revision, read_manifest
from legato.catalogue.index import enter, row_of
from legato.disk import sha256_of
from legato.errors import Conflict, Failed, Wait
from legato.evidence.legal_hold import cases_of
from legato.ledger import undigested
from legato.model import CallId, Json, StoredObject, Trouble, offsets_ms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from legato.ingest.fetch import FetchedLeg
    from legato.ingest.ports import Ports
    from legato.model import AudioFacts, CallState, Listing
    from legato.ports import Levels

MAX_LEFTOVERS = 20
JOINED = "joined audio"
"""Stands for the joined audio among the recordings that are in trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """The audio of a call. `path` is where it lies if it is to be stored, `audio` None if apart.

    `only` is the one leg that is all of it.
    """

    how: Literal["single", "copy", "transcode", "apart"]
    audio: AudioFacts | None
    offsets_ms: tuple[int, ...]
    levels: Levels
    path: Path | None = None
    only: StoredObject | None = None


def seal(
    state: CallState,
    listing: Listing,
    legs: Sequence[FetchedLeg],
    *,
    prefix: str,
    present: Mapping[str, StoredObject],
    missing: Sequence[Missing],
    folder: Path,
    ports: Ports,
) -> CallState:
    """Store the next revision of a call and return the state that knows it.

    The manifest is written when everything it names is stored, so a revision exists whole or not
    at all. What an interrupted attempt left behind is either the same bytes, and used, or named in
    the manifest as `abandoned`. Legs that cannot be joined are sealed apart, and the state's
    `troubles` say so. What the revision before said of the call stands in this one too. Raises Wait
    (another worker sealed the same revision first), Retry (the archive refuses).
    """
    if ports.policy.apart:
        whole = _apart(legs, ports)
    else:
        try:
            legs, whole = _joined(legs, folder, ports)
        except Failed as error:
            whole = _apart(legs, ports)
            state = _unjoined(state, str(error), ports)
    number, recording, abandoned = _store(state, whole, prefix, present, ports)
    # One that somebody has removed cannot be repeated: `legato verify` says that it is missing.
    if state.manifest is not None and state.manifest.key in present:
        listing = manifest.remembering(listing, read_manifest(state.manifest, ports.archive))
    content = manifest.to_json(
        Revision(
            call=state.id,
            number=number,
            listing=listing,
            legs=[leg.stored for leg in legs],
            recording=recording,
            sealed_at=ports.clock.now(),
            missing=missing,
            supersedes=state.manifest,
            abandoned=abandoned,
        )
    )
    key = manifest_key(prefix, number)
    undigested.announce(key, ports.notes, ports.clock)
    try:
        sealed = ports.archive.put_bytes(key, document.to_bytes(content), media_type=JSON)
    except Conflict as error:
        raise Wait(f"another worker sealed {key}", seconds=60) from error
    undigested.written(sealed, ports.notes)
    return index(known(state, sealed, content), content, ports)


def index(state: CallState, content: Json, ports: Ports) -> CallState:
    """Enter a call's newest manifest into the catalogue, and return the state that knows it."""
    if state.manifest is None:
        return state
    row = row_of(content, state.manifest, storage_class=ports.policy.storage_class)
    cases = partial(cases_of, state.id, ports.notes)
    enter(row, ports.catalogue, cases)
    return state.changed(catalogued=state.revision)


def known(state: CallState, sealed: StoredObject, content: Json) -> CallState:
    """Return the state that knows a sealed manifest."""
    return state.changed(
        revision=content["revision"],
        legs={leg["id"]: leg["sha256"] for leg in content["legs"]},
        related=frozenset(map(CallId.parse, content["related"])),
        manifest=sealed,
    )


def _joined(
    legs: Sequence[FetchedLeg], folder: Path, ports: Ports
) -> tuple[Sequence[FetchedLeg], Whole]:
    """Join legs that lie on the disk, each conversation once. What is one leg, is that leg.

    Returns the legs with what is known of them by then.
    """
    legs = _with_repeated(legs, ports)
    played = [leg for leg in legs if leg.stored.heard_in is None]
    if len(played) == 1:
        whole = _apart(played, ports)
    else:
        parts = [(leg.path, leg.stored.audio) for leg in played if leg.path is not None]
        joined = ports.stitcher.join(parts, folder / "recording")
        whole = Whole(
            how=joined.how,
            audio=joined.audio,
            offsets_ms=joined.offsets_ms,
            levels=_together(played, ports),
            path=folder / "recording",
        )
    ids = [leg.stored.leg.id for leg in played]
    begins = dict(zip(ids, whole.offsets_ms, strict=True))
    started = {leg.stored.leg.id: leg.stored.leg.started_at for leg in legs}
    for leg in legs:
        if other := leg.stored.heard_in:
            behind = started[leg.stored.leg.id] - started[other.leg]
            behind_ms = round(behind / timedelta(milliseconds=1)) + other.shift_ms
            begins[leg.stored.leg.id] = max(0, begins[other.leg] + behind_ms)
    return legs, replace(whole, offsets_ms=tuple(begins[leg.stored.leg.id] for leg in legs))


def _with_repeated(legs: Sequence[FetchedLeg], ports: Ports) -> list[FetchedLeg]:
    """Say of each leg whether all of it is heard in another one."""
    repeated = ports.stitcher.repeated(
        {leg.stored.leg.id: (leg.stored.leg.started_at, leg.levels) for leg in legs}
    )
    return [
        replace(leg, stored=replace(leg.stored, heard_in=repeated.get(leg.stored.leg.id)))
        for leg in legs
    ]


def _together(legs: Sequence[FetchedLeg], ports: Ports) -> Levels:
    return ports.stitcher.together([(leg.stored.audio, leg.levels) for leg in legs])


def _unjoined(state: CallState, reason: str, ports: Ports) -> CallState:
    now = ports.clock.now()
    trouble = Trouble(kind="unjoined", reason=reason, since=now, tried_at=now)
    return state.changed(troubles=state.troubles | {JOINED: trouble})


def _apart(legs: Sequence[FetchedLeg], ports: Ports) -> Whole:
    """Leave legs as they are: whoever wants to hear the call joins them when they are restored."""
    audios = [leg.stored.audio for leg in legs]
    alone = len(legs) == 1
    return Whole(
        how="single" if alone else "apart",
        audio=audios[0] if alone else None,
        offsets_ms=offsets_ms(audios),
        levels=_together(legs, ports),
        only=legs[0].stored.object if alone else None,
    )


def _store(
    state: CallState,
    whole: Whole,
    prefix: str,
    present: Mapping[str, StoredObject],
    ports: Ports,
) -> tuple[int, Recording, list[StoredObject]]:
    """Store audio and peaks under the first revision number that is free for these bytes."""
    peaks_body = json.dumps(whole.levels.peaks, separators=(",", ":")).encode()
    digest = None if whole.path is None else sha256_of(whole.path)
    abandoned: list[StoredObject] = []
    for number in range(state.revision + 1, state.revision + 1 + MAX_LEFTOVERS):
        try:
            stored = whole.only
            if whole.path is not None and whole.audio is not None and digest is not None:
                stored = ports.archive.put_file(
                    recording_key(prefix, number, whole.audio.extension),
                    whole.path,
                    sha256=digest,
                    media_type=whole.audio.media_type,
                    storage_class=ports.policy.storage_class,
                )
            peaks = ports.archive.put_bytes(peaks_key(prefix, number), peaks_body, media_type=JSON)
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
            audio=whole.audio,
            how=whole.how,
            offsets_ms=whole.offsets_ms,
            levels=whole.levels,
            peaks=peaks,
        )
        return number, recording, abandoned
    raise Failed(f"{prefix} holds more than {MAX_LEFTOVERS} unsealed revisions")
