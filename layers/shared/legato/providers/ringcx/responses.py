"""Read RingCX's answers: lists, and errors that may be JSON, a bare string or plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from legato.errors import Retry
from legato.providers.responses import parsed, read, read_json, where

if TYPE_CHECKING:
    import httpx

LONGEST_TEXT = 200
_LISTS = ("data", "segments", "records")
_WORDS = ("errorCode", "generalMessage", "developerMessage")


def read_list(response: httpx.Response) -> list[Any]:
    """Read a bare array, or the one that an object holds. Raises Retry for anything else.

    The documentation has the bare array; its earlier versions had objects.
    """
    answer = read_json(response)
    if isinstance(answer, dict):
        answer = next((answer[name] for name in _LISTS if name in answer), None)
    if not isinstance(answer, list):
        raise Retry(f"{where(response.request)} answers with JSON that is no list")
    return answer


def said(response: httpx.Response) -> str:
    """Return what an error says of itself, in short; of rejected values only their names."""
    try:
        found = read(response)
    except Retry:
        return ""
    text = found.decode(errors="replace")
    try:
        body = parsed(found)
    except ValueError:
        plain = response.headers.get("content-type", "").startswith("text/plain")
        body = text if plain else ""
    if isinstance(body, dict):
        errors = body.get("validationErrors")
        entries = errors if isinstance(errors, list) else []
        names = [entry.get("attributeName") for entry in entries if isinstance(entry, dict)]
        words = [*(body.get(word) for word in _WORDS), *names]
        body = " ".join(dict.fromkeys(word for word in words if isinstance(word, str)))
    return body.strip()[:LONGEST_TEXT] if isinstance(body, str) else ""
