"""Starts the simulator: `python -m local.simulators.ringex --port 4602`."""

from __future__ import annotations

import argparse

import uvicorn

from local.simulators.ringex import create_app
from local.simulators.ringex.config import BadInput, load_config


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m local.simulators.ringex")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4602)
    parser.add_argument("--config", help="a JSON file, or JSON itself; keys as in config.py")
    given = parser.parse_args()
    try:
        config = load_config(given.config)
    except (BadInput, OSError) as error:
        parser.error(str(error))
    uvicorn.run(
        create_app(config),
        host=given.host,
        port=given.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
