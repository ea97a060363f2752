"""Starts the simulator: `python -m local.simulators.ringex --port 4602`."""

from __future__ import annotations

from local.simulators.ringex import Config, create_app
from local.simulators.serve import serve

if __name__ == "__main__":
    serve("local.simulators.ringex", port=4602, kind=Config, make_app=create_app)
