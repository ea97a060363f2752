"""The sweeper as the stack has it, when our own AWS does not answer."""

import json
import os
import subprocess
import sys

import pytest

from local import aws, stack
from local.system import PARAMETERS

HANDLER = """
import json, sys
from types import SimpleNamespace
from functions.sweeper.app import handler
context = SimpleNamespace(
    get_remaining_time_in_millis=lambda: 120_000, function_name="sweeper", memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:sweeper",
    aws_request_id="request",
)
print("answer", json.dumps(handler(json.loads(sys.argv[1]), context)))
"""


@pytest.fixture
def swept(aws_endpoint):
    """Return a function that runs the handler with an event, and with a ledger that is gone."""
    made = stack.create(
        aws_endpoint,
        gateway="http://127.0.0.1:1",
        parameters=stack.parameters_of(PARAMETERS),
        name="swept",
    )
    [function] = [each for each in made.functions.values() if each.logical == "SweeperFunction"]
    ssm, name = aws.client("ssm", aws_endpoint), "without-a-ledger"
    document = ssm.get_parameter(Name=function.environment["LEGATO_CONFIG"])["Parameter"]["Value"]
    document = document.replace(made.configuration.table, "gone")
    ssm.put_parameter(Name=name, Value=document, Type="String")
    environment = {
        **os.environ,
        **aws.environment(aws_endpoint),
        **function.environment,
        "LEGATO_CONFIG": name,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }

    def run(event):
        return subprocess.run(
            [sys.executable, "-c", HANDLER, json.dumps(event)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_a_ledger_that_does_not_answer_ends_the_sweep_with_its_reason(swept):
    """It is logged and counted, and the next sweep is due. What nobody foresaw fails aloud."""
    ended = swept({"provider": "ringex"})
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    [said] = [line for line in lines if line.startswith("answer ")]
    answer = json.loads(said.removeprefix("answer "))
    assert answer["swept"] is False
    assert "ResourceNotFoundException" in answer["failed"]
    metrics = json.loads(next(line for line in lines if "_aws" in line))
    assert (metrics["SweepFailed"], metrics["provider"]) == ([1.0], "ringex")
    logged = [json.loads(line) for line in lines if '"the sweep failed"' in line]
    assert [(one["level"], one["reason"]) for one in logged] == [("ERROR", answer["failed"])]

    assert "Refused: the providers are ringex, ringcx, kazoo" in swept({"provider": "zoom"}).stderr
