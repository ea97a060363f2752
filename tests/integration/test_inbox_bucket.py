"""The inbox on S3: what arrives is announced, described, read, and let go by a tag."""

import time
import uuid
from contextlib import nullcontext

import pytest

from legato.aws.inbox import S3Inbox, announced
from legato.errors import NotYet, Refused
from legato.model import Arrival
from tests.fakes import NOON

KEY = "account%2F5a/a b@c.mp3"
LONG = bytes(range(256)) * 4096


@pytest.fixture
def inbox(aws_client, bucket):
    return S3Inbox(aws_client("s3"), bucket=bucket)


@pytest.fixture
def arrive(aws_client, bucket):
    def put(body=LONG, **metadata):
        answer = aws_client("s3").put_object(Bucket=bucket, Key=KEY, Body=body, Metadata=metadata)
        return Arrival(key=KEY, version_id=answer["VersionId"], arrived_at=NOON)

    return put


def test_an_arrival_is_described_by_what_came_with_it(inbox, arrive):
    """The store's own time counts, and the facts are read as a form."""
    found = inbox.describe(arrive(facts="call_id=a%40b&caller_id_name=%C3%89va+K&empty="))
    assert found.facts == {"call_id": "a@b", "caller_id_name": "Éva K"}
    assert abs(found.arrived_at.timestamp() - time.time()) < 60
    assert found.size == len(LONG)


def test_each_version_of_an_object_is_one_of_its_own(inbox, arrive):
    """Whoever writes over an object does not change what was announced."""
    first, second = arrive(b"first"), arrive(b"second")
    read = [_read(inbox, one) for one in (first, second)]
    assert read == [b"first", b"second"]


def test_an_object_is_read_in_pieces(inbox, arrive):
    """Its bytes as they were sent."""
    assert _read(inbox, arrive()) == LONG


def test_what_is_gone_is_described_as_nothing_and_cannot_be_opened(
    inbox, arrive, aws_client, bucket
):
    """Others write into this bucket, and remove."""
    arrival = arrive()
    aws_client("s3").delete_object(Bucket=bucket, Key=KEY, VersionId=arrival.version_id)
    assert inbox.describe(arrival) is None
    with pytest.raises(NotYet, match="gone"), inbox.open(KEY, arrival.version_id):
        pass


def test_what_is_archived_is_tagged_for_the_buckets_own_rule(inbox, arrive, aws_client, bucket):
    """template.yaml: the rule of InboxBucket."""
    arrival = arrive()
    inbox.mark_archived(arrival)
    found = aws_client("s3").get_object_tagging(
        Bucket=bucket, Key=KEY, VersionId=arrival.version_id
    )
    assert found["TagSet"] == [{"Key": "legato", "Value": "archived"}]


def test_s3s_own_message_names_what_arrived(inbox, arrive, aws_client, bucket):
    """As it stands in the queue, for an object that came whole and for one in parts."""
    sqs = aws_client("sqs")
    queue = sqs.create_queue(QueueName=f"jobs-{uuid.uuid4()}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws_client("s3").put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": arn["QueueArn"], "Events": ["s3:ObjectCreated:*"]}]
        },
    )
    arrival = arrive()
    _upload_in_parts(aws_client("s3"), bucket, "parts.wav")
    found = []
    while received := sqs.receive_message(QueueUrl=queue).get("Messages"):
        for message in received:
            arrivals = announced(message["Body"], bucket=bucket)
            found += arrivals
            with pytest.raises(Refused, match="another bucket") if arrivals else nullcontext():
                announced(message["Body"], bucket="another")
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    described = {one.key: inbox.describe(one) for one in found}  # S3 may say a thing twice
    assert described.keys() == {KEY, "parts.wav"}
    assert described[KEY].version_id == arrival.version_id
    assert _read(inbox, described["parts.wav"]) == LONG


def _upload_in_parts(s3, bucket, key):
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    target = {"Bucket": bucket, "Key": key, "UploadId": upload}
    tag = s3.upload_part(**target, PartNumber=1, Body=LONG)["ETag"]
    s3.complete_multipart_upload(
        **target, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]}
    )


def _read(inbox, arrival):
    with inbox.open(arrival.key, arrival.version_id) as pieces:
        return b"".join(pieces)
