"""The functions in containers of Lambda's own image, with the layers that `make build` has built.

They talk to a local system, so that all they do can be seen there.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local import gateway
from local.containers import NAME, bridge_address, reached_by_containers
from local.system import running
from local.worker import InvocationError

ROOT = Path(__file__).parent.parent.parent
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
INVOKE_SECONDS = 180
PARAMETERS = {
    "RingexSettleSeconds": "0",
    "RingexSweepHours": "1",
    "RingexTailSeconds": "0",
    "RingcxSweepHours": "1",
    "RingcxSettleMinutes": "0",
    "KazooSweepHours": "1",
    "DeleteAtSource": "true",
    # SAM tells the container the template's own default level, and Powertools compares.
    "LogLevel": "INFO",
}


def pytest_addoption(parser):
    parser.addoption(
        "--allow-skip", action="store_true", help="skip these tests where no Docker engine answers"
    )


@pytest.fixture(scope="session")
def engine(request):
    """Without a Docker engine the run ends, unless it may skip these tests."""
    if bridge_address() is None:
        missing = "no event runs in Lambda's image, because no Docker engine answers"
        if request.config.getoption("allow_skip"):
            pytest.skip(missing)
        pytest.exit(missing, returncode=1)


@pytest.fixture(scope="session")
def system(engine, free_port, tmp_path_factory):
    """Run the local system, with containers in the place of its functions."""
    if not BUILT.exists():
        pytest.exit("nothing is built. Run: make build", returncode=1)
    with running(
        port=free_port(),
        directory=tmp_path_factory.mktemp("system"),
        functions=False,
        parameters=PARAMETERS,
        ringex_settings={"logLag": 0},
    ) as system:
        webhook = urlsplit(system.endpoints.webhook)
        app = gateway.application(system.stack.routes, {"WebhookFunction": shake_hands})
        with (
            reached_by_containers(system),
            gateway.serving(app, webhook.hostname, webhook.port),
        ):
            variables = system.directory / NAME
            system.pools = {name: Container(name, variables) for name in system.stack.functions}
            yield system


def shake_hands(event):
    """Answer in the webhook's place: RingCentral waits for 3 s and no longer, for no container."""
    token = event["headers"].get("validation-token", "")
    headers = {"Content-Type": "application/json", "Validation-Token": token}
    return {"statusCode": 200, "headers": headers}


@dataclass(frozen=True)
class Container:
    """A function that `sam local invoke` runs, each time in a new container."""

    logical: str
    variables: Path

    def invoke(self, event):
        """Return the answer to an event. The function's log is the test's standard error."""
        sam = [Path(sys.executable).with_name("sam"), "local", "invoke", self.logical]
        sam += ["--event", "-", "--env-vars", self.variables]  # samconfig.toml says the rest
        done = subprocess.run(
            sam,
            cwd=ROOT,
            env={**os.environ, "SAM_CLI_TELEMETRY": "0"},
            input=json.dumps(event),
            stdout=subprocess.PIPE,
            text=True,
            timeout=INVOKE_SECONDS,
            check=True,
        )
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        if isinstance(answer, dict) and "errorMessage" in answer:
            raise InvocationError(answer["errorMessage"])
        return answer
