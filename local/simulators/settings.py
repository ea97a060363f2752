"""Settings of a simulator: read from JSON, checked by type, changed while it runs.

Every field of a simulator's `Config` is a key of its configuration in camelCase (`log_lag` is
`logLag`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Self

type Json = dict[str, Any]
type Reader = Callable[[str, Any, Any], Any]
"""Takes a key, the value given and the present one; returns what to set. Raises BadInput."""


class BadInput(ValueError):
    """The configuration or a control request is wrong; the message names the field."""


@dataclass(kw_only=True)
class Settings:
    """What a simulator's `Config` inherits. A field without a reader keeps its default's type."""

    READERS: ClassVar[Mapping[str, Reader]] = {}

    @classmethod
    def from_json(cls, given: Json) -> Self:
        """Read a configuration. Raises BadInput for an unknown key or a wrong type."""
        config = cls()
        config.update(given)
        return config

    def update(self, given: Json) -> None:
        """Change these settings. Raises BadInput and changes nothing when one of them is wrong."""
        names = {_camel(each.name): each.name for each in fields(self)}
        changes = {}
        for key, value in given.items():
            if key not in names:
                raise BadInput(f"{key}: unknown setting; known are {', '.join(sorted(names))}")
            read = self.READERS.get(names[key], _same_type)
            changes[names[key]] = read(key, value, getattr(self, names[key]))
        for name, value in changes.items():
            setattr(self, name, value)


def load[C: Settings](kind: type[C], text: str | None) -> C:
    """Read a configuration from a JSON file, or from JSON itself when it starts with a brace."""
    if text is None:
        return kind()
    try:
        given = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except ValueError as error:
        raise BadInput(f"the configuration is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise BadInput("the configuration is not a JSON object")
    return kind.from_json(given)


def digits(key: str, value: Any, _present: Any) -> str:
    """Read an id that is a number in a string."""
    if not isinstance(value, str) or not value.isdecimal():
        raise BadInput(f"{key}: {value!r} is not a number in a string")
    return value


def number_or_null(key: str, value: Any, present: Any) -> float | None:
    """Read a number, 0 or more, that may be missing."""
    if value is None:
        return None
    if not _is_number(value):
        raise _misfit(key, value, present)
    number: float = value
    return number


def jwts(key: str, value: Any, _present: Any) -> dict[str, str]:
    """Read who is behind each JWT."""
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise BadInput(f"{key}: must map each JWT to an extension id")
    return value


def one_of(*known: str) -> Reader:
    """Return a reader of one of these words."""

    def read(key: str, value: Any, _present: Any) -> str:
        if value not in known:
            raise BadInput(f"{key}: {value!r} is not one of {', '.join(known)}")
        return str(value)

    return read


def _same_type(key: str, value: Any, present: Any) -> Any:
    if isinstance(present, bool):
        fits = isinstance(value, bool)
    elif isinstance(present, int | float):
        fits = _is_number(value)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise _misfit(key, value, present)
    return value


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value >= 0


def _misfit(key: str, value: Any, present: Any) -> BadInput:
    return BadInput(f"{key}: {value!r} does not fit; the default is {present!r}")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
