"""How much a queue holds, on SQS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legato.aws.errors import translated
from legato.ports import Depth

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class SqsDepth:
    """The queue's address is a URL."""

    def __init__(self, sqs: SQSClient, *, queue: str) -> None:
        self._sqs = sqs
        self._queue = queue

    def depth(self) -> Depth:
        """Return how many messages it holds, as SQS estimates it. Raises Retry."""
        with translated("a queue does not say how much it holds"):
            answer = self._sqs.get_queue_attributes(
                QueueUrl=self._queue,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            )
        said = answer["Attributes"]
        return Depth(
            waiting=int(said["ApproximateNumberOfMessages"]),
            taken=int(said["ApproximateNumberOfMessagesNotVisible"]),
            delayed=int(said["ApproximateNumberOfMessagesDelayed"]),
        )
