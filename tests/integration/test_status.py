"""What `legato status` is put together from, on a real AWS: queues, secret, ledger, bucket."""

import json
import uuid
from collections import Counter

import pytest

from legato.app import adapters, root
from legato.aws import clients
from legato.aws.queue import SqsJobs
from legato.clock import SystemClock
from legato.errors import Retry
from legato.ledger.listed_accounts import note_accounts
from legato.ledger.listings import tail_key
from legato.ledger.sweep_remains import note_remains
from legato.model import Note, format_time
from legato.operations.status import status
from legato.ports import Depth
from legato.providers.credentials import read_credentials
from legato.providers.ringcx.api import _recordings_key
from legato.providers.ringex.api import _key
from legato.settings import Limit
from local import aws
from tests import configured

TOPIC = "arn:aws:sns:us-east-1:123456789012:alarms"
QUEUES = ("Queue", "DeadLetters")
RINGCENTRAL = {"clientId": "id", "clientSecret": "secret", "jwt": ["one", "two"]}


@pytest.fixture
def queue(aws_client):
    return aws_client("sqs").create_queue(QueueName=f"jobs-{uuid.uuid4()}")["QueueUrl"]


def test_a_queue_tells_what_waits_what_is_taken_and_what_comes_later(aws_client, queue):
    """About, as SQS says."""
    sqs = aws_client("sqs")
    for delay in (0, 0, 0, 600):
        sqs.send_message(QueueUrl=queue, MessageBody="{}", DelaySeconds=delay)
    sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=1)
    assert SqsJobs(sqs, queue=queue).depth() == Depth(waiting=2, taken=1, delayed=1)
    with pytest.raises(Retry, match=r"a queue does not say how much it holds: .*NonExistent"):
        SqsJobs(sqs, queue=f"{queue}-2").depth()


@pytest.fixture
def look(aws_client, aws_endpoint, bucket, table, queue, monkeypatch):
    """Return a function that puts an App together, with a secret or without one."""
    for name, value in aws.environment(aws_endpoint).items():
        monkeypatch.setenv(name, value)
    secrets = aws_client("secretsmanager")

    def made(secret, **told):
        arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:none"
        if secret is not None:
            named = secrets.create_secret(Name=f"s-{uuid.uuid4()}", SecretString=json.dumps(secret))
            arn = named["ARN"]
        queues = {name: queue for name in configured.DOCUMENT if name.endswith(QUEUES)}
        told = queues | {"Table": table, "Bucket": bucket, "Credentials": arn} | told
        return configured.app(**{"DeleteAtSource": "kazoo", "AlarmTopic": TOPIC} | told)

    return made


def test_every_provider_that_is_used_is_looked_at(look):
    """With the tails and the windows that its functions use."""
    work = look(
        {"ringex": RINGCENTRAL, "ringcx": RINGCENTRAL},
        RingcxSubAccountIds="12,34",
        KazooUrl="https://kazoo",
        KazooAccountIds="aa,bb/u1,bb/u2",
    ).overview()
    ringex, ringcx, kazoo = work.followed
    users = read_credentials(RINGCENTRAL, "ringex")
    assert {key: limits for key, limits in ringex.gates.items() if key.endswith("Heavy")} == {
        _key(user, "Heavy"): (Limit(10, 60),) for user in users
    }
    assert set(ringcx.gates) == {"ringcx#12#Metadata", "ringcx#34#Metadata"} | {
        _recordings_key(user) for user in users
    }
    assert set(kazoo.gates) == {"kazoo#aa#Requests", "kazoo#bb#Requests"}
    assert list(ringex.tails) == ["ringex"]
    assert {"ringcx#12", "ringcx#34", "ringcx#12#again-4h"} <= set(ringcx.tails)
    assert list(kazoo.tails) == ["kazoo#aa", "kazoo#bb#u1", "kazoo#bb#u2"]
    assert [set(one.kept_days) for one in work.followed] == [
        {"ringex"},
        {"ringcx#12", "ringcx#34"},
        {"kazoo#aa", "kazoo#bb"},
    ]
    found = status(work)
    assert not found.unknown
    assert found.said["providers"][0]["queue"] == {"waiting": 0, "taken": 0, "delayed": 0}


def test_what_is_not_used_is_not_looked_at(look):
    """A stack that follows nobody."""
    work = look({}, UseRingex="false").overview()
    assert list(work.followed) == []
    assert status(work).well


def test_ringex_without_credentials_is_looked_at(look):
    """A stack that was just deployed has an empty secret: there is a limit of nobody."""
    [ringex] = look({}).overview().followed
    assert (ringex.provider, dict(ringex.gates)) == ("ringex", {})


def test_who_may_not_read_the_secret_sees_the_rest(look):
    """All but the limits of credentials."""
    work = look(None).overview()
    assert [one.provider for one in work.followed] == ["ringex"]
    assert set(work.unknown) == {"limits of credentials"}


def test_health_looks_at_the_same_without_the_secret(look):
    """RingEX where its call log is to be followed, whether its credentials are filled in or not."""
    work = look(None, KazooUrl="https://kazoo", KazooAccountIds="aa")
    overview = work.overview(windows=False)
    assert (overview.stack, overview.unknown) == ("archive", {})
    assert [(one.provider, one.gates, one.removes) for one in overview.followed] == [
        ("ringex", {}, False),
        ("kazoo", {}, True),
    ]


def test_without_an_address_for_alarms_there_is_no_mail(look, asked):
    """What nobody is told stays new."""
    for topic, mails in ((TOPIC, 1), ("", 0)):
        work = look(None, AlarmTopic=topic)
        reports = [work.check_health() for _ in range(2)]
        assert reports[-1].new
        assert asked.count("Publish") == mails
        asked.clear()


def test_what_keeps_the_state_from_being_computed_ends_the_run(look):
    """And so the heartbeat is missed."""
    with pytest.raises(Retry, match="the ledger cannot be read"):
        look(None, Table="none").check_health()


@pytest.fixture
def asked(monkeypatch):
    """Return the names of all requests to AWS, as they are sent."""
    names = []
    made = clients.client

    def client(service, **more):
        one = made(service, **more)
        one.meta.events.register("before-call", lambda model, **_: names.append(model.name))
        return one

    monkeypatch.setattr(adapters, "client", client)
    monkeypatch.setattr(root, "client", client)
    return names


def test_a_run_with_five_hundred_accounts_asks_the_ledger_a_few_times(look, asked):
    """And nobody else more often than that."""
    accounts = [f"{number:032x}" for number in range(500)]
    told = {"KazooUrl": "https://kazoo", "KazooAccountIds": f"{accounts[0]}/*"}
    work = look(None, AlarmTopic="", UseRingex="false", **told)
    notes, clock = work.ledger, SystemClock()
    note_accounts("kazoo", accounts, whole=True, notes=notes, clock=clock)
    now = format_time(clock.now())
    for account in accounts:
        notes.write(Note(key=tail_key(f"kazoo#{account}"), content={"read_to": now}))
    note_remains("kazoo", gaps=[], unarchived=[], notes=notes, clock=clock)
    asked.clear()
    report = work.check_health()
    assert (report.needs, report.unknown, report.fault) == (0, {}, None)
    ledger = [name for name in asked if name in ("GetItem", "BatchGetItem", "Query", "PutItem")]
    assert Counter(ledger)["BatchGetItem"] == 5
    assert len(ledger) <= 30
    assert len(asked) <= 40
