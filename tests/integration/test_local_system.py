"""`make local` starts everything, says where, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from local import aws, kazoo, template
from tests.patience import PATIENCE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def processes() -> list[tuple[int, int, int]]:
    """Return the id, the parent's and the session's of each process that runs."""
    asked = ["ps", "-eo", "pid=,ppid=,sid=,stat="]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    fields = [line.split() for line in listed.splitlines()]
    return [
        (int(pid), int(parent), int(session))
        for pid, parent, session, state in fields
        if not state.startswith("Z")
    ]


def parts_of(runner: subprocess.Popen[bytes]) -> set[int]:
    """Return the processes that a runner has forked: each leads a session of its own."""
    everyone = processes()
    helpers = {pid for pid, parent, _ in everyone if parent == runner.pid}
    return {pid for pid, parent, session in everyone if parent in helpers and session == pid}


def are_gone(parts: set[int]) -> bool:
    return parts.isdisjoint(pid for pid, _, _ in processes())


def secret_of(found: dict[str, Any]) -> dict[str, Any]:
    client = aws.client("secretsmanager", found["aws"])
    stack = aws.client("cloudformation", found["aws"]).describe_stacks()["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
    text = client.get_secret_value(SecretId=outputs["CredentialsArn"])["SecretString"]
    content: dict[str, Any] = json.loads(text)
    return content


def exchange(found: dict[str, Any]) -> int:
    """Log in as RingCX wants it; return the status."""
    content = secret_of(found)["ringcx"]
    minted = httpx.post(
        f"{found['ringex']}/restapi/oauth/token",
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": content["jwt"],
        },
        auth=(content["clientId"], content["clientSecret"]),
        timeout=PATIENCE_SECONDS,
    )
    return httpx.post(
        f"{found['ringcx']}/api/auth/login/rc/accesstoken",
        data={"rcAccessToken": minted.json()["access_token"], "rcTokenType": "Bearer"},
        timeout=PATIENCE_SECONDS,
    ).status_code


def kazoo_statuses(found: dict[str, Any]) -> list[int]:
    """Log in at Kazoo and list the recordings of its accounts; return the statuses."""
    key = secret_of(found)["kazoo"]["apiKey"]
    with httpx.Client(base_url=f"{found['kazoo']}/v2", timeout=PATIENCE_SECONDS) as http:
        minted = http.put("/api_auth", json={"data": {"api_key": key}})
        http.headers["X-Auth-Token"] = minted.json()["auth_token"]
        lists = [http.get(f"/accounts/{each}/recordings") for each in kazoo.ACCOUNTS]
    return [minted.status_code, *(each.status_code for each in lists)]


def pushed(found: dict[str, Any], url: str) -> tuple[int, list[str]]:
    """Push a recording as Kazoo does; return the status, and what there is in the inbox."""
    audio = (Path(__file__).parent.parent / "fixtures" / "audio" / "cbr-bare.mp3").read_bytes()
    answer = httpx.put(
        f"{url}/call_recording_a@b.mp3?call_id=a%40b&recording_id=",
        content=audio,
        headers={"Content-Type": "audio/mpeg"},
        timeout=PATIENCE_SECONDS,
    )
    listed = aws.client("s3", found["aws"]).list_objects_v2(Bucket=found["inbox"])
    return answer.status_code, [item["Key"] for item in listed.get("Contents", [])]


def start(directory: Path, first_port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "local"],
        env={
            **os.environ,
            "LEGATO_LOCAL_PORT": str(first_port),
            "LEGATO_LOCAL_DIR": str(directory),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def first_port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture
def runner(tmp_path: Path, first_port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = start(tmp_path, first_port)
    yield process
    process.kill()
    process.communicate()


def test_life_of_a_local_system(
    runner: subprocess.Popen[bytes], tmp_path: Path, first_port: int
) -> None:
    """One start serves all these questions, because each costs seconds."""
    file = tmp_path / "endpoints.json"
    until(lambda: file.exists() or runner.poll() is not None)
    assert runner.poll() is None, runner.communicate()[1]
    found: dict[str, Any] = json.loads(file.read_text())

    assert found["aws"] == f"http://127.0.0.1:{first_port}"
    assert found["webhook"] == f"http://127.0.0.1:{first_port + 1}/webhook/ringcentral"
    assert found["ringex"] == f"http://127.0.0.1:{first_port + 2}"
    assert found["ringcx"] == f"http://127.0.0.1:{first_port + 3}"
    assert found["kazoo"] == f"http://127.0.0.1:{first_port + 4}"
    assert found["region"] == "us-east-1"
    assert set(found["queues"]) == set(found["dlqs"]) == {"ringex", "ringcx", "kazoo"}
    assert set(found) == {
        "aws",
        "region",
        "webhook",
        "webhookToken",
        "kazooPush",
        "ringex",
        "ringcx",
        "kazoo",
        "bucket",
        "inbox",
        "table",
        "queues",
        "dlqs",
        "control",
    }
    aws.client("s3", found["aws"]).head_bucket(Bucket=found["bucket"])
    aws.client("dynamodb", found["aws"]).describe_table(TableName=found["table"])
    for url in (*found["queues"].values(), *found["dlqs"].values()):
        aws.client("sqs", found["aws"]).get_queue_attributes(QueueUrl=url)

    # The webhook is the real function: a handshake is echoed, a stranger is turned away.
    shaken = httpx.post(
        found["webhook"], headers={"Validation-Token": "abc"}, timeout=PATIENCE_SECONDS
    )
    assert (shaken.status_code, shaken.headers["validation-token"]) == (200, "abc")
    assert httpx.post(found["webhook"], json={}, timeout=PATIENCE_SECONDS).status_code == 401
    # So is the push function: what comes to an account's own address is in the inbox.
    assert pushed(found, f"{found['kazooPush'][kazoo.ACCOUNTS[0]]}0") == (401, [])
    status, objects = pushed(found, found["kazooPush"][kazoo.ACCOUNTS[1]])
    assert status == 200
    assert [key.split("/")[:2] for key in objects] == [["push", kazoo.ACCOUNTS[1]]]
    stats = httpx.get(f"{found['ringex']}/_sim/stats", timeout=PATIENCE_SECONDS).json()
    assert stats["subscriptions"] == 1

    # A second one on the same ports says so at once, and leaves the first alone.
    second = start(tmp_path / "second", first_port)
    _, complaint = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 1
    assert f"port {first_port} (aws) cannot be used".encode() in complaint
    assert b"LEGATO_LOCAL_PORT" in complaint
    assert file.exists()

    # RingCX's simulator asks RingEX's, with the credentials of the secret, who somebody is.
    assert exchange(found) == 200
    # One key of the secret sees both accounts of Kazoo's.
    assert kazoo_statuses(found) == [201, 200, 200]

    # AWS, the simulators, and a process of each function at least.
    resources = template.read()["Resources"].values()
    functions = [each for each in resources if each["Type"] == "AWS::Serverless::Function"]
    parts = parts_of(runner)
    assert len(parts) >= 4 + len(functions)
    runner.send_signal(signal.SIGTERM)
    output, errors = runner.communicate(timeout=PATIENCE_SECONDS)
    assert runner.returncode == 0, errors
    assert b"Stopped." in output
    assert not file.exists()
    assert are_gone(parts)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", first_port))


def test_nothing_outlives_a_runner_that_is_killed(
    runner: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    until((tmp_path / "endpoints.json").exists)
    parts = parts_of(runner)
    assert parts
    runner.kill()
    until(lambda: are_gone(parts))
