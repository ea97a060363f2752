"""What AWS answers too late, in part or not at all costs a repetition and nothing else."""

import io
import uuid
from datetime import UTC, datetime

import pytest
import urllib3
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ChecksumError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from urllib3 import HTTPResponse

from legato.archive.evidence import Version
from legato.aws.bucket import PART_BYTES, S3Archive
from legato.aws.errors import translated
from legato.aws.evidence import S3Evidence
from legato.aws.inbox import S3Inbox
from legato.aws.ledger import DynamoLedger
from legato.aws.library import S3Library
from legato.aws.secret import Secret
from legato.errors import Retry, Unavailable
from tests.fakes import an_id
from tests.lost_answers import lose_answers

WAV = "audio/wav"
BODY = b"audio" * 1000


@pytest.fixture
def archive(s3, bucket):
    return S3Archive(s3, bucket=bucket)


@pytest.fixture
def versions(s3, bucket):
    """Return a function that says how many versions there are of anything."""
    return lambda: len(s3.list_object_versions(Bucket=bucket).get("Versions", ()))


def stream(archive, body=BODY):
    with archive.upload("k", media_type=WAV, storage_class="GLACIER_IR") as upload:
        upload.write(body)
        return upload.complete()


def refuse(s3, operation, code, *, after=0):
    """Let S3 refuse each request of a kind, but for the first ones."""
    left = [after]

    def answer(request, **_):
        if left[0]:
            left[0] -= 1
            return None
        body = f"<Error><Code>{code}</Code></Error>".encode()
        raw = HTTPResponse(io.BytesIO(body), preload_content=False)
        status = {"NoSuchUpload": 404, "PreconditionFailed": 412}[code]
        return AWSResponse(request.url, status, {}, raw)

    s3.meta.events.register(f"before-send.s3.{operation}", answer)


class TestWrites:
    def test_what_is_put_is_there_once_though_nobody_heard(self, s3, archive, versions):
        """The key is taken then: by the same bytes."""
        lose_answers(s3, "PutObject")
        stored = archive.put_bytes("k", BODY, media_type=WAV)
        assert archive.find("") == {"k": stored}
        assert versions() == 1

    @pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
    def test_a_stream_is_there_once_though_nobody_heard(self, s3, archive, versions, operation):
        lose_answers(s3, operation)
        stored = stream(archive, BODY + bytes(PART_BYTES))
        assert archive.find("")["k"].checksum == stored.checksum
        assert versions() == 1

    @pytest.mark.parametrize("code", ["NoSuchUpload", "PreconditionFailed"])
    def test_what_is_completed_may_be_unknown_or_in_its_own_way(self, s3, archive, versions, code):
        """S3 forgets an upload when it is complete. Then the object tells whether it is ours."""
        lose_answers(s3, "CompleteMultipartUpload")
        refuse(s3, "CompleteMultipartUpload", code, after=1)
        stored = stream(archive)
        assert archive.find("")["k"].version_id == stored.version_id
        assert versions() == 1

    def test_an_upload_that_is_gone_is_begun_anew(self, s3, archive, versions):
        """The bucket's own rule may have removed it."""
        refuse(s3, "CompleteMultipartUpload", "NoSuchUpload")
        with pytest.raises(Unavailable, match="cannot say what k is: 404"):
            stream(archive)
        assert versions() == 0

    def test_what_was_deleted_is_written_again(self, s3, bucket, archive, versions):
        """Over a delete marker, which S3 takes for a free key."""
        archive.put_bytes("k", BODY, media_type=WAV)
        s3.delete_object(Bucket=bucket, Key="k")
        lose_answers(s3, "PutObject")
        stored = archive.put_bytes("k", BODY, media_type=WAV)
        assert archive.find("") == {"k": stored}
        assert versions() == 2


def opened(reading):
    with reading as pieces:
        return list(pieces)


def evidence(s3, bucket):
    return S3Evidence(s3, bucket=bucket, locked=False)


def version(stored):
    now = datetime.now(UTC)
    return Version(key="k", id=stored.version_id, size=stored.size, modified_at=now)


READERS = {
    "archive": lambda s3, bucket, stored: opened(
        S3Archive(s3, bucket=bucket).read("k", version_id=stored.version_id)
    ),
    "inbox": lambda s3, bucket, stored: opened(
        S3Inbox(s3, bucket=bucket).open("k", stored.version_id)
    ),
    "library": lambda s3, bucket, stored: opened(
        S3Library(s3, bucket=bucket).read("k", version_id=stored.version_id)
    ),
    "evidence": lambda s3, bucket, stored: evidence(s3, bucket).sha256(version(stored)),
    "small evidence": lambda s3, bucket, stored: evidence(s3, bucket).read(version(stored)),
}


class Cut(io.BytesIO):
    """A body that ends in the middle, by this error or without one."""

    def __init__(self, error):
        super().__init__(BODY[:100])
        self.error = error

    def read(self, *amount):
        piece = super().read(*amount)
        if not piece and self.error is not None:
            raise self.error
        return piece


@pytest.mark.parametrize(
    "error",
    [
        None,
        TimeoutError("timed out"),
        ConnectionResetError(),
        urllib3.exceptions.IncompleteRead(1, 2),
        urllib3.exceptions.SSLError("a bad record"),
    ],
    ids=["end", "timeout", "reset", "incomplete", "tls"],
)
@pytest.mark.parametrize("reader", READERS)
def test_a_body_that_breaks_off_is_aws_fault(s3, bucket, archive, reader, error):
    """With whichever library's error."""
    stored = archive.put_bytes("k", BODY, media_type=WAV)

    def answer(request, **_):
        raw = HTTPResponse(Cut(error), preload_content=False)
        headers = {"content-length": str(len(BODY))}
        return AWSResponse(request.url, 200, headers, raw)

    s3.meta.events.register("before-send.s3.GetObject", answer)
    with pytest.raises(Unavailable, match=r"k broke off|cannot read k"):
        READERS[reader](s3, bucket, stored)


class TestAnswersThatAreCut:
    """botocore takes half an answer for all of it, and what it cannot parse for an empty one."""

    @staticmethod
    def cut(client, operation, *, times):
        """Let connections end in the middle of an answer."""
        left = [times]

        def answer(request, **_):
            if not left[0]:
                return None
            left[0] -= 1
            raw = HTTPResponse(io.BytesIO(b'{"Item": {"a'), preload_content=False)
            return AWSResponse(request.url, 200, {"content-length": "500"}, raw)

        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-send.{service}.{operation}", answer)

    def test_what_the_ledger_knows_is_read_once_more(self, own_client, table):
        """Not taken for a call that nobody knows."""
        dynamodb = own_client("dynamodb")
        ledger = DynamoLedger(dynamodb, table=table)
        state = ledger.save(ledger.load(an_id("c", provider="kazoo")))
        self.cut(dynamodb, "GetItem", times=2)
        assert ledger.load(an_id("c", provider="kazoo")) == state
        self.cut(dynamodb, "GetItem", times=3)
        with pytest.raises(Unavailable, match="cannot be read: ConnectionClosedError"):
            ledger.load(an_id("c", provider="kazoo"))

    def test_so_is_a_secret(self, own_client):
        secrets = own_client("secretsmanager")
        arn = secrets.create_secret(Name=str(uuid.uuid4()), SecretString='{"a": 1}')["ARN"]
        self.cut(secrets, "GetSecretValue", times=2)
        assert Secret(secrets, arn=arn).read() == {"a": 1}

    def test_so_is_a_list_of_objects(self, own_client, bucket):
        s3 = own_client("s3")
        archive = S3Archive(s3, bucket=bucket)
        stored = archive.put_bytes("k", BODY, media_type=WAV)
        self.cut(s3, "ListObjectsV2", times=2)
        assert archive.find("") == {"k": stored}

    def test_what_has_no_body_or_is_read_in_pieces_is_not_cut(self, own_client, bucket):
        """A HEAD says the length of what it does not send."""
        archive = S3Archive(own_client("s3"), bucket=bucket)
        stored = archive.put_bytes("k", BODY, media_type=WAV)
        assert archive.find("") == {"k": stored}
        with archive.read("k", version_id=stored.version_id) as pieces:
            assert b"".join(pieces) == BODY


def refusal(code, status):
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Anything")


@pytest.mark.parametrize(
    "error",
    [
        refusal("InternalError", 500),
        refusal("SlowDown", 503),
        refusal("ProvisionedThroughputExceededException", 400),
        refusal("AccessDenied", 403),
        refusal("ExpiredToken", 400),
        refusal("404", 404),
        refusal("KMSInvalidStateException", 409),
        ChecksumError(checksum_type="crc32", expected_checksum=1, actual_checksum=2),
        ConnectionClosedError(endpoint_url="e"),
        EndpointConnectionError(endpoint_url="e"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        NoCredentialsError(),
        ReadTimeoutError(endpoint_url="e"),
        ResponseParserError("no XML"),
        ResponseStreamingError(error="e"),
        urllib3.exceptions.SSLError("e"),
    ],
    ids=str,
)
def test_whatever_aws_does_not_do_is_its_own_fault(error):
    """And costs no call an attempt."""
    with pytest.raises(Unavailable, match="it was tried: "), translated("it was tried"):
        raise error


@pytest.mark.parametrize("code", ["ValidationException", "KeyTooLongError", "InvalidArgument"])
def test_a_request_that_aws_would_never_take_is_its_senders(code):
    """So it ends, and somebody is told."""
    with pytest.raises(Retry, match=code) as raised, translated("it was tried"):
        raise refusal(code, 400)
    assert not isinstance(raised.value, Unavailable)
