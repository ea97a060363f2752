"""HealthFunction as the stack has it: what it measures, also when something does not answer."""

import json
import os
import subprocess
import sys

import pytest

from legato.aws.ledger import DynamoLedger
from legato.operations.health import NOTE
from local import aws, stack
from local.system import PARAMETERS

HANDLER = """
import json
from types import SimpleNamespace
from functions.health.app import handler
context = SimpleNamespace(
    get_remaining_time_in_millis=lambda: 120_000, function_name="health", memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:health",
    aws_request_id="request",
)
print("answer", json.dumps(handler({}, context)))
"""


class Ended:
    """What came of a run."""

    def __init__(self, process):
        lines = process.stdout.splitlines()
        self.failed, self.error = process.returncode != 0, process.stderr
        self.metrics = next((json.loads(line) for line in lines if "_aws" in line), {})
        self.logged = [json.loads(line) for line in lines if '"level"' in line]
        answers = [line.removeprefix("answer ") for line in lines if line.startswith("answer ")]
        self.answer = json.loads(answers[0]) if answers else None


@pytest.fixture(scope="module")
def made(aws_endpoint):
    parameters = stack.parameters_of(PARAMETERS) | {"AlarmEmail": "alarms@example.com"}
    gateway = "http://127.0.0.1:1"
    return stack.create(aws_endpoint, gateway=gateway, parameters=parameters, name="health")


@pytest.fixture
def run(aws_endpoint, made):
    """Return a function that runs the handler, with something else in its configuration."""
    function = made.functions["HealthFunction"]
    ssm = aws.client("ssm", aws_endpoint)
    document = ssm.get_parameter(Name=function.environment["LEGATO_CONFIG"])["Parameter"]["Value"]

    def ran(**changes):
        said = json.dumps(json.loads(document) | changes)
        ssm.put_parameter(Name="changed", Value=said, Type="String", Overwrite=True)
        environment = {
            **os.environ,
            **aws.environment(aws_endpoint),
            **function.environment,
            "LEGATO_CONFIG": "changed",
            "POWERTOOLS_TRACE_DISABLED": "true",
        }
        process = subprocess.run(
            [sys.executable, "-c", HANDLER],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Ended(process)

    return ran


@pytest.fixture
def ledger(aws_endpoint, made):
    return DynamoLedger(aws.client("dynamodb", aws_endpoint), table=made.configuration.table)


def test_a_run_that_could_read_everything_is_a_heartbeat(run, ledger):
    """With how much needs a person, for two alarms."""
    ended = run()
    assert not ended.failed, ended.error
    assert ended.answer["unknown"] == []
    assert (ended.metrics["Heartbeat"], ended.metrics["service"]) == ([1.0], "health")
    assert ended.metrics["NeedsPerson"] == [float(ended.answer["needs"])]
    assert ledger.read(NOTE).content["result"]["unknown"] == {}


def test_a_queue_that_does_not_answer_is_said_and_is_no_heartbeat(run):
    """What else is known is told all the same."""
    ended = run(RingexQueue="https://sqs.us-east-1.amazonaws.com/123456789012/gone")
    assert not ended.failed, ended.error
    assert ended.answer["unknown"] == ["ringex: calls that are stuck", "ringex: queue"]
    assert "Heartbeat" not in ended.metrics
    assert "NeedsPerson" in ended.metrics
    assert {one["what"] for one in ended.logged if one["message"] == "not known"} == {
        "ringex: calls that are stuck",
        "ringex: queue",
    }


@pytest.mark.parametrize(
    "changes", [{"Table": "gone"}, {"Stack": ""}, {"Tuning": {"NoSuchName": 1}}]
)
def test_without_a_ledger_or_a_configuration_it_fails(run, changes):
    """And measures nothing."""
    ended = run(**changes)
    assert ended.failed
    assert ended.metrics == {}


def test_a_mail_that_cannot_be_sent_fails_and_its_news_are_kept(run, ledger, made, aws_endpoint):
    """How much needs a person is known all the same, and is no heartbeat."""
    sqs = aws.client("sqs", aws_endpoint)
    sqs.send_message(QueueUrl=made.configuration.ringex_dead_letters, MessageBody="nonsense")
    gone = "arn:aws:sns:us-east-1:123456789012:gone"
    assert not run(AlarmTopic=gone).failed, "it is no news yet"
    before = ledger.read(NOTE)
    ended = run(AlarmTopic=gone)
    assert ended.failed
    assert "nobody can be told by mail: NotFound" in ended.error
    assert ended.metrics["NeedsPerson"][0] >= 1
    assert "Heartbeat" not in ended.metrics
    assert ledger.read(NOTE) == before
    assert run().answer["mailed"] is True
