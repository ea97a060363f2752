"""Every event of events/ does what it shall, in Lambda's own image and with the layers as built.

What that is stands in EXPECTATIONS: a line for each event.
"""

import base64
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, unquote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from legato.archive.layout import call_in, folder_of, hold_prefix
from legato.aws.ledger import DynamoLedger
from legato.model import CallId, Job, format_time, parse_time
from legato.operations.reconcile import last_days
from legato.retrieval.restore.note import key_of as restore_key
from local import aws, custom
from local.containers import bridge_address
from local.system import System
from tests.audio import FIXTURES
from tests.e2e.centre import Centre
from tests.e2e.cluster import Cluster
from tests.e2e.telephony import Telephony
from tests.patience import until

pytestmark = pytest.mark.docker
EVENTS = Path(__file__).parent.parent.parent / "events"
MP3 = (FIXTURES / "cbr-bare.mp3").read_bytes()
MP3_MS = 2448
QUEUE_SECONDS = 20
"""Some jobs are sent with a delay."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """An event of events/, and the running system that it happens to."""

    name: str
    system: System
    ringex: Telephony
    ringcx: Centre
    kazoo: Cluster

    @property
    def event(self):
        return json.loads((EVENTS / f"{self.name}.json").read_bytes())

    def of(self, name):
        """Return another event."""
        return replace(self, name=name)

    def invoke(self, **changes):
        """Run the event, with these changes, in a container; return the function's answer."""
        function = f"{self.name.partition('-')[0].capitalize()}Function"
        return self.system.invoke(function, self.event | changes)

    def ask(self):
        """Run an event that a person has signed; return what its function says."""
        answer = self.invoke()
        assert answer["statusCode"] == 200, answer
        return json.loads(answer["body"])

    def work(self, provider, *bodies):
        """Run an event of jobs, or of these, as if they came from this system's queue."""
        records = self.event["Records"]
        if bodies:
            records = [records[0] | {"body": body} for body in bodies]
        records = [record | {"eventSourceARN": provider.queue()[1]} for record in records]
        assert self.invoke(Records=records) == {"batchItemFailures": []}


@pytest.fixture(scope="session")
def sample(system, tmp_path_factory):
    """Return a function that returns the event of a name."""
    audio = tmp_path_factory.mktemp("audio")
    providers = {each.provider: each(system, audio) for each in (Telephony, Centre, Cluster)}
    return partial(Sample, system=system, **providers)


def jobs(provider):
    """Empty the jobs queue; what S3 announces there is no job."""
    bodies = [message["Body"] for message in provider.take(provider.queue()[0])]
    return [Job.from_message(body) for body in bodies if "v" in json.loads(body)]


def jobs_with(provider, call):
    """Empty the jobs queue until a job of this call was among them; return all of them."""
    found = []

    def comes():
        found.extend(jobs(provider))
        return call in {job.call for job in found}

    until(comes, seconds=QUEUE_SECONDS)
    return found


def job_of(provider, call):
    [job] = [job for job in jobs_with(provider, call) if job.call == call]
    return job


def handshake(sample):
    """RingCentral's token comes back as a header, and less than 1,024 bytes in all."""
    answer = sample.invoke()
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    assert answer["statusCode"] == 200
    assert headers["validation-token"] == sample.event["headers"]["validation-token"]
    assert headers["content-type"] == "application/json"
    assert len(json.dumps(answer)) < 1024
    assert jobs(sample.ringex) == []


def notification(sample):
    """A job for the call that ended, with the recordings that the notification named."""
    body = json.loads(sample.event["body"])["body"]
    assert sample.invoke()["statusCode"] == 200
    [job] = jobs_with(sample.ringex, body["telephonySessionId"])
    assert job.named == {recording["id"] for recording in body["parties"][0]["recordings"]}


def pushed(sample):
    """The recording is in the inbox as it came, with its facts, and S3 announces it."""
    kazoo, event = sample.kazoo, sample.event
    queue, _ = kazoo.queue()
    kazoo.take(queue)
    assert sample.invoke()["statusCode"] == 200
    [key] = inbox_keys(sample)
    assert key.endswith(".mp3")
    stored = kazoo.s3.get_object(Bucket=sample.system.endpoints.inbox, Key=key)
    assert stored["Body"].read() == base64.b64decode(event["body"])
    assert dict(parse_qsl(stored["Metadata"]["facts"])) == dict(parse_qsl(event["rawQueryString"]))
    told = until(lambda: kazoo.take(queue), seconds=QUEUE_SECONDS)
    assert any(key in unquote_plus(message["Body"]) for message in told)


def leaves_nothing(status, sample):
    before = inbox_keys(sample)
    assert sample.invoke()["statusCode"] == status
    assert jobs(sample.ringex) == []
    assert inbox_keys(sample) == before


def inbox_keys(sample):
    listed = sample.kazoo.s3.list_objects_v2(Bucket=sample.system.endpoints.inbox)
    return [item["Key"] for item in listed.get("Contents", [])]


def finds(provider, sample):
    """A sweep makes a job, with the legs, of a call of which nobody has told."""
    simulator = getattr(sample, provider)
    placed = simulator.place(2)
    assert sample.invoke()["swept"] is True
    assert job_of(simulator, placed.id).listed == set(placed.sent)


def goes_on(sample):
    """RingCX is left alone, because the last run came to its end."""
    sample.invoke(goOn=False)
    sample.ringcx.place()
    before = sample.ringcx.stats()["requests"]["metadata"]
    assert sample.invoke()["jobs"] == 0
    assert sample.ringcx.stats()["requests"]["metadata"] == before
    assert jobs(sample.ringcx) == []


def ringex_jobs(sample):
    """One call is archived, one put back because it is not listed, one message buried.

    Both calls are from before the sweep's beginning, so the call log is asked for the unlisted one.
    """
    recorded, unlisted, broken = [record["body"] for record in sample.event["Records"]]
    job, other = Job.from_message(recorded), Job.from_message(unlisted)
    age = (datetime.now(UTC) - job.seen_at).total_seconds() + 30
    placed = sample.ringex.place(age=age, audio=[MP3, MP3], telephonySessionId=job.call)
    sample.work(sample.ringex)
    assert_joined(sample.ringex, placed)
    # The call log's tail was read too, and has made a job of the recorded call.
    assert {each.call for each in jobs_with(sample.ringex, other.call)} <= {other.call, job.call}
    [(body, reason)] = sample.ringex.letters()
    assert body == broken
    assert reason


def ringcx_dialog(sample):
    """The segments of a dialog that a sweep has found are in cold storage, and sealed apart."""
    job = Job.from_message(sample.event["Records"][0]["body"])
    placed = sample.ringcx.place(ids=sorted(job.listed), dialogId=job.call)
    sample.ringcx.sweep()
    job_of(sample.ringcx, placed.id)
    sample.work(sample.ringcx)
    manifest = sample.ringcx.assert_archived(placed)
    assert [leg["id"] for leg in manifest["legs"]] == list(placed.sent)
    assert manifest["recording"] is None


def kazoo_interaction(sample):
    """The recordings of an interaction that a sweep has found are joined and archived."""
    job = Job.from_message(sample.event["Records"][0]["body"])
    order = {"account": job.account, "interactionId": job.call}
    placed = sample.kazoo.place(audio=[MP3, MP3], **order)
    sample.kazoo.sweep()
    job_of(sample.kazoo, placed.id)
    sample.work(sample.kazoo)
    assert_joined(sample.kazoo, placed)


def assert_joined(provider, placed):
    manifest = provider.assert_archived(placed, extension="mp3")
    assert manifest["recording"]["duration_ms"] == len(placed.sent) * MP3_MS


def removed(sample):
    """The recordings of an archived call are deleted at Kazoo, and the ledger says so."""
    placed = sample.kazoo.place()
    sample.kazoo.sweep()
    job = job_of(sample.kazoo, placed.id)
    sample.of("processor-kazoo").work(sample.kazoo, job.to_message())
    counts = sample.invoke()["kazoo"]
    assert counts["RecordingRemoved"] >= 1
    assert counts["RemovalUnproven"] == 0
    [recording] = placed.sent
    assert sample.kazoo.stats()["deletes"][recording] == 1
    note = sample.kazoo.ledger.read(f"removed#{job.id._replace(call=recording)}")
    assert note.content["proof"] == "read-back"


def digest_written(sample):
    """The digest of the last hour, with a signature that fits it."""
    answer = sample.invoke()
    assert not answer["stopped"]
    if not answer["digests"] and datetime.now(UTC).minute < 3:
        return  # the hour may still go on at somebody's clock
    [key, *_] = answer["digests"]
    body = sample.kazoo.read(key)
    pem = sample.kazoo.read(json.loads(body)["signed_with"]["public_key"]["key"])
    load_pem_public_key(pem).verify(sample.kazoo.read(f"{key}.sig"), body, ECDSA(SHA256()))


def reconciled(sample):
    """A job for a recording that nobody has looked for, of the last day that is due."""
    now = datetime.now(UTC)
    begin, _ = last_days(now, 1)
    noon = begin + timedelta(hours=12)
    placed = sample.kazoo.place(age=(now - noon).total_seconds())
    sample.invoke()  # it may say that there is more to read: RingCX is slow
    assert job_of(sample.kazoo, placed.id).named == set(placed.sent)


def looked_at(sample):
    """A record of who is about to look at the call, and why."""
    answer, asking = sample.ask(), sample.event
    assert answer["by"] == asking["requestContext"]["authorizer"]["iam"]["userArn"]
    assert (
        json.loads(asking["body"]).items() <= json.loads(sample.kazoo.read(answer["key"])).items()
    )


def held(sample):
    """The call is held for the case, with a record of who did it and why."""
    request = json.loads(sample.event["body"])
    assert list(sample.ask()["cases"]) == [request["case"]]
    listed = sample.kazoo.s3.list_objects_v2(
        Bucket=sample.system.endpoints.bucket, Prefix=hold_prefix(CallId.parse(request["call"]))
    )
    steps = [json.loads(sample.kazoo.read(item["Key"])) for item in listed["Contents"]]
    assert request["reason"] in [step["reason"] for step in steps]


def release_requested(sample):
    """The call is held as before, and the request noted."""
    sample.of("holder-hold").ask()
    answer = sample.ask()
    [case] = answer["cases"].values()
    assert answer["held"]
    assert case["release"]


def released(sample):
    """A release is refused to the one who asked for it, and granted to another."""
    request = sample.of("holder-request-release")
    sample.of("holder-hold").ask()
    request.ask()
    assert sample.invoke(requestContext=request.event["requestContext"])["statusCode"] == 403
    assert not sample.ask()["held"]


def restored(sample):
    """The call is off the list of what is under way, with how long its copy stays."""
    key = under_way(sample)
    assert sample.invoke()["outcome"] == "Restored"
    [entry] = sample.kazoo.ledger.read(key).content["objects"].values()
    assert parse_time(entry["until"]) == parse_time(sample.event["detail"]["restore-expiry-time"])
    assert not list(sample.kazoo.ledger.listed("restores", until="9999"))


def copy_gone(sample):
    """A call whose copy is gone is off all lists."""
    key = under_way(sample)
    sample.of("restorer-completed").invoke()
    assert sample.invoke()["outcome"] == "Expired"
    assert not sample.kazoo.ledger.read(key).content["objects"]
    assert not list(sample.kazoo.ledger.listed("restored", until="9999"))


def under_way(sample):
    """Note that the object of the event was asked for; return the note's key."""
    told, ledger = sample.event["detail"]["object"], sample.kazoo.ledger
    note = ledger.read(restore_key(call_in(folder_of(told["key"]))))
    at = format_time(datetime.now(UTC))
    objects = {told["key"]: {"version_id": told["version-id"], "bytes": 1}}
    order = {"request": at, "requested_at": at, "tier": "Standard", "days": 7}
    ledger.write(replace(note, content={**order, "objects": objects}, listed=("restores", at)))
    return note.key


def created(sample):
    """The webhook is subscribed with the token of the secret, and CloudFormation told so."""
    with custom.sink(bridge_address()) as (url, answers):
        sample.invoke(ResponseURL=url)
        told = answers.get(timeout=10)
    assert told["Status"] == "SUCCESS"
    assert told["PhysicalResourceId"] == sample.system.endpoints.webhook
    assert told["RequestId"] == sample.event["RequestId"]
    assert_subscribed(sample)


def kept(sample):
    assert sample.invoke()["healthy"] is True
    assert_subscribed(sample)


def rotated(sample):
    """A new token is in the secret beside the old one, and a subscription all the time."""
    before = tokens(sample)["ringexVerificationToken"]
    assert sample.invoke()["counts"]["TokenRotated"] == 1
    after = tokens(sample)
    assert len(after["ringexVerificationToken"]) == 32
    assert int(after["ringexVerificationToken"], 16)
    assert after["ringexPreviousVerificationToken"] == before
    assert_subscribed(sample)


def assert_subscribed(sample):
    """There is one good subscription that leads to the webhook, with a token of the secret."""
    [found] = sample.ringex.subscriptions()
    assert found["status"] == "Active"
    assert found["deliveryMode"]["address"] == sample.system.endpoints.webhook
    assert found["verificationToken"] in tokens(sample).values()


def tokens(sample):
    with sample.kazoo.secret("InboundTokensArn") as content:
        return content


def state_told(sample):
    """Everything was looked at, and the result is in the ledger."""
    answer = sample.invoke()
    assert answer["unknown"] == []
    found = sample.system.endpoints
    note = DynamoLedger(aws.client("dynamodb", found.aws), table=found.table).read("status").content
    providers = [one["provider"] for one in note["result"]["providers"]]
    assert providers == ["ringex", "ringcx", "kazoo"]
    assert len(note["result"]["needs"]) == answer["needs"]


def configuration_checked(sample):
    """CloudFormation is told that the deployment may go on, and of a wrong one that it may not."""
    said = sample.event["ResourceProperties"]["Document"]
    for document, status in ((said, "SUCCESS"), (said.replace(": 48", ": -1"), "FAILED")):
        with custom.sink(bridge_address()) as (url, answers):
            sample.invoke(ResponseURL=url, ResourceProperties={"Document": document})
            assert answers.get(timeout=10)["Status"] == status


EXPECTATIONS = {
    "access-show": looked_at,
    "auditor-configuration": configuration_checked,
    "auditor-digest": digest_written,
    "auditor-reconcile": reconciled,
    "health-schedule": state_told,
    "holder-confirm-release": released,
    "holder-hold": held,
    "holder-request-release": release_requested,
    "keeper-create": created,
    "keeper-rotate": rotated,
    "keeper-schedule": kept,
    "processor-kazoo": kazoo_interaction,
    "processor-ringcx": ringcx_dialog,
    "processor-ringex-jobs": ringex_jobs,
    "push-bad-token": partial(leaves_nothing, 401),
    "push-put": pushed,
    "remover-schedule": removed,
    "restorer-completed": restored,
    "restorer-expired": copy_gone,
    "sweeper-kazoo": partial(finds, "kazoo"),
    "sweeper-ringcx": partial(finds, "ringcx"),
    "sweeper-ringcx-goes-on": goes_on,
    "sweeper-schedule": partial(finds, "ringex"),
    "webhook-bad-token": partial(leaves_nothing, 401),
    "webhook-handshake": handshake,
    "webhook-notification": notification,
    "webhook-other-kind": partial(leaves_nothing, 200),
}


def test_an_event_and_its_expectation_belong_together():
    assert {path.stem for path in EVENTS.glob("*.json")} == EXPECTATIONS.keys()


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("*.json")))
def test_an_event_does_what_it_shall(name, sample):
    EXPECTATIONS[name](sample(name=name))
