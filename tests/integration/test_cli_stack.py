"""The operator's command finds a stack by itself, and fills a queue from a RingCX that speaks."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from legato import __version__
from legato.cli.exit_codes import Exit
from legato.model import Job
from local import aws, stack
from local.system import PARAMETERS, running
from tests.forked import answering, legato

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.system import System

LONG_AGO = "2026-01-01T00:00Z"


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
    assert code == Exit.NO_STACK
    assert said.startswith("legato: there is no stack nobodys")
    assert said.count("\n") == 1
    code, said = backfill(without_ringcx, **here)
    assert (code, said) == (
        1,
        "legato: the stack does not use RingCX: deploy it with RingcxSubAccountIds\n",
    )


class Refusing(BaseHTTPRequestHandler):
    """AWS, as it answers whoever may not or whose session is over."""

    code, message = "", ""

    def do_POST(self) -> None:
        body = (
            '<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error>'
            f"<Type>Sender</Type><Code>{self.code}</Code><Message>{self.message}</Message>"
            "</Error></ErrorResponse>"
        ).encode()
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            "AccessDenied",
            "User: arn:aws:iam::1:user/jo is not authorized to perform: "
            "cloudformation:DescribeStacks on resource: *",
            "AWS does not permit cloudformation:DescribeStacks: docs/permissions.md lists",
        ),
        ("ExpiredToken", "it is over", "your AWS session has expired (ExpiredToken): log in"),
    ],
)
def test_what_aws_refuses_is_told_in_one_line(code: str, message: str, says: str) -> None:
    handler = type("Handler", (Refusing,), {"code": code, "message": message})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        ended = legato("find", **aws.environment(f"http://127.0.0.1:{server.server_port}"))
        server.shutdown()
    assert (ended.returncode, ended.stdout) == (Exit.NOT_PERMITTED, "")
    assert ended.stderr.startswith(f"legato: {says}")
    assert ended.stderr.count("\n") == 1


def test_what_is_wrong_with_the_access_is_told_in_one_line(aws_endpoint: str) -> None:
    region = {"AWS_DEFAULT_REGION": "us-east-1"}
    here = {"AWS_ENDPOINT_URL": aws_endpoint, **region}
    for environment, says, ends in [
        (here, "no AWS credentials", Exit.NOT_PERMITTED),
        (here | {"AWS_ACCESS_KEY_ID": "half"}, "no AWS credentials", Exit.NOT_PERMITTED),
        (
            {"AWS_ENDPOINT_URL": aws_endpoint, **aws.CREDENTIALS},
            "no AWS region is set",
            Exit.WRONG_USAGE,
        ),
        ({"AWS_PROFILE": "nobodys", **region}, "there is no AWS profile nobodys", Exit.WRONG_USAGE),
        (
            {**aws.CREDENTIALS, "AWS_DEFAULT_REGION": "no region"},
            "'no region' is no AWS region",
            Exit.WRONG_USAGE,
        ),
        (
            {**aws.CREDENTIALS, **region, "AWS_CONFIG_FILE": __file__},
            "Unable to parse config file",
            Exit.WRONG_USAGE,
        ),
        (
            {**aws.CREDENTIALS, **region, "AWS_ENDPOINT_URL": "nowhere"},
            "Invalid endpoint: nowhere",
            Exit.WRONG_USAGE,
        ),
        (aws.environment("http://127.0.0.1:1"), "127.0.0.1 cannot be reached", Exit.UNAVAILABLE),
    ]:
        for words in (("find",), ("status",), ("get", "s-1"), ("verify",)):
            ended = legato(*words, **environment)
            assert (ended.returncode, ended.stdout) == (ends, ""), ended.stderr
            assert ended.stderr.startswith(f"legato: {says}")
            assert ended.stderr.count("\n") == 1


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
    assert (asked.returncode, asked.stderr) == (Exit.FAILED, "legato: not begun\n")
    assert "Begin? [y/N]" in asked.stdout

    done = legato(*command, **here)
    assert done.returncode == 0, done.stderr
    again = legato(*command, **here)
    assert again.returncode == 0, again.stderr
    assert "already read to the end" in again.stdout

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
