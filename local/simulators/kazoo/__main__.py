"""Starts the simulator: `python -m local.simulators.kazoo --port 4604`."""

from __future__ import annotations

from local.simulators.kazoo import Config, create_app
from local.simulators.serve import serve

if __name__ == "__main__":
    serve("local.simulators.kazoo", port=4604, kind=Config, make_app=create_app)
