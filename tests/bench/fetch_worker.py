"""What the benchmark of a fetch measures: the processor's own work on one leg, and no more.

It stands apart so that its process loads nothing of the local system.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from legato.app.function import app
from legato.ingest.fetch import Fetching, fetch_leg
from legato.model import Job


def fetch(call: str, recording: str) -> None:
    """Fetch a leg into the archive, and print its size and the seconds that it took."""
    queue = app().config.ringex_queue.rpartition("/")[2]
    ports = app().processing(f"arn:aws:sqs:::{queue}")
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
    fetch(*sys.argv[1:])
