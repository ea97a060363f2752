"""Fifty workers that start at the same moment, on one ledger and one RingCentral."""

import threading

import httpx
import pytest

from legato.bootstrap import processor_ports
from legato.model import Job
from local.worker import environment
from tests.fakes import NOON

FUNCTIONS = False
WORKERS = 50


@pytest.fixture
def configured(system, monkeypatch):
    """What the stack tells the processor, without a limit that would slow it."""
    [function] = [f for f in system.stack.functions.values() if f.code.name == "processor"]
    for name, value in environment(function, system.endpoints.aws).items():
        monkeypatch.setenv(name, value)
    return system.stack.configuration | {
        "RingexLimits": "Light=1000,Medium=1000,Heavy=1000,Auth=5",
        "RingexDiscovery": "recipe",
    }


def test_fifty_workers_starting_at_once_mint_one_token(system, configured):
    """RingCentral suspends an app whose processes each log in for themselves."""
    shops = [
        processor_ports(configured["RingexQueue"].replace("/", ":"), configured)
        for _ in range(WORKERS)
    ]
    start, answers = threading.Barrier(WORKERS), []

    def work(ports):
        start.wait()
        job = Job(provider="ringex", account="~", call="s-1", seen_at=NOON)
        answers.append(ports.provider.resolve([job]))

    threads = [threading.Thread(target=work, args=(ports,)) for ports in shops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = httpx.get(f"{system.endpoints.simulators['ringex']}/_sim/stats").json()
    assert answers == [{}] * WORKERS
    assert stats["tokensMinted"] == 1
    assert stats["tooManyRequests"] == {}
