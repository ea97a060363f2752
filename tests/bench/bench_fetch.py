"""How much memory it takes to bring a leg of 500 MB from the network into S3.

Run it with: .venv/bin/python -m tests.bench.bench_fetch
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import httpx

from local.system import running
from local.worker import environment
from tests.bench.memory import run_measured
from tests.bench.table import Row, show

LEG_BYTES = 500_000_000
BYTES_PER_SECOND = 16_000  # what the simulator makes: PCM16, 8 kHz, mono
PORT = 4680


def main() -> list[Row]:
    """Measure and return the rows."""
    with (
        tempfile.TemporaryDirectory(prefix="legato-bench-") as scratch,
        running(port=PORT, directory=Path(scratch), functions=False) as system,
    ):
        order = {
            "legs": [{"duration": LEG_BYTES // BYTES_PER_SECOND, "format": "wav"}],
            "emit": False,
        }
        ringex = system.endpoints.simulators["ringex"]
        placed = httpx.post(f"{ringex}/_sim/calls", json=order).raise_for_status().json()
        [function] = [f for f in system.stack.functions.values() if f.code.name == "processor"]
        variables = {**os.environ, **environment(function, system.endpoints.aws)}
        command = [sys.executable, "-m", "tests.bench.fetch_worker"]
        ids = [placed["telephonySessionId"], placed["recordingIds"][0]]
        said, memory = run_measured([*command, *ids], environment=variables)
    result = json.loads(said)
    size, seconds = result["bytes"], result["seconds"]
    return [
        Row(
            what=f"fetch a leg of {size / 1e6:.0f} MB from the network to S3: memory",
            measured=f"{memory:.0f} MB ({seconds:.1f} s, ffmpeg's inspection included)",
            budget="≤ 120 MB",
            holds=memory <= 120,
        )
    ]


if __name__ == "__main__":
    sys.exit(0 if show(main(), title="Fetching") else 1)
