"""How much memory it takes to bring a leg of 500 MB from the network into S3.

Run it with: .venv/bin/python -m tests.bench.bench_fetch
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from legato.bootstrap import processor_ports
from legato.ingest.fetch import Fetching, fetch_leg
from legato.model import Job
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
        command = [sys.executable, "-m", "tests.bench.bench_fetch", "fetch"]
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


def _fetch(call: str, recording: str) -> None:
    queue = os.environ["LEGATO_RINGEX_QUEUE"].rpartition("/")[2]
    ports = processor_ports(f"arn:aws:sqs:::{queue}")
    seen_at = datetime.now(UTC) - timedelta(hours=1)
    job = Job(provider="ringex", account="~", call=call, seen_at=seen_at)
    leg = ports.provider.named_leg(job, recording)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        fetching = Fetching(
            leg=leg,
            job=job,
            prefix="calls/bench/",
            present={},
            path=Path(scratch) / "leg",
            until=datetime.now(UTC) + timedelta(minutes=15),
            trouble=None,
            last_try=False,
        )
        stored = fetch_leg(fetching, ports).stored
    seconds = time.perf_counter() - started
    print(json.dumps({"bytes": stored.object.size, "seconds": seconds}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["fetch"]:
        _fetch(*sys.argv[2:])
    else:
        sys.exit(0 if show(main(), title="Fetching") else 1)
