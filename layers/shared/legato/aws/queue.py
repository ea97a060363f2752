"""The jobs queue of a provider and its dead-letter queue, on SQS."""

from __future__ import annotations

from itertools import batched
from typing import TYPE_CHECKING, Any

from legato.aws.errors import translated
from legato.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

    from legato.model import Job
    from legato.ports import Depth

# SQS takes 256 characters and more in an attribute, but a reason is for people.
_REASON_CHARACTERS = 1000
_BATCH = 10
"""Messages that SQS takes in one request."""
_STATES = ("", "NotVisible", "Delayed")


class SqsJobs:
    """Queue addresses are URLs. `dead_letters` may be left out by who never buries."""

    def __init__(self, sqs: SQSClient, *, queue: str, dead_letters: str = "") -> None:
        self._sqs = sqs
        self._queue = queue
        self._dead_letters = dead_letters

    def send(self, job: Job, *, delay: int) -> None:
        """Put a job in the queue, to appear after `delay` seconds (0 to 900). Raises Retry.

        One that names more than a message holds is several.
        """
        for part in job.parts():
            with translated("the jobs queue refuses a message"):
                self._sqs.send_message(
                    QueueUrl=self._queue, MessageBody=part.to_message(), DelaySeconds=delay
                )

    def bury(self, body: str, *, reason: str) -> None:
        """Put a message in the dead-letter queue, its reason as an attribute. Raises Retry."""
        shown = printable(reason[:_REASON_CHARACTERS])
        with translated("the dead-letter queue refuses a message"):
            self._sqs.send_message(
                QueueUrl=self._dead_letters,
                MessageBody=body or "(an empty message)",
                MessageAttributes={
                    "reason": {"DataType": "String", "StringValue": shown or "unknown"}
                },
            )

    def depth(self) -> Depth:
        """Return how many messages the queue holds, as SQS estimates it. Raises Retry."""
        from legato.ports import Depth  # WebhookFunction starts without it

        asked: Any = ["ApproximateNumberOfMessages" + state for state in _STATES]
        with translated("a queue does not say how much it holds"):
            answer: Any = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=asked)
        waiting, taken, delayed = (int(answer["Attributes"][name]) for name in asked)
        return Depth(waiting=waiting, taken=taken, delayed=delayed)

    def delete(self, receipt: str) -> None:
        """Delete a message of the jobs queue that was received. Raises Retry."""
        with translated("the jobs queue does not delete a message"):
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=receipt)

    def redeliver(self, receipts: Sequence[str], *, after: int) -> None:
        """Set how long received messages stay invisible from now on. Raises Retry."""
        for some in batched(receipts, _BATCH, strict=False):
            with translated("the jobs queue does not change when messages come again"):
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._queue,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": after}
                        for number, receipt in enumerate(some)
                    ],
                )
