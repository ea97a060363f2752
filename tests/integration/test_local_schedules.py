"""Schedules and custom resources of a template, played as AWS plays them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from legato.app.custom_resource import answer
from legato.errors import Refused, Retry
from local import custom, stack
from local.processes import LocalError
from local.schedules import Timer, event, seconds_between
from local.stack import Custom, Schedule
from local.worker import InvocationError
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

    from local.stack import Stack

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Minutes: {Type: String, Default: "5"}
  Wanted: {Type: String, Default: "true"}
Conditions:
  IsWanted: !Equals [!Ref Wanted, "true"]
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Condition: IsWanted
    Properties:
      CodeUri: functions/worker/
      Handler: app.handler
      Runtime: python3.13
      Environment: {Variables: {A: a}}
      Events:
        Often:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: !Sub rate(${Minutes} minutes)
            Input: '{"rotate": true}'
        Never:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: rate(1 hour)
            State: !If [IsWanted, DISABLED, ENABLED]
  Thing:
    Type: Custom::Thing
    Condition: IsWanted
    Properties:
      ServiceToken: !GetAtt Worker.Arn
      ServiceTimeout: 60
      Address: !Sub "http://here/${Minutes}"
Outputs:
  Minutes: {Description: m, Value: !Ref Minutes}
"""


def create(endpoint: str, path: Path, name: str, **parameters: str) -> Stack:
    template = path / "template.yaml"
    template.write_text(TEMPLATE)
    return stack.create(
        endpoint, gateway="http://gate", parameters=parameters, template=template, name=name
    )


def test_the_stack_says_what_is_scheduled_and_told(aws_endpoint: str, tmp_path: Path) -> None:
    """With the template's expressions resolved, and without what is switched off."""
    created = create(aws_endpoint, tmp_path, "scheduled", Minutes="7")
    assert created.schedules == [
        Schedule(
            logical="WorkerOften",
            function="Worker",
            expression="rate(7 minutes)",
            input='{"rotate": true}',
        )
    ]
    assert created.customs == [
        Custom(
            logical="Thing",
            type="Custom::Thing",
            function="Worker",
            properties={"Address": "http://here/7"},
        )
    ]
    assert created.outputs == {"Minutes": "7"}


def test_what_has_a_false_condition_is_not_there(aws_endpoint: str, tmp_path: Path) -> None:
    """Neither the function nor what belongs to it."""
    created = create(aws_endpoint, tmp_path, "unwanted", Wanted="false")
    assert (created.functions, created.schedules, created.customs) == ({}, [], [])


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(1 minute)", 1), ("rate(10 minutes)", 10), ("rate(2 hours)", 120)],
)
def test_a_minute_lasts_a_second(expression: str, seconds: float) -> None:
    assert seconds_between(expression) == seconds


@pytest.mark.parametrize("expression", ["cron(0 3 * * ? *)", "rate(0 minutes)", "rate(5 weeks)"])
def test_what_is_no_such_rate_is_named(expression: str) -> None:
    with pytest.raises(LocalError, match="knows only rates"):
        seconds_between(expression)


def schedule(input: str | None = None) -> Schedule:  # noqa: A002 - the field's name
    return Schedule(logical="S", function="F", expression="rate(1 minute)", input=input)


def test_the_input_is_passed_on_else_schedulers_own_event() -> None:
    assert event(schedule('{"rotate": true}')) == {"rotate": True}
    assert event(schedule())["source"] == "aws.scheduler"


def test_a_schedule_fires_at_once_and_goes_on_after_a_failure() -> None:
    """One run at a time."""
    runs, twice = [], threading.Event()

    def invoke(told: Any) -> None:
        runs.append(told)
        if len(runs) == 2:
            twice.set()
        raise InvocationError("F: broken")

    timer = Timer(schedule('{"n": 1}'), invoke)
    timer.start()
    assert twice.wait(PATIENCE_SECONDS)
    timer.stop()
    assert runs[:2] == [{"n": 1}] * 2


THING = Custom(logical="Thing", type="Custom::Thing", function="F", properties={"Address": "a"})


def test_a_custom_resource_is_created_and_deleted() -> None:
    """The function answers by itself; what it calls its id comes back at the end."""
    told: list[dict[str, Any]] = []

    def function(event: dict[str, Any]) -> None:
        told.append(event)
        answer(event, physical_id="thing-1", reason="done")

    with custom.created([THING], {"F": function}):
        [create] = told
        assert (create["RequestType"], create["ResourceProperties"]["Address"]) == ("Create", "a")
        assert "PhysicalResourceId" not in create
    assert (told[1]["RequestType"], told[1]["PhysicalResourceId"]) == ("Delete", "thing-1")


def test_a_custom_resource_that_fails_stops_the_start() -> None:
    """Whether it says so or dies; an end is only complained of."""

    def refuse(event: dict[str, Any]) -> None:
        httpx.put(event["ResponseURL"], json={"Status": "FAILED", "Reason": "no luck"})

    def die(_event: dict[str, Any]) -> None:
        raise InvocationError("F: died")

    with (
        pytest.raises(LocalError, match="Thing: Create was refused: no luck"),
        custom.created([THING], {"F": refuse}),
    ):
        pass
    with (
        pytest.raises(LocalError, match="Thing: Create failed: F: died"),
        custom.created([THING], {"F": die}),
    ):
        pass


def test_cloudformation_gets_what_it_asks_for() -> None:
    """Its own ids back, and a reason that fits into its 4,096 bytes."""
    with custom.sink() as (url, answers):
        told = custom.event("Create", THING, url)
        answer(told, physical_id="thing-1", reason="x" * 5000)
    assert answers.get(timeout=PATIENCE_SECONDS) == {
        "Status": "SUCCESS",
        "Reason": "x" * 1000,
        "PhysicalResourceId": "thing-1",
        "StackId": told["StackId"],
        "RequestId": told["RequestId"],
        "LogicalResourceId": "Thing",
    }


def test_an_answer_that_nobody_takes_is_a_passing_fault() -> None:
    """And the address stands in no message: whoever has it may answer."""
    told = custom.event("Create", THING, "http://127.0.0.1:1/answer?signature=hidden")
    with pytest.raises(Retry) as bad:
        answer(told, physical_id="a", reason="b")
    assert "hidden" not in str(bad.value)
    with pytest.raises(Refused):
        answer(told | {"ResponseURL": "file:///etc/passwd"}, physical_id="a", reason="b")
