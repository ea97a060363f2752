"""Restores on the local AWS: the library as its fake, the notes, and S3's event to its function."""

import hashlib
import importlib
import json
import uuid
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from legato.archive.library import Cold
from legato.aws.ledger import DynamoLedger
from legato.aws.library import S3Library
from legato.aws.mail import SnsMail
from legato.clock import SystemClock
from legato.errors import Failed, Retry
from legato.model import StoredObject
from legato.retrieval.restore.ask import restore
from legato.retrieval.restore.listed import restores
from legato.retrieval.restore.survey import Restoring, survey
from legato.retrieval.restore.wait import wait
from local import stack
from local.rules import Target
from local.stack import Rule
from local.system import PARAMETERS
from local.worker import InvocationError, environment
from tests.fakes import FakeLibrary
from tests.patience import until
from tests.unit.test_catalogue import a_row

KEY = "calls/ringcx/1/2026/11/20/s-1/legs/0.wav"
EVENTS = Path(__file__).parents[2] / "events"


@pytest.fixture(scope="module")
def created(aws_endpoint):
    return stack.create(
        aws_endpoint,
        gateway="http://127.0.0.1:4601",
        parameters={**stack.parameters_of(PARAMETERS), "RestoreEmail": "legal@example.com"},
        name=f"restores-{uuid.uuid4().hex[:8]}",
    )


class OnS3:
    """A bucket with an object in a class; what is asked for arrives by itself."""

    def __init__(self, s3, bucket):
        self.library = S3Library(s3, bucket=bucket)
        self.put = lambda body, kept_in: s3.put_object(
            Bucket=bucket, Key=KEY, Body=body, StorageClass=kept_in
        )["VersionId"]

    def arrive(self):
        pass


class InMemory:
    def __init__(self):
        self.library = FakeLibrary()
        self.arrive = self.library.arrive

    def put(self, body, kept_in):
        version = uuid.uuid4().hex
        self.library.put(KEY, body, storage_class=kept_in, version_id=version)
        return version


@pytest.fixture(params=["fake", "s3"])
def shelf(request, aws_client, bucket):
    return InMemory() if request.param == "fake" else OnS3(aws_client("s3"), bucket)


class TestLibrary:
    @pytest.mark.parametrize("kept_in", ["GLACIER", "DEEP_ARCHIVE"])
    def test_a_cold_version_is_read_only_once_it_is_restored(self, shelf, kept_in):
        """That very version, and no other of its key."""
        version, newest = shelf.put(b"one", kept_in), shelf.put(b"two", kept_in)
        library = shelf.library

        def state(version_id=version):
            return library.state(KEY, version_id=version_id)

        assert not state().readable
        assert not state().restoring
        assert library.restore(KEY, version_id=version, days=2, tier="Standard")
        assert state().restoring
        assert not state().readable
        assert state().storage_class == kept_in
        with pytest.raises(Cold), library.read(KEY, version_id=version):
            pass
        shelf.arrive()
        until(lambda: state().readable)
        assert not state().restoring
        assert state().restored_until is not None
        with library.read(KEY, version_id=version) as pieces:
            assert b"".join(pieces) == b"one"
        assert not state(newest).readable

    def test_what_is_on_its_way_is_asked_for_in_vain_unless_it_is_hastened(self, shelf):
        version = shelf.put(b"one", "GLACIER")

        def asked(tier):
            return shelf.library.restore(KEY, version_id=version, days=2, tier=tier)

        assert [asked("Bulk"), asked("Bulk"), asked("Expedited"), asked("Standard")] == [
            True,
            False,
            True,
            False,
        ]

    def test_a_copy_that_is_there_stays_longer(self, shelf):
        version = shelf.put(b"one", "GLACIER")
        library = shelf.library
        library.restore(KEY, version_id=version, days=2, tier="Expedited")
        shelf.arrive()
        first = until(lambda: library.state(KEY, version_id=version).restored_until)
        assert library.restore(KEY, version_id=version, days=9, tier="Bulk")
        state = library.state(KEY, version_id=version)
        assert state.restored_until - first == timedelta(days=7)

    def test_what_is_not_there_is_said(self, shelf):
        shelf.put(b"one", "GLACIER")
        with pytest.raises(Failed, match="is gone"):
            shelf.library.restore(KEY, version_id=str(uuid.uuid4()), days=2, tier="Bulk")


@pytest.fixture
def handler(created, aws_endpoint, monkeypatch):
    """Return the restorer's handler, in the environment that the stack gives it."""
    function = created.functions["RestorerFunction"]
    for name, value in environment(function, aws_endpoint).items():
        monkeypatch.setenv(name, value)
    return importlib.import_module("functions.restorer.app").handler


@pytest.fixture
def target(created, aws_endpoint):
    """Return what hands the rule's events over, to be entered with a function."""

    @contextmanager
    def running(invoke, **told):
        [rule] = created.rules
        running = Target(rule, invoke, endpoint=aws_endpoint, **told)
        running.start()
        yield
        running.stop()

    return running


class TestTheStack:
    def test_the_rule_leads_to_the_restorer(self, created):
        [rule] = created.rules
        assert rule.function == "RestorerFunction"
        assert created.configuration.table == created.outputs["LedgerTableName"]
        assert created.configuration.restore_topic.startswith("arn:aws:sns:")

    def test_a_call_is_restored_from_end_to_end(self, created, aws_client, target, handler):
        """S3's own event has the function of the template note it; nothing else is told of."""
        s3, bucket = aws_client("s3"), created.outputs["ArchiveBucketName"]
        row = archived(s3, bucket)
        table = created.outputs["LedgerTableName"]
        notes = DynamoLedger(aws_client("dynamodb"), table=table)
        work = Restoring(library=S3Library(s3, bucket=bucket), notes=notes, clock=SystemClock())
        other = s3.put_object(Bucket=bucket, Key="other", Body=b"x", StorageClass="GLACIER")
        asked = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
        s3.restore_object(
            Bucket=bucket, Key="other", VersionId=other["VersionId"], RestoreRequest=asked
        )
        came = []
        with target(lambda event: came.append((event, handler(event, Context())))):
            done = restore(survey([row], work), work, tier="Expedited", days=3, request="r1")
            assert done.objects == 2
            until(lambda: len(came) == 2)
        assert sorted(answer["outcome"] for _, answer in came) == ["Noted", "Restored"]
        keys = {event["detail"]["object"]["key"] for event, _ in came}
        assert keys == {f"{row.prefix}legs/0.wav", f"{row.prefix}legs/1.wav"}
        sample = json.loads((EVENTS / "restorer-completed.json").read_text())
        assert came[0][0].keys() == sample.keys()
        assert came[0][0]["detail"].keys() == sample["detail"].keys()
        assert notes.read("restoring#r1").content["calls"] == 1
        [found] = restores(work)
        assert (found.done, found.objects) == (2, 2)
        assert found.until == survey([row], work)[0].until
        wait(survey([row], work), work, lambda done, total: None)

    def test_what_fails_is_tried_twice_more(self, created, aws_client, target):
        """As Lambda does; and then it is let go of."""
        [rule] = created.rules
        body = json.dumps({"detail-type": "Object Restore Completed"})
        aws_client("sqs").send_message(QueueUrl=rule.queue_url, MessageBody=body)
        tries = []

        def fail(event):
            tries.append(event)
            raise InvocationError("RestorerFunction: Retry")

        with target(fail, retry_seconds=0):
            until(lambda: not waiting(aws_client("sqs"), rule))
        assert len(tries) == 3


def waiting(sqs, rule: Rule) -> bool:
    """Say whether any event is left, also one that is hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=rule.queue_url, AttributeNames=names)["Attributes"]
    return any(int(found[name]) for name in names)


class Context:
    """What Powertools asks of Lambda's context."""

    function_name = "restorer"
    memory_limit_in_mb = "256"
    invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:restorer"
    aws_request_id = "1"


def archived(s3, bucket):
    """Put a dialog of two cold legs into a bucket, and return its row."""

    def put(name, body, **how):
        key = f"calls/ringcx/1/2026/11/20/s-1/{name}"
        version = s3.put_object(Bucket=bucket, Key=key, Body=body, **how)["VersionId"]
        return {"key": key, "version_id": version, "bytes": len(body)}

    legs = [put(f"legs/{number}.wav", b"one", StorageClass="GLACIER") for number in (0, 1)]
    body = json.dumps({"recording": None, "legs": legs}).encode()
    sealed = put("manifest-1.json", body)
    return a_row(
        "s-1",
        provider="ringcx",
        manifest=StoredObject(
            key=sealed["key"],
            version_id=sealed["version_id"],
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        ),
    )


def test_a_mail_goes_to_the_topic(aws_client):
    sns = aws_client("sns")
    topic = sns.create_topic(Name=f"restores-{uuid.uuid4().hex}")["TopicArn"]
    SnsMail(sns, topic=topic).send("Legato: 1 call can be read", "s-1")
    with pytest.raises(Retry, match="NotFound"):
        SnsMail(sns, topic=f"{topic}-gone").send("Legato: 1 call can be read", "s-1")


def test_restorer_answers_what_is_no_event(handler):
    """It would be none the next time, so it is not tried again."""
    assert handler({"detail-type": "Object Created"}, Context()) == {"outcome": "Refused"}
