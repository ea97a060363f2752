"""Answers CloudFormation's custom resources: a PUT to the address that came with the event.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx

from legato.errors import Refused, Retry
from legato.providers.client import web_client

if TYPE_CHECKING:
    from legato.model import Json

TRIES = 3
TIMEOUT_SECONDS = 10
REASON_CHARACTERS = 1000  # the whole answer may have 4,096 bytes


def answer(event: Json, *, physical_id: str, reason: str, success: bool = True) -> None:
    """Answer SUCCESS, or FAILED, which ends the deployment and takes it back.

    Raises Refused for an address that is no web address, Retry.
    """
    url = event["ResponseURL"]
    if not url.startswith(("https://", "http://")):
        raise Refused("the ResponseURL is no web address")
    body = {
        "Status": "SUCCESS" if success else "FAILED",
        "Reason": reason[:REASON_CHARACTERS],
        "PhysicalResourceId": physical_id,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
    }
    with web_client(timeout=TIMEOUT_SECONDS) as client:
        for left in reversed(range(TRIES)):
            try:
                # The address is signed for an empty content type.
                taken = client.put(
                    url, content=json.dumps(body).encode(), headers={"Content-Type": ""}
                )
                taken.raise_for_status()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if not left:
                    # Never the address itself: whoever has it may answer. So the cause, which
                    # names it, is not told either.
                    reason = f"CloudFormation takes no answer: {type(error).__name__}"
                    raise Retry(reason) from None
            else:
                return
