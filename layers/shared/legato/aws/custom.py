"""Answers CloudFormation's custom resources: a PUT to the address that came with the event.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import TYPE_CHECKING

from legato.errors import Refused, Retry

if TYPE_CHECKING:
    from legato.model import Json

TRIES = 3
TIMEOUT_SECONDS = 10
REASON_CHARACTERS = 1000  # the whole answer may have 4,096 bytes


def succeed(event: Json, *, physical_id: str, reason: str) -> None:
    """Answer SUCCESS. Raises Refused for an address that is no web address, Retry."""
    url = event["ResponseURL"]
    if not url.startswith(("https://", "http://")):
        raise Refused("the ResponseURL is no web address")
    body = {
        "Status": "SUCCESS",
        "Reason": reason[:REASON_CHARACTERS],
        "PhysicalResourceId": physical_id,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    # The address is signed for an empty content type.
    request = urllib.request.Request(  # noqa: S310 - checked above
        url, data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):  # noqa: S310 - as above
                return
        except (OSError, HTTPException) as error:
            if not left:
                # Never the address itself: whoever has it may answer.
                raise Retry(f"CloudFormation takes no answer: {type(error).__name__}") from error
