"""The library on the local AWS keeps the promises of its fake: what is listed, read and linked."""

import io
import uuid
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from botocore.awsrequest import AWSResponse
from urllib3 import HTTPResponse

from legato.aws.clients import client
from legato.aws.library import LINKING, S3Library
from legato.errors import Failed, Retry
from local import aws
from tests.fakes import FakeLibrary

KEY = "calls/ringex/1/2026/11/20/s-1%2F2/legs/r 1.mp3"
BODY = bytes(range(256)) * 40


class OnS3:
    """A versioned bucket, read as a command does that leads its clients there."""

    def __init__(self, s3):
        self.s3 = s3
        self.bucket = f"archive-{uuid.uuid4()}"
        s3.create_bucket(Bucket=self.bucket)
        s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self.library = S3Library(client("s3", **LINKING), bucket=self.bucket)

    def put(self, key, body, kept_in="STANDARD"):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, StorageClass=kept_in)[
            "VersionId"
        ]

    def break_after(self, count):
        def answer(request, **_):
            raw = HTTPResponse(io.BytesIO(BODY[:count]), preload_content=False)
            return AWSResponse(request.url, 200, {"content-length": str(len(BODY))}, raw)

        self.library._s3.meta.events.register_first("before-send.s3.GetObject", answer)


class InMemory:
    def __init__(self):
        self.library = FakeLibrary()

    def put(self, key, body, kept_in="STANDARD"):
        version = uuid.uuid4().hex
        self.library.put(key, body, storage_class=kept_in, version_id=version)
        return version

    def break_after(self, count):
        self.library.break_after = count


@pytest.fixture(params=["fake", "s3"])
def shelf(request, aws_client, aws_endpoint, monkeypatch):
    if request.param == "fake":
        return InMemory()
    for name, value in aws.environment(aws_endpoint).items():
        monkeypatch.setenv(name, value)
    return OnS3(aws_client("s3"))


def read(library, key, version_id, start=0):
    with library.read(key, version_id=version_id, start=start) as pieces:
        return b"".join(pieces)


def read_into(came, library, version_id):
    with library.read(KEY, version_id=version_id) as pieces:
        came += pieces


def test_a_version_is_read_from_any_byte_on(shelf):
    """The one that is asked for, whatever came after it."""
    first = shelf.put(KEY, BODY)
    second = shelf.put(KEY, b"newer")
    assert read(shelf.library, KEY, first) == BODY
    assert read(shelf.library, KEY, first, start=1) == BODY[1:]
    assert read(shelf.library, KEY, first, start=len(BODY) - 1) == BODY[-1:]
    assert read(shelf.library, KEY, second) == b"newer"


def test_a_connection_that_breaks_is_worth_another_try(shelf):
    """What came before is there."""
    version = shelf.put(KEY, BODY)
    shelf.break_after(100)
    came = []
    with pytest.raises(Retry, match="broke off"):
        read_into(came, shelf.library, version)
    assert b"".join(came) == BODY[:100]


def test_the_newest_version_of_each_object_is_listed(shelf):
    """By key, below the prefix, with its size and class."""
    shelf.put("calls/b", b"older")
    newest = shelf.put("calls/b", b"12", "GLACIER")
    other = shelf.put("calls/a", b"1")
    shelf.put("digests/a", b"1")
    found = list(shelf.library.listed("calls/"))
    assert [(one.key, one.version_id, one.size, one.storage_class) for one in found] == [
        ("calls/a", other, 1, "STANDARD"),
        ("calls/b", newest, 2, "GLACIER"),
    ]
    assert list(shelf.library.listed("access/")) == []


@pytest.mark.parametrize(
    ("kept_in", "readable"),
    [("STANDARD", True), ("GLACIER_IR", True), ("GLACIER", False), ("DEEP_ARCHIVE", False)],
)
def test_how_an_object_is_stored_is_known(shelf, kept_in, readable):
    """And whether it can be read now."""
    version = shelf.put(KEY, BODY, kept_in)
    state = shelf.library.state(KEY, version_id=version)
    assert (state.size, state.storage_class) == (len(BODY), kept_in)
    assert (state.readable, state.restoring, state.restored_until) == (readable, False, None)


@pytest.mark.parametrize("key", [KEY, "never-there"])
def test_what_is_gone_is_said_to_be(shelf, key):
    """Whether it is the key or the version."""
    shelf.put(KEY, BODY)
    gone = str(uuid.uuid4())
    with pytest.raises(Failed, match="is gone"):
        shelf.library.state(key, version_id=gone)
    with pytest.raises(Failed, match="is gone"):
        read(shelf.library, key, gone)


def test_a_link_names_one_version_and_how_long_it_opens(shelf):
    version = shelf.put(KEY, BODY)
    address = shelf.library.link(KEY, version_id=version, seconds=900, name="x.mp3")
    said = parse_qs(urlsplit(address).query)
    assert said["versionId"] == [version]
    assert "900" in (said.get("expires") or said["X-Amz-Expires"])


def test_a_link_opens_the_object_for_who_has_no_identity(aws_client, aws_endpoint, monkeypatch):
    """By that version, as a file with that name; signed as S3 wants it under a KMS key."""
    for name, value in aws.environment(aws_endpoint).items():
        monkeypatch.setenv(name, value)
    shelf = OnS3(aws_client("s3"))
    version = shelf.put(KEY, BODY)
    shelf.put(KEY, b"newer")
    address = shelf.library.link(KEY, version_id=version, seconds=900, name="a_+1_s-1%2F2.mp3")
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in address
    answer = httpx.get(address)
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["content-disposition"] == 'attachment; filename="a_+1_s-1%2F2.mp3"'


def test_a_link_leads_to_the_region_of_the_bucket(monkeypatch):
    """Elsewhere S3 would send the reader on, who is not let in there with this signature."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    library = S3Library(client("s3", **LINKING), bucket="archive-1")
    address = library.link(KEY, version_id="v", seconds=900, name="x.mp3")
    assert urlsplit(address).netloc == "archive-1.s3.eu-west-1.amazonaws.com"
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in address
