"""The local runner's poller follows the rules of Lambda's SQS event source mapping."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from local import aws, poller
from local.poller import Poller, failures
from local.stack import EventSource
from local.worker import InvocationError
from tests.patience import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = itertools.count()


class Queue:
    """A queue in the local AWS with the source that polls it."""

    def __init__(self, endpoint: str, **source: Any) -> None:
        self.sqs = aws.client("sqs", endpoint)
        name = f"polled-{next(NAMES)}"
        self.url = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        self.source = EventSource(
            function="F",
            queue_url=self.url,
            queue_arn=f"arn:aws:sqs:us-east-1:123456789012:{name}",
            **{"batch_size": 10, "window": 0, "concurrency": 2, "partial": True, **source},
        )

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def counts(self) -> tuple[int, int]:
        """How many messages are waiting, and how many are being worked on."""
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        values = attributes["Attributes"]
        return (
            int(values["ApproximateNumberOfMessages"]),
            int(values["ApproximateNumberOfMessagesNotVisible"]),
        )


@pytest.fixture
def polling(aws_endpoint: str) -> Iterator[Callable[[Queue, Callable[[Any], Any]], None]]:
    pollers: list[Poller] = []

    def start(queue: Queue, invoke: Callable[[Any], Any]) -> None:
        pollers.append(Poller(queue.source, invoke, endpoint=aws_endpoint))
        pollers[-1].start()

    yield start
    for each in pollers:
        each.stop()


def test_event_has_the_shape_of_lambdas(aws_endpoint: str, polling: Any) -> None:
    queue = Queue(aws_endpoint)
    events: list[Any] = []
    queue.sqs.send_message(
        QueueUrl=queue.url,
        MessageBody="job",
        MessageAttributes={"reason": {"StringValue": "why", "DataType": "String"}},
    )
    polling(queue, events.append)
    until(lambda: bool(events))
    (record,) = events[0]["Records"]
    assert record["body"] == "job"
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == queue.source.queue_arn
    assert record["awsRegion"] == "us-east-1"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"]["reason"]["stringValue"] == "why"
    assert set(record) >= {"messageId", "receiptHandle", "md5OfBody"}
    until(lambda: queue.counts() == (0, 0))


def test_only_the_messages_that_failed_come_again(
    aws_endpoint: str, polling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "RETRY_VISIBLE_SECONDS", 1)
    queue = Queue(aws_endpoint, window=1)
    seen: list[list[tuple[str, str]]] = []

    def invoke(event: Any) -> Any:
        records = event["Records"]
        seen.append(
            sorted((r["body"], r["attributes"]["ApproximateReceiveCount"]) for r in records)
        )
        bad = [r["messageId"] for r in records if r["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": i} for i in bad if len(seen) == 1]}

    queue.send("good", "bad", "fine")
    polling(queue, invoke)
    until(lambda: len(seen) == 2)
    assert seen == [[("bad", "1"), ("fine", "1"), ("good", "1")], [("bad", "2")]]
    until(lambda: queue.counts() == (0, 0))


def test_a_failed_invocation_loses_no_message(aws_endpoint: str, polling: Any) -> None:
    queue = Queue(aws_endpoint)
    tried = threading.Event()

    def invoke(_event: Any) -> Any:
        tried.set()
        raise InvocationError("it raised")

    queue.send("a", "b")
    polling(queue, invoke)
    assert tried.wait(PATIENCE_SECONDS)
    until(lambda: sum(queue.counts()) == 2)


def test_what_the_function_deletes_is_gone_whatever_becomes_of_the_rest(
    aws_endpoint: str, polling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQS has it: by the receipt of the record, also when the invocation fails afterwards."""
    monkeypatch.setattr(poller, "RETRY_VISIBLE_SECONDS", 1)
    queue = Queue(aws_endpoint, window=1)
    seen: list[list[str]] = []

    def invoke(event: Any) -> None:
        records = event["Records"]
        seen.append(sorted(record["body"] for record in records))
        done = [record["receiptHandle"] for record in records if record["body"] != "deadly"]
        for receipt in done:
            queue.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=receipt)
        if done:
            raise InvocationError("it died")

    queue.send("a", "deadly", "b")
    polling(queue, invoke)
    until(lambda: len(seen) == 2)
    assert seen == [["a", "b", "deadly"], ["deadly"]]
    until(lambda: queue.counts() == (0, 0))


def test_no_batch_is_larger_than_allowed(aws_endpoint: str, polling: Any) -> None:
    queue = Queue(aws_endpoint, batch_size=3, window=1)
    sizes: list[int] = []
    queue.send(*"abcdefg")
    polling(queue, lambda event: sizes.append(len(event["Records"])))
    until(lambda: sum(sizes) == 7)
    assert max(sizes) == 3


def test_the_window_gathers_messages_into_one_batch(aws_endpoint: str, polling: Any) -> None:
    """A batch of more than ten takes several requests to SQS."""
    queue = Queue(aws_endpoint, batch_size=13, window=PATIENCE_SECONDS)
    sizes: list[int] = []
    queue.send(*map(str, range(13)))
    polling(queue, lambda event: sizes.append(len(event["Records"])))
    until(lambda: bool(sizes))
    assert sizes == [13]


def test_no_more_functions_run_than_allowed(aws_endpoint: str, polling: Any) -> None:
    """What cannot be worked on stays in the queue, so that no receive is counted for it."""
    queue = Queue(aws_endpoint, batch_size=1, concurrency=2)
    running, finish = threading.Semaphore(0), threading.Event()

    def invoke(_event: Any) -> None:
        running.release()
        finish.wait(PATIENCE_SECONDS)

    queue.send("a", "b", "c")
    polling(queue, invoke)
    assert running.acquire(timeout=PATIENCE_SECONDS)
    assert running.acquire(timeout=PATIENCE_SECONDS)
    assert not running.acquire(timeout=0.6)
    assert queue.counts() == (1, 2)
    finish.set()
    until(lambda: queue.counts() == (0, 0))


@pytest.mark.parametrize(
    ("result", "stay"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "1"}]}, {"1"}),
        ({"batchItemFailures": [{"itemIdentifier": "9"}]}, {"1", "2"}),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, {"1", "2"}),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, {"1", "2"}),
        ({"batchItemFailures": [{"itemIdentifier": {}}]}, {"1", "2"}),
        ({"batchItemFailures": [{"id": "1"}]}, {"1", "2"}),
        ({"batchItemFailures": "1"}, {"1", "2"}),
        ("done", {"1", "2"}),
    ],
)
def test_answers_count_by_lambdas_rules(result: Any, stay: set[str]) -> None:
    assert failures({"1", "2"}, result, partial=True) == stay


def test_without_partial_failures_every_answer_is_success() -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert failures({"1"}, answer, partial=False) == set()
