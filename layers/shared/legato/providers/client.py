"""The one way to make an HTTP client."""

from __future__ import annotations

import logging
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING

import httpx

from legato import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

USER_AGENT = f"Legato/{__version__}"

# It would log each address as a whole, and some have a token or a number in their query.
logging.getLogger("httpx").setLevel(logging.WARNING)


def web_client(
    *,
    timeout: httpx.Timeout | float,
    headers: Mapping[str, str] = {},
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """Return a client that does what its caller says, and nothing that its surroundings say.

    The environment names no proxy, no certificate authority and no .netrc for it, no redirect is
    followed, and no cookie is kept.
    """
    return httpx.Client(
        transport=transport,
        timeout=timeout,
        headers={"User-Agent": USER_AGENT, **headers},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        follow_redirects=False,
        trust_env=False,
    )
