"""`make bench`: every budget, measured in one run, with its verdict."""

from __future__ import annotations

import sys

from tests.bench import bench_day, bench_fetch, bench_find, bench_join, bench_ringcx, bench_webhook
from tests.bench.table import show


def main() -> int:
    """Run all benchmarks; exit 1 if a budget does not hold."""
    benches = (
        bench_webhook,
        bench_fetch,
        bench_join,
        bench_day,
        bench_ringcx,
        bench_find,
    )
    rows = [row for bench in benches for row in bench.main()]
    return 0 if show(rows, title="Budgets") else 1


if __name__ == "__main__":
    sys.exit(main())
