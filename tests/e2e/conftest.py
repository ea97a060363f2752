"""The whole local system, started once for each kind of use."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local.system import WEBHOOK_PROCESSES, running
from tests.e2e.telephony import Telephony
from tests.grants import KEY, is_whole, unused

REFUSED = Path(__file__).parent.parent.parent / "events" / "webhook-bad-token.json"

FAST = {
    group: {"limit": 1000, "window": 1, "penalty": 1}
    for group in ("Light", "Medium", "Heavy", "Auth")
}


SECONDS_BETWEEN = 4
"""A system that sweeps each second takes most of a core, and several of them run at a time."""
UNUSED = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    """Fail a run of all tests of the system after which a grant of the template was not used."""
    config = session.config
    if hasattr(config, "workerinput") or session.testsfailed or not is_whole(config):
        return
    config.stash[UNUSED] = unused(config._tmp_path_factory.getbasetemp())
    if config.stash[UNUSED]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for grant in config.stash.get(UNUSED, []):
        terminalreporter.write_line(f"used by no test: {grant}", red=True)


@pytest.fixture(scope="module")
def system(request, tmp_path_factory, free_port):
    """Run the local system.

    A module says by FUNCTIONS = False that it calls the code itself, by SCHEDULED which functions
    run by themselves when it counts what one of them does, by PARAMETERS what the stack is given,
    and by RINGCX and KAZOO what these are like.
    """
    with running(
        port=free_port(),
        directory=tmp_path_factory.mktemp("system"),
        functions=getattr(request.module, "FUNCTIONS", True),
        scheduled=getattr(request.module, "SCHEDULED", None),
        seconds_between=SECONDS_BETWEEN,
        parameters={"KmsKeyArn": KEY, **getattr(request.module, "PARAMETERS", {})},
        ringex_settings={"limits": FAST, "logLag": 0.5},
        ringcx_settings=getattr(request.module, "RINGCX", {}),
        kazoo_settings=getattr(request.module, "KAZOO", {}),
    ) as system:
        yield system


@pytest.fixture(scope="module")
def telephony(system, tmp_path_factory):
    return Telephony(system, tmp_path_factory.mktemp("audio"))


@pytest.fixture(scope="module")
def warm_webhook(system):
    """Let every process of the webhook have started: RingCentral waits for 3 s and no longer."""
    event = json.loads(REFUSED.read_text())
    with ThreadPoolExecutor(WEBHOOK_PROCESSES) as callers:
        answers = callers.map(
            lambda _: system.invoke("WebhookFunction", event), range(WEBHOOK_PROCESSES)
        )
    assert [answer["statusCode"] for answer in answers] == [401] * WEBHOOK_PROCESSES
