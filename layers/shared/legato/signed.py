"""What all requests that people sign have in common: their texts, and how they are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from legato.errors import Refused

if TYPE_CHECKING:
    from legato.model import Json

LONGEST = {"call": 300, "case": 200, "reason": 2000}
"""In characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a request. `outcome` names the metric, `logged` is for the log only."""

    status: int
    outcome: str
    body: Json
    logged: Json


def text(fields: Json, name: str, *, needed: bool = True) -> str:
    """Take a text out of a request's fields. Raises Refused, naming the field."""
    given: Any = fields.pop(name, "")
    if not isinstance(given, str):
        raise Refused(f"`{name}` is not a text")
    value = given.strip()
    if needed and not value:
        raise Refused(f"`{name}` is missing")
    if len(value) > LONGEST.get(name, 100):
        raise Refused(f"`{name}` is longer than {LONGEST.get(name, 100)} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # JSON can say half a character, and no file can hold it.
        raise Refused(f"`{name}` is not a text") from error
    return value


def nothing_else(fields: Json) -> None:
    """Raise Refused for fields that nobody has taken: a field that is misspelt is not left out."""
    if fields:
        raise Refused(f"nobody knows the field {', '.join(sorted(fields))}")
