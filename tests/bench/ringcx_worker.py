"""What the RingCX benchmark measures: the sweeper's and the processor's own work, and no more.

It stands apart so that its process loads nothing of the local system.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

from legato.app.function import app
from legato.ingest.batch import Message, archive
from legato.model import Job


def sweep() -> None:
    """Find dialogs."""
    report = app().ringcx.sweeper()(until=datetime.now(UTC) + timedelta(seconds=120))
    print(json.dumps({"jobs": report.jobs}))


def archive_all(dialogs: list[str]) -> None:
    config = app().config
    queue = config.ringcx_queue.rpartition("/")[2]
    ports = app().processing(f"arn:aws:sqs:::{queue}")
    seen_at = datetime.now(UTC) - timedelta(hours=1)
    account = config.ringcx_sub_account_ids[0]
    messages = [
        Message(
            name, Job(provider="ringcx", account=account, call=name, seen_at=seen_at).to_message()
        )
        for name in dialogs
    ]
    started = time.perf_counter()
    report = archive(
        messages,
        ports=ports,
        until=datetime.now(UTC) + timedelta(minutes=15),
        guard=lambda _ids: nullcontext(),
    )
    seconds = time.perf_counter() - started
    print(json.dumps({"archived": report.counts["CallArchived"], "seconds": seconds}))


if __name__ == "__main__":
    archive_all(sys.argv[2:]) if sys.argv[1] == "archive" else sweep()
