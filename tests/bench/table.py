"""What every benchmark returns, and the table that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One measurement. `holds` is None without a budget, or where this machine cannot judge."""

    what: str
    measured: str
    budget: str = ""
    holds: bool | None = None


def show(rows: Iterable[Row], *, title: str) -> bool:
    """Print the rows and tell whether every budget holds."""
    rows = list(rows)
    table = Table(title=title, title_justify="left")
    for column in ("what", "measured", "budget", "holds"):
        table.add_column(column, overflow="fold")
    for row in rows:
        verdict = {True: "[green]yes", False: "[bold red]NO", None: "-"}[row.holds]
        table.add_row(row.what, row.measured, row.budget, verdict)
    Console().print(table)
    return all(row.holds is not False for row in rows)
