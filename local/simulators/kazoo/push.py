"""Pushing a recording to its `url`, and asking for it back there.

Rules: handler_fields and check_url of core/kazoo_call/src/kzc_recording.erl (4.3) and
applications/media_mgr/src/media_recording.erl (master), and
core/kazoo_attachments/src/kz_att_http.erl of https://github.com/2600hz/kazoo.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote, urlsplit

import httpx

from local.simulators.audio import Audio
from local.simulators.kazoo.calls import PushOrder, Recording
from local.simulators.kazoo.config import Config
from local.simulators.kazoo.documents import CONTENT_TYPES, document
from local.simulators.kazoo.stats import Stats

_BEFORE_ACCOUNT = (
    "from",
    "to",
    "caller_id_name",
    "caller_id_number",
    "call_id",
    "cdr_id",
    "interaction_id",
)
_MOST_REDIRECTS = 10


class Pushes:
    """Sends audio to web servers. They get its type and length, and no other header."""

    def __init__(self, config: Config, stats: Stats, http: httpx.AsyncClient) -> None:
        self._config = config
        self._stats = stats
        self._http = http

    async def put(self, order: PushOrder, recording: Recording) -> str | None:
        """Send the audio; return the address that took it, or None when none did."""
        headers = {
            "Content-Type": CONTENT_TYPES[recording.order.format],
            "Content-Length": str(recording.audio.size),
        }

        def request(url: str) -> httpx.Request:
            content = _pieces(recording.audio)
            return self._request(order.method.upper(), url, headers=headers, content=content)

        found = await self._follow(request, address(order, recording), self._stats.pushes.answers)
        return found and (found[0] if found[1].is_success else None)

    async def get(self, url: str) -> bytes | None:
        """Ask for the audio where it was sent; return it, or None when it does not come."""
        found = await self._follow(lambda at: self._request("GET", at), url, self._stats.fetches)
        return found and (found[1].content if found[1].status_code == 200 else None)

    async def _follow(
        self, request: Callable[[str], httpx.Request], url: str, answers: Counter[str]
    ) -> tuple[str, httpx.Response] | None:
        """Return the answer that leads nowhere else, and who gave it; None without one."""
        seen: set[str] = set()
        while url.startswith("http") and url not in seen and len(seen) <= _MOST_REDIRECTS:
            seen.add(url)
            try:
                answer = await self._http.send(request(url))
            except (httpx.TransportError, httpx.InvalidURL):
                answers["unreachable"] += 1
                return None
            answers[str(answer.status_code)] += 1
            if answer.status_code not in (301, 302):
                return url, answer
            url = answer.headers.get("location", "")
        return None

    def _request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        content: AsyncIterator[bytes] | None = None,
    ) -> httpx.Request:
        timeout = httpx.Timeout(self._config.push_seconds).as_dict()
        extensions = {"timeout": timeout}
        return httpx.Request(method, url, headers=headers, content=content, extensions=extensions)


def address(order: PushOrder, recording: Recording) -> str:
    """Return where a recording is sent: its `url`, the file's name, and what is known of it."""
    known = document(recording)
    old = recording.version == "4.3"
    # master puts a dot before an extension that begins with one.
    extension = ("." if old else "..") + recording.order.format
    name = f"call_recording_{_quoted(known.get('call_id'))}{extension}"
    facts = [(field, known.get(field)) for field in _BEFORE_ACCOUNT]
    if old:
        facts.append(("owner_id", known.get("owner_id")))
    facts.append(("account_id", recording.account))
    if old:
        facts += [(field, known.get(field)) for field in ("start", "duration_ms")]
        facts.append(("recording_id", recording.id))
    query = "&".join(f"{field}={_quoted(value)}" for field, value in facts)
    url = order.url.rstrip("/")
    own = urlsplit(url).query
    if not own:
        return f"{url}/{name}?{query}"
    return f"{url}{_before_name(own)}{name}&{query}"


def _before_name(query: str) -> str:
    """Return what makes the file's name a parameter: the last one's value, if it has none."""
    _, equals, value = query.rsplit("&", 1)[-1].partition("=")
    if not equals:
        return "="
    return "&recording=" if value else ""


def _quoted(value: object) -> str:
    return "" if value is None else quote(str(value), safe="")


async def _pieces(audio: Audio) -> AsyncIterator[bytes]:
    for piece in audio.read(0, audio.size):
        yield piece
