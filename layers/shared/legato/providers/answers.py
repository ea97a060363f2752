"""Read a provider's answers: bodies, how long to wait, what is left of a recording."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

from legato.errors import Retry
from legato.gate import Limit

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from legato.model import Json

PENALTY_SECONDS = 60
LONGEST_PENALTY_SECONDS = 24 * 3600
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_RESUMES = 3

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


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
    try:
        body = json.loads(read(response))
    except (Retry, ValueError):
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors")
    entries = [body, *(errors if isinstance(errors, list) else [])]
    names = ("errorCode", "permissionName", "error")
    found = [str(e[name]) for e in entries if isinstance(e, dict) for name in names if name in e]
    return " ".join(dict.fromkeys(found))


def read(response: httpx.Response) -> bytes:
    """Read a body that is to be JSON. Raises Retry for one that breaks off or does not end."""
    body = bytearray()
    try:
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_JSON_BYTES:
                raise Retry(f"an answer of more than {MAX_JSON_BYTES} bytes")
    except httpx.HTTPError as error:
        raise broken_off(response, error) from error
    return bytes(body)


def broken_off(response: httpx.Response, error: httpx.HTTPError) -> Retry:
    """Return the error for a body that ends before what it announced."""
    return Retry(f"{where(response.request)} broke off: {type(error).__name__}: {error}")


def read_json(response: httpx.Response) -> Any:
    """Read a body as JSON. Raises Retry if it is none."""
    try:
        return json.loads(read(response))
    except ValueError as error:
        raise Retry(f"{where(response.request)} answers with something that is no JSON") from error


def read_object(response: httpx.Response) -> Json:
    """Read a JSON object. Raises Retry for anything else."""
    answer = read_json(response)
    if not isinstance(answer, dict):
        raise Retry(f"{where(response.request)} answers with JSON that is no object")
    return answer


def span(response: httpx.Response) -> tuple[int, int, int] | None:
    """Return first byte, last byte and total of a partial answer, if it says them."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def resume(response: httpx.Response, start: int) -> Iterator[bytes]:
    """Read the rest of a recording from byte `start` on. Raises Retry if it is not the rest."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        found = span(response)
        if found is None or found[0] != start or found[1] + 1 != found[2]:
            raise Retry(f"{where(response.request)} sends only a part of the recording")
    elif start:
        raise Retry(f"{where(response.request)} cannot be resumed at byte {start}")
    return response.iter_bytes()  # as it arrives: what a buffer held would be lost with the line


def pieces(
    opened: Callable[[dict[str, str]], AbstractContextManager[httpx.Response]],
) -> Generator[bytes]:
    """Yield a recording as it arrives; `opened` asks for it with these headers.

    A connection that breaks is resumed where it broke. A body that stays shorter than announced
    raises Retry.
    """
    received = 0
    for resumes in range(MAX_RESUMES + 1):
        headers = {"Range": f"bytes={received}-"} if received else {}
        with opened(headers) as response:
            try:
                for piece in resume(response, received):
                    received += len(piece)
                    yield piece
            except httpx.HTTPError as error:
                if resumes == MAX_RESUMES:
                    raise broken_off(response, error) from error
                continue
        return
