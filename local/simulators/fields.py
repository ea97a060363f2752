"""Reads control requests: each value is checked, and the message names the field that is wrong."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, Literal, overload
from urllib.parse import urlsplit

from starlette.requests import Request

from local.simulators import times
from local.simulators.settings import BadInput, Json

type Required = Literal["required"]
REQUIRED: Final = "required"


class Fields:
    """The fields of one JSON object. `where` stands before each name in a message."""

    def __init__(self, given: Any, where: str = "") -> None:
        if not isinstance(given, dict):
            raise BadInput(f"{where.rstrip('.') or 'the body'}: must be a JSON object")
        self.where = where
        self._given: Json = given
        self._known: set[str] = set()
        self._inner: list[Fields] = []

    @property
    def ignored(self) -> list[str]:
        """Return the names that nobody asked for, here and in the objects inside."""
        own = [self.where + name for name in self._given if name not in self._known]
        return own + [name for inner in self._inner for name in inner.ignored]

    def flag(self, name: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    @overload
    def number(self, name: str, *, default: float | Required = REQUIRED) -> float: ...
    @overload
    def number(self, name: str, *, default: None) -> float | None: ...
    def number(self, name: str, *, default: float | Required | None = REQUIRED) -> float | None:
        """Return a number that is not negative, and not beyond all measure."""
        value = self._take(name)
        if value is None and default != REQUIRED:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self._wrong(name, value, "a number, 0 or more")
        return value

    def is_true(self, name: str) -> bool:
        """Say whether this is true, where a number may stand too."""
        return self._take(name) is True

    @overload
    def text(self, name: str, *, default: str) -> str: ...
    @overload
    def text(self, name: str, *, default: None) -> str | None: ...
    def text(self, name: str, *, default: str | None) -> str | None:
        """Return a string that is not empty."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, str) or not value:
            raise self._wrong(name, value, "a string that is not empty")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the strings of a list."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._wrong(name, value, "a list of strings")
        return tuple(value)

    def choice[T: str](self, name: str, known: tuple[T, ...], *, default: T | None = None) -> T:
        """Return one of the known words; without a default the first of them."""
        value = self._take(name)
        if value is None:
            return known[0] if default is None else default
        for each in known:
            if value == each:
                return each
        raise self._wrong(name, value, f"one of {', '.join(known)}")

    def moment(self, name: str) -> float | None:
        """Return a time."""
        value = self._take(name)
        if value is None:
            return None
        try:
            return times.read(value)
        except (TypeError, ValueError):
            raise self._wrong(name, value, "an ISO 8601 time") from None

    def base64(self, name: str) -> bytes | None:
        """Return bytes."""
        value = self._take(name)
        if value is None:
            return None
        try:
            return base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise self._wrong(name, "…", "base64") from None

    def base64s(self, name: str) -> dict[str, bytes]:
        """Return the bytes of each name in an object."""
        value = self._take(name)
        if value is None:
            return {}
        inner = Fields(value, f"{self.where}{name}.")
        return {each: inner.base64(each) or b"" for each in value}

    def anything(self, name: str) -> list[Any]:
        """Return a list of whatever it is."""
        value = self._take(name)
        if not isinstance(value, list):
            raise self._wrong(name, value, "a list")
        return value

    def address(self, name: str) -> str:
        """Return an address of the web."""
        value = self._take(name)
        if not isinstance(value, str) or not _is_address(value):
            raise self._wrong(name, value, "an http or https address")
        return value

    def object(self, name: str) -> Fields | None:
        """Return the fields of an object inside, if it is there."""
        value = self._take(name)
        if value is None:
            return None
        inner = Fields(value, f"{self.where}{name}.")
        self._inner.append(inner)
        return inner

    def objects(self, name: str) -> list[Fields]:
        """Return the fields of each object in a list."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, value, "a list")
        found = [Fields(each, f"{self.where}{name}[{at}].") for at, each in enumerate(value)]
        self._inner += found
        return found

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._given.get(name)

    def _wrong(self, name: str, value: Any, wanted: str) -> BadInput:
        if value is None:
            return BadInput(f"{self.where}{name}: is missing")
        return BadInput(f"{self.where}{name}: {value!r} is not {wanted}")


def _is_address(text: str) -> bool:
    try:
        split = urlsplit(text)
    except ValueError:
        return False
    return split.scheme in ("http", "https") and bool(split.hostname)


async def read_body(request: Request) -> Any:
    """Return a request's JSON. Raises BadInput."""
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is not JSON: {error}") from error
