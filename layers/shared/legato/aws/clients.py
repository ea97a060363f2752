"""botocore's clients, all made the same way.

They are boto3's, which loads what nothing here needs and a person at the command waits for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

if TYPE_CHECKING:
    from botocore.model import OperationModel
    from botocore.session import Session

_CONNECTIONS = 40
"""As many segments as one processor may fetch at the same time, and a few more."""
_TRIES = 3
_RETRIES: Any = {"mode": "standard", "total_max_attempts": _TRIES}
_READ_SECONDS = 10
"""DynamoDB, SQS and KMS answer within milliseconds or not at all. S3 may take its time."""
QUICK_S3_SECONDS = 6
"""S3, for who answers through API Gateway: three tries fit into its half minute."""


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
    made: Any = session().create_client(service, config=config)
    made.meta.events.register_first("needs-retry", _repeat_what_was_cut)
    return made


def _repeat_what_was_cut(
    response: tuple[Any, Any] | None,
    *,
    attempts: int,
    operation: OperationModel,
    request_dict: dict[str, Any],
    **_more: Any,
) -> int | None:
    """Return how many seconds to wait before an operation is repeated, or None if it is whole.

    botocore takes what came of an answer for all of it, and what it cannot parse for an empty one:
    half an item of the ledger would be none. Raises ConnectionClosedError after the last try.
    """
    if response is None or operation.has_streaming_output or request_dict["method"] == "HEAD":
        return None
    answer, _ = response
    size = answer.headers.get("content-length")
    if size is None or int(size) == len(answer.content):
        return None
    if attempts >= _TRIES:
        raise ConnectionClosedError(endpoint_url=answer.url)
    return 0


@cache
def session() -> Session:
    """Return what makes all clients of this process."""
    return botocore.session.get_session()
