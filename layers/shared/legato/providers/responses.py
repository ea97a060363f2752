"""Read a provider's answers: bodies, how long to wait, what is left of a recording."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

from legato.errors import Denied, Failed, Retry
from legato.settings import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.model import Json

PENALTY_SECONDS = 60
LONGEST_PENALTY_SECONDS = 24 * 3600
MAX_JSON_BYTES = 64 * 1024 * 1024
JSON_SECONDS = 60
"""A body that arrives byte by byte never meets the timeout of one read."""
LONGEST_LIFE_SECONDS = 24 * 3600
MAX_RESUMES = 3
MAX_DIGITS = 1000
"""Python itself reads no integer of more than 4,300."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.IGNORECASE)


def where(request: httpx.Request) -> str:
    """Name a request in an error or a log: never its query, which may carry numbers."""
    return f"{request.method} {request.url.host}{request.url.path}"


def passes(status: int) -> bool:
    """Say whether a status is a passing fault.

    416 is one: the line broke after the last byte, and nothing was left to ask for.
    """
    codes = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE)
    return status in codes or status >= httpx.codes.INTERNAL_SERVER_ERROR


def retry_after(
    response: httpx.Response, now: datetime, *, usual: float = PENALTY_SECONDS
) -> float:
    """Return the seconds of `Retry-After`, which is a number or a date.

    Without a usable one it is the usual penalty; no penalty is taken for longer than a day.
    https://developers.ringcentral.com/guide/basics/rate-limits
    """
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - now).total_seconds()
        except (TypeError, ValueError):
            return usual
    return min(seconds, LONGEST_PENALTY_SECONDS) if seconds > 0 else usual


def rate_limit(response: httpx.Response) -> tuple[str, Limit, int] | None:
    """Return group, limit and remaining calls as the `X-Rate-Limit-*` headers say, if they do."""
    try:
        group = response.headers["x-rate-limit-group"].capitalize()
        calls = int(response.headers["x-rate-limit-limit"])
        remaining = int(response.headers["x-rate-limit-remaining"])
        seconds = float(response.headers["x-rate-limit-window"])
    except (KeyError, ValueError):
        return None
    if calls < 1 or not 0 < seconds < LONGEST_PENALTY_SECONDS:
        return None
    return group, Limit(calls, seconds), remaining


def error_code(response: httpx.Response) -> str:
    """Return RingCentral's codes and the permission that lacks; its messages may change."""
    return refusal(response)[0]


def refusal(response: httpx.Response) -> tuple[str, bool]:
    """Return RingCentral's codes, and whether it names a permission that lacks."""
    try:
        body = parsed(read(response))
    except (Retry, ValueError):
        return "", False
    if not isinstance(body, dict):
        return "", False
    errors = body.get("errors")
    entries = [body, *(errors if isinstance(errors, list) else [])]
    names = ("errorCode", "permissionName", "error")
    said = [entry for entry in entries if isinstance(entry, dict)]
    codes = [str(entry[name]) for entry in said for name in names if name in entry]
    lacks = any(bool(entry.get("permissionName")) for entry in said)
    return " ".join(dict.fromkeys(codes)), lacks


def read(response: httpx.Response) -> bytes:
    """Read a body that is to be JSON. Raises Retry for one that breaks off or does not end."""
    body, began_at = bytearray(), time.monotonic()
    try:
        for piece in response.iter_bytes():
            body += piece
            if time.monotonic() - began_at > JSON_SECONDS:
                raise Retry(f"{where(response.request)} answers for more than {JSON_SECONDS} s")
            if len(body) > MAX_JSON_BYTES:
                raise Retry(f"an answer of more than {MAX_JSON_BYTES} bytes")
    except httpx.HTTPError as error:
        raise broken_off(response, error) from error
    return bytes(body)


def broken_off(response: httpx.Response, error: httpx.HTTPError) -> Retry:
    return Retry(f"{where(response.request)} broke off: {type(error).__name__}: {error}")


def parsed(body: bytes) -> Any:
    """Return the JSON of a body. Raises ValueError for what is none, or nested too deeply.

    Bytes that are no text, and numbers too long to count with, are one record's, and not the
    body's: the bytes become U+FFFD, the numbers their digits as text.
    """
    text = body.decode(json.detect_encoding(body), errors="replace")
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def read_json(response: httpx.Response) -> Any:
    """Read a body as JSON. Raises Retry if it is none."""
    try:
        return parsed(read(response))
    except ValueError as error:
        raise Retry(f"{where(response.request)} answers with something that is no JSON") from error


def read_object(response: httpx.Response) -> Json:
    """Read a JSON object. Raises Retry for anything else."""
    answer = read_json(response)
    if not isinstance(answer, dict):
        raise Retry(f"{where(response.request)} answers with JSON that is no object")
    return answer


def named(answer: Json, *names: str) -> str:
    """Return the first of these fields that is a text, an empty one if none is."""
    found = (answer.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), "")


def life(value: object, *, usual: float) -> float:
    """Return the seconds that a token lives, said as number or text, or else the usual ones."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) else 0.0
    except (OverflowError, ValueError):
        return usual
    return min(seconds, LONGEST_LIFE_SECONDS) if seconds > 0 else usual


def pieces(
    opened: Callable[[dict[str, str]], AbstractContextManager[httpx.Response]],
) -> Generator[bytes]:
    """Yield a recording as it arrives; `opened` asks for it with these headers.

    The bytes are counted against what the first answer announces. A connection that breaks, or ends
    early, is resumed where it did. Raises Retry for a body that stays shorter, is longer, or stands
    still for the time of a read; Denied for a refusal that is final; and as `opened`.
    """
    begun = _Begun()
    for resumes in range(MAX_RESUMES + 1):
        headers = {"Range": f"bytes={begun.received}-"} if begun.received else {}
        with ExitStack() as stack:
            try:
                response = stack.enter_context(opened(headers))
            except (Denied, Failed) as error:
                if begun.received:
                    raise Retry(f"a recording that broke off cannot be resumed: {error}") from error
                raise Denied(str(error)) from error
            begun.expect(response)
            broken = ""
            try:
                for piece in response.iter_bytes():
                    # As it arrives: what a buffer held would be lost with the line.
                    begun.count(response, len(piece))
                    yield piece
            except httpx.ReadTimeout as error:
                raise broken_off(response, error) from error
            except httpx.HTTPError as error:
                broken = f"{type(error).__name__}: {error}"
            if begun.whole(response, broken=bool(broken)):
                return
            if resumes == MAX_RESUMES or begun.encoded:
                raise Retry(
                    f"{where(response.request)} broke off: {begun.progress} {broken}".rstrip()
                )


class _Begun:
    """How much of a recording has come. What is encoded on its way is counted as it was sent."""

    def __init__(self) -> None:
        self.received = 0
        self.encoded = False
        self._total: int | None = None
        self._tag = ""

    @property
    def progress(self) -> str:
        return f"{self.received} of {'?' if self._total is None else self._total} bytes"

    def expect(self, response: httpx.Response) -> None:
        """Note what an answer announces. Raises Retry if it is not the rest of what has begun."""
        total = self._announced(response)
        tag = response.headers.get("etag", "")
        if self.received and (
            (self._total is not None and total is not None and total != self._total)
            or (self._tag and tag and tag != self._tag)
        ):
            raise Retry(f"{where(response.request)} sends another recording than before")
        self._total = total if total is not None else self._total
        self._tag = tag
        coding = response.headers.get("content-encoding", "").strip().lower()
        self.encoded = coding not in ("", "identity")
        if self.encoded and self.received:
            raise Retry(f"{where(response.request)} cannot be resumed: it is {coding} now")

    def count(self, response: httpx.Response, size: int) -> None:
        """Count bytes. Raises Retry for one that was not announced."""
        self.received += size
        sent = response.num_bytes_downloaded if self.encoded else self.received
        if self._total is not None and sent > self._total:
            raise Retry(f"{where(response.request)} sends more than {self._total} bytes")

    def whole(self, response: httpx.Response, *, broken: bool) -> bool:
        """Say whether everything has come; where nothing was announced, that is how it ended."""
        if self._total is None:
            return not broken
        sent = response.num_bytes_downloaded if self.encoded else self.received
        return sent == self._total and not (broken and self.encoded)

    def _announced(self, response: httpx.Response) -> int | None:
        """Return the size of the whole recording. Raises Retry for another part than is missing."""
        start = self.received
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
            if found is None:
                raise Retry(f"{where(response.request)} sends only a part of the recording")
            total = int(found[3]) if found[3] != "*" else self._total
            if int(found[1]) != start or int(found[2]) + 1 != total:
                raise Retry(f"{where(response.request)} sends only a part of the recording")
            return total
        if start:
            raise Retry(f"{where(response.request)} cannot be resumed at byte {start}")
        length = response.headers.get("content-length", "").strip()
        return int(length) if length.isdecimal() and length.isascii() else None
