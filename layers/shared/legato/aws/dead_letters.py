"""A provider's dead-letter queue, on SQS: read without taking anything out, and put back."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from legato.aws.errors import translated
from legato.errors import Retry
from legato.ports import Letter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HELD_SECONDS = 900
"""How long letters stay hidden from others if this process dies with them in its hands."""
_WAIT_SECONDS = 1
"""A receive that does not wait asks only some of SQS's servers, and may miss what others have."""
_BATCH = 10


class SqsDeadLetters:
    """As ports.DeadLetters. Queue addresses are URLs."""

    def __init__(self, sqs: SQSClient, *, queue: str, dead_letters: str) -> None:
        self._sqs = sqs
        self._queue = queue
        self._dead_letters = dead_letters
        self._held: dict[str, Letter] = {}

    @contextmanager
    def read(self) -> Iterator[Sequence[Letter]]:
        """Show all letters, which are hidden from others until the block is left. Raises Retry."""
        self._held = {}
        try:
            while received := self._received():
                again = all(letter.id in self._held for letter in received)
                self._held |= {letter.id: letter for letter in received}
                if again:
                    break  # it took so long that the first ones are back
            yield list(self._held.values())
        finally:
            with suppress(Retry):  # what cannot be let go comes back by itself
                self._let_go(list(self._held.values()))

    def put_back(self, body: str) -> None:
        with translated("the jobs queue refuses a message"):
            self._sqs.send_message(QueueUrl=self._queue, MessageBody=body)

    def delete(self, letter: Letter) -> None:
        with translated("the dead-letter queue does not delete a message"):
            self._sqs.delete_message(QueueUrl=self._dead_letters, ReceiptHandle=letter.receipt)
        self._held.pop(letter.id, None)

    def _received(self) -> list[Letter]:
        with translated("the dead-letter queue cannot be read"):
            answer = self._sqs.receive_message(
                QueueUrl=self._dead_letters,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=HELD_SECONDS,
                WaitTimeSeconds=_WAIT_SECONDS,
                MessageAttributeNames=["reason"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        return [_letter(message) for message in answer.get("Messages", ())]

    def _let_go(self, letters: Sequence[Letter]) -> None:
        for some in batched(letters, _BATCH, strict=False):
            with translated("the dead-letter queue does not take its messages back"):
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._dead_letters,
                    Entries=[
                        {"Id": str(n), "ReceiptHandle": one.receipt, "VisibilityTimeout": 0}
                        for n, one in enumerate(some)
                    ],
                )


def _letter(message: MessageTypeDef) -> Letter:
    attributes: Any = message.get("MessageAttributes", {})
    said = attributes.get("reason", {}).get("StringValue")
    sent_ms = int(message["Attributes"]["SentTimestamp"])
    return Letter(
        id=message["MessageId"],
        body=message["Body"],
        # Without a reason it was SQS that moved it, after as many tries as the queue allows.
        reason=said or "its worker died, or could not write, each time it was tried",
        sent_at=datetime.fromtimestamp(sent_ms / 1000, UTC),
        receipt=message["ReceiptHandle"],
    )
