"""boto3 clients, all made the same way."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

_CONNECTIONS = 40
"""As many segments as one processor may fetch at the same time, and a few more."""
_RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}


def client(service: str, *, read_timeout: float = 30, **more: Any) -> Any:
    """Return a client that gives up soon enough for its caller to do something about it.

    Region, credentials and endpoint are boto3's own business: it reads them where AWS says. `more`
    is what else botocore's Config is to hold.
    """
    config = Config(
        connect_timeout=3,
        read_timeout=read_timeout,
        retries=_RETRIES,
        max_pool_connections=_CONNECTIONS,
        **more,
    )
    make: Any = boto3.client  # its types know each service's name, ours is any of them
    return make(service, config=config)
