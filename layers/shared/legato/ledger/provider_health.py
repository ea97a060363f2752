"""When a provider last granted anything: tells one recording's fault from the provider's.

Where it is asked with several credentials, also which of them it serves nothing. One small note a
provider, `health#{provider}`, written once a minute at most for each kind and credential.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from legato.errors import Retry, Stale

if TYPE_CHECKING:
    from collections.abc import Collection

    from legato.model import Json
    from legato.ports import Clock, Notes

log = logging.getLogger(__name__)

type Kind = Literal["recording", "list"]
"""What was granted: a recording's content, or anything else, such as a page of a list."""

CHANGES = "changes"
"""The kind of request for whose lack nothing is missed: the list is read in another way then."""
EVERY = timedelta(minutes=1)
UNSERVED = timedelta(minutes=30)
"""So long a credential is served nothing before a person is told: a limit or an outage is over."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """A credential that the provider serves nothing, with its last answer, and serves another."""

    credential: str
    since: datetime
    reason: str


def granted(
    provider: str,
    notes: Notes,
    clock: Clock,
    *,
    kind: Kind = "recording",
    credential: str = "",
    among: Collection[str] = (),
) -> None:
    """Note that a request was answered 2xx, unless one of the last minute is noted.

    `credential` is the id of the one that it was sent with, `among` are those of all that there
    are. What failed with it is forgotten, and so is a credential that is there no more.

    Never fails: a recording is not given up because this could not be noted.
    """
    with suppress(Retry, Stale):
        note, now = notes.read(_key(provider)), clock.now()
        content = dict(note.content)
        noted = _moment(content, kind)
        if noted is None or now - noted >= EVERY:
            content[kind] = now.timestamp()
        entries = _entries(content, among)
        entry = entries.get(credential, {})
        is_stale = now.timestamp() - entry.get("granted", 0) >= EVERY.total_seconds()
        if len(among) > 1 and credential in among and ("since" in entry or is_stale):
            entries[credential] = {"granted": now.timestamp()}
        content["credentials"] = entries
        if content != {"credentials": {}, **note.content}:
            notes.write(replace(note, content=content))


def failed(
    provider: str,
    notes: Notes,
    clock: Clock,
    *,
    reason: str,
    credential: str,
    among: Collection[str],
) -> None:
    """Note that a credential was served nothing, unless that was noted within the last minute.

    Tells nothing of a credential that is the only one: what it is refused is the provider's state.
    Never fails.
    """
    if len(among) < 2:
        return
    with suppress(Retry, Stale):
        note, now = notes.read(_key(provider)), clock.now().timestamp()
        entries = _entries(note.content, among)
        entry = entries.get(credential, {})
        if now - entry.get("failed", 0) < EVERY.total_seconds():
            return
        since = entry.get("since", now)
        served = any(other.get("granted", 0) > since for other in entries.values())
        entries[credential] = {
            "since": since,
            "failed": now,
            "reason": reason,
            # Known only now: what is granted after the last failure may be the end of an outage.
            "others_served": served or entry.get("others_served", False),
        }
        notes.write(replace(note, content=note.content | {"credentials": entries}))
        extra = {"provider": provider, "credential": credential, "reason": reason}
        log.warning("credential is served nothing", extra=extra)


def unserved(provider: str, notes: Notes, clock: Clock) -> list[Unserved]:
    """Return the credentials that were served nothing for half an hour or more. Raises Retry.

    Each has failed also after another one was served meanwhile, so it was not the provider that
    failed.
    """
    entries = notes.read(_key(provider)).content.get("credentials", {})
    found = [
        Unserved(name, datetime.fromtimestamp(entry["since"], UTC), entry["reason"])
        for name, entry in entries.items()
        if entry.get("others_served")
    ]
    return [one for one in found if clock.now() - one.since >= UNSERVED]


def last_granted(provider: str, notes: Notes, *, kind: Kind | None = None) -> datetime | None:
    """Return when something of this kind was granted, or anything at all. Raises Retry.

    None: never. It is up to two minutes old even if the provider works. A provider may serve its
    lists and no recording, so a fault of one recording is told by the kind `recording`.
    """
    content = notes.read(_key(provider)).content
    kinds: tuple[Kind, ...] = ("recording", "list") if kind is None else (kind,)
    return max(filter(None, (_moment(content, one) for one in kinds)), default=None)


def _entries(content: Json, among: Collection[str]) -> dict[str, Json]:
    """Return what is noted of the credentials that there are, if they are several."""
    known = content.get("credentials", {}) if len(among) > 1 else {}
    return {name: entry for name, entry in known.items() if name in among}


def _key(provider: str) -> str:
    return f"health#{provider}"


def _moment(content: Json, kind: Kind) -> datetime | None:
    seconds = content.get(kind)
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
