"""Times as the platform writes and reads them. Inside the simulator a time is epoch seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

type Clock = Callable[[], float]


def write(moment: float) -> str:
    """Write a time in ISO 8601, UTC, with milliseconds."""
    # Rounded first: a float such as .999 is stored a little below and would be cut to .998.
    text = datetime.fromtimestamp(round(moment, 3), UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def read(text: str) -> float:
    """Read an ISO 8601 time; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def readable(value: Any) -> float | None:
    """Return the time that a value says, None when it says none."""
    try:
        return read(value)
    except (TypeError, ValueError, OverflowError):
        return None
