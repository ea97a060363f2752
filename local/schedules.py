"""Stands in for EventBridge Scheduler: fires the stack's schedules, one run at a time each.

Two differences on purpose, so that nobody waits in front of a laptop: a minute of the schedule
lasts a second here, and the first run comes at once. A failed run is not repeated, the next one
comes soon enough.
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local import aws
from local.processes import LocalError
from local.stack import Schedule
from local.worker import InvocationError

SECONDS_OF = {"minute": 1, "hour": 60, "day": 24 * 60}
STOP_SECONDS = 1

type Invoke = Callable[[Any], Any]


class Timer:
    """Fires one schedule until it is stopped. Raises LocalError for one that is no rate.

    At least so many seconds lie between two of its runs.
    """

    def __init__(self, schedule: Schedule, invoke: Invoke, *, seconds: float = 0) -> None:
        self._schedule = schedule
        self._invoke = invoke
        self._seconds = max(seconds, seconds_between(schedule.expression))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Fire no more. A run that takes long is not waited for."""
        self._stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self._invoke(event(self._schedule))
            except InvocationError as error:
                if not self._stop.is_set():
                    print(f"schedule {self._schedule.logical}: {error}", file=sys.stderr)
            self._stop.wait(max(0.0, self._seconds - (time.monotonic() - began)))


def seconds_between(expression: str) -> float:
    """Return how often a rate fires here: `rate(10 minutes)` every 10 seconds."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if rate is None or int(rate[1]) == 0:
        raise LocalError(f"local/schedules.py knows only rates like rate(5 minutes): {expression}")
    return int(rate[1]) * SECONDS_OF[rate[2]]


def event(schedule: Schedule) -> Any:
    """Return what the function gets: the schedule's input, or what Scheduler sends without one."""
    if schedule.input is not None:
        return json.loads(schedule.input)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": "123456789012",
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": aws.REGION,
        "resources": [f"arn:aws:scheduler:{aws.REGION}:123456789012:schedule/{schedule.logical}"],
        "detail": "{}",
    }
