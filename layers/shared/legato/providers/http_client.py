"""The line to a provider: HTTP behind the gate, used by many threads at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from legato.errors import Failed, Limited, Retry
from legato.model import Priority
from legato.providers import responses
from legato.providers.client import USER_AGENT, web_client

if TYPE_CHECKING:
    from legato.ledger.rate_limit import Gate
    from legato.ports import Clock

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
LOG_IN_TIMEOUT = httpx.Timeout(10.0, connect=5.0)
"""Another credential may work meanwhile."""
HEADERS = {
    # What names itself like a browser gets recordings as MP3 from RingCX
    # (https://developers.ringcentral.com/engage/voice/guide/integration/reports).
    "User-Agent": USER_AGENT,
    "Accept-Encoding": "identity",
}
PORTS = 1 << 16


class Line:
    """Nothing is sent that the gate did not grant, and no redirect is followed here.

    A request is made by the token that it carries, and by nothing else: no cookie is kept, and an
    address with a user in it is refused.
    `penalty` is how many seconds a 429 counts for that does not say it.
    """

    def __init__(
        self,
        gate: Gate,
        clock: Clock,
        *,
        transport: httpx.BaseTransport | None,
        provider: str = "RingCentral",
        penalty: float = responses.PENALTY_SECONDS,
    ) -> None:
        self._gate = gate
        self._clock = clock
        self._provider = provider
        self._penalty = penalty
        self._client = web_client(transport=transport, timeout=TIMEOUT, headers=HEADERS)

    def request(self, method: str, url: httpx.URL, **parts: Any) -> httpx.Request:
        """Return a request, with httpx's parts: params, headers, json, data, timeout."""
        return self._client.build_request(method, url, **parts)

    def send(
        self,
        request: httpx.Request,
        key: str,
        *,
        calls: int = 1,
        priority: Priority = Priority.NORMAL,
        auth: httpx.Auth | None = None,
    ) -> httpx.Response:
        """Send one request through the gate, and tell the gate what the answer says of the limit.

        The body of the answer is not read yet. A 429 closes the gate for everybody and raises
        Limited, a broken connection Retry, a user in the address Failed. `calls` is what the
        request counts for.
        """
        if request.url.userinfo:
            # httpx would log in with it, in place of our token.
            raise Failed(f"{responses.where(request)} has a user in its address, which is not used")
        self._gate.enter(key, calls=calls, priority=priority)
        try:
            response = self._client.send(request, auth=auth, stream=True)
        # httpx looks where a redirect leads, and not all that is wrong there is a TransportError.
        except (httpx.TransportError, httpx.InvalidURL, UnicodeError) as error:
            reason = f"{responses.where(request)}: {type(error).__name__}: {error}"
            raise Retry(reason) from error
        if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            response.close()
            raise self.limited(response, key, priority=priority)
        said = responses.rate_limit(response)
        if said is not None and key.endswith(f"#{said[0]}"):
            self._gate.learn(key, said[1], remaining=said[2])
        return response

    def limited(self, response: httpx.Response, key: str, *, priority: Priority) -> Limited:
        """Close the gate for everybody, for as long as a 429 says; return the error for it."""
        seconds = responses.retry_after(response, self._clock.now(), usual=self._penalty) + 1
        self._gate.block(key, seconds=seconds)
        turn = priority > Priority.BACKFILL
        return Limited(f"{self._provider}'s rate limit is reached", seconds=seconds, turn=turn)


def joined(base: httpx.URL, address: str) -> httpx.URL:
    """Return where an address leads that a provider has written. It may be relative to `base`.

    Raises Failed for one that leads nowhere, or has a user in it.
    """
    try:
        url = base.join(address)
        leads = url.scheme in ("https", "http") and url.host and 0 <= (url.port or 0) < PORTS
    except (httpx.InvalidURL, ValueError) as error:  # what idna refuses is no InvalidURL
        raise Failed(f"{address[:60]!r} is no address: {error}") from error
    if not leads:
        raise Failed(f"{address[:60]!r} is no address of a host")
    if url.userinfo:
        # Not the address itself, which has a password.
        raise Failed(f"an address on {url.host} has a user in it, which is not used")
    return url


def check_host(url: httpx.URL, *allowed: httpx.URL, provider: str, setting: str) -> None:
    """Raise Failed for a URL on any other host than these: it gets no token."""
    if origin(url) not in map(origin, allowed):
        raise Failed(
            f"{url.host} is not a configured {provider} host, so it gets no token; "
            f"if it is {provider}'s, set {setting}"
        )


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what makes a host another one: scheme, name, port."""
    port = url.port or {"https": 443, "http": 80}.get(url.scheme)
    return (url.scheme, url.host, port)
