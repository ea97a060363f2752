"""Fakes and real adapters keep the same promises."""

import base64
import hashlib
import json
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from legato.aws import bucket as bucket_module
from legato.aws.bucket import S3Archive
from legato.aws.ledger import DynamoLedger
from legato.aws.queue import SqsJobs
from legato.aws.secret import CACHE_SECONDS, FRESH_SECONDS, Secret
from legato.errors import Conflict, Failed, Retry, Stale
from legato.model import Note, StoredObject
from tests.fakes import NOON, FakeArchive, FakeLedger, FakeNotes, a_job

WAV = "audio/wav"


@pytest.fixture
def bucket(aws_client):
    name = f"archive-{uuid.uuid4()}"
    s3 = aws_client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def table(aws_client):
    name = f"ledger-{uuid.uuid4()}"
    aws_client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
    )
    return name


@pytest.fixture(params=["fake", "s3"])
def archive(request, aws_client, bucket):
    return FakeArchive() if request.param == "fake" else S3Archive(aws_client("s3"), bucket=bucket)


@pytest.fixture(params=["fake", "dynamodb"])
def ledger(request, aws_client, table):
    if request.param == "fake":
        return FakeLedger()
    return DynamoLedger(aws_client("dynamodb"), table=table)


def put_file(archive, tmp_path, key, body, *, storage_class="GLACIER_IR"):
    path = tmp_path / "file"
    path.write_bytes(body)
    sha256 = hashlib.sha256(body).hexdigest()
    return archive.put_file(key, path, sha256=sha256, media_type=WAV, storage_class=storage_class)


def read(archive, stored):
    with archive.read(stored.key, version_id=stored.version_id) as pieces:
        return b"".join(pieces)


class TestArchive:
    def test_what_is_stored_is_found_and_read(self, archive, tmp_path):
        """With the same description each time, under its prefix only."""
        leg = put_file(archive, tmp_path, "calls/a/legs/1.wav", b"audio")
        note = archive.put_bytes("calls/a/manifest-1.json", b"{}", media_type="application/json")
        put_file(archive, tmp_path, "calls/b/legs/1.wav", b"other")
        assert archive.find("calls/a/") == {leg.key: leg, note.key: note}
        assert archive.find("calls/c/") == {}
        assert read(archive, leg) == b"audio"
        assert (leg.size, leg.sha256) == (5, hashlib.sha256(b"audio").hexdigest())

    def test_the_same_bytes_again_are_success(self, archive, tmp_path):
        """A step that is repeated finds what it had stored: same key, same version."""
        first = put_file(archive, tmp_path, "k", b"audio")
        assert put_file(archive, tmp_path, "k", b"audio") == first

    def test_other_bytes_are_a_conflict_and_change_nothing(self, archive, tmp_path):
        """Even of the same length."""
        first = put_file(archive, tmp_path, "k", b"audio")
        with pytest.raises(Conflict, match="k already holds other bytes"):
            put_file(archive, tmp_path, "k", b"AUDIO")
        with pytest.raises(Conflict):
            archive.put_bytes("k", b"{}", media_type="application/json")
        assert read(archive, first) == b"audio"


class TestS3:
    @pytest.fixture
    def s3(self, aws_client):
        return aws_client("s3")

    def test_large_files_go_in_parts_by_the_same_rules(self, s3, bucket, tmp_path):
        """Written once, whole, in their class, and nothing half-sent stays behind."""
        archive = S3Archive(s3, bucket=bucket)
        body = bytes(range(256)) * (3 * bucket_module.PART_BYTES // 256) + b"tail"
        first = put_file(archive, tmp_path, "big", body)
        assert put_file(archive, tmp_path, "big", body) == first
        with pytest.raises(Conflict):
            put_file(archive, tmp_path, "big", body[::-1])
        assert hashlib.sha256(read(archive, first)).hexdigest() == first.sha256
        assert s3.head_object(Bucket=bucket, Key="big")["StorageClass"] == "GLACIER_IR"
        versions = s3.list_object_versions(Bucket=bucket, Prefix="big")["Versions"]
        assert len(versions) == 1
        assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")

    def test_media_type_class_and_hash_are_on_the_object(self, s3, bucket, tmp_path):
        """Who has nothing but `aws s3` can still tell what it is."""
        put_file(S3Archive(s3, bucket=bucket), tmp_path, "k", b"audio")
        head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert head["ContentType"] == WAV
        assert head["StorageClass"] == "GLACIER_IR"
        assert head["Metadata"]["sha256"] == hashlib.sha256(b"audio").hexdigest()

    def test_s3_is_told_the_hash_and_that_the_key_must_be_free(self, s3, bucket, tmp_path):
        """Real S3 refuses bytes that do not fit the checksum; the local one does not check it."""
        sent = []
        s3.meta.events.register(
            "before-call.s3.PutObject", lambda params, **_: sent.append(params["headers"])
        )
        put_file(S3Archive(s3, bucket=bucket), tmp_path, "k", b"audio")
        digest = hashlib.sha256(b"audio").digest()
        assert sent[0]["x-amz-checksum-sha256"] == base64.b64encode(digest).decode()
        assert sent[0]["If-None-Match"] == "*"

    def test_a_cold_object_says_so(self, s3, bucket, tmp_path):
        """It is restored first, not asked for again and again."""
        archive = S3Archive(s3, bucket=bucket)
        cold = put_file(archive, tmp_path, "k", b"audio", storage_class="GLACIER")
        with pytest.raises(Failed, match="restore it"):
            read(archive, cold)

    def test_a_bucket_that_is_not_there_is_a_passing_fault(self, s3, tmp_path):
        """It may be a permission that is just being mended."""
        archive = S3Archive(s3, bucket="no-such-bucket-at-all")
        with pytest.raises(Retry, match="NoSuchBucket"):
            put_file(archive, tmp_path, "k", b"audio")
        with pytest.raises(Retry, match="NoSuchBucket"):
            archive.find("calls/")
        with pytest.raises(Retry, match="NoSuchBucket"):
            read(archive, StoredObject(key="k", version_id="v", size=1, sha256=""))


class TestLedger:
    def test_an_unknown_call_is_new(self, ledger):
        """Version 0 says that it was never written."""
        state = ledger.load("ringex", "1", "s-1")
        assert (state.status, state.version, state.legs) == ("new", 0, {})

    def test_an_entry_comes_back_as_it_was_saved(self, ledger):
        """Every field, at its own type."""
        fresh = ledger.load("ringex", "1", "s-1")
        sealed = StoredObject(key="m", version_id="v", size=7, sha256="ab")
        saved = ledger.save(
            fresh.changed(
                status="archived",
                seen_at=NOON,
                named=frozenset({"7", "8"}),
                looked_at=NOON + timedelta(milliseconds=1),
                next_look_at=NOON,
                lease_until=NOON,
                lease_messages=frozenset({"m1"}),
                related=frozenset({"s-2"}),
                prefix="calls/",
                revision=2,
                legs={"7": "ab"},
                manifest=sealed,
                reason="why",
            )
        )
        assert saved.version == 1
        assert ledger.load("ringex", "1", "s-1") == saved
        assert ledger.load("ringex", "1", "s-2").version == 0
        assert ledger.load("kazoo", "1", "s-1").version == 0

    def test_nobody_writes_over_what_he_has_not_read(self, ledger):
        """Of two who read the same version, one is told."""
        fresh = ledger.load("ringex", "1", "s-1")
        first = ledger.save(fresh.changed(status="working"))
        with pytest.raises(Stale):
            ledger.save(fresh.changed(status="empty"))
        ledger.save(first.changed(status="archived"))
        with pytest.raises(Stale):
            ledger.save(first.changed(status="empty"))
        assert ledger.load("ringex", "1", "s-1").status == "archived"


class TestNotes:
    @pytest.fixture(params=["fake", "dynamodb"])
    def notes(self, request, aws_client, table):
        if request.param == "fake":
            return FakeNotes()
        return DynamoLedger(aws_client("dynamodb"), table=table)

    def test_a_note_comes_back_as_it_was_written(self, notes):
        """Any JSON object, also a large one."""
        content = {"grants": [1.5, 2], "text": "é", "none": None, "long": "x" * 1_000_000}
        written = notes.write(replace(notes.read("gate#a"), content=content))
        assert notes.read("gate#a") == written
        assert (written.content, written.version) == (content, 1)
        assert notes.read("gate#b") == Note(key="gate#b")

    def test_nobody_writes_over_what_he_has_not_read(self, notes):
        """Of two who read the same version, one is told."""
        empty = notes.read("token")
        notes.write(replace(empty, content={"a": 1}))
        with pytest.raises(Stale):
            notes.write(replace(empty, content={"a": 2}))
        assert notes.read("token").content == {"a": 1}


def test_a_table_that_is_not_there_is_a_passing_fault(aws_client):
    """Named by what was tried and AWS's own code."""
    ledger = DynamoLedger(aws_client("dynamodb"), table="none")
    with pytest.raises(Retry, match="ledger cannot be read: ResourceNotFound"):
        ledger.load("ringex", "1", "s-1")


class TestQueue:
    @pytest.fixture
    def sqs(self, aws_client):
        return aws_client("sqs")

    @pytest.fixture
    def urls(self, sqs):
        return [sqs.create_queue(QueueName=f"q-{uuid.uuid4()}")["QueueUrl"] for _ in range(2)]

    def receive(self, sqs, url):
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return answer.get("Messages", [])

    def test_a_job_is_sent_as_its_message(self, sqs, urls):
        """At once, if the delay is none."""
        jobs = SqsJobs(sqs, queue=urls[0], dead_letters=urls[1])
        jobs.send(a_job(named=["7"]), delay=0)
        [message] = self.receive(sqs, urls[0])
        assert json.loads(message["Body"])["hints"] == {"recordingIds": ["7"]}

    def test_a_delay_keeps_the_job_back(self, sqs, urls):
        """Waiting is the queue's work."""
        SqsJobs(sqs, queue=urls[0]).send(a_job(), delay=900)
        assert self.receive(sqs, urls[0]) == []
        counts = sqs.get_queue_attributes(QueueUrl=urls[0], AttributeNames=["All"])["Attributes"]
        assert counts["ApproximateNumberOfMessagesDelayed"] == "1"

    @pytest.mark.parametrize(
        ("body", "reason", "stored", "why"),
        [
            ("{}", "no version", "{}", "no version"),
            ("", "empty", "(an empty message)", "empty"),
            ("x", "two\nlines\x00", "x", "two lines "),
            ("x", "", "x", "unknown"),
            ("x", "y" * 5000, "x", "y" * 1000),
        ],
    )
    def test_a_dead_letter_carries_its_reason(self, sqs, urls, body, reason, stored, why):
        """In a form that SQS accepts, whatever went wrong."""
        SqsJobs(sqs, queue=urls[0], dead_letters=urls[1]).bury(body, reason=reason)
        [message] = self.receive(sqs, urls[1])
        assert message["Body"] == stored
        assert message["MessageAttributes"]["reason"]["StringValue"] == why

    def test_a_queue_that_refuses_is_a_retry(self, sqs):
        """With AWS's own code."""
        jobs = SqsJobs(sqs, queue="http://127.0.0.1:1/123456789012/none")
        with pytest.raises(Retry, match="jobs queue refuses"):
            jobs.send(a_job(), delay=0)


class TestSecret:
    @pytest.fixture
    def arn(self, aws_client):
        answer = aws_client("secretsmanager").create_secret(
            Name=str(uuid.uuid4()), SecretString='{"token": "one"}'
        )
        return answer["ARN"]

    def test_it_is_read_rarely_and_fresher_on_demand(self, aws_client, arn):
        """Five minutes for most, seconds for who has seen a wrong token."""
        secrets = aws_client("secretsmanager")
        time = [0.0]
        secret = Secret(secrets, arn=arn, seconds=lambda: time[0])
        assert secret.value() == {"token": "one"}
        secrets.put_secret_value(SecretId=arn, SecretString='{"token": "two"}')
        time[0] = FRESH_SECONDS - 0.1
        assert secret.value(fresh=True) == {"token": "one"}
        time[0] = FRESH_SECONDS + 0.1
        assert secret.value() == {"token": "one"}
        assert secret.value(fresh=True) == {"token": "two"}
        secrets.put_secret_value(SecretId=arn, SecretString='{"token": "three"}')
        time[0] += CACHE_SECONDS + 1
        assert secret.value() == {"token": "three"}

    def test_while_it_cannot_be_read_the_old_one_is_good_enough(self, aws_client, arn):
        """A notification is not refused because Secrets Manager has a bad hour."""
        secrets, time = aws_client("secretsmanager"), [0.0]
        secret = Secret(secrets, arn=arn, seconds=lambda: time[0])
        secret.value()
        secrets.put_secret_value(SecretId=arn, SecretString="nonsense")
        time[0] = CACHE_SECONDS + 1
        assert secret.value() == {"token": "one"}

    def test_who_changes_it_reads_it_anew_and_writes_all_of_it(self, aws_client, arn):
        """Whatever stands in the cache."""
        secret = Secret(aws_client("secretsmanager"), arn=arn)
        assert secret.value() == {"token": "one"}
        secret.write({"token": "two", "ringex": {"jwt": "j"}})
        assert secret.value() == {"token": "one"}
        assert secret.read() == {"token": "two", "ringex": {"jwt": "j"}}

    def test_a_secret_that_cannot_be_written_is_a_retry(self, aws_client):
        """With AWS's own code, and without what should have been written."""
        with pytest.raises(Retry, match="secret cannot be written: ResourceNotFound") as bad:
            Secret(aws_client("secretsmanager"), arn="none").write({"token": "hidden"})
        assert "hidden" not in str(bad.value)

    @pytest.mark.parametrize("text", ["nonsense", "[]"])
    def test_what_is_no_json_object_is_named(self, aws_client, arn, text):
        """And never shown."""
        aws_client("secretsmanager").put_secret_value(SecretId=arn, SecretString=text)
        with pytest.raises(Retry, match="JSON") as bad:
            Secret(aws_client("secretsmanager"), arn=arn).value()
        assert text not in str(bad.value)

    def test_a_secret_that_is_not_there_is_a_retry(self, aws_client):
        """The function starts and says so, instead of dying."""
        with pytest.raises(Retry, match="secret cannot be read: ResourceNotFound"):
            Secret(aws_client("secretsmanager"), arn="none").value()


def test_the_local_aws_refuses_like_the_real_one(aws_client):
    """The errors that the adapters translate are the ones that come."""
    with pytest.raises(ClientError):
        aws_client("s3").head_bucket(Bucket="no-such-bucket-at-all")
