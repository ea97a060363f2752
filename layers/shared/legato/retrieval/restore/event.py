"""What S3's own event does: an object can be read, or its copy is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from legato.errors import Refused
from legato.ledger.notes import change
from legato.model import PROVIDERS, CallId, format_time, is_name, parse_time
from legato.retrieval.restore.mail import tell
from legato.retrieval.restore.note import THERE, key_of, written

if TYPE_CHECKING:
    from datetime import datetime

    from legato.model import Json, Note
    from legato.ports import Clock, Lists, Mail

_COMPLETED, _EXPIRED = "Object Restore Completed", "Object Restore Expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What S3 says of an object: that its copy is there `until` a time, or, without one, gone."""

    key: str
    version_id: str
    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completing:
    """What S3's events are noted with. Without `mail` nobody is told."""

    notes: Lists
    clock: Clock
    mail: Mail | None = None


def read(event: Json) -> Told:
    """Read S3's event as EventBridge hands it over. Raises Refused for another one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    try:
        kind, detail = event["detail-type"], event["detail"]
        if kind not in (_COMPLETED, _EXPIRED):
            raise Refused(f"the event {kind!r} tells of no restore"[:200])
        until = parse_time(detail["restore-expiry-time"]) if kind == _COMPLETED else None
        told = Told(
            key=detail["object"]["key"],
            version_id=detail["object"]["version-id"],
            at=parse_time(event["time"]),
            until=until,
        )
        if not isinstance(told.key, str) or not isinstance(told.version_id, str):
            raise TypeError("key and version are texts")
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"the event is not what S3 sends: {error!r}"[:200]) from error
    return told


def restored(told: Told, work: Completing) -> str:
    """Note what S3 says of an object, and tell people when all is there that was asked together.

    An event may come twice, late, or for an object that nobody of ours has asked for. Returns
    `Unknown`, `Repeated`, `Noted` (there is more to come), `Restored` (the whole call) or
    `Expired`. Raises Retry; the same event again makes up for what was not done.
    """
    call = _call_of(told.key)
    if call is None:
        return "Unknown"
    outcome = "Unknown"

    def becomes(note: Note) -> Note:
        nonlocal outcome
        changed, outcome = _noted(note, told, work.clock.now())
        return changed

    note = change(key_of(call), becomes, work.notes)
    if outcome in ("Noted", "Repeated") and note.listed is not None and note.listed[0] == THERE:
        if work.mail is not None:
            tell(note, work.notes, work.clock, work.mail)
        return "Restored" if outcome == "Noted" else outcome
    return outcome


def _noted(note: Note, told: Told, now: datetime) -> tuple[Note, str]:
    """Return what becomes of a note, and what that is called."""
    objects = note.content.get("objects", {})
    known = objects.get(told.key)
    if known is None or known["version_id"] != told.version_id:
        return note, "Unknown"
    said = _said(known, told, now)
    if said == known:
        return note, "Repeated"
    if said is None:
        left = {key: each for key, each in objects.items() if key != told.key}
        return written(note, left), "Expired"
    return written(note, {**objects, told.key: said}), "Noted"


def _said(known: Json, told: Told, now: datetime) -> Json | None:
    """Return what a note is to say of an object after an event; None for nothing."""
    if told.until is None:
        ended = "until" in known and parse_time(known["until"]) <= told.at
        return None if ended else known
    if told.until <= now or known.get("until") == format_time(told.until):
        return known
    return {"done_at": format_time(told.at), **known, "until": format_time(told.until)}


def _call_of(key: str) -> CallId | None:
    """Return the call to which an object of the archive belongs."""
    match key.split("/"):
        case ["calls", provider, account, _, _, _, call, _, *_] if provider in PROVIDERS:
            found = CallId(provider, unquote(account), unquote(call))
            return found if all(map(is_name, found)) else None
    return None
