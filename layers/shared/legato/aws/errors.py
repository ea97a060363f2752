"""AWS's errors in our words."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from legato.errors import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn a refusal of AWS into Retry, naming what was tried and AWS's own code."""
    try:
        yield
    except ClientError as error:
        raise Retry(f"{what}: {code(error)}") from error
    except BotoCoreError as error:
        raise Retry(f"{what}: {type(error).__name__}") from error


def code(error: ClientError) -> str:
    """Return AWS's code of an error, such as `PreconditionFailed`."""
    return error.response.get("Error", {}).get("Code", "Unknown")
