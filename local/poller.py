"""Stands in for Lambda's SQS event source mapping: batches, window, concurrency, partial failures.

One difference on purpose: messages of a failed invocation become visible again after
RETRY_VISIBLE_SECONDS instead of when the queue or the function has said, so that nobody waits in
front of a laptop. How often a message may be received before it is a dead letter is still the
queue's own rule.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local import aws
from local.stack import EventSource
from local.worker import InvocationError

RETRY_VISIBLE_SECONDS = 2
IDLE_SECONDS = 0.25
MAX_RECEIVE = 10  # SQS's own limit for one request

type Message = dict[str, Any]
type Invoke = Callable[[Any], Any]


class Poller:
    """Feeds one function from one queue until it is stopped."""

    def __init__(self, source: EventSource, invoke: Invoke, *, endpoint: str) -> None:
        self._source = source
        self._invoke = invoke
        self._sqs = aws.client("sqs", endpoint)
        self._stop = threading.Event()
        self._free = threading.Semaphore(source.concurrency)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take no more messages. Invocations that run are not waited for."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                # As Lambda, take nothing from the queue while no function is free to work on it.
                if not self._free.acquire(timeout=1):
                    continue
                batch = self._gather()
            except (BotoCoreError, ClientError) as error:
                self._free.release()
                print(f"poller: {error}", file=sys.stderr)
                self._stop.wait(1)
                continue
            if batch:
                threading.Thread(target=self._work, args=(batch,), daemon=True).start()
            else:
                self._free.release()

    def _gather(self) -> list[Message]:
        """Take messages until the batch is full or the window, from the first one on, is over."""
        batch: list[Message] = []
        end_at = None
        while not self._stop.is_set():
            received = self._sqs.receive_message(
                QueueUrl=self._source.queue_url,
                MaxNumberOfMessages=min(MAX_RECEIVE, self._source.batch_size - len(batch)),
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            batch += received
            if batch and end_at is None:
                end_at = time.monotonic() + self._source.window
            full = len(batch) >= self._source.batch_size
            if full or (end_at is not None and time.monotonic() >= end_at):
                return batch
            if not received:
                self._stop.wait(IDLE_SECONDS)
        return batch

    def _work(self, batch: list[Message]) -> None:
        everything = {message["MessageId"] for message in batch}
        try:
            result = self._invoke(event(batch, self._source))
            failed = failures(everything, result, partial=self._source.partial)
        except InvocationError as error:
            print(f"poller: {error}", file=sys.stderr)
            failed = everything
        finally:
            self._free.release()
        self._settle(batch, failed)

    def _settle(self, batch: list[Message], failed: set[str]) -> None:
        kept = [message for message in batch if message["MessageId"] in failed]
        done = [message for message in batch if message["MessageId"] not in failed]
        for message in kept:
            # The function may have deleted it, and failed for another one.
            with self._told(), suppress(self._sqs.exceptions.ReceiptHandleIsInvalid):
                self._sqs.change_message_visibility(
                    QueueUrl=self._source.queue_url,
                    ReceiptHandle=message["ReceiptHandle"],
                    VisibilityTimeout=RETRY_VISIBLE_SECONDS,
                )
        for some in itertools.batched(done, MAX_RECEIVE, strict=False):
            with self._told():
                self._sqs.delete_message_batch(
                    QueueUrl=self._source.queue_url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                        for number, message in enumerate(some)
                    ],
                )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Print what SQS refuses for one message, and go on with the others."""
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            if not self._stop.is_set():
                print(f"poller: {error}", file=sys.stderr)


def event(batch: Sequence[Message], source: EventSource) -> dict[str, Any]:
    """Write received messages as the event that Lambda passes to a function."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {
                    name: {_camel(key): value for key, value in attribute.items()}
                    for name, attribute in message.get("MessageAttributes", {}).items()
                },
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": source.queue_arn,
                "awsRegion": aws.REGION,
            }
            for message in batch
        ]
    }


def failures(batch: set[str], result: Any, *, partial: bool) -> set[str]:
    """Return the ids that stay in the queue, by Lambda's rules for a function's answer.

    Without ReportBatchItemFailures every answer means success. With it, an answer that Lambda does
    not understand or that names an unknown message fails the whole batch.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    if not partial or result is None:
        return set()
    if not isinstance(result, dict):
        return batch
    items = result.get("batchItemFailures") or []
    if not isinstance(items, list):
        return batch
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in items]
    if not all(isinstance(name, str) and name in batch for name in named):
        return batch
    return {str(name) for name in named}


def _camel(name: str) -> str:
    return name[0].lower() + name[1:]
