"""The local runner's workers behave as Lambda's execution environments."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.stack import Function
from local.worker import InvocationError, Pool

if TYPE_CHECKING:
    from collections.abc import Iterator

FUNCTION = Function(
    logical="TriedFunction",
    name="legato-TriedFunction-1",
    arn="arn:aws:lambda:us-east-1:123456789012:function:legato-TriedFunction-1",
    code=Path("tests/integration/local_handlers"),
    handler="app.handler",
    timeout=2,
    memory=512,
    environment={"LEGATO_CONFIG": "a-parameter"},
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    log = tmp_path_factory.mktemp("logs") / "tried.log"
    pool = Pool(FUNCTION, endpoint="http://127.0.0.1:1", log=log, size=2)
    yield pool
    pool.close()


def test_handler_sees_lambdas_context_and_the_stacks_environment(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is the function's own and the local AWS; nothing of the developer's."""
    told = pool.invoke({"do": "tell"})
    assert told["name"] == FUNCTION.name
    assert told["arn"] == FUNCTION.arn
    assert told["memory"] == "512"
    assert 1000 < told["millis"] <= 2000
    assert told["environment"]["LEGATO_CONFIG"] == "a-parameter"
    assert told["environment"]["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert "HOME" not in told["environment"]


def test_a_warm_process_takes_the_next_event(pool: Pool) -> None:
    first, second = pool.invoke({"do": "tell"}), pool.invoke({"do": "tell"})
    assert first["pid"] == second["pid"]
    assert first["request"] != second["request"]


def test_an_exception_fails_the_invocation_and_keeps_the_process(pool: Pool) -> None:
    pid = pool.invoke({"do": "tell"})["pid"]
    with pytest.raises(InvocationError, match="ValueError: no good"):
        pool.invoke({"do": "raise", "value": "no good"})
    assert pool.invoke({"do": "tell"})["pid"] == pid


def test_a_process_that_dies_is_replaced(pool: Pool) -> None:
    pid = pool.invoke({"do": "tell"})["pid"]
    with pytest.raises(InvocationError, match="died"):
        pool.invoke({"do": "die"})
    assert pool.invoke({"do": "tell"})["pid"] != pid


def test_the_timeout_ends_the_process(pool: Pool) -> None:
    with pytest.raises(InvocationError, match="longer than 2 s"):
        pool.invoke({"do": "sleep", "value": 60})
    assert pool.invoke({"do": "return", "value": [1]}) == [1]


def test_two_events_run_in_two_processes_at_the_same_time(pool: Pool, tmp_path: Path) -> None:
    """Each of them ends only when the other one is there."""
    with ThreadPoolExecutor(2) as callers:
        results = list(callers.map(pool.invoke, [{"do": "meet", "value": str(tmp_path)}] * 2))
    assert results == [None, None]
    assert len(pool._idle) == 2


def test_each_process_has_temporary_files_of_its_own(pool: Pool, tmp_path: Path) -> None:
    """Who takes the place of one that died finds what it left; all of it goes with the pool."""
    with ThreadPoolExecutor(2) as callers:
        list(callers.map(pool.invoke, [{"do": "meet", "value": str(tmp_path)}] * 2))
    folder = pool.invoke({"do": "leave", "value": "audio"})
    first = pool._idle.pop()
    assert pool.invoke({"do": "find"}) == []
    pool._give_back(first)
    with pytest.raises(InvocationError, match="died"):
        pool.invoke({"do": "die"})
    assert first.scratch == folder
    [second] = pool._idle
    pool._idle.clear()
    assert pool.invoke({"do": "find"}) == ["audio"]
    pool._give_back(second)


def test_output_goes_to_the_log(pool: Pool) -> None:
    pool.invoke({"do": "tell"})
    assert "a line of the log" in pool._log.read_text()


def test_lines_of_processes_that_write_at_the_same_time_stay_whole(pool: Pool) -> None:
    with ThreadPoolExecutor(2) as callers:
        list(callers.map(pool.invoke, [{"do": "print", "value": 3000}] * 2))
    found = Counter(pool._log.read_text().splitlines())
    assert [found[json.dumps({"number": number})] for number in range(3000)] == [2] * 3000


def test_a_handler_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
    function = Function(
        logical="Broken",
        name="broken",
        arn="arn",
        code=Path("tests/integration/nothing_here"),
        handler="app.handler",
        timeout=1,
        memory=128,
        environment={},
    )
    pool = Pool(function, endpoint="http://127.0.0.1:1", log=tmp_path / "log", size=1)
    with pytest.raises(InvocationError, match="nothing_here"):
        pool.warm()
    pool.close()
