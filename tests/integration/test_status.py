"""What `legato status` is put together from, on a real AWS: queues, secret, ledger, bucket."""

import json
import uuid

import pytest

from legato.aws.depth import SqsDepth
from legato.errors import Retry
from legato.operations.status import status
from legato.ports import Depth
from legato.providers.credentials import read_credentials
from legato.providers.ringcx.api import _recordings_key
from legato.providers.ringex.api import _key
from legato.settings import Limit
from local import aws
from tests import configured

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
    assert SqsDepth(sqs, queue=queue).depth() == Depth(waiting=2, taken=1, delayed=1)
    with pytest.raises(Retry, match=r"a queue does not say how much it holds: .*NonExistent"):
        SqsDepth(sqs, queue=f"{queue}-2").depth()


@pytest.fixture
def look(aws_client, aws_endpoint, bucket, table, queue, monkeypatch):
    """Return a function that puts the overview together, with a secret or without one."""
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
        return configured.app(**told).overview(stack="archive", keeper="keeper")

    return made


def test_every_provider_that_is_used_is_looked_at(look):
    """With the tails and the windows that its functions use."""
    work = look(
        {"ringex": RINGCENTRAL, "ringcx": RINGCENTRAL},
        RingcxSubAccountIds="12,34",
        KazooUrl="https://kazoo",
        KazooAccountIds="aa,bb/u1,bb/u2",
    )
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
    work = look({}, UseRingex="false")
    assert list(work.followed) == []
    assert status(work).well


def test_ringex_without_credentials_is_looked_at(look):
    """A stack that was just deployed has an empty secret: there is a limit of nobody."""
    [ringex] = look({}).followed
    assert (ringex.provider, dict(ringex.gates)) == ("ringex", {})


def test_who_may_not_read_the_secret_sees_the_rest(look):
    """All but the limits of credentials."""
    work = look(None)
    assert [one.provider for one in work.followed] == ["ringex"]
    assert set(work.unknown) == {"limits of credentials"}
