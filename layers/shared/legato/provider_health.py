"""When a provider last granted anything: tells one recording's fault from the provider's.

One small note a provider, `health#{provider}`, written once a minute at most.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from legato.errors import Retry, Stale

if TYPE_CHECKING:
    from legato.model import Json
    from legato.ports import Clock, Notes

type Kind = Literal["recording", "list"]
"""What was granted: a recording's content, or anything else, such as a page of a list."""

EVERY = timedelta(minutes=1)


def granted(provider: str, notes: Notes, clock: Clock, *, kind: Kind = "recording") -> None:
    """Note that a request was answered 2xx, unless one of the last minute is noted.

    Never fails: a recording is not given up because this could not be noted.
    """
    with suppress(Retry, Stale):
        note, now = notes.read(_key(provider)), clock.now()
        noted = _moment(note.content, kind)
        if noted is None or now - noted >= EVERY:
            notes.write(replace(note, content=note.content | {kind: now.timestamp()}))


def last_granted(provider: str, notes: Notes, *, kind: Kind | None = None) -> datetime | None:
    """Return when something of this kind was granted, or anything at all. Raises Retry.

    None: never. It is up to two minutes old even if the provider works. A provider may serve its
    lists and no recording, so a fault of one recording is told by the kind `recording`.
    """
    content = notes.read(_key(provider)).content
    kinds: tuple[Kind, ...] = ("recording", "list") if kind is None else (kind,)
    return max(filter(None, (_moment(content, one) for one in kinds)), default=None)


def _key(provider: str) -> str:
    return f"health#{provider}"


def _moment(content: Json, kind: Kind) -> datetime | None:
    seconds = content.get(kind)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
