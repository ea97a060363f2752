"""What many tests share: one local AWS for the whole run."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from local import aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# Handlers are told once a process, as in Lambda, before they are imported.
os.environ.setdefault("POWERTOOLS_METRICS_NAMESPACE", "Legato")


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what the command remembers for a user out of the home of whoever runs the tests."""
    folder = tmp_path_factory.getbasetemp() / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


# No test is timed: a machine may be busy with something else.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the report of each attack say what it does."""
    for item in items:
        if attack := item.get_closest_marker("attacks"):
            item.user_properties.append(("attack", attack.args[0]))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print what became of each attack when they were asked for."""
    if "attacks" not in config.option.markexpr:
        return
    # Several tests may try one attack on one thing.
    rows: dict[tuple[str, str], str] = {}
    for became, verdict in (("passed", "held off"), ("failed", "GETS THROUGH")):
        for report in terminalreporter.stats.get(became, ()):
            for name, what in report.user_properties:
                if name == "attack":
                    target = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_")
                    rows[target, what] = verdict
    terminalreporter.section(f"{len(rows)} attacks")
    width = max((len(target) for target, _ in rows), default=0)
    for (target, what), verdict in sorted(rows.items()):
        terminalreporter.write_line(f"{verdict:12}  {target:{width}}  {what}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use a process more than there are cores: tests of the running system also wait."""
    return min(4, (os.cpu_count() or 1) + 1)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a function that finds a free port with four more behind it, as a local system needs.

    Below the range from which systems take ports for outgoing connections, so that none of these
    gets in the way between finding the port and using it. Each process of a test run has ports of
    its own.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    candidates = list(range(20000, 32000, 10))[number::count]
    random.shuffle(candidates)

    def find() -> int:
        while True:
            port = candidates.pop()
            if all(_is_free(port + offset) for offset in range(5)):
                return port

    return find


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(scope="session")
def aws_endpoint(
    free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run one moto server for all tests; tests make their own buckets, queues and tables."""
    log = tmp_path_factory.mktemp("aws") / "moto.log"
    with aws.moto_server("127.0.0.1", free_port(), log=log) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def aws_client(aws_endpoint: str) -> Callable[[str], Any]:
    """Return a function that makes a boto3 client for the local AWS."""
    return lambda service: aws.client(service, aws_endpoint)
