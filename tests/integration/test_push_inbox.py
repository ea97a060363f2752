"""What PushFunction stores in the inbox, on S3."""

import base64
import hashlib

import pytest

from legato.aws.push import PushInbox
from legato.errors import Retry

KEY = "push/a1/0f.mp3"
FACTS = "account_id=a1&caller_id_name=Zo%C3%AB"


def put(s3, bucket, body):
    return PushInbox(s3, bucket=bucket).put(KEY, body, media_type="audio/mpeg", facts=FACTS)


def test_an_object_has_its_facts_and_its_checksum(s3, bucket):
    """S3 itself compares the SHA-256 with what it received."""
    assert put(s3, bucket, b"audio") is True
    found = s3.get_object(Bucket=bucket, Key=KEY, ChecksumMode="ENABLED")
    assert found["Body"].read() == b"audio"
    assert found["ContentType"] == "audio/mpeg"
    assert found["Metadata"] == {"facts": FACTS}
    digest = hashlib.sha256(b"audio").digest()
    assert found["ChecksumSHA256"] == base64.b64encode(digest).decode()


def test_what_is_there_stays(s3, bucket):
    """The same push again is no new version."""
    put(s3, bucket, b"audio")
    assert put(s3, bucket, b"audio") is False
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_a_refusal_is_worth_another_try(s3):
    with pytest.raises(Retry, match=f"the inbox does not take {KEY}: NoSuchBucket"):
        put(s3, "no-such-inbox", b"audio")
