"""A day of 10,000 sessions at RingCentral's limits, in virtual time.

Run it with: .venv/bin/python -m tests.bench.bench_day
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.bench.table import Row, show
from tests.day import Day, Figures

# Sooner than they can be fetched, so that there is work all the time.
BUSY_DAY = {"sessions": 10_000, "recorded": 700, "recordings": 900, "minutes": 20}


def main() -> list[Row]:
    """Simulate and return the rows."""
    one = _day()
    unheard = _day(notify=False)
    four = _day(credentials=4)
    ratio = four.recordings_per_minute / one.recordings_per_minute
    return [
        *_rows("10,000 sessions, 900 recordings", one),
        *_rows("the same, every notification lost", unheard),
        *_rows("the same, four credentials", four),
        Row(
            what="throughput with four credentials",
            measured=f"{ratio:.2f} x ({four.recordings_per_minute:.1f} recordings a minute)",
            budget="≥ 3.6 x",
            holds=ratio >= 3.6,
        ),
    ]


def _day(*, credentials: int = 1, notify: bool = True) -> Figures:
    with tempfile.TemporaryDirectory(prefix="legato-bench-") as scratch:
        return Day(Path(scratch), credentials=credentials, notify=notify).run(**BUSY_DAY)


def _rows(what: str, figures: Figures) -> list[Row]:
    return [
        Row(
            what=f"{what}: calls archived, 429s",
            measured=f"{figures.archived} of 700, {figures.too_many}",
            budget="all, none",
            holds=figures.archived == 700 and not figures.other and not figures.too_many,
        ),
        Row(
            what="Heavy calls per recording",
            measured=f"{figures.heavy_per_recording:.3f}",
            budget="≤ 1.1",
            holds=figures.heavy_per_recording <= 1.1,
        ),
        Row(
            what="allowance used while there is work",
            measured=f"{figures.saturation:.1%} of it, for {figures.minutes:.0f} minutes",
            budget="≥ 90 %",
            holds=figures.saturation >= 0.9,
        ),
    ]


if __name__ == "__main__":
    sys.exit(0 if show(main(), title="A day at the limit") else 1)
