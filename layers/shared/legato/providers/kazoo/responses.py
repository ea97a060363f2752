"""Read Kazoo's answers: its envelope, what went wrong, the life of a token.

An envelope can say `error` behind a 200, and names the status that was meant in `error`
(https://github.com/2600hz/kazoo/blob/master/applications/crossbar/doc/basics.md).
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from legato.errors import Retry
from legato.providers.responses import parsed, read, read_object, where

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from legato.model import Json

LONGEST_TEXT = 200
DEEPEST = 3
TOKEN_SECONDS = 3540
"""Of a token that does not tell: `token_auth_expiry_s` is an hour, and a minute is for us."""
LONGEST_TOKEN_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is what was meant. `envelope` is None where nothing was read: audio, a redirect."""

    response: httpx.Response
    status: int
    envelope: Json | None = None

    @property
    def remaining(self) -> int | None:
        """What is left in the bucket, if it says so and the request was counted."""
        tokens = (self.envelope or {}).get("tokens")
        if not isinstance(tokens, dict) or tokens.get("consumed") == 0:
            return None
        remaining = tokens.get("remaining")
        return remaining if isinstance(remaining, int) and remaining >= 0 else None

    def data[T](self, kind: type[T]) -> T:
        """Return what was asked for. Raises Retry if it is of another kind."""
        found = (self.envelope or {}).get("data")
        if not isinstance(found, kind):
            raise Retry(f"{where(self.response.request)} answers without a {kind.__name__} `data`")
        return found

    @property
    def is_success(self) -> bool:
        return httpx.codes.is_success(self.status)

    @property
    def request(self) -> httpx.Request:
        return self.response.request

    @property
    def next_request(self) -> httpx.Request | None:
        return self.response.next_request

    def close(self) -> None:
        self.response.close()


def is_json(response: httpx.Response) -> bool:
    return "json" in response.headers.get("content-type", "").lower()


def read_answer(response: httpx.Response) -> Answer:
    """Read an envelope. Raises Retry where a success has none."""
    if response.is_success:
        envelope = read_object(response)
        return Answer(response, _meant(envelope) or response.status_code, envelope)
    try:
        body = parsed(read(response))
    except (Retry, ValueError):
        body = None
    return Answer(response, response.status_code, body if isinstance(body, dict) else {})


def said(answer: Answer) -> str:
    """Return what an error says of itself, in short: its message, and which fields are wrong.

    Whatever else is in `data` may be a secret: to an unknown API key Kazoo answers with that key.
    """
    envelope = answer.envelope or {}
    words = [envelope.get("message"), *_problems(envelope.get("data"))]
    found = dict.fromkeys(word for word in words if isinstance(word, str))
    return " ".join(found)[:LONGEST_TEXT]


def life_of(token: str, now: datetime) -> float:
    """Return the seconds that a token lives for: a JWT says it in `exp`, as Unix time.

    https://github.com/2600hz/kazoo/blob/master/applications/crossbar/src/crossbar_auth.erl
    """
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        life = float(claims["exp"]) - now.timestamp()
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return TOKEN_SECONDS
    # Dead on arrival is a clock that is off, and a token for each request would empty the bucket.
    return min(life, LONGEST_TOKEN_SECONDS) if life > 0 else TOKEN_SECONDS


def _meant(envelope: Json) -> int | None:
    """Return the status that an envelope of status `error` or `fatal` means, else None."""
    if envelope.get("status") not in ("error", "fatal"):
        return None
    code = str(envelope.get("error"))
    meant = int(code) if code.isdecimal() else 0
    return meant if httpx.codes.is_error(meant) else httpx.codes.INTERNAL_SERVER_ERROR


def _problems(data: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Find the messages below each field: `{"created_from": {"date_range": {"message": "…"}}}`."""
    if not isinstance(data, dict) or len(path) > DEEPEST:
        return
    message = data.get("message")
    if isinstance(message, str):
        yield f"{'.'.join(path)}: {message}" if path else message
        return
    for name, below in data.items():
        yield from _problems(below, (*path, name))
