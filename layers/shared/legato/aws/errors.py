"""AWS's errors in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from legato.errors import Retry, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

BROKEN = (BotoCoreError, ResponseParserError, HTTPError)
"""What comes of a connection that fails, and of an answer that is cut. botocore puts most errors of
urllib3 into its own words while it reads a body, and not all of them."""
_WRONG = {
    "EntityTooLarge",
    "EntityTooSmall",
    "InvalidArgument",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidRequest",
    "KeyTooLongError",
    "MessageTooLong",
    "MetadataTooLarge",
    "SerializationException",
    "ValidationException",
}
"""What AWS says of a request that it would never take."""


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn an error of AWS into ours, naming what was tried and AWS's own code.

    Raises Retry for a request that is wrong in itself, Unavailable for all other errors.
    """
    try:
        yield
    except ClientError as error:
        kind = Retry if code(error) in _WRONG else Unavailable
        raise kind(f"{what}: {code(error)}") from error
    except BROKEN as error:
        raise Unavailable(f"{what}: {type(error).__name__}") from error


def code(error: ClientError) -> str:
    """Return AWS's code of an error, such as `PreconditionFailed`."""
    return error.response.get("Error", {}).get("Code", "Unknown")
