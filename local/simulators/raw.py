"""What a provider's lists say word for word (`POST /_sim/raw`), as far as it is alike for all.

Nothing that is given is validated. A text `now-<seconds>` anywhere in it becomes that time; all
else is answered as it came. Each simulator's control.py documents its own part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse

from local.simulators import times
from local.simulators.audio import Audio, Given, melody
from local.simulators.fields import Fields
from local.simulators.settings import BadInput

type Write = Callable[[str, float], Any]
"""Takes the name of a field and a time; returns what stands in that field at that time."""

LONGEST = 3600
"""Seconds of audio that is made for a recording, however long it says it is."""
_AGO = re.compile(r"now-(\d{1,9}(?:\.\d{1,9})?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What was given: the entries of a list, and audio by the id of its recording."""

    entries: list[Any]
    audio: dict[str, bytes]


def read_raw(fields: Fields, name: str, *, now: float, write: Write | None = None) -> Raw:
    """Read an order whose entries are in the list `name`. Raises BadInput."""
    try:
        entries = _timed(fields.anything(name), "", now, write or _iso)
    except RecursionError as error:
        raise BadInput(f"{name}: is nested too deeply") from error
    return Raw(entries=entries, audio=fields.base64s("audio"))


def identity(entry: Any, name: str) -> str | None:
    """Return what tells an entry from others, None when it has no such field."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return None if value is None else json.dumps(value, sort_keys=True)


def text(value: Any) -> str | None:
    """Return an id as it stands in an address, None when it cannot."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return str(value).encode().decode() or None
    except UnicodeEncodeError:
        return None


def seconds_of(value: Any, *, per_second: int = 1) -> float | None:
    """Return a length that audio can be made of, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is divided: no float is as large as an integer may be.
    within = min(value, LONGEST * per_second)
    return within / per_second if within > 0 else None


def audio_of(name: str, given: bytes | None, seconds: float | None, **shape: Any) -> Audio | None:
    """Return the bytes that were given, else audio of that length, None without one."""
    if given is not None:
        return Given(given)
    return None if seconds is None else melody(name, seconds=seconds, **shape)


def content_type(audio: Audio) -> str:
    """Return what bytes are, as far as a provider looks at them."""
    head = b"".join(audio.read(0, min(4, audio.size)))
    return "audio/wav" if head == b"RIFF" else "audio/mpeg"


class AnyJson(JSONResponse):
    """Also what JSON itself has no words for (NaN), and texts that no encoding has."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        try:
            return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            return json.dumps(content, separators=(",", ":")).encode()


def _timed(value: Any, name: str, now: float, write: Write) -> Any:
    if isinstance(value, dict):
        return {key: _timed(each, key, now, write) for key, each in value.items()}
    if isinstance(value, list):
        return [_timed(each, name, now, write) for each in value]
    ago = _AGO.fullmatch(value) if isinstance(value, str) else None
    return write(name, now - float(ago[1])) if ago else value


def _iso(_name: str, moment: float) -> str:
    return times.write(moment)
