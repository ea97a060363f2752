"""The seeds of the random worlds, and the running system for storms."""

from tests.e2e.conftest import first_port, system, warm_webhook  # noqa: F401 - fixtures


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
