"""What `sam local` is told of a running local system, and the way from Docker's bridge into it."""

import json
import urllib.request

import pytest

from legato.app.function import PARAMETER
from local import aws, containers
from local.containers import NAME, forwarding, reached_by_containers
from local.system import running

HOST = "http://host.docker.internal"


@pytest.fixture(scope="module")
def system(free_port, tmp_path_factory):
    directory = tmp_path_factory.mktemp("system")
    with running(port=free_port(), directory=directory, functions=False) as system:
        yield system


def test_every_address_in_the_variables_leads_a_container_to_this_machine(system):
    port = system.endpoints.aws.rpartition(":")[2]
    with reached_by_containers(system):
        variables = json.loads((system.directory / NAME).read_text())
    name = variables["Parameters"][PARAMETER]
    ssm = aws.client("ssm", system.endpoints.aws)
    configuration = ssm.get_parameter(Name=name)["Parameter"]["Value"]

    assert variables["Parameters"]["AWS_ENDPOINT_URL"] == f"{HOST}:{port}"
    assert variables["WebhookFunction"]["LEGATO_RINGEX_QUEUE"].startswith(f"{HOST}:{port}/")
    assert "127.0.0.1" not in configuration
    assert configuration.count(HOST) >= len(system.endpoints.simulators)
    # The simulator calls it, and runs outside of containers.
    assert variables["KeeperFunction"][containers.WEBHOOK_URL] == system.endpoints.webhook


def test_the_variables_are_gone_with_the_way_in(system):
    with reached_by_containers(system):
        pass
    assert not (system.directory / NAME).exists()


def test_what_comes_to_the_bridge_reaches_a_server_of_this_machine(system):
    port = int(system.endpoints.aws.rpartition(":")[2])
    with (
        forwarding("127.0.0.2", [port]),
        urllib.request.urlopen(f"http://127.0.0.2:{port}/moto-api/") as answer,
    ):
        assert answer.status == 200


def test_a_connection_ends_where_no_server_listens(free_port):
    port = free_port()
    with forwarding("127.0.0.2", [port]), pytest.raises(OSError, match=r"reset|closed|refused"):
        urllib.request.urlopen(f"http://127.0.0.2:{port}/", timeout=5)
