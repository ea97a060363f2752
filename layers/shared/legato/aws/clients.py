"""botocore's clients, all made the same way.

They are boto3's, which loads what nothing here needs and a person at the command waits for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from botocore.session import Session

_CONNECTIONS = 40
"""As many segments as one processor may fetch at the same time, and a few more."""
_RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
_READ_SECONDS = 10
"""DynamoDB, SQS and KMS answer within milliseconds or not at all. S3 may take its time."""


def client(service: str, *, read_timeout: float = _READ_SECONDS, **more: Any) -> Any:
    """Return a client that gives up soon enough for its caller to do something about it.

    Region, credentials and endpoint are botocore's own business: it reads them where AWS says.
    `more` is what else its Config is to hold.
    """
    config = Config(
        connect_timeout=3,
        read_timeout=read_timeout,
        retries=_RETRIES,
        max_pool_connections=_CONNECTIONS,
        **more,
    )
    return _session().create_client(service, config=config)


@cache
def _session() -> Session:
    return botocore.session.get_session()
