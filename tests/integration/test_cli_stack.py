"""The operator's command finds a stack by itself, and fills a queue from a RingCX that speaks."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from legato import __version__
from legato.model import Job
from local import aws, stack
from local.system import PARAMETERS, running
from tests.forked import answering, legato

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.system import System

LONG_AGO = "2026-01-01"


@pytest.fixture(scope="module")
def without_ringcx(aws_endpoint: str) -> str:
    """Create a stack that does not use RingCX; return its name."""
    parameters = stack.parameters_of(PARAMETERS)
    stack.create(
        aws_endpoint, gateway="http://127.0.0.1:1", parameters=parameters, name="without-ringcx"
    )
    return "without-ringcx"


def backfill(name: str, **environment: str) -> tuple[int, str]:
    ended = legato("--stack", name, "backfill", "ringcx", "--from", LONG_AGO, **environment)
    return ended.returncode, ended.stderr


def test_the_installed_command_runs() -> None:
    """All others here are typed into a process that has loaded the libraries."""
    command = Path(sys.executable).with_name("legato")
    ended = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"legato {__version__}\n"


def test_what_is_wrong_with_a_stack_is_told_in_one_line(
    without_ringcx: str, aws_endpoint: str
) -> None:
    here = aws.environment(aws_endpoint)
    code, said = backfill("nobodys", **here)
    assert code == 2
    assert said.startswith("legato: there is no stack nobodys")
    assert said.count("\n") == 1
    code, said = backfill(without_ringcx, **here)
    assert (code, said) == (
        1,
        "legato: the stack does not use RingCX: deploy it with RingcxSubAccountIds\n",
    )


def test_what_is_wrong_with_the_access_is_told_in_one_line(aws_endpoint: str) -> None:
    region = {"AWS_DEFAULT_REGION": "us-east-1"}
    for environment, says in [
        ({"AWS_ENDPOINT_URL": aws_endpoint, **region}, "legato: there are no AWS credentials"),
        ({"AWS_ENDPOINT_URL": aws_endpoint, **aws.CREDENTIALS}, "legato: no AWS region is set"),
        ({"AWS_PROFILE": "nobodys", **region}, "legato: The config profile (nobodys)"),
        (aws.environment("http://127.0.0.1:1"), "legato: AWS does not answer: Could not connect"),
    ]:
        code, said = backfill("legato", **environment)
        assert code == 1
        assert said.startswith(says)
        assert said.count("\n") == 1


@pytest.fixture
def system(free_port: Callable[[], int], tmp_path: Any) -> Iterator[System]:
    with running(port=free_port(), directory=tmp_path, functions=False) as system:
        yield system


def placed(system: System, provider: str, ended_at: datetime) -> str:
    """Place a recorded call of a minute; return its id."""
    parts, name = {
        "ringex": ("legs", "telephonySessionId"),
        "ringcx": ("segments", "dialogId"),
    }[provider]
    start = ended_at - timedelta(minutes=1)
    leg = {"startTime": start.isoformat(), "duration": 60}
    order = {parts: [leg], "readyAfter": 0, **({"listedAfter": 0} if provider == "ringex" else {})}
    answer = httpx.post(f"{system.endpoints.simulators[provider]}/_sim/calls", json=order)
    assert answer.status_code == 201, answer.text
    call: str = answer.json()[name]
    return call


def queued(system: System, provider: str, *, jobs: int) -> list[Job]:
    """Take so many jobs out of a provider's queue, where no other is left, nor comes later."""
    sqs, url = aws.client("sqs", system.endpoints.aws), system.endpoints.queues[provider]
    taken: list[Job] = []
    while len(taken) < jobs:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        assert "Messages" in found, f"{len(taken)} of {jobs} jobs came"
        taken += [Job.from_message(message["Body"]) for message in found["Messages"]]
    left = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=left)["Attributes"]
    assert counts == dict.fromkeys(left, "0")
    return taken


def test_backfills_of_the_local_system(system: System) -> None:
    """A dry run, the question, a run and the same again: one start, which costs seconds."""
    now = datetime.now(UTC)
    calls = {placed(system, "ringex", now - timedelta(hours=hours)) for hours in (1, 3, 5)}
    placed(system, "ringex", now - timedelta(hours=20))
    dialogs = {placed(system, "ringcx", now - timedelta(hours=hours)) for hours in (1, 3)}
    begin = (now - timedelta(hours=7)).isoformat()
    command = ("--local", "backfill", "ringex", "--from", begin, "--to", now.isoformat())
    here = {"LEGATO_LOCAL_DIR": str(system.directory)}

    tried = legato(*command, "--dry-run", **here)
    assert tried.returncode == 0, tried.stderr
    assert "about 1 request of the group Heavy, with about 3 recordings (estimated from" in (
        tried.stdout
    )
    assert "3 recordings of 3 calls found, 0 of them known and 0 archived; 3 jobs would be" in (
        tried.stdout
    )

    with answering("n\n") as terminal:
        asked = legato(*command, stdin=terminal, **here)
    assert (asked.returncode, asked.stderr) == (1, "legato: not begun\n")
    assert "Begin? [y/N]" in asked.stdout

    done = legato(*command, **here)
    assert done.returncode == 0, done.stderr
    again = legato(*command, **here)
    assert again.returncode == 0, again.stderr
    assert "read to its end before" in again.stdout

    command = ("--local", "backfill", "ringcx", "--from", begin)
    done = legato(*command, "--to", now.isoformat(), **here)
    assert done.returncode == 0, done.stderr
    assert "Sub-account 21550002: 3 requests, 0 recordings" in done.stdout
    stranger = legato(*command, "--sub-account", "1", **here)
    assert stranger.returncode == 2
    assert stranger.stderr.startswith("legato: the stack has no sub-account 1; it has 21550001")

    for provider, found in (("ringcx", dialogs), ("ringex", calls)):
        jobs = queued(system, provider, jobs=len(found))
        assert {job.call for job in jobs} == found
        assert all(job.hints["behind"] for job in jobs)
