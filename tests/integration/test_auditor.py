"""The auditor as the stack has it: digests signed by KMS, one of them witnessed over HTTP."""

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from legato.app.root import App
from local import aws, stack
from local.system import PARAMETERS
from tests.authority import OpensslAuthority
from tests.forked import legato
from tests.integration.test_verify import Beginning

HANDLER = """
import json
from types import SimpleNamespace
from functions.auditor.app import handler
context = SimpleNamespace(
    get_remaining_time_in_millis=lambda: 900_000, function_name="auditor", memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:auditor",
    aws_request_id="request",
)
print("answer", json.dumps(handler({"task": "digest"}, context)))
"""


@pytest.fixture
def authority(tmp_path):
    made = OpensslAuthority(tmp_path / "authority")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = made.stamp(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/tsa"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def test_digests_are_written_witnessed_and_proven(aws_endpoint, authority, monkeypatch, tmp_path):
    """By the handler, with what the template gives it, and by the operator's command."""
    parameters = stack.parameters_of(PARAMETERS) | {"TimestampAuthorityUrl": authority.url}
    made = stack.create(
        aws_endpoint, gateway="http://127.0.0.1:1", parameters=parameters, name="audited"
    )
    here = aws.environment(aws_endpoint)
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    [function] = [each for each in made.functions.values() if each.logical == "AuditorFunction"]
    now = datetime.now(UTC)
    work = replace(App(made.configuration).digest_chain(), clock=Beginning(30))
    assert len(work.write(until=now).digests) == 1

    environment = {**os.environ, **function.environment, "POWERTOOLS_TRACE_DISABLED": "true"}
    ended = subprocess.run(
        [sys.executable, "-c", HANDLER],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    [said] = [line for line in ended.stdout.splitlines() if line.startswith("answer ")]
    answer = json.loads(said.removeprefix("answer "))
    assert answer["stopped"] is None
    assert len(answer["digests"]) >= 28
    assert answer["stamped"].endswith("T23.json.tsr")
    metrics = json.loads(next(line for line in ended.stdout.splitlines() if "_aws" in line))
    assert metrics["WitnessBehindSeconds"] == [0.0]

    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.ca)
    proven = legato("--stack", "audited", "verify", "--json", "--tsa-ca", str(ca), **here)
    assert (proven.returncode, proven.stderr) == (0, "")
    verified = json.loads(proven.stdout)
    assert (verified["keys_from"], verified["witnessed"]) == ("kms", 1)
    assert verified["digests"] == len(answer["digests"]) + 1
