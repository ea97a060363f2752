"""An address that opens one recording for a while, for whoever has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from legato.errors import Refused
from legato.retrieval.filenames import leg_stem, stem
from legato.retrieval.get import refusal
from legato.retrieval.joined import extension
from legato.retrieval.manifests import audio, manifest

if TYPE_CHECKING:
    from legato.archive.library import Library
    from legato.catalogue.index import Row
    from legato.model import Json
    from legato.ports import Clock

MOST_MINUTES = 60
"""Whoever has the address needs no identity, so it does not last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An address, until when it opens at most, and what comes: `sha256` is the sealed one."""

    url: str
    until: datetime
    name: str
    size: int
    sha256: str


def link(
    row: Row, library: Library, clock: Clock, *, leg: str | None = None, minutes: int = 15
) -> Link:
    """Return an address for a call's recording, or for one of its legs.

    Raises Refused for a time that is too long, for a leg that the call does not have, and where
    only a leg can be meant; Cold; Conflict if the manifest is not the one that was sealed; Retry.
    """
    if not 1 <= minutes <= MOST_MINUTES:
        raise Refused(f"a link lasts 1 to {MOST_MINUTES} minutes, not {minutes}")
    described, name = _chosen(row, manifest(row, library), leg)
    key, version_id = described["key"], described["version_id"]
    state = library.state(key, version_id=version_id)
    if error := refusal([(row, state)]):
        raise error
    # It is signed after this moment, so it opens a little longer than is said.
    until = clock.now() + timedelta(minutes=minutes)
    return Link(
        url=library.link(key, version_id=version_id, seconds=minutes * 60, name=name),
        until=until,
        name=name,
        size=described["bytes"],
        sha256=described["sha256"],
    )


def _chosen(row: Row, content: Json, leg: str | None) -> tuple[Json, str]:
    """Return the one object that is meant, and what it is called as a file."""
    legs = content["legs"]
    if leg is None:
        if len(audio(content)) > 1:
            raise Refused(
                f"the legs of {row.id} are stored apart: choose one with --leg, or join them with "
                f"`legato get`: {_listed(legs)}"
            )
        [described] = audio(content)
        return described, f"{stem(row)}.{extension(described)}"
    for number, described in enumerate(legs, 1):
        if described["id"] == leg:
            return described, f"{leg_stem(row, number, leg)}.{extension(described)}"
    raise Refused(f"{row.id} has no leg {leg}: it has {_listed(legs)}")


def _listed(legs: list[Json]) -> str:
    return ", ".join(
        f"{leg['id']} ({leg['started_at'][11:19]} UTC, {leg['duration_ms'] / 1000:.0f} s)"
        for leg in legs
    )
