"""RingCX: how fast segments come at its limit, and the memory of eight large ones at once.

Run it with: .venv/bin/python -m tests.bench.bench_ringcx
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from local import aws, ringcx
from local.system import System, running
from local.worker import environment
from tests.bench.memory import run_measured
from tests.bench.table import Row, show

PORT = 4690
SEGMENT_BYTES = 500_000_000
BYTES_PER_SECOND = 32_000  # what the simulator makes: PCM16, 8 kHz, two channels
AT_ONCE = 8
# The real ones: what a grant costs beside its window would weigh more in a shorter one.
ALLOWED, WINDOW = 120, 60
SEGMENTS = 360
PATIENCE = 600


def main() -> list[Row]:
    """Measure and return the rows."""
    return [_pace(), *_memory()]


def _pace() -> Row:
    """Count what RingCX grants while there is something to fetch; the whole system is running."""
    limits = f"Metadata=3/1+9/15,Recordings={ALLOWED}/{WINDOW},Exchange=5/1,Auth=5/1"
    recordings = [{"limit": ALLOWED, "window": WINDOW}]
    simulated = {"limits": {**ringcx.SHORT_LIMITS, "Recordings": recordings}}
    with (
        tempfile.TemporaryDirectory(prefix="legato-bench-") as scratch,
        running(
            port=PORT,
            directory=Path(scratch),
            parameters={"RingcxLimits": limits},
            ringcx_settings=simulated,
        ) as system,
    ):
        url = system.endpoints.simulators["ringcx"]
        for _ in range(SEGMENTS // 2):
            order = {"segments": [{"duration": 1}, {"duration": 1}]}
            httpx.post(f"{url}/_sim/calls", json=order).raise_for_status()
        granted = _granted(url)
        stats = httpx.get(f"{url}/_sim/stats").json()
    # Not the beginning, when nothing was used yet. Grants come in bursts, so whole rounds count.
    first, last = ALLOWED + 1, SEGMENTS - ALLOWED + 1
    pace = (last - first) / (granted[last] - granted[first]) * WINDOW / ALLOWED
    refused = sum(stats["tooManyRequests"].values())
    return Row(
        what=f"RingCX downloads at the limit ({SEGMENTS} segments)",
        measured=f"{120 * pace:.0f} of 120 a minute, {refused} refused",
        budget="≥ 115, none",
        holds=120 * pace >= 115 and not refused,
    )


def _granted(url: str) -> dict[int, float]:
    """Return when each download was seen to be granted, by its number."""
    seen: dict[int, float] = {}
    until = time.monotonic() + PATIENCE
    while len(seen) < SEGMENTS:
        if time.monotonic() > until:
            raise TimeoutError(f"only {len(seen)} of {SEGMENTS} segments were fetched")
        count = httpx.get(f"{url}/_sim/stats").json()["grants"].get("Recordings", 0)
        for number in range(len(seen) + 1, count + 1):
            seen[number] = time.monotonic()
        time.sleep(0.05)
    return seen


def _memory() -> list[Row]:
    """Let one processor fetch eight segments at the same time, each straight into S3."""
    with (
        tempfile.TemporaryDirectory(prefix="legato-bench-") as scratch,
        running(port=PORT, directory=Path(scratch), functions=False) as system,
    ):
        url = system.endpoints.simulators["ringcx"]
        began_at = datetime.now(UTC) - timedelta(hours=12)
        segment = {
            "startTime": began_at.isoformat(),
            "duration": SEGMENT_BYTES / BYTES_PER_SECOND,
        }
        dialogs = [
            httpx.post(f"{url}/_sim/calls", json={"segments": [segment]})
            .raise_for_status()
            .json()["dialogId"]
            for _ in range(AT_ONCE)
        ]
        _swept(system)
        command = [sys.executable, "-m", "tests.bench.ringcx_worker", "archive", *dialogs]
        said, memory = run_measured(command, environment=_variables(system, "processor"))
        result = json.loads(said)
        classes = _classes(system)
    return [
        Row(
            what=f"{AT_ONCE} segments of {SEGMENT_BYTES / 1e6:.0f} MB at once into S3: memory",
            measured=f"{memory:.0f} MB ({result['seconds']:.0f} s, {result['archived']} archived)",
            budget="≤ 200 MB",
            holds=memory <= 200 and result["archived"] == AT_ONCE,
        ),
        Row(
            what="their storage class, from the first version on",
            measured=", ".join(sorted(classes)),
            budget="GLACIER",
            holds=classes == {"GLACIER"},
        ),
    ]


def _swept(system: System) -> None:
    """Find the dialogs in a process of its own, as the sweeper would."""
    command = [sys.executable, "-m", "tests.bench.ringcx_worker", "sweep"]
    run_measured(command, environment=_variables(system, "sweeper"))


def _variables(system: System, name: str) -> dict[str, str]:
    [function] = [f for f in system.stack.functions.values() if f.code.name == name]
    return {**os.environ, **environment(function, system.endpoints.aws)}


def _classes(system: System) -> set[str]:
    s3 = aws.client("s3", system.endpoints.aws)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=system.endpoints.bucket)
    versions: list[Any] = [item for page in pages for item in page.get("Versions", ())]
    return {item["StorageClass"] for item in versions if "/legs/" in item["Key"]}


if __name__ == "__main__":
    sys.exit(0 if show(main(), title="RingCX") else 1)
