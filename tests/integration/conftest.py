"""The real ffmpeg, and a bucket and a ledger table of their own, for tests of one adapter."""

import uuid

import pytest

from legato.audio.stitch import FfmpegStitcher
from legato.aws.clients import client
from local import aws
from tests.audio import local_tools


@pytest.fixture(scope="session")
def tools():
    """Give the ffmpeg of this machine; without one, the failure says what to run."""
    return local_tools()


@pytest.fixture(scope="session")
def stitcher(tools):
    return FfmpegStitcher(tools)


@pytest.fixture
def s3(aws_client):
    return aws_client("s3")


@pytest.fixture
def bucket(s3):
    name = f"archive-{uuid.uuid4()}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def table(aws_client):
    name = f"ledger-{uuid.uuid4()}"
    aws_client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "listed", "order")
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "Listed",
                "KeySchema": [
                    {"AttributeName": "listed", "KeyType": "HASH"},
                    {"AttributeName": "order", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    return name


@pytest.fixture
def own_client(aws_endpoint, monkeypatch):
    """Return a function that makes a client as the functions have it."""
    for name, value in aws.environment(aws_endpoint).items():
        monkeypatch.setenv(name, value)
    return client
