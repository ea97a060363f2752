"""How a setting is read from text: its kind, its default, and what it may be.

A class of settings is a frozen dataclass whose fields are made by `text`, `whole` and so on. A
field `retry_seconds` is called `RetrySeconds` in the document that is read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MINUTE = 60
LONGEST_WAIT = 14 * 24 * 3600
"""Seconds: SQS keeps no message for longer."""
LONGEST_LIMIT = 24 * 3600
"""Seconds of a rate limit: a provider that counts by the month is not known."""
MOST_HOURS = 10 * 366 * 24


class BadSettings(Exception):
    """The configuration is not what template.yaml writes. Names everything that is wrong."""


@dataclass(frozen=True, slots=True)
class Limit:
    """So many calls in any span of so many seconds."""

    calls: int
    seconds: float = MINUTE

    def spared(self) -> Limit:
        """Return what is left for who is in no hurry: a tenth, or one call, is for the others.

        A limit of one call leaves nothing to share, and is nobody's more than another's.
        """
        return replace(self, calls=max(1, self.calls - math.ceil(self.calls / 10)))


type Limits = dict[str, tuple[Limit, ...]]
"""The limits of each group of requests; all of a group's hold at the same time."""
type Waits = tuple[int, ...]
"""Seconds before each further try."""


def text(default: str | None = None) -> Any:
    """Take any text. What has no default must be there."""
    return _setting(str, "text", default)


def names(default: str | None = None) -> Any:
    """Take texts between commas, without the spaces around them."""
    return _setting(_names, "names between commas", default)


def pairs(default: str | None = None) -> Any:
    """Take texts like `name=value` between commas."""
    return _setting(_pairs, "like name=value,name=value", default)


def whole(default: int | None, least: int, most: int) -> Any:
    """Take a whole number of this range."""
    return _setting(_within(int, least, most), f"a whole number from {least} to {most}", default)


def number(default: float | None, least: float, most: float) -> Any:
    """Take a number of this range."""
    return _setting(_within(float, least, most), f"a number from {least} to {most}", default)


def hours(default: str | None = None) -> Any:
    """Take numbers of hours between commas, up to ten years."""
    return _setting(
        _all(float, MOST_HOURS), f"numbers from 0 to {MOST_HOURS} between commas", default
    )


def waits(default: str | None = None) -> Any:
    """Take whole seconds between commas, each up to two weeks."""
    return _setting(
        _all(int, LONGEST_WAIT), f"whole seconds from 0 to {LONGEST_WAIT} between commas", default
    )


def limits(default: str) -> Any:
    """Take the limits of just those groups that the default has: `Group=calls/seconds+…,…`."""
    groups = _limits(default).keys()

    def parse(text: str) -> Limits:
        found = _limits(text)
        if found.keys() != groups:
            raise ValueError
        return found

    return _setting(parse, f"like {default}", default)


def one_of(known: Mapping[str, Any], default: str | None = None) -> Any:
    """Take one of these words, for what stands behind it."""

    def parse(text: str) -> Any:
        if text not in known:
            raise ValueError
        return known[text]

    return _setting(parse, " or ".join(known), default)


def web(default: str | None = None) -> Any:
    """Take a web address. One with a user and a password is refused, and not repeated."""
    kind = "a web address like https://host:port/path without a user"
    return _setting(web_address, kind, default, secret=True)


def in_document(field_name: str) -> str:
    """Return what a setting is called in a document."""
    return "".join(part.capitalize() for part in field_name.split("_"))


def names_of(kind: type) -> list[str]:
    """Return what the settings of a class are called in a document."""
    return [in_document(one.name) for one in fields(kind) if one.metadata]


def read[T](
    kind: type[T],
    said: Mapping[str, object],
    *,
    called: Callable[[str], str] = in_document,
    **given: Any,
) -> T:
    """Read all settings of a class from what is `said`, but those that are `given`.

    `called` says by which name a field is looked up. Raises BadSettings.
    """
    complaints = []
    for one in fields(kind):  # type: ignore[arg-type]
        if one.name in given:
            continue
        name, about = called(one.name), one.metadata
        value = said.get(name, about["default"])
        if value is None or (value == "" and about["default"] is None):
            complaints.append(f"{name} is not set")
            continue
        try:
            given[one.name] = about["parse"](str(value))
        except ValueError:
            shown = "" if about["secret"] else f": {str(value)!r}"
            complaints.append(f"{name} is not {about['kind']}{shown}")
    if complaints:
        raise BadSettings("; ".join(complaints))
    return kind(**given)


def _setting(
    parse: Callable[[str], Any], kind: str, default: object, *, secret: bool = False
) -> Any:
    metadata = {"parse": parse, "kind": kind, "default": default, "secret": secret}
    if default is None:
        return field(metadata=metadata)
    return field(default_factory=lambda: parse(str(default)), metadata=metadata)


def _within[N: (int, float)](
    parse: Callable[[str], N], least: float, most: float
) -> Callable[[str], N]:
    def parsed(text: str) -> N:
        value = parse(text)
        if not least <= value <= most:  # nor is a NaN
            raise ValueError
        return value

    return parsed


def _all[N: (int, float)](parse: Callable[[str], N], most: int) -> Callable[[str], tuple[N, ...]]:
    one = _within(parse, 0, most)
    return lambda text: tuple(one(item) for item in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _pairs(text: str) -> dict[str, str]:
    split = [item.partition("=") for item in _names(text)]
    if not all(equals for _, equals, _ in split):
        raise ValueError
    return {name: value for name, _, value in split}


def _limits(text: str) -> Limits:
    return {group: tuple(map(_limit, value.split("+"))) for group, value in _pairs(text).items()}


def _limit(text: str) -> Limit:
    calls, _, seconds = text.partition("/")
    limit = Limit(int(calls), float(seconds or MINUTE))
    if not (limit.calls > 0 and 0 < limit.seconds <= LONGEST_LIMIT):
        raise ValueError
    return limit


def web_address(text: str) -> str:
    """Return a web address as it is. Raises ValueError for what is none, or has a user in it."""
    if not text:
        return text  # where there need be none
    parts = urlsplit(text)
    leads = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    if not leads or "@" in parts.netloc or not text.isprintable() or " " in text:
        raise ValueError
    return text
