"""One mail when all can be read that was asked for together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING

from legato.format import counted
from legato.ledger.notes import change
from legato.model import format_time, parse_time
from legato.retrieval.restore.note import LIST, THERE, call_of, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from legato.model import Note
    from legato.ports import Clock, Lists, Mail

MAILED = 100
"""Calls that one mail names."""


def tell(note: Note, notes: Lists, clock: Clock, mail: Mail) -> None:
    """Tell people if nothing of what was asked for together is under way any more.

    Whoever comes last finds that all others have been written, so somebody tells it. Two who come
    at the same moment may both tell it. Raises Retry.
    """
    request = note.content["request"]
    key = f"restoring#{request}"
    if notes.read(key).content or any(_of(request, LIST, notes)):
        return
    # This one may not be in the index yet.
    ready = {each.key: each for each in (note, *_of(request, THERE, notes))}
    mail.send(*_letter(ready.values()))
    told = {"told_at": format_time(clock.now()), "calls": len(ready)}
    change(key, lambda noted: replace(noted, content=noted.content or told), notes)


def _of(request: str, name: str, notes: Lists) -> Iterator[Note]:
    return (note for note in listed(name, notes) if note.content["request"] == request)


def _letter(ready: Iterable[Note]) -> tuple[str, str]:
    """Return subject and words of a mail about calls that can be read now."""
    untils = {str(call_of(note)): _until(note) for note in ready}
    what = f"{counted(len(untils), 'call')} can be read until {_minute(min(untils.values()))}"
    lines = [f"{call}  until {_minute(untils[call])}" for call in sorted(untils)[:MAILED]]
    if len(untils) > MAILED:
        lines.append(f"and {len(untils) - MAILED} more: `legato restore --list`")
    words = "\n".join((f"{what}: `legato get CALL` fetches a call.", "", *lines, ""))
    return f"Legato: {what}", words


def _until(note: Note) -> datetime:
    return min(parse_time(each["until"]) for each in note.content["objects"].values())


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
