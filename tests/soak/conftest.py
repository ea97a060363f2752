"""The seeds of the random worlds, the running system for storms, and the isolation's table."""

from itertools import chain

from tests.e2e.conftest import system, warm_webhook  # noqa: F401 - fixtures
from tests.isolation import CELLS, SENSELESS, table


def pytest_addoption(parser):
    parser.addoption(
        "--seeds",
        type=int,
        default=3,
        metavar="N",
        help="let each random world take place N times, with the seeds 1 to N",
    )


def pytest_generate_tests(metafunc):
    """Let a test that takes a `seed` run with each."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(1, metafunc.config.getoption("seeds") + 1))


def pytest_terminal_summary(terminalreporter):
    """Print what became of each cell of the isolation matrix, and what is not tried."""
    reports = chain.from_iterable(
        terminalreporter.stats.get(how, ()) for how in ("passed", "failed")
    )
    rows = {
        tuple(row[:3]): row
        for report in reports
        for name, row in report.user_properties
        if name == "isolation"
    }
    if not rows:
        return
    cells = [(cell.provider, cell.unit, cell.fault) for cell in CELLS]
    terminalreporter.section("isolation: minutes since the first call ended")
    terminalreporter.write_line(table(rows[cell] for cell in cells if cell in rows))
    terminalreporter.write_line("\nnot tried:")
    for (unit, fault), why in SENSELESS.items():
        terminalreporter.write_line(f"  {unit}, {fault}: {why}")
