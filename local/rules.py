"""Stands in for EventBridge's rules: hands what they match to their functions.

Which events match is for moto to say, by the rules as the template has them; here only their
targets are queues. A failed invocation is tried twice more, as Lambda does with one that nobody
waits for, after seconds instead of minutes.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import aws
from local.stack import Rule
from local.worker import InvocationError

TRIES = 3
RETRY_SECONDS = 1
IDLE_SECONDS = 0.25
AT_ONCE = 10

type Invoke = Callable[[Any], Any]


class Target:
    """Hands the events of one rule to its function until it is stopped."""

    def __init__(
        self, rule: Rule, invoke: Invoke, *, endpoint: str, retry_seconds: int = RETRY_SECONDS
    ) -> None:
        self._rule = rule
        self._retry_seconds = retry_seconds
        self._invoke = invoke
        self._sqs = aws.client("sqs", endpoint)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Hand over no more. An invocation that runs is waited for."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                received = self._sqs.receive_message(
                    QueueUrl=self._rule.queue_url,
                    MaxNumberOfMessages=AT_ONCE,
                    VisibilityTimeout=self._retry_seconds,
                    MessageSystemAttributeNames=["ApproximateReceiveCount"],
                ).get("Messages", [])
                for message in received:
                    self._hand_over(message)
            except (BotoCoreError, ClientError) as error:
                print(f"rule {self._rule.logical}: {error}", file=sys.stderr)
                self._stop.wait(1)
                continue
            if not received:
                self._stop.wait(IDLE_SECONDS)

    def _hand_over(self, message: dict[str, Any]) -> None:
        try:
            self._invoke(json.loads(message["Body"]))
        except InvocationError as error:
            if not self._stop.is_set():
                print(f"rule {self._rule.logical}: {error}", file=sys.stderr)
            if int(message["Attributes"]["ApproximateReceiveCount"]) < TRIES:
                return
        self._sqs.delete_message(
            QueueUrl=self._rule.queue_url, ReceiptHandle=message["ReceiptHandle"]
        )
