"""A request to our own API, signed with the AWS identity of whoever makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from legato.aws.stack import signed
from legato.errors import Failed, Refused, Retry
from legato.providers.client import web_client

if TYPE_CHECKING:
    from legato.model import Json

ANSWER_SECONDS = 35
"""API Gateway itself gives up after 30."""


def sender() -> httpx.Client:
    """Return who sends such requests."""
    return web_client(timeout=ANSWER_SECONDS)


def post(url: str, request: Json, http: httpx.Client) -> Json:
    """Return the answer. Raises Refused for a wrong request, Failed, Retry if unfinished."""
    sent = http.build_request("POST", url, json=request)
    sent.headers.update(signed("POST", url, sent.content))
    try:
        response = http.send(sent)
    except httpx.HTTPError as error:
        raise Retry(f"{url} does not answer: {type(error).__name__}") from error
    said = _json(response)
    if response.is_success:
        return said
    # API Gateway's own refusals have a word of theirs, or a sentence about permissions.
    reason = said.get("message") or said.get("Message") or f"HTTP {response.status_code}"
    if response.status_code == 403 and (reason == "Forbidden" or "execute-api" in reason):
        raise Failed(
            f"AWS does not permit execute-api:Invoke on POST {urlsplit(url).path}: "
            "docs/permissions.md lists what the command needs"
        )
    if response.status_code in (400, 404):
        raise Refused(reason)
    if response.status_code >= 500:
        raise Retry(f"{reason}: run the same command again")
    raise Failed(reason)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
