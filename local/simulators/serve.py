"""Starts a simulator as a program of its own: `python -m local.simulators.ringex --port 4602`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from local.simulators.settings import BadInput, Settings, load


def serve[C: Settings](
    package: str, *, port: int, kind: type[C], make_app: Callable[[C], Starlette]
) -> None:
    """Serve until Ctrl-C or SIGTERM. `port` is taken unless the command line names another."""
    parser = argparse.ArgumentParser(prog=f"python -m {package}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--config", help="a JSON file, or JSON itself; keys as in config.py")
    given = parser.parse_args()
    try:
        config = load(kind, given.config)
    except (BadInput, OSError) as error:
        parser.error(str(error))
    uvicorn.run(
        make_app(config),
        host=given.host,
        port=given.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
