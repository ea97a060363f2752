"""Runs a simulator as a process of its own, as the local system does."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local.processes import running_module, wait_until_answers


@contextlib.contextmanager
def running(
    name: str, host: str, port: int, settings: Mapping[str, Any], *, directory: Path
) -> Iterator[Callable[[], None]]:
    """Run the simulator of that name; yields a function that waits until it answers.

    Its configuration and its log are files in `directory`.
    """
    config = directory / f"{name}.json"
    config.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    log = directory / "logs" / f"{name}.log"
    arguments = ["--host", host, "--port", str(port), "--config", str(config)]
    with running_module(f"local.simulators.{name}", arguments, log=log) as process:
        yield lambda: wait_until_answers(f"http://{host}:{port}/_sim/stats", process, log=log)
