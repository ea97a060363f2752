"""The dead-letter queue on SQS: looked at without loss, and put back."""

import uuid

import pytest

from legato.aws.bucket import S3Archive
from legato.aws.dead_letters import SqsDeadLetters
from legato.aws.queue import SqsJobs
from tests.fakes import a_job


@pytest.fixture
def sqs(aws_client):
    return aws_client("sqs")


@pytest.fixture
def queues(sqs):
    names = (f"{kind}-{uuid.uuid4()}" for kind in ("jobs", "dead"))
    return [sqs.create_queue(QueueName=name)["QueueUrl"] for name in names]


@pytest.fixture
def letters(sqs, queues):
    queue, dead_letters = queues
    return SqsDeadLetters(sqs, queue=queue, dead_letters=dead_letters)


def bury(sqs, queues, count):
    jobs = SqsJobs(sqs, queue=queues[0], dead_letters=queues[1])
    for number in range(count):
        jobs.bury(a_job(f"s-{number}").to_message(), reason=f"reason {number}")


def bodies(sqs, url):
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [message["Body"] for message in found]


def test_all_letters_are_shown_and_none_is_taken(sqs, queues, letters):
    """More than one request brings, again and again, each with its reason."""
    bury(sqs, queues, 25)
    for _ in range(2):
        with letters.read() as found:
            assert {one.reason for one in found} == {f"reason {number}" for number in range(25)}
            assert len(found) == 25
    assert len(bodies(sqs, queues[1])) == 10


def test_letters_in_hand_are_hidden_from_others(sqs, queues, letters):
    """So that two people do not put the same back."""
    bury(sqs, queues, 3)
    with letters.read():
        assert bodies(sqs, queues[1]) == []
    assert len(bodies(sqs, queues[1])) == 3


def test_what_is_put_back_is_in_the_queue_and_what_is_deleted_is_gone(sqs, queues, letters):
    """The others are let go."""
    bury(sqs, queues, 2)
    with letters.read() as found:
        [first] = [one for one in found if one.reason == "reason 0"]
        letters.put_back(first.body)
        letters.delete(first)
    assert bodies(sqs, queues[0]) == [a_job("s-0").to_message()]
    assert bodies(sqs, queues[1]) == [a_job("s-1").to_message()]


def test_letters_are_let_go_when_their_reader_fails(sqs, queues, letters):
    """Whatever it was."""
    bury(sqs, queues, 1)
    with pytest.raises(ZeroDivisionError), letters.read():
        raise ZeroDivisionError
    assert len(bodies(sqs, queues[1])) == 1


def test_a_letter_that_sqs_moved_has_a_reason_too(sqs, queues, letters):
    """Its worker had no time to give one."""
    sqs.send_message(QueueUrl=queues[1], MessageBody=a_job().to_message())
    with letters.read() as [letter]:
        assert letter.reason.startswith("its worker died")


def test_an_empty_queue_has_no_letters(letters):
    with letters.read() as found:
        assert found == []


def test_the_bucket_tells_sizes_without_what_is_deleted(aws_client):
    """More than a page of them; a delete marker hides an object."""
    s3, name = aws_client("s3"), f"archive-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for number in range(1001):
        s3.put_object(Bucket=name, Key=f"calls/{number:04}", Body=b"x" * (number % 3))
    s3.delete_object(Bucket=name, Key="calls/0001")
    sizes = S3Archive(s3, bucket=name).sizes("calls/")
    assert len(sizes) == 1000
    assert sizes["calls/1000"] == 1
    assert "calls/0001" not in sizes
