"""Fifty workers that start at the same moment, on one ledger and one RingCentral."""

import threading
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from legato.app.root import App
from legato.settings import Limit
from local.worker import environment
from tests.fakes import NOON

FUNCTIONS = False
WORKERS = 50


@pytest.fixture
def configured(system, monkeypatch):
    """What the stack tells the processor, without a limit that would slow it."""
    function = system.stack.functions["ProcessorFunction"]
    for name, value in environment(function, system.endpoints.aws).items():
        monkeypatch.setenv(name, value)
    config = system.stack.configuration
    limits = {group: (Limit(1000),) for group in ("Light", "Medium", "Heavy")}
    return replace(
        config, tuning=replace(config.tuning, ringex_limits=limits | {"Auth": (Limit(5),)})
    )


def test_fifty_workers_starting_at_once_mint_one_token(system, configured):
    """RingCentral suspends an app whose processes each log in for themselves."""
    day = {"begin": NOON, "end": NOON + timedelta(days=1)}
    readers = [App(configured).ringex.recorded(**day)[0] for _ in range(WORKERS)]
    start, answers = threading.Barrier(WORKERS), []

    def work(reader):
        start.wait()
        answers.append(reader.page({}).changes)

    threads = [threading.Thread(target=work, args=(reader,)) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = httpx.get(f"{system.endpoints.simulators['ringex']}/_sim/stats").json()
    assert answers == [()] * WORKERS
    assert stats["tokensMinted"] == 1
    assert stats["tooManyRequests"] == {}
