"""The whole local system, started once for each kind of use."""

import pytest

from local.system import running

FAST = {
    group: {"limit": 1000, "window": 1, "penalty": 1}
    for group in ("Light", "Medium", "Heavy", "Auth")
}


@pytest.fixture(scope="session")
def first_port(free_port):
    """Return a port with four free ones behind it."""
    return lambda: free_port() // 10 * 10


@pytest.fixture(scope="module")
def system(request, tmp_path_factory, first_port):
    """Run the local system.

    A module says by FUNCTIONS = False that it calls the code itself, by PARAMETERS what the stack
    is given, and by RINGCX and KAZOO what these are like.
    """
    with running(
        port=first_port(),
        directory=tmp_path_factory.mktemp("system"),
        functions=getattr(request.module, "FUNCTIONS", True),
        parameters=getattr(request.module, "PARAMETERS", {}),
        ringex_settings={"limits": FAST, "logLag": 0.5},
        ringcx_settings=getattr(request.module, "RINGCX", {}),
        kazoo_settings=getattr(request.module, "KAZOO", {}),
    ) as system:
        yield system
