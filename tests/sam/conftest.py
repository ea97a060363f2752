"""The functions in containers of Lambda's own image, with the layers that `make build` has built.

They talk to a local system that listens on Docker's bridge, so that all they do can be seen there.
"""

import ipaddress
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest
from docker.errors import DockerException
from samcli.yamlhelper import yaml_parse

from legato.discovery.push import KAZOO_PUSH_KEY
from legato.discovery.webhook import CURRENT_TOKEN
from local import aws, gateway
from local.system import add_to_secret, running
from local.worker import InvocationError

BUILT = Path(__file__).parent.parent.parent / ".aws-sam" / "build" / "template.yaml"
TOKEN = "0123456789abcdef0123456789abcdef"
"""The events carry it, so that they can be used as they are."""
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
def host(request):
    """Return this machine's address on Docker's bridge, where containers reach it.

    Without a Docker engine the run ends, unless it may skip these tests.
    """
    try:
        bridge = docker.from_env().networks.get("bridge")
    except DockerException as error:
        missing = f"no event runs in Lambda's image, because no Docker engine answers: {error}"
        if request.config.getoption("allow_skip"):
            pytest.skip(missing)
        pytest.exit(missing, returncode=1)
    settings = bridge.attrs["IPAM"]["Config"][0]
    # A fresh engine names no gateway yet: it is the first address of the subnet.
    return settings.get("Gateway") or str(ipaddress.ip_network(settings["Subnet"])[1])


@pytest.fixture(scope="session")
def system(host, free_port, tmp_path_factory):
    """Run the local system, with containers in the place of its functions."""
    if not BUILT.exists():
        pytest.exit("nothing is built. Run: make build", returncode=1)
    with running(
        host=host,
        port=free_port(),
        directory=tmp_path_factory.mktemp("system"),
        functions=False,
        parameters=PARAMETERS,
        ringex_settings={"logLag": 0},
    ) as system:
        found, functions = system.endpoints, system.stack.functions.values()
        tokens = dict.fromkeys((CURRENT_TOKEN, KAZOO_PUSH_KEY), TOKEN)
        add_to_secret(found.aws, system.stack.outputs["InboundTokensArn"], tokens)
        environments = {f.logical: f.environment | aws.environment(found.aws) for f in functions}
        app = gateway.application(system.stack.routes, {"WebhookFunction": shake_hands})
        with (
            declaring(environments) as template,
            gateway.serving(app, host, urlsplit(found.webhook).port),
        ):
            pools = {name: Container(name, environments[name], template) for name in environments}
            yield replace(system, pools=pools)


def shake_hands(event):
    """Answer in the webhook's place: RingCentral waits for 3 s and no longer, for no container."""
    token = event["headers"].get("validation-token", "")
    headers = {"Content-Type": "application/json", "Validation-Token": token}
    return {"statusCode": 200, "headers": headers}


@contextmanager
def declaring(environments):
    """Write a template that declares all variables: SAM passes on no other ones.

    The real one does not name the endpoint.
    """
    built = yaml_parse(BUILT.read_text())
    for logical, environment in environments.items():
        function = built["Resources"][logical]
        function.pop("Condition", None)  # by its defaults the template leaves some of them out
        function["Properties"]["Environment"]["Variables"] |= environment
    template = BUILT.with_name("sam-test.json")  # beside the original: its paths are relative
    template.write_text(json.dumps(built))
    yield template
    template.unlink()


@dataclass(frozen=True)
class Container:
    """A function that `sam local invoke` runs, each time in a new container."""

    logical: str
    environment: dict[str, str]
    template: Path

    def invoke(self, event):
        """Return the answer to an event. The function's log is the test's standard error."""
        sam = [Path(sys.executable).with_name("sam"), "local", "invoke", self.logical]
        sam += ["--template", self.template, "--event", "-", "--region", aws.REGION]
        sam += ["--add-host", "host.docker.internal:host-gateway"]
        sam += ["--skip-pull-image"]  # an image that is not there is pulled all the same
        done = subprocess.run(
            sam,
            env={**os.environ, **self.environment, "SAM_CLI_TELEMETRY": "0"},
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
